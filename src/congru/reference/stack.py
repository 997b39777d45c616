"""Layers and directions: cells on top of and beside each other, as torch.nn.GRU stacks them.

Layer l reads the output of layer l-1 [B, T, D*H], forward direction first; the reverse direction runs over
the same input with `reverse=True`. weights[l][d] are the weights of layer l, direction d (D is 1 or 2). A
state is a tuple, in the cell's order, of arrays [L*D, B, H], layer by layer; h_reset likewise, [L*D, H].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from congru.errors import SettingsError, ShapeError, check_shape
from congru.reference import gru, lstm, mingru, rnn
from congru.reference.arguments import Array, Cell, HReset, State, Weights, as_float64

CELLS = {"gru": gru, "lstm": lstm, "rnn": rnn, "mingru": mingru}


class StackGradients(NamedTuple):
    """What `backward` returns; dweights[l][d] as the weights, dh_reset in the form of h_reset."""

    dx: Array
    dstate: State
    dweights: list[list[Weights]]
    dh_reset: Array | State | None


def forward(
    cell: str,
    x: npt.ArrayLike,
    state: Any,
    weights: Sequence[Sequence[Any]],
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: HReset = None,
    reset_before: bool = False,
) -> tuple[Array, State, Array]:
    """Return y [B, T, D*H], the final state (parts [L*D, B, H]) and gates [L, D, B, T, G, H].

    x is [B, T, I]; the options are those of the cell's `forward`; reset_before is the GRU's. Wrong input:
    `CongruError`.

    >>> layer = [(np.ones((3, 2)), np.ones((3, 3)), None, None)] * 2
    >>> y, (h,), gates = forward("rnn", np.zeros((4, 5, 2)), None, [layer])
    >>> y.shape, h.shape, gates.shape
    ((4, 5, 6), (2, 4, 3), (1, 2, 4, 5, 1, 3))
    """
    inputs, finals, gates = _run(cell, x, state, weights, lengths, reset, h_reset, reset_before)
    return inputs[-1], tuple(np.stack(part) for part in zip(*finals)), gates


def backward(
    cell: str,
    dy: npt.ArrayLike,
    dstate: Any,
    x: npt.ArrayLike,
    state: Any,
    weights: Sequence[Sequence[Any]],
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: HReset = None,
    reset_before: bool = False,
) -> StackGradients:
    """Return the gradients of sum(dy * y) + sum(dstate * final state) by every input and weight.

    dy [B, T, D*H]; dstate as the state, None = zeros; the other arguments are those of `forward`.
    """
    inputs, finals, _ = _run(cell, x, state, weights, lengths, reset, h_reset, reset_before)
    shape, num_directions = _shape(cell), len(weights[0])
    states = _split(shape, "state", state, len(finals))
    dstates = _split(shape, "dstate", dstate, len(finals))
    starts = _split(shape, "h_reset", h_reset, len(finals))
    dh = as_float64("dy", dy)
    check_shape("dy", dh, "[B, T, D*H]", inputs[-1].shape, "dy has the shape of y")
    grads: list[Any] = [None] * len(finals)
    for layer in reversed(range(len(weights))):
        dys = np.split(dh, num_directions, axis=2)
        dh = np.zeros_like(inputs[layer])
        for direction in range(num_directions):
            k = layer * num_directions + direction
            grads[k] = CELLS[cell].backward(
                dys[direction],
                dstates[k],
                inputs[layer],
                states[k],
                weights[layer][direction],
                lengths=lengths,
                reset=reset,
                h_reset=starts[k],
                reverse=direction == 1,
                **_options(cell, reset_before),
            )
            dh = dh + grads[k].dx
    dweights = [
        [grads[layer * num_directions + direction].dweights for direction in range(num_directions)]
        for layer in range(len(weights))
    ]
    dfinal = tuple(np.stack(part) for part in zip(*(grad.dstate for grad in grads)))
    return StackGradients(dh, dfinal, dweights, _join_h_reset(h_reset, [grad.dh_reset for grad in grads]))


def _run(
    cell: str,
    x: npt.ArrayLike,
    state: Any,
    weights: Sequence[Sequence[Any]],
    lengths: npt.ArrayLike | None,
    reset: npt.ArrayLike | None,
    h_reset: HReset,
    reset_before: bool,
) -> tuple[list[Array], list[State], Array]:
    """Return the input of every layer and the last output, each final state (k = l*D + d), and the gates."""
    shape = _shape(cell)
    num_directions = _num_directions(weights)
    num_parts = len(weights) * num_directions
    states = _split(shape, "state", state, num_parts)
    starts = _split(shape, "h_reset", h_reset, num_parts)
    inputs, finals, gates = [as_float64("x", x)], [], []
    for layer, directions in enumerate(weights):
        ys = []
        for direction, part in enumerate(directions):
            k = layer * num_directions + direction
            y, final, gates_k = CELLS[cell].forward(
                inputs[layer],
                states[k],
                part,
                lengths=lengths,
                reset=reset,
                h_reset=starts[k],
                reverse=direction == 1,
                **_options(cell, reset_before),
            )
            ys.append(y)
            finals.append(final)
            gates.append(gates_k)
        inputs.append(np.concatenate(ys, axis=2))
    all_gates = np.stack(gates)
    return inputs, finals, all_gates.reshape(len(weights), num_directions, *all_gates.shape[1:])


def _shape(cell: str) -> Cell:
    """Return the description of a cell, or raise SettingsError for an unknown name."""
    if cell not in CELLS:
        raise SettingsError(f"cell is {cell!r}, expected one of {', '.join(CELLS)}: pass one of these names")
    shape: Cell = CELLS[cell].CELL
    return shape


def _options(cell: str, reset_before: bool) -> dict[str, Any]:
    """Return the options only this cell has; reset_before with another cell is an error."""
    if cell == "gru":
        return {"reset_before": reset_before}
    if reset_before:
        raise SettingsError(f"reset_before is True, expected False for {cell}: only the GRU has a reset gate")
    return {}


def _num_directions(weights: Sequence[Sequence[Any]]) -> int:
    """Return D, or raise ShapeError unless every layer has the same one or two directions."""
    counts = sorted({len(directions) for directions in weights})
    if counts not in ([1], [2]):
        raise ShapeError(
            f"weights has layers with {counts} directions, expected 1 or 2: pass weights[layer][direction]"
        )
    return counts[0]


def _split(cell: Cell, name: str, state: Any, num_parts: int) -> list[Any]:
    """Return the part of a state or h_reset that belongs to each layer and direction; None stays None."""
    if state is None:
        return [None] * num_parts
    parts = state if isinstance(state, tuple) else (state,)
    for part in parts:
        if part is not None and len(part) != num_parts:
            raise ShapeError(f"{name} has {len(part)} layers, expected L*D = {num_parts}: pass [L*D, ...]")
    per_layer = [tuple(None if part is None else part[k] for part in parts) for k in range(num_parts)]
    return per_layer if isinstance(state, tuple) else [part[0] for part in per_layer]


def _join_h_reset(h_reset: HReset, dstarts: list[Any]) -> Array | State | None:
    """Return the gradients of h_reset in the form it was given in, [L*D, H]."""
    if h_reset is None:
        return None
    if isinstance(h_reset, tuple):
        return tuple(np.stack(part) for part in zip(*dstarts))
    return np.stack(dstarts)
