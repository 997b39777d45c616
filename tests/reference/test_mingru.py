"""minGRU's scan in log space equals its steps."""

from __future__ import annotations

import numpy as np
import pytest

from cases import make_case
from congru.reference import mingru
from tolerances import assert_close, seeds


def check_scan(case):
    expected = mingru.forward(case.x, case.state, case.weights, **case.options)
    actual = mingru.forward_scan(case.x, case.state, case.weights, **case.options)
    for what, a, b in zip(("y", "state", "gates"), actual, expected):
        assert_close("minGRU, scan", a, b, what)


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("T", [0, 1, 3, 63])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"ragged": True}, {"resets": True}, {"resets": True, "h_reset": True}]
)
def test_scan_equals_steps(T, reverse, options, seed):
    check_scan(make_case("mingru", seed, B=4, T=T, reverse=reverse, **options))


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_equals_steps_with_everything(reverse, seed):
    check_scan(make_case("mingru", seed, B=4, T=21, reverse=reverse, ragged=True, resets=True, h_reset=True))


@pytest.mark.parametrize("start", [0.0, -5.0, 1e-300])
def test_scan_starts_from_zero_and_below(start):
    case = make_case("mingru", T=9)
    check_scan(case._replace(state=(np.full((3, 7), start),)))


@pytest.mark.parametrize("a_z", [-100.0, 100.0])
@pytest.mark.parametrize("a_n", [-100.0, 100.0])
def test_scan_is_right_when_saturated(a_z, a_n):
    case = make_case("mingru", T=40)
    W, b = case.weights
    with np.errstate(all="raise", under="ignore"):
        check_scan(case._replace(weights=(W, b + np.repeat([a_z, a_n], 7))))


def test_scan_without_bias_and_with_nan():
    case = make_case("mingru")
    check_scan(case._replace(weights=(case.weights[0], None)))
    case.x[1, 2] = np.nan
    y, _, _ = mingru.forward_scan(case.x, case.state, case.weights)
    assert np.isnan(y[1, 2:]).all()
    assert np.isfinite(y[[0, 2]]).all()
