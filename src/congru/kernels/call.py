"""A call of a recurrent layer: all of its arguments as one object, and what a backend judges of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from congru.kernels.cells import CELLS, Array, State, Weights, is_tensor
from congru.kernels.options import NO_OPTIONS, Options, options_of


class Sequence(NamedTuple):
    """The arguments of `congru.ops.sequence`, where each is explained: x [B, T, I] through one layer in one direction.

    `h_reset` is a tuple like `state` of [H] vectors, or None for zeros.
    """

    cell: str
    x: Array
    state: State | None
    weights: Weights
    lengths: Array | None = None
    reset: Array | None = None
    h_reset: State | None = None
    reverse: bool = False
    reset_before: bool = False
    return_gates: bool = False
    recompute: bool = False
    options: Options = NO_OPTIONS


@dataclass(frozen=True)
class Call:
    """One call of `ops.sequence`, or of `ops.step` (`steps` is then None), as a backend judges it.

    `library` is "numpy" or "torch", `dtype` a name such as "float32", `device` a type such as "cpu".
    `lengths`, `reset` and `gradient` say whether those were given or are needed; `recompute` is False where no
    gradient is needed. `options` names those of `congru.kernels.options` that were given.
    """

    cell: str
    library: str
    dtype: str
    device: str
    batch: int
    steps: int | None
    input_size: int
    hidden_size: int
    lengths: bool
    reset: bool
    reverse: bool
    reset_before: bool
    return_gates: bool
    gradient: bool
    recompute: bool
    options: tuple[str, ...] = ()
    weight_dtype: str | None = None
    num_heads: int = 1


def make_call(
    cell: str,
    x: Array,
    state: State | None,
    weights: Weights,
    *,
    h_reset: Array | State | None = None,
    layer_norm: bool | str = False,
    num_heads: int = 1,
    zoneout: Array | State | None = None,
    recurrent_mask: Array | None = None,
    weight_dtype: str | None = None,
    **flags: Any,
) -> Sequence:
    """The arguments of `congru.ops.sequence`, but `backend`, as one object."""
    options = options_of(layer_norm, num_heads, as_tuple(zoneout), recurrent_mask, weight_dtype)
    return Sequence(cell, x, state, weights, h_reset=_reset_state(cell, h_reset), options=options, **flags)


def as_tuple(parts: Array | State | None) -> State | None:
    """One array as a tuple of one; a tuple and None as they are."""
    return parts if parts is None or isinstance(parts, tuple) else (parts,)


def _reset_state(cell: str, h_reset: Array | State | None) -> State | None:
    """`h_reset` as one [H] vector per part of the state; what is not given is zeros."""
    if h_reset is None or (isinstance(h_reset, tuple) and not h_reset) or cell not in CELLS:
        return None
    parts = h_reset if isinstance(h_reset, tuple) else (h_reset,)
    zeros = parts[0].new_zeros(parts[0].shape) if is_tensor(parts[0]) else np.zeros_like(parts[0])
    return (*parts, *(zeros for _ in range(len(CELLS[cell].states) - len(parts))))
