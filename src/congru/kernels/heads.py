"""Block-diagonal recurrent weights: a cell of H units in n heads is n cells of H/n units that read the same x.

U is [G*H, H/n]; rows of every weight are gate first, then unit, so head k owns units k*H/n .. (k+1)*H/n of each gate.
Works on NumPy arrays and on torch tensors, around the `sequence` of any backend.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from congru.kernels.call import Array, State, Weights, is_tensor


def sequence(
    run: Callable[..., tuple[Array, State, Array | None]],
    num_heads: int,
    num_gates: int,
    cell: str,
    x: Array,
    state: State | None,
    weights: Weights,
    **options: Any,
) -> tuple[Array, State, Array | None]:
    """Run every head with `run`, the `sequence` of a backend, and put y, the state and the gates together."""
    parts = []
    for head in range(num_heads):
        own = {name: _own(name, value, num_heads, head) for name, value in options.items()}
        rows = weights_of_head(weights, num_gates, num_heads, head)
        parts.append(run(cell, x, _own("state", state, num_heads, head), rows, **own))
    y, states, gates = zip(*parts)
    final = tuple(_join(part) for part in zip(*states))
    return _join(y), final, None if gates[0] is None else _join(gates)


def weights_of_head(weights: Weights, num_gates: int, num_heads: int, head: int) -> Weights:
    """The weights of one head."""
    return tuple(_rows(part, num_gates, num_heads, head, weights) for part in weights)


def units_of_head(state: State, num_heads: int, head: int) -> State:
    """The units of one head in arrays [..., H]."""
    return tuple(_units(part, num_heads, head) for part in state)


def _own(name: str, value: Any, num_heads: int, head: int) -> Any:
    """The units of a head in arrays [..., H]; what is not by units is handed on."""
    if name in ("state", "h_reset", "zoneout") and value is not None:
        return units_of_head(value, num_heads, head)
    return _units(value, num_heads, head) if name == "recurrent_mask" and value is not None else value


def _units(array: Array, num_heads: int, head: int) -> Array:
    size = array.shape[-1] // num_heads
    return array[..., head * size : (head + 1) * size]


def _rows(part: Array | None, num_gates: int, num_heads: int, head: int, weights: Weights) -> Array | None:
    """A weight's rows of one head: of [G*H, ..] in every gate, of [H] once."""
    if part is None:
        return None
    blocks = num_gates if part.shape[0] == weights[0].shape[0] else 1  # type: ignore[union-attr]
    split = part.reshape(blocks, num_heads, -1, *part.shape[1:])[:, head]
    return split.reshape(-1, *part.shape[1:])


def _join(parts: tuple[Array, ...]) -> Array:
    return sys.modules["torch"].cat(parts, -1) if is_tensor(parts[0]) else np.concatenate(parts, axis=-1)
