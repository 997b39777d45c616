"""Run a layer step by step in NumPy, with some gate values held: the layers below the top, and every what-if.

    gates = gates_of(x_t, h_{t-1})             each replaced where it is held
    h_t, c_t = update(gates, h_{t-1}, c_{t-1})

A held reset gate reaches the candidate. Recovery needs no such loop; this one costs a small product per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from congru.gates.equations import Adjust, State, gates_of, input_part, update
from congru.gates.form import Form
from congru.gates.weights import Array, Weights
from congru.reference.arguments import Bools


class Held(NamedTuple):
    """One gate held at a value: `row` counts the cell's gates, `where` [T, H] marks steps and units."""

    row: int
    where: Bools
    value: float


def simulate(
    form: Form,
    x: Array,
    weights: Weights,
    start: State,
    restart: State,
    *,
    valid: Bools,
    is_first: Bools,
    reverse: bool = False,
    held: Sequence[Held] = (),
) -> tuple[Array, State]:
    """Return y [B, T, H] and the final state of x [B, T, I]; `valid` and `is_first` [B, T] as in `Recovered`.

    start [B, H] and restart [H], one per part of the state; padding gives y = 0 and keeps the state.
    """
    num_batch, num_steps, _ = x.shape
    num_hidden = start[0].shape[1]
    gi = input_part(form, x, weights)
    y = np.zeros((num_batch, num_steps, num_hidden), gi.dtype)
    state = start
    every_valid, any_first = bool(valid.all()), bool(is_first.any())
    for t in range(num_steps - 1, -1, -1) if reverse else range(num_steps):
        state_prev = state
        if any_first:
            state_prev = tuple(np.where(is_first[:, t, None], new, old) for new, old in zip(restart, state))
        adjust = _adjust(held, t) if held else None
        gates = gates_of(form, gi[:, t], state_prev[0], weights, adjust)
        before, state = state, update(form, gates, state_prev, weights)
        if not every_valid:
            state = tuple(np.where(valid[:, t, None], new, old) for new, old in zip(state, before))
        y[:, t] = state[0]
    return np.where(valid[:, :, None], y, 0), state


def _adjust(held: Sequence[Held], t: int) -> Adjust:
    """The function that puts the held values of step t in place."""

    def adjust(row: int, gate: Array) -> Array:
        for hold in held:
            if hold.row == row and hold.where[t].any():
                gate = np.where(hold.where[t], np.asarray(hold.value, gate.dtype), gate)
        return gate

    return adjust
