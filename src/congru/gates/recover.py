"""Every gate of a layer that has already run, from its input, its start and its output: no hooks, two matrix products.

A fused layer returns every h_t, and the gates of step t depend only on x_t and h_{t-1}. So all of them come
from

    gi = X W' + b_i        gh = H_prev U' + b_h        (all steps at once)

and one elementwise pass. `H_prev` is the output shifted by one step: from the left in the forward
direction, from the right in reverse, replaced by the start where a sequence begins. The LSTM's cell state
is no function of one step's h alone; c_t = f_t c_{t-1} + i_t g_t is summed up from its start, elementwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from congru.errors import ShapeError, check_shape
from congru.gates.equations import State, gates_of, input_part, kept_share, written_part
from congru.gates.form import Form, as_form
from congru.gates.weights import Array, as_weights, hidden_size
from congru.reference.arguments import Bools, check_lengths, check_reset


class Recovered(NamedTuple):
    """What went on inside. `gates` hold one [B, T, H] per gate, in the row order of the cell's weights.

    `state_prev` holds the state before each step, (h,) or (h, c), each [B, T, H]; `valid` and `is_first` [B, T]
    mark steps that are no padding and steps that began from a new start. Padding is zero everywhere.
    """

    gates: tuple[Array, ...]
    state_prev: State
    valid: Bools
    is_first: Bools

    def stacked(self) -> Array:
        """The gates as one array [B, T, G, H], as `congru.ops.sequence` returns them."""
        return np.stack(self.gates, axis=2)


def recover(
    cell: str | Form,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    weights: Any,
    state: Any = None,
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: Any = None,
    reverse: bool = False,
    reset_before: bool = False,
) -> Recovered:
    """Return the gates of one layer in one direction that turned x [B, T, I] into y [B, T, H].

    cell is a cell's name, or a `Form` where the layer has layer norm, heads or zoneout. weights as in
    `congru.reference` (with gains: `congru.gates.weights.as_weights`), each bias None or zeros where the layer has
    none; state (h [B, H],) or (h, c), None = zeros; the options are those the layer ran with. Computes in the dtype
    of y (at least float32). Raises ShapeError where the arrays do not fit.

    >>> from congru.reference import gru
    >>> random = np.random.default_rng(0)
    >>> x, weights = random.normal(size=(1, 5, 2)), (np.ones((9, 2)), np.ones((9, 3)), np.ones(9), np.ones(9))
    >>> y, _, gates = gru.forward(x, None, weights)
    >>> np.allclose(recover("gru", x, y, weights).stacked(), gates)
    True
    """
    form = as_form(cell, reset_before)
    y = np.asarray(y)
    y = y.astype(np.result_type(y.dtype, np.float32), copy=False)
    w = as_weights(form, weights, y.dtype)
    num_hidden = hidden_size(form.cell, w.W)
    x = np.asarray(x, y.dtype)
    check_shape("x", x, "[B, T, I]", (None, None, w.W.shape[1]), "I is the number of columns of W")
    num_batch, num_steps, _ = x.shape
    check_shape("y", y, "[B, T, H]", (num_batch, num_steps, num_hidden), "y is what the layer returned for x")
    valid, is_first = marks(lengths, reset, num_batch, num_steps, reverse)
    padded = not valid.all()
    if padded:
        x, y = (np.where(valid[:, :, None], part, 0) for part in (x, y))
    starts, restarts = starts_of(form.cell, state, h_reset, (num_batch, num_hidden), y.dtype)
    h = _shifted(y, starts[0], restarts[0], valid.sum(axis=1), is_first, reverse)
    gates = gates_of(form, input_part(form, x, w), h, w)
    if padded:
        gates = tuple(np.where(valid[:, :, None], gate, 0) for gate in gates)
        h = np.where(valid[:, :, None], h, 0)
    state_prev: State = (h,)
    if form.cell == "lstm":
        state_prev = (h, _cell_states(form, gates, starts[1], restarts[1], valid, is_first, reverse))
    return Recovered(gates, state_prev, valid, is_first)


def marks(
    lengths: npt.ArrayLike | None,
    reset: npt.ArrayLike | None,
    num_batch: int,
    num_steps: int,
    reverse: bool,
) -> tuple[Bools, Bools]:
    """Return (valid, is_first) [B, T]: steps that are no padding, and steps that begin from a new start.

    In reverse the boundary marked at t lies between t and t-1, so it is step t-1 that begins anew.
    """
    valid = np.arange(num_steps) < check_lengths(lengths, num_batch, num_steps)[:, None]
    is_first = check_reset(reset, num_batch, num_steps) & valid
    if reverse:
        is_first = np.concatenate([is_first[:, 1:], np.zeros_like(is_first[:, :1])], axis=1)
    return valid, is_first


def starts_of(
    cell: str, state: Any, h_reset: Any, size: tuple[int, int], dtype: npt.DTypeLike
) -> tuple[State, State]:
    """The start of the run [B, H] and of each later sequence [H], zeros where not given; one of each per state part."""
    num_parts = 2 if cell == "lstm" else 1
    first = (None,) * num_parts if state is None else tuple(state)
    if len(first) != num_parts or isinstance(state, np.ndarray):
        parts = "(h, c)" if num_parts == 2 else "(h,)"
        raise ShapeError(f"state has {len(first)} parts, expected {parts} for {cell}: pass None for zeros")
    later = h_reset if isinstance(h_reset, tuple) else (h_reset,)
    later = (*later, *(None,) * (num_parts - len(later)))
    starts, restarts = [], []
    for name, start, restart in zip(("h", "c"), first, later):
        starts.append(np.zeros(size, dtype) if start is None else np.asarray(start, dtype))
        check_shape(f"state {name}", starts[-1], "[B, H]", size, "pass state=None for zeros")
        restarts.append(np.zeros(size[1], dtype) if restart is None else np.asarray(restart, dtype))
        check_shape("h_reset", restarts[-1], "[H]", size[1:], "one learned start, shared by the batch")
    return tuple(starts), tuple(restarts)


def _shifted(
    y: Array, start: Array, restart: Array, lengths: npt.NDArray[np.int64], is_first: Bools, reverse: bool
) -> Array:
    """The state before each step: y one step earlier in the direction of the run, or a start."""
    h = np.empty_like(y)
    if y.shape[1] == 0:
        return h
    if reverse:
        h[:, :-1] = y[:, 1:]
        h[:, -1] = 0
        rows = np.flatnonzero(lengths)
        h[rows, lengths[rows] - 1] = start[rows]
    else:
        h[:, 1:] = y[:, :-1]
        h[:, 0] = start
    return np.where(is_first[:, :, None], restart, h) if is_first.any() else h


def _cell_states(
    form: Form,
    gates: tuple[Array, ...],
    start: Array,
    restart: Array,
    valid: Bools,
    is_first: Bools,
    reverse: bool,
) -> Array:
    """The LSTM's cell state before each step [B, T, H], by c' = keep c + written."""
    keep, written = kept_share(form, gates[1]), written_part(form, gates)
    c_prev = np.zeros_like(written)
    c = start
    num_steps = written.shape[1]
    for t in range(num_steps - 1, -1, -1) if reverse else range(num_steps):
        before = np.where(is_first[:, t, None], restart, c)
        c_prev[:, t] = np.where(valid[:, t, None], before, 0)
        c = np.where(valid[:, t, None], keep[:, t] * before + written[:, t], c)
    return c_prev
