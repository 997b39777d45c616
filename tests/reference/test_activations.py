"""The squashing functions at the ends of float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from congru.reference.activations import clipped, g, log_g, log_sigmoid, sigmoid


@pytest.mark.parametrize("a", [-700.0, -100.0, -30.0, -1.0, -1e-9, 0.0, 1e-9, 1.0, 30.0, 100.0, 700.0])
def test_sigmoid_is_right_to_the_last_digits(a):
    below = math.exp(a) / (1.0 + math.exp(a)) if a <= 0 else 1.0 / (1.0 + math.exp(-a))
    assert sigmoid(np.array([a]))[0] == pytest.approx(below, rel=1e-15, abs=0)
    log = a - math.log1p(math.exp(a)) if a <= 0 else -math.log1p(math.exp(-a))
    assert log_sigmoid(np.array([a]))[0] == pytest.approx(log, rel=1e-15, abs=0)


def test_no_overflow_and_nan_goes_through():
    a = np.array([-1e308, -np.inf, 1e308, np.inf])
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(a).tolist() == [0, 0, 1, 1]
        assert np.isnan(sigmoid(np.array([np.nan]))).all()
        assert np.isnan(g(np.array([np.nan]))).all()
        assert log_sigmoid(np.array([-1e308]))[0] == -1e308


def test_g_is_continuous_and_positive_and_log_g_is_its_logarithm():
    a = np.array([-50.0, -3.0, -1e-12, 0.0, 1e-12, 3.0, 1e6])
    assert g(a)[2:5] == pytest.approx(0.5, abs=1e-11)
    assert g(a)[5:].tolist() == [3.5, 1e6 + 0.5]
    assert g(a)[1] == pytest.approx(1 / (1 + math.exp(3)))
    np.testing.assert_allclose(log_g(a), np.log(g(a)), rtol=1e-14)
    assert log_g(np.array([-1e5]))[0] == -1e5


def test_clip_holds_the_argument():
    squash, tanh = clipped(0.5)
    assert squash(np.array([-9.0, 0.2, 9.0])) == pytest.approx(sigmoid(np.array([-0.5, 0.2, 0.5])), abs=0)
    assert tanh(np.array([-9.0, 0.2, 9.0])) == pytest.approx(np.tanh([-0.5, 0.2, 0.5]), abs=0)
