"""What may go into a network: tokens in range, finite float32, lengths, as many rows everywhere; one line for what may not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import ShapeError, check_shape
from congru.kernels import binding
from congru.runtime.cells import Array
from congru.runtime.nodes.node import Spec


def check_rows(name: str, rows: int, batch_size: int) -> None:
    """Refuse an input of another number of rows than the others."""
    if rows != batch_size:
        raise ShapeError(
            f"x[{name!r}] has {rows} rows, expected B = {batch_size} as the other inputs: pass as many"
        )


def _are_tokens(array: NDArray[Any], rank: int, count: int) -> bool:
    """Whether an array is plainly right: contiguous int64 tokens below `count`. False asks for a closer look."""
    return binding.is_available() and bool(binding.extension().are_tokens(array, rank, count))


def check_value(array: NDArray[Any], spec: Spec, axes: str, what: str) -> NDArray[Any]:
    """An input as its declaration wants it, behind the `axes`: int64 tokens in range, or finite float32."""
    rank = axes.count(",") + 1 if axes != "[]" else 0
    if spec.tokens is not None and not spec.size and _are_tokens(array, rank, spec.tokens[0]):
        return array
    free = (None,) * rank
    if spec.tokens is None:
        letters = ", I" if len(spec.size) == 1 else "".join(f", {side}" for side in spec.size)
        shape = f"{axes[:-1]}{letters}]" if rank else f"[{letters[2:]}]"
        features = " x ".join(map(str, spec.size))
        check_shape(what, array, shape, (*free, *spec.size), f"pass {features} features per step")
        return finite_float32(array, what)
    if array.dtype.kind not in "iu" and array.size:
        raise ShapeError(
            f"{what} has dtype {array.dtype}, expected whole numbers: pass token ids, or text to feed()"
        )
    shape = f"{axes[:-1]}, {len(spec.tokens)}]" if spec.size else axes
    check_shape(what, array, shape, (*free, *spec.size), "pass token ids")
    columns = np.moveaxis(array, -1, 0) if spec.size else array[None]
    for column, count in zip(columns, spec.tokens):
        if column.size and not 0 <= int(column.min()) <= int(column.max()) < count:
            wrong = column[(column < 0) | (column >= count)].flat[0]
            raise ShapeError(
                f"{what} holds the token {wrong}, expected 0 to {count - 1}: use this model's tokenizer"
            )
    return np.asarray(array, np.int64, order="C")


def finite_float32(array: NDArray[Any], name: str = "x") -> Array:
    """Numbers as contiguous float32; the first that is not finite is named."""
    if array.dtype.kind not in "fiub":
        raise ShapeError(f"{name} has dtype {array.dtype}, expected numbers: pass float32")
    with np.errstate(over="ignore"):
        values = np.asarray(array, np.float32, order="C")
    if not np.isfinite(values).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(values))[0]]
        raise ShapeError(
            f"{name} holds {array[tuple(where)]} at {where}, expected finite float32 numbers: fill or drop it"
        )
    return values


def check_lengths(
    lengths: ArrayLike, batch_size: int, steps: int, what: str = "lengths"
) -> NDArray[np.int64]:
    """Lengths [B] as int64, each from 0 to `steps`."""
    array = np.asarray(lengths)
    check_shape(what, array, "[B]", (batch_size,), "pass one length per sequence")
    if array.dtype.kind not in "iu" and array.size:
        raise ShapeError(f"{what} has dtype {array.dtype}, expected whole numbers: pass integers")
    for length in array:
        if not 0 <= length <= steps:
            raise ShapeError(
                f"{what} holds {length}, expected 0 to T = {steps}: pass the number of valid steps"
            )
    return array.astype(np.int64)
