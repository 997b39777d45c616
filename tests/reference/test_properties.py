"""What every cell must do, whatever the numbers: hypothesis draws sizes, lengths, resets and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import FORMS, ROWS, make_case
from congru.reference.stack import CELLS
from tolerances import assert_close

ROW = "reference, same computation in another order"
SIZES = {
    "seed": st.integers(0, 2**32 - 1),
    "B": st.integers(1, 4),
    "T": st.integers(0, 7),
    "I": st.integers(1, 5),
    "H": st.integers(1, 5),
}
DRAWN = st.fixed_dictionaries(
    {**SIZES, "ragged": st.booleans(), "resets": st.booleans(), "h_reset": st.booleans()}
)
each_cell = pytest.mark.parametrize(("cell", "reset_before"), FORMS)
few = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def draw_case(cell, sizes, reset_before, **options):
    sizes = {name: value for name, value in sizes.items() if name != "h_reset" or value}
    case = make_case(cell, **sizes, **options)
    return case._replace(
        options={**case.options, **({"reset_before": reset_before} if cell == "gru" else {})}
    )


def run(cell, case, **changed):
    return CELLS[cell].forward(case.x, case.state, case.weights, **{**case.options, **changed})


@each_cell
@few
@given(sizes=DRAWN, reverse=st.booleans(), scale=st.sampled_from([0.1, 1.0, 30.0]))
def test_state_is_bounded(cell, reset_before, sizes, reverse, scale):
    """|h'| <= max(1, |h|); minGRU's candidate is unbounded, so there max(n, |h|)."""
    case = draw_case(cell, sizes, reset_before, reverse=reverse)
    case = case._replace(weights=tuple(scale * part for part in case.weights))
    y, (h, *_), gates = run(cell, case)
    starts = [1.0, np.abs(case.state[0]).max(initial=0)]
    start = case.options.get("h_reset", 0.0)
    starts.append(np.abs(start[0] if isinstance(start, tuple) else start).max())
    if cell == "mingru":
        starts.append(gates[:, :, 1].max(initial=0))
    bound = max(starts) * (1 + 1e-15)  # the last digit of (1 - z) * n + z * h
    assert np.abs(y).max(initial=0) <= bound
    assert np.abs(h).max(initial=0) <= bound


@few
@given(sizes=DRAWN, reverse=st.booleans(), reset_before=st.booleans())
def test_z_of_one_copies_the_state(sizes, reverse, reset_before):
    for cell in ("gru", "mingru"):
        case = draw_case(cell, {**sizes, "resets": False}, reset_before, reverse=reverse)
        H, rows = sizes["H"], ROWS[cell]
        weights = [part.copy() for part in case.weights]
        weights[-1][H * (rows - 2) : H * (rows - 1)] = 1e4  # z is the last row but one
        y, (h,), gates = run(cell, case._replace(weights=tuple(weights)))
        valid = np.arange(sizes["T"]) < case.options.get("lengths", np.full(sizes["B"], sizes["T"]))[:, None]
        assert np.all(gates[:, :, rows - 2][valid] == 1.0)
        np.testing.assert_array_equal(h, case.state[0])
        np.testing.assert_array_equal(y[valid], np.broadcast_to(h[:, None], y.shape)[valid])


@each_cell
@few
@given(sizes=DRAWN, reverse=st.booleans())
def test_no_steps_return_the_state(cell, reset_before, sizes, reverse):
    case = draw_case(cell, {**sizes, "T": 0}, reset_before, reverse=reverse)
    y, state, gates = run(cell, case)
    assert y.shape[1] == gates.shape[1] == 0
    for a, b in zip(state, case.state):
        np.testing.assert_array_equal(a, b)


@each_cell
@few
@given(sizes=DRAWN, cut=st.integers(0, 7))
def test_chunking_does_not_matter(cell, reset_before, sizes, cut):
    case = draw_case(cell, {**sizes, "ragged": False}, reset_before)
    whole = run(cell, case)
    reset = case.options.get("reset", np.zeros(case.x.shape[:2], bool))
    y, state, gates = run(cell, case._replace(x=case.x[:, :cut]), reset=reset[:, :cut])
    later = run(cell, case._replace(x=case.x[:, cut:], state=state), reset=reset[:, cut:])
    np.testing.assert_array_equal(np.concatenate([y, later[0]], axis=1), whole[0])
    np.testing.assert_array_equal(np.concatenate([gates, later[2]], axis=1), whole[2])
    for a, b in zip(later[1], whole[1]):
        np.testing.assert_array_equal(a, b)


@each_cell
@few
@given(sizes=DRAWN, reverse=st.booleans(), data=st.data())
def test_a_row_of_a_batch_is_the_row_alone(cell, reset_before, sizes, reverse, data):
    case = draw_case(cell, sizes, reset_before, reverse=reverse)
    b = data.draw(st.integers(0, sizes["B"] - 1))
    row = slice(b, b + 1)
    options = {name: case.options[name][row] for name in ("lengths", "reset") if name in case.options}
    y, state, gates = run(cell, case)
    alone = run(cell, case._replace(x=case.x[row], state=tuple(part[row] for part in case.state)), **options)
    assert_close(ROW, alone[0], y[row], "y")
    assert_close(ROW, alone[2], gates[row], "gates")
    for a, part in zip(alone[1], state):
        assert_close(ROW, a, part[row], "state")


@each_cell
@few
@given(sizes=DRAWN, reverse=st.booleans(), padding=st.integers(1, 3))
def test_padding_after_the_end_changes_nothing(cell, reset_before, sizes, reverse, padding):
    case = draw_case(cell, {**sizes, "ragged": True}, reset_before, reverse=reverse)
    wide = ((0, 0), (0, padding))
    changed = {}
    if "reset" in case.options:
        changed["reset"] = np.pad(case.options["reset"], wide, constant_values=True)
    x = np.pad(case.x, (*wide, (0, 0)), constant_values=np.nan)
    y, state, gates = run(cell, case)
    padded = run(cell, case._replace(x=x), **changed)
    np.testing.assert_array_equal(padded[0][:, : sizes["T"]], y)
    np.testing.assert_array_equal(padded[2][:, : sizes["T"]], gates)
    assert not padded[0][:, sizes["T"] :].any()
    assert not padded[2][:, sizes["T"] :].any()
    for a, b in zip(padded[1], state):
        np.testing.assert_array_equal(a, b)


@each_cell
@few
@given(sizes=DRAWN, reverse=st.booleans())
def test_reversing_time_twice_is_forward(cell, reset_before, sizes, reverse):
    case = draw_case(cell, {**sizes, "ragged": False, "resets": False}, reset_before)
    y, state, _ = run(cell, case._replace(x=case.x[:, ::-1]), reverse=True)
    expected = run(cell, case)
    np.testing.assert_array_equal(y[:, ::-1], expected[0])
    for a, b in zip(state, expected[1]):
        np.testing.assert_array_equal(a, b)


@each_cell
@few
@given(sizes=DRAWN, data=st.data())
def test_renumbering_hidden_units_renumbers_the_output(cell, reset_before, sizes, data):
    case = draw_case(cell, sizes, reset_before)
    H = sizes["H"]
    order = np.array(data.draw(st.permutations(range(H))))
    rows = np.concatenate([order + k * H for k in range(ROWS[cell])])
    weights = [part[rows] for part in case.weights]
    if cell != "mingru":
        weights[1] = weights[1][:, order]
    changed = {}
    if "h_reset" in case.options:
        start = case.options["h_reset"]
        pairs = isinstance(start, tuple)
        changed["h_reset"] = tuple(s[order] for s in start) if pairs else start[order]
    state = tuple(part[:, order] for part in case.state)
    renumbered = run(cell, case._replace(weights=tuple(weights), state=state), **changed)
    y, final, gates = run(cell, case)
    assert_close(ROW, renumbered[0], y[:, :, order], "y")
    assert_close(ROW, renumbered[2], gates[..., order], "gates")
    for a, b in zip(renumbered[1], final):
        assert_close(ROW, a, b[:, order], "state")
