"""One cell over time, written once for every cell: padding, resets, the reverse direction, their gradients.

    state_prev[t] = start     where a sequence begins at this step (`is_first[t]`): h_reset, or zeros
                    state     otherwise: what the step before handed over
    state         = step(x[t], state_prev[t])    where step t is valid, unchanged where it is padding

Forward, t runs from 0 to T-1 and `is_first[t] = reset[t]`. In reverse t runs from length-1 to 0 and the boundary
lies between t+1 and t, so `is_first[t] = reset[t+1]`, and `reset[0]` has no effect.
Padding is never read, so it may hold NaN.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from congru.errors import check_shape
from congru.reference.arguments import (
    Array,
    Bools,
    Cell,
    Gradients,
    HReset,
    State,
    Step,
    StepBackward,
    Weights,
    as_float64,
    check_h_reset,
    check_lengths,
    check_reset,
    check_state,
    check_weights,
)


class Plan(NamedTuple):
    """A checked call: arrays in float64, and what happens at each step."""

    x: Array
    state: State
    weights: Weights
    start: State
    order: list[int]
    valid: Bools
    is_first: Bools


def plan(
    cell: Cell,
    x: npt.ArrayLike,
    state: Any,
    weights: Any,
    lengths: npt.ArrayLike | None,
    reset: npt.ArrayLike | None,
    h_reset: HReset,
    reverse: bool,
) -> Plan:
    """Check the arguments of a `forward` and lay out its steps; x is zero where it is padding."""
    x = as_float64("x", x)
    check_shape("x", x, "[B, T, I]", (None, None, None), "add the batch axis with x[None]")
    num_batch, num_steps, num_inputs = x.shape
    weights, _, num_hidden = check_weights(cell, weights, num_inputs)
    state = check_state(cell, state, num_batch, num_hidden)
    start = check_h_reset(cell, h_reset, num_hidden)
    lengths = check_lengths(lengths, num_batch, num_steps)
    valid = np.arange(num_steps) < lengths[:, None]
    is_first = check_reset(reset, num_batch, num_steps) & valid
    order = list(range(num_steps))
    if reverse:
        order.reverse()
        is_first = np.concatenate([is_first[:, 1:], np.zeros_like(is_first[:, :1])], axis=1)
    x = np.where(valid[:, :, None], x, 0.0)
    return Plan(x, state, weights, start, order, valid, is_first)


def check_step(cell: Cell, x: npt.ArrayLike, state: Any, weights: Any) -> tuple[Array, State, Weights]:
    """Check the arguments of a `step`; returns x [B, I], state and weights in float64."""
    x = as_float64("x", x)
    check_shape("x", x, "[B, I]", (None, None), "one step has no time axis: pass x[:, t]")
    weights, _, num_hidden = check_weights(cell, weights, x.shape[1])
    return x, check_state(cell, state, x.shape[0], num_hidden), weights


def run(cell: Cell, step: Step, p: Plan) -> tuple[Array, State, Array, list[State]]:
    """Return y [B, T, H], the final state, gates [B, T, G, H], and the state that states_prev each step t."""
    num_batch, num_steps, _ = p.x.shape
    num_hidden = p.start[0].shape[0]
    y = np.zeros((num_batch, num_steps, num_hidden))
    gates = np.zeros((num_batch, num_steps, len(cell.gates), num_hidden))
    states_prev: list[State] = [()] * num_steps
    state = p.state
    for t in p.order:
        valid, is_first = p.valid[:, t, None], p.is_first[:, t, None]
        state_prev = tuple(np.where(is_first, begin, part) for begin, part in zip(p.start, state))
        state_prev = tuple(np.where(valid, part, 0.0) for part in state_prev)
        new, gates_t = step(p.x[:, t], state_prev, p.weights)
        state = tuple(np.where(valid, after, before) for after, before in zip(new, state))
        y[:, t] = np.where(valid, new[0], 0.0)
        gates[:, t] = np.where(valid[:, :, None], gates_t, 0.0)
        states_prev[t] = state_prev
    return y, state, gates, states_prev


def run_backward(
    cell: Cell,
    step: Step,
    step_backward: StepBackward,
    dy: npt.ArrayLike,
    dstate: Any,
    p: Plan,
    h_reset: HReset,
) -> Gradients:
    """Return the gradients of sum(dy * y) + sum(dstate * final state); runs the forward again."""
    dy = as_float64("dy", dy)
    num_hidden = p.start[0].shape[0]
    check_shape("dy", dy, "[B, T, H]", (*p.x.shape[:2], num_hidden), "dy has the shape of y")
    gradient = cell._replace(states=tuple(f"d{name}" for name in cell.states))
    dstate = check_state(gradient, dstate, len(dy), num_hidden, "dstate")
    _, _, gates, states_prev = run(cell, step, p)
    dx = np.zeros_like(p.x)
    dweights = tuple(None if part is None else np.zeros_like(part) for part in p.weights)
    dstart = tuple(np.zeros_like(part) for part in p.start)
    for t in reversed(p.order):
        valid, is_first = p.valid[:, t, None], p.is_first[:, t, None]
        dnew = (dstate[0] + dy[:, t], *dstate[1:])
        dnew = tuple(np.where(valid, part, 0.0) for part in dnew)
        dx_t, dstate_prev, dweights_t = step_backward(dnew, p.x[:, t], states_prev[t], p.weights, gates[:, t])
        dx[:, t] = np.where(valid, dx_t, 0.0)
        dweights = tuple(None if a is None or b is None else a + b for a, b in zip(dweights, dweights_t))
        dstart = tuple(a + np.where(is_first, b, 0.0).sum(axis=0) for a, b in zip(dstart, dstate_prev))
        dhanded = tuple(np.where(is_first, 0.0, part) for part in dstate_prev)
        dstate = tuple(np.where(valid, a, b) for a, b in zip(dhanded, dstate))
    return Gradients(dx, dstate, dweights, _like(h_reset, dstart))


def _like(h_reset: HReset, dstart: State) -> Array | State | None:
    """Return dstart in the form h_reset was given in: nothing, one array, or a tuple."""
    if h_reset is None:
        return None
    return dstart[: len(h_reset)] if isinstance(h_reset, tuple) else dstart[0]
