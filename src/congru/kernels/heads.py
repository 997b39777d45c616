"""Block-diagonal recurrent weights: a cell of H units in n heads is n cells of H/n units that read the same x.

U is [G*H, H/n]; rows of every weight are gate first, then unit, so head k owns units k*H/n .. (k+1)*H/n of each gate.
Works on NumPy arrays and on torch tensors, around the `sequence` of any backend.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

from congru.kernels.call import Sequence
from congru.kernels.cells import CELLS, Array, State, Weights, is_tensor


def sequence(
    run: Callable[[Sequence], tuple[Array, State, Array | None]], call: Sequence
) -> tuple[Array, State, Array | None]:
    """Run every head with `run`, the `sequence` of a backend, and put y, the state and the gates together."""
    heads = range(call.options.num_heads)
    y, states, gates = zip(*(run(_one_head(call, head)) for head in heads))
    final = tuple(_join(part) for part in zip(*states))
    return _join(y), final, None if gates[0] is None else _join(gates)


def _one_head(call: Sequence, head: int) -> Sequence:
    """The call of one head: its rows of the weights, its units of states and masks, and the whole x."""
    options, count = call.options, call.options.num_heads

    def units(parts: State | None) -> State | None:
        return parts if parts is None else units_of_head(parts, count, head)

    mask = options.recurrent_mask
    return call._replace(
        state=units(call.state),
        weights=weights_of_head(call.weights, len(CELLS[call.cell].gates), count, head),
        h_reset=units(call.h_reset),
        options=options._replace(
            num_heads=1,
            zoneout=units(options.zoneout),
            recurrent_mask=mask if mask is None else _units(mask, count, head),
        ),
    )


def weights_of_head(weights: Weights, num_gates: int, num_heads: int, head: int) -> Weights:
    """The weights of one head."""
    return tuple(_rows(part, num_gates, num_heads, head, weights) for part in weights)


def units_of_head(state: State, num_heads: int, head: int) -> State:
    """The units of one head in arrays [..., H]."""
    return tuple(_units(part, num_heads, head) for part in state)


def _units(array: Array, num_heads: int, head: int) -> Array:
    size = array.shape[-1] // num_heads
    return array[..., head * size : (head + 1) * size]


def _rows(part: Array | None, num_gates: int, num_heads: int, head: int, weights: Weights) -> Array | None:
    """A weight's rows of one head: of [G*H, ..] in every gate, of [H] once."""
    if part is None:
        return None
    blocks = num_gates if part.shape[0] == weights[0].shape[0] else 1  # type: ignore[union-attr]
    units = part.shape[0] // (blocks * num_heads)
    split = part.reshape(blocks, num_heads, units, *part.shape[1:])[:, head]
    return split.reshape(blocks * units, *part.shape[1:])


def _join(parts: tuple[Array, ...]) -> Array:
    return sys.modules["torch"].cat(parts, -1) if is_tensor(parts[0]) else np.concatenate(parts, axis=-1)
