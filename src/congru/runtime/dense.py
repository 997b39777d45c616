"""y = W x + b with the weights prepared once: on the native core where it is there, else in NumPy.

On the core the bits of a row do not depend on how many rows are computed together; in NumPy products are taken per step, so that
they do not depend on how a sequence is cut.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from congru.kernels import binding
from congru.kernels import dense as core
from congru.runtime.cells import Array


def dense(weight: Array, bias: Array | None, backend: str) -> Callable[[Array], Array]:
    """The function x [..., F] -> [..., O] of weight [O, F] and bias [O], on the core where the network's `backend` is that."""
    if backend == "native" and binding.is_available():
        return core.dense(weight, bias)
    weight_t = np.ascontiguousarray(weight.T)

    def product(x: Array) -> Array:
        y: Array = np.matmul(x, weight_t)
        if bias is not None:
            y += bias
        return y

    return product
