"""sigmoid and tanh of arrays: on the native core where it is there, so that every processor of a profile has the same bits, else
in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from congru.kernels import binding, rows
from congru.runtime.cells import Array, sigmoid_

Activation = Callable[[Array], Array]


def sigmoid(backend: str) -> Activation:
    """The function x -> 1 / (1 + exp(-x)), on the core where the network's `backend` is that.

    >>> sigmoid("numpy")(np.zeros(1, np.float32)).tolist()
    [0.5]
    """
    if backend == "native" and binding.is_available():
        return lambda x: rows.sigmoid(np.ascontiguousarray(x))
    return lambda x: sigmoid_(x.copy())


def tanh(backend: str) -> Activation:
    """The function x -> tanh(x), on the core where the network's `backend` is that.

    >>> tanh("numpy")(np.zeros(1, np.float32)).tolist()
    [0.0]
    """
    if backend == "native" and binding.is_available():
        return lambda x: rows.tanh(np.ascontiguousarray(x))
    return np.tanh
