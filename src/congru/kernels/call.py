"""A call of a recurrent layer: all of its arguments as one object, and what a backend judges of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from congru.kernels.cells import Array, State, Weights
from congru.kernels.options import NO_OPTIONS, Options


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
