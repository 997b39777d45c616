"""The softmax of rows: on the native core where it is there, six times as fast as in NumPy, else in NumPy.

On the core a row has the same bits in any batch, and on every processor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from congru.kernels import binding, rows
from congru.runtime.cells import Array


def softmax(backend: str) -> Callable[[Array], Array]:
    """The function s [..., S] -> exp(s) / sum exp(s) over the last axis, on the core where the network's `backend` is that.

    A score of -inf becomes 0. A row of nothing else becomes zeros.

    >>> softmax("numpy")(np.float32([[0.0, -np.inf], [-np.inf, -np.inf]])).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return _on_the_core if backend == "native" and binding.is_available() else _in_numpy


def _on_the_core(s: Array) -> Array:
    w: Array = rows.softmax(np.ascontiguousarray(s))
    empty = np.isneginf(s).all(axis=-1)
    if empty.any():
        w[empty] = 0
    return w


def _in_numpy(s: Array) -> Array:
    if s.shape[-1] == 0:
        return s
    largest = s.max(axis=-1, keepdims=True)
    w: Array = np.exp(s - np.where(np.isfinite(largest), largest, np.float32(0)))
    w /= np.maximum(w.sum(axis=-1, keepdims=True), np.finfo(np.float32).tiny)
    return w
