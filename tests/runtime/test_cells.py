"""The float32 cells against the reference in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases import FORMS, Case, make_case
from congru.reference import gru, lstm, mingru, rnn
from congru.runtime import cells
from congru.runtime.activations import sigmoid
from congru.runtime.dense import dense
from tolerances import assert_close, seeds

REFERENCE: dict[str, Any] = {"gru": gru, "lstm": lstm, "rnn": rnn, "mingru": mingru}


def float32_cell(cell: str, weights: Any, reset_before: bool) -> cells.Cell:
    parts = [None if part is None else part.astype(np.float32) for part in weights]
    if cell == "mingru":
        return cells.MinGRU(len(parts[0]) // 2, dense(*parts, "numpy"), sigmoid("numpy"))
    if cell == "gru":
        return cells.GRU(*parts, reset_before)
    return {"lstm": cells.LSTM, "rnn": cells.RNN}[cell](*parts)


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("steps", "scale"), [(0, 0.4), (1, 0.4), (9, 0.4), (4, 60.0), (300, 0.3)])
def test_a_cell_equals_the_reference(
    cell: str, reset_before: bool, reverse: bool, ragged: bool, steps: int, scale: float
) -> None:
    for seed in seeds():
        compare_with_reference(
            cell, reset_before, reverse, make_case(cell, seed, 3, steps, ragged=ragged), scale
        )


def compare_with_reference(cell: str, reset_before: bool, reverse: bool, case: Case, scale: float) -> None:
    weights = tuple(None if part is None else scale * part for part in case.weights)
    form = {"reset_before": reset_before} if cell == "gru" else {}
    y, state, gates = REFERENCE[cell].forward(
        case.x, case.state, weights, reverse=reverse, **case.options, **form
    )
    actual_gates = np.full((case.x.shape[1], 3, gates.shape[2], gates.shape[3]), 9, np.float32)
    actual, actual_state = cells.run_cell(
        float32_cell(cell, weights, reset_before),
        np.ascontiguousarray(case.x.swapaxes(0, 1), np.float32),
        tuple(part.astype(np.float32) for part in case.state),
        case.options.get("lengths"),
        reverse,
        actual_gates,
    )
    assert actual.dtype == np.float32
    # A saturated gate turns float32 rounding of a sum of size `scale` into an error of that size.
    row = "runtime cell" if scale < 1 else "runtime cell, saturated"
    assert_close(row, actual.swapaxes(0, 1), y, "y")
    assert_close(row, actual_gates.swapaxes(0, 1), gates, "gates")
    for ours, theirs in zip(actual_state, state):
        assert_close(row, ours, theirs, "state")


@pytest.mark.parametrize("cell", sorted(REFERENCE))
def test_without_bias(cell: str) -> None:
    case = make_case(cell)
    bare = case.weights[:1] if cell == "mingru" else case.weights[:2]
    weights = (*bare, *[None] * (len(case.weights) - len(bare)))
    y, *_ = REFERENCE[cell].forward(case.x, case.state, weights)
    x = np.ascontiguousarray(case.x.swapaxes(0, 1), np.float32)
    state = tuple(part.astype(np.float32) for part in case.state)
    actual, _ = cells.run_cell(float32_cell(cell, weights, False), x, state)
    assert_close("runtime cell", actual.swapaxes(0, 1), y)


def test_sigmoid_is_finite_and_right_everywhere() -> None:
    a = np.array([-1e30, -100, -1, 0, 1, 100, 1e30], np.float32)
    expected = [0, 0, 0.2689414, 0.5, 0.7310586, 1, 1]
    np.testing.assert_allclose(cells.sigmoid_(a.copy()), expected, atol=1e-7)


def test_the_state_that_went_in_is_not_written_to() -> None:
    for cell in REFERENCE:
        case = make_case(cell)
        state = tuple(part.astype(np.float32) for part in case.state)
        before = [part.copy() for part in state]
        x = np.ascontiguousarray(case.x.swapaxes(0, 1), np.float32)
        cells.run_cell(float32_cell(cell, case.weights, False), x, state)
        assert all((part == old).all() for part, old in zip(state, before))
