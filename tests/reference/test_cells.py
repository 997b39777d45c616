"""Every cell, forward and backward, against torch (its own cells, autograd) and central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases import FORMS, Case, make_case, oracle
from congru.reference.stack import CELLS
from tolerances import assert_close, seeds

OPTIONS = [
    {},
    {"reverse": True},
    {"ragged": True},
    {"ragged": True, "reverse": True},
    {"resets": True},
    {"resets": True, "h_reset": True},
    {"resets": True, "h_reset": True, "ragged": True},
    {"resets": True, "h_reset": True, "ragged": True, "reverse": True},
]
SIZES = [
    {"B": 3, "T": 5, "I": 4, "H": 7},
    {"B": 1, "T": 3, "I": 5, "H": 3},
    {"B": 2, "T": 1, "I": 3, "H": 5},
    {"B": 2, "T": 0, "I": 3, "H": 5},
    {"B": 1, "T": 3, "I": 1, "H": 1},
    {"B": 2, "T": 13, "I": 9, "H": 2},
]


def extra(cell: str, reset_before: bool) -> dict[str, Any]:
    return {"reset_before": reset_before} if cell == "gru" else {}


def check_against_torch(cell: str, reset_before: bool, case: Case) -> None:
    module, options = CELLS[cell], {**case.options, **extra(cell, reset_before)}
    y, state, gates, grads = oracle(cell, case, reset_before)
    actual = module.forward(case.x, case.state, case.weights, **options)
    for what, a, b in zip(("y", "state", "gates"), actual, (y, state, gates)):
        assert_close("reference, torch, float64", a, b, what)
    back = module.backward(case.dy, case.dstate, case.x, case.state, case.weights, **options)
    pairs = [("dx", back.dx, grads["x"])]
    pairs += [(f"d{name}", a, b) for name, a, b in zip(module.CELL.states, back.dstate, grads["state"])]
    pairs += [(f"d{name}", a, b) for name, a, b in zip(module.CELL.weights, back.dweights, grads["weights"])]
    if case.options.get("h_reset") is not None:
        pairs += [("dh_reset", np.stack(back.dh_reset), np.stack(grads["h_reset"]))]
    else:
        assert back.dh_reset is None
    for what, a, b in pairs:
        assert (a is None) == (b is None), what
        if b is not None:
            assert_close("reference, torch gradients, float64", a, b, what)


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_equals_torch_with_every_option(cell, reset_before, options, seed):
    check_against_torch(cell, reset_before, make_case(cell, seed, **options))


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_equals_torch_at_every_size(cell, reset_before, sizes, seed):
    for reverse in (False, True):
        case = make_case(cell, seed, ragged=True, resets=True, h_reset=True, reverse=reverse, **sizes)
        check_against_torch(cell, reset_before, case)


@pytest.mark.parametrize("without", ["b_i", "b_h", "both"])
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_equals_torch_without_bias(cell, reset_before, without):
    case = make_case(cell)
    names = CELLS[cell].CELL.weights
    drop = {"b_i", "b_h"} if without == "both" else {without}
    weights = tuple(None if name in drop else part for name, part in zip(names, case.weights))
    check_against_torch(cell, reset_before, case._replace(weights=weights))


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_saturated_gates_are_finite_and_equal_torch(cell, reset_before):
    # Arguments of the squashing functions of about 100 and -100 in every combination over the hidden units.
    case = make_case(cell, H=16)
    rng = np.random.default_rng(1)
    bias = 100.0 * rng.choice([-1.0, 1.0], size=len(case.weights[0]))
    with np.errstate(all="raise", under="ignore"):
        check_against_torch(cell, reset_before, case._replace(weights=(*case.weights[:-1], bias)))


def test_lstm_h_reset_as_an_array_restarts_h_there_and_c_from_zeros():
    h_reset = np.linspace(-1, 1, 7)
    case = make_case("lstm", resets=True)
    both = {**case.options, "h_reset": (h_reset, np.zeros(7))}
    one = {**case.options, "h_reset": h_reset}
    lstm = CELLS["lstm"]
    expected = lstm.forward(case.x, case.state, case.weights, **both)
    for a, b in zip(lstm.forward(case.x, case.state, case.weights, **one), expected):
        np.testing.assert_array_equal(a, b)
    arguments = (case.dy, case.dstate, case.x, case.state, case.weights)
    dh_reset, _ = lstm.backward(*arguments, **both).dh_reset
    np.testing.assert_array_equal(lstm.backward(*arguments, **one).dh_reset, dh_reset)


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_backward_equals_central_differences(cell, reset_before, reverse, seed):
    sizes = {"B": 3, "T": 4, "I": 2, "H": 3}
    case = make_case(cell, seed, ragged=True, resets=True, h_reset=True, reverse=reverse, **sizes)
    module, options = CELLS[cell], {**case.options, **extra(cell, reset_before)}
    inputs = {"x": case.x}
    inputs |= {f"state{k}": part for k, part in enumerate(case.state)}
    inputs |= {f"weight{k}": part for k, part in enumerate(case.weights)}
    start = options["h_reset"] if isinstance(options["h_reset"], tuple) else (options["h_reset"],)
    inputs |= {f"start{k}": part for k, part in enumerate(start)}

    def loss() -> float:
        y, state, _ = module.forward(case.x, case.state, case.weights, **options)
        return float((y * case.dy).sum() + sum((a * b).sum() for a, b in zip(state, case.dstate)))

    back = module.backward(case.dy, case.dstate, case.x, case.state, case.weights, **options)
    dstart = back.dh_reset if isinstance(back.dh_reset, tuple) else (back.dh_reset,)
    for (what, array), grad in zip(inputs.items(), (back.dx, *back.dstate, *back.dweights, *dstart)):
        expected = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            value, step = array[index], 1e-5
            array[index] = value + step
            above = loss()
            array[index] = value - step
            expected[index] = (above - loss()) / (2 * step)
            array[index] = value
        assert_close("reference, central differences", grad, expected, what)


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_step_is_forward_of_one_step(cell, reset_before):
    case = make_case(cell, T=1)
    state, gates = CELLS[cell].step(case.x[:, 0], case.state, case.weights, **extra(cell, reset_before))
    y, final, all_gates = CELLS[cell].forward(case.x, case.state, case.weights, **extra(cell, reset_before))
    np.testing.assert_array_equal(state[0], y[:, 0])
    np.testing.assert_array_equal(state, final)
    np.testing.assert_array_equal(gates, all_gates[:, 0])


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_nan_goes_through_and_stays_in_its_row(cell, reset_before):
    case = make_case(cell)
    expected, _, _ = CELLS[cell].forward(case.x, case.state, case.weights)
    case.x[1, 2] = np.nan
    y, _, _ = CELLS[cell].forward(case.x, case.state, case.weights)
    assert np.isnan(y[1, 2:]).all()
    np.testing.assert_array_equal(np.delete(y, 1, axis=0), np.delete(expected, 1, axis=0))
    np.testing.assert_array_equal(y[1, :2], expected[1, :2])


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_padding_may_hold_nan(cell, reset_before):
    case = make_case(cell, ragged=True)
    options = {**case.options, **extra(cell, reset_before)}
    arguments = (case.dy, case.dstate, case.x, case.state, case.weights)
    expected = CELLS[cell].backward(*arguments, **options)
    padding = np.arange(case.x.shape[1]) >= options["lengths"][:, None]
    assert padding.any()
    case.x[padding], case.dy[padding] = np.nan, np.nan
    actual = CELLS[cell].backward(*arguments, **options)
    np.testing.assert_array_equal(actual.dx, expected.dx)
    for a, b in zip(actual.dstate + actual.dweights, expected.dstate + expected.dweights):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_float32_and_integers_are_computed_in_float64(cell, reset_before):
    case = make_case(cell)
    x = np.round(case.x * 3).astype(np.int32)
    weights = tuple(part.astype(np.float32) for part in case.weights)
    y, _, gates = CELLS[cell].forward(x, None, weights)
    expected, _, _ = CELLS[cell].forward(x.astype(float), None, tuple(part.astype(float) for part in weights))
    assert y.dtype == gates.dtype == np.float64
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_state_none_is_zeros_and_dstate_none_is_zeros(cell, reset_before):
    case = make_case(cell)
    zeros = tuple(np.zeros_like(part) for part in case.state)
    module = CELLS[cell]
    y, _, _ = module.forward(case.x, None, case.weights)
    np.testing.assert_array_equal(y, module.forward(case.x, zeros, case.weights)[0])
    back = module.backward(case.dy, None, case.x, None, case.weights)
    np.testing.assert_array_equal(back.dx, module.backward(case.dy, zeros, case.x, zeros, case.weights).dx)
