"""Weights rounded to bfloat16, and kept in their dtype: what a call with ``weight_dtype="bfloat16"`` computes with.

bfloat16 is float32 with 8 significant bits in place of 24, and the same range. Rounding is to the nearest, ties to even;
only W and U are rounded, not biases, gains or states. On NumPy arrays and torch tensors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.kernels.cells import CELLS, Array, Weights, is_tensor


def to_bfloat16(array: Array) -> Array:
    """The array with every value rounded to bfloat16, in its own dtype (float64 by way of float32).

    >>> to_bfloat16(np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 3.14159], np.float32)).tolist()
    [1.0, 1.0, 1.015625, 3.140625]
    """
    if is_tensor(array):
        return array.float().bfloat16().to(array.dtype)
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    even = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    quiet = bits | np.uint32(0x400000)  # NaN stays NaN
    kept: Any = np.where(np.isnan(bits.view(np.float32)), quiet, even) & np.uint32(0xFFFF0000)
    return kept.view(np.float32).astype(array.dtype)


def rounded(cell: str, weights: Weights) -> Weights:
    """The weights with W and U rounded."""
    names = CELLS[cell].weights
    matrices = {names.index(name) for name in ("W", "U") if name in names}
    return tuple(to_bfloat16(part) if index in matrices else part for index, part in enumerate(weights))
