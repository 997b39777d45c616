"""Each message of the reference: argument, value, expectation, fix."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cases import make_case
from congru.errors import CongruError, SettingsError, ShapeError
from congru.reference import gru, lstm, mingru, stack

CASE = make_case("gru", B=2, T=5, I=3, H=4)
W, U, b_i, b_h = CASE.weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"x": np.zeros((5, 3))},
            "x has shape (5, 3), expected [B, T, I] = (any, any, any): add the batch axis",
        ),
        (
            {"x": np.zeros((2, 5, 3), complex)},
            "x has dtype complex128, expected real numbers: use numpy.asarray",
        ),
        (
            {"x": np.zeros((2, 5, 7))},
            "W has shape (12, 3), expected [3H, I] = (any, 7): gru has 3 blocks of H",
        ),
        ({"weights": (W, U)}, "weights has 2 parts, expected 4 for gru: pass (W, U, b_i, b_h)"),
        ({"weights": (None, U, b_i, b_h)}, "W has dtype object, expected real numbers"),
        (
            {"weights": (W[:-1], U, b_i, b_h)},
            "W has 11 rows, expected a multiple of 3: gru has 3 blocks of H rows",
        ),
        (
            {"weights": (W, U.T, b_i, b_h)},
            "U has shape (4, 12), expected [3H, H] = (12, 4): H is the number of rows",
        ),
        (
            {"weights": (W, U, b_i[:4], b_h)},
            "b_i has shape (4,), expected [3H] = (12,): pass None for no bias",
        ),
        (
            {"weights": (W, U, b_i, b_h[None])},
            "b_h has shape (1, 12), expected [3H] = (12,): pass None for no bias",
        ),
        (
            {"state": (np.zeros((4, 7)),)},
            "h has shape (4, 7), expected [B, H] = (2, 4): pass state=None for zeros",
        ),
        (
            {"state": np.zeros((1, 2, 4))},
            "state has 1 parts, expected a tuple of 1 for gru: pass (h,) or None",
        ),
        ({"state": (np.zeros((2, 4)),) * 2}, "state has 2 parts, expected a tuple of 1 for gru"),
        (
            {"lengths": [1.0, 2.0]},
            "lengths has dtype float64, expected integers: pass the number of valid steps",
        ),
        ({"lengths": [1, 2, 3]}, "lengths has shape (3,), expected [B] = (2,): pass one length per row of x"),
        ({"lengths": [1, 6]}, "lengths[1] is 6, expected 0 to T = 5: pass the number of valid steps"),
        ({"lengths": [-1, 5]}, "lengths[0] is -1, expected 0 to T = 5: pass the number of valid steps"),
        (
            {"reset": np.zeros((2, 5))},
            "reset has dtype float64, expected bool: True where a new sequence begins",
        ),
        (
            {"reset": np.zeros((5, 2), bool)},
            "reset has shape (5, 2), expected [B, T] = (2, 5): pass one flag per",
        ),
        ({"h_reset": np.zeros((2, 4))}, "h_reset has shape (2, 4), expected [H] = (4,): one learned start"),
        (
            {"h_reset": (np.zeros(4),) * 2},
            "h_reset has 2 parts, expected at most 1 for gru: pass an array [H]",
        ),
    ],
)
def test_forward_and_backward_say_what_is_wrong(change, message):
    call = {"x": CASE.x, "state": CASE.state, "weights": CASE.weights, **change}
    with pytest.raises(CongruError, match=re.escape(message)):
        gru.forward(**call)
    with pytest.raises(CongruError, match=re.escape(message)):
        gru.backward(CASE.dy, CASE.dstate, **call)


@pytest.mark.parametrize("cell", [gru, lstm, mingru])
def test_backward_checks_its_gradients(cell):
    case = make_case(cell.CELL.name, B=2, T=5, I=3, H=4)
    message = "dy has shape (2, 4, 4), expected [B, T, H] = (2, 5, 4): dy has the shape of y"
    with pytest.raises(ShapeError, match=re.escape(message)):
        cell.backward(case.dy[:, 1:], case.dstate, case.x, case.state, case.weights)
    message = "dh has shape (1, 4), expected [B, H] = (2, 4): pass dstate=None for zeros"
    dstate = tuple(part[1:] for part in case.dstate)
    with pytest.raises(ShapeError, match=re.escape(message)):
        cell.backward(case.dy, dstate, case.x, case.state, case.weights)


def test_step_says_that_it_has_no_time_axis():
    message = "x has shape (2, 5, 3), expected [B, I] = (any, any): one step has no time axis: pass x[:, t]"
    with pytest.raises(ShapeError, match=re.escape(message)):
        gru.step(CASE.x, CASE.state, CASE.weights)


@pytest.mark.parametrize(
    ("cell", "change", "message"),
    [
        ("elman", {}, "cell is 'elman', expected one of gru, lstm, rnn, mingru: pass one of these names"),
        (
            "lstm",
            {"reset_before": True},
            "reset_before is True, expected False for lstm: only the GRU has a reset",
        ),
        (
            "gru",
            {"weights": [[1, 2], [3]]},
            "weights has layers with [1, 2] directions, expected 1 or 2: pass",
        ),
        (
            "gru",
            {"weights": []},
            "weights has layers with [] directions, expected 1 or 2: pass weights[layer]",
        ),
        ("gru", {"state": (np.zeros((3, 2, 4)),)}, "state has 3 layers, expected L*D = 1: pass [L*D, ...]"),
        ("gru", {"h_reset": np.zeros((2, 4))}, "h_reset has 2 layers, expected L*D = 1: pass [L*D, ...]"),
    ],
)
def test_stack_says_what_is_wrong(cell, change, message):
    weights = [[make_case(cell, I=3, H=4).weights if cell != "elman" else None]]
    call = {"x": CASE.x, "state": None, "weights": weights, **change}
    with pytest.raises((ShapeError, SettingsError), match=re.escape(message)):
        stack.forward(cell, **call)
    with pytest.raises((ShapeError, SettingsError), match=re.escape(message)):
        stack.backward(cell, CASE.dy, None, **call)


def test_stack_backward_checks_dy():
    message = "dy has shape (2, 4, 4), expected [B, T, D*H] = (2, 5, 4): dy has the shape of y"
    with pytest.raises(ShapeError, match=re.escape(message)):
        stack.backward("gru", CASE.dy[:, 1:], None, CASE.x, None, [[CASE.weights]])
