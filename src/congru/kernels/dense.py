"""Dense layers on the C core's tiles, packed once and shared by threads.

float32 and float64; a row has the same bits in any batch, chunking and number of threads.
"""

from __future__ import annotations

from typing import Protocol

from congru.errors import ShapeError, check_shape
from congru.kernels.binding import DTYPES, aligned, extension
from congru.kernels.cells import Array


class Dense(Protocol):
    """``y = x W^T + b`` on packed weights."""

    inputs: int
    outputs: int

    def __call__(self, x: Array, /, *, out: Array | None = None) -> Array:
        """``x [.., F] -> y [.., O]``; the last axis of x is contiguous, `out` is a contiguous array for y."""


def dense(weight: Array, bias: Array | None = None) -> Dense:
    """Pack ``y = x W^T + b`` with weight [O, F] and bias [O], float32 or float64: copied, and shared by threads.

    Each output is one ordered sum over its inputs that begins with its bias, so that a row has the same bits in any batch.

    >>> import numpy as np
    >>> layer = dense(np.ones((2, 3), "float32"), np.ones(2, "float32"))
    >>> layer(np.ones((4, 3), "float32")).tolist()[0]
    [4.0, 4.0]
    """
    check_shape("weight", weight, "[O, F]", (None, None), "pass one row for each output")
    if str(weight.dtype) not in DTYPES:
        raise ShapeError(f"weight has dtype {weight.dtype}, expected float32 or float64: convert it")
    if bias is not None:
        check_shape("bias", bias, "[O]", (weight.shape[0],), "pass one value for each row of weight")
        if bias.dtype != weight.dtype:
            raise ShapeError(f"bias has dtype {bias.dtype}, expected {weight.dtype} as weight: convert it")
    weight = aligned(weight)
    bias = None if bias is None else aligned(bias)
    bias_at = 0 if bias is None else bias.ctypes.data
    made: Dense = extension().Dense(DTYPES[str(weight.dtype)], *weight.shape, weight.ctypes.data, bias_at)
    return made
