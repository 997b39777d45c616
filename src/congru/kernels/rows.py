"""Functions of the last axis in the C core: layer norm, softmax, its logarithm; sigmoid, tanh.

A row has the same bits whatever stands beside it, in any chunking, and on AVX2 as on AVX-512; NumPy's own depend on the
processor. Arrays [.., F] are contiguous float32 or float64 of at least one axis; `out` is a contiguous array for the result,
and may be x. Each raises `ShapeError` for other arrays.
"""

from __future__ import annotations

from congru.kernels.binding import extension
from congru.kernels.cells import Array


def layer_norm(
    x: Array, gain: Array | None, bias: Array | None, epsilon: float = 1e-5, *, out: Array | None = None
) -> Array:
    """``(x - mean) / sqrt(variance + epsilon) * gain + bias`` over the last axis (Ba et al. 2016); None: ones, zeros.

    >>> import numpy as np
    >>> layer_norm(np.array([[1.0, 3.0]]), None, None, 0.0).tolist()
    [[-1.0, 1.0]]
    """
    y: Array = extension().layer_norm(x, gain, bias, epsilon, out=out)
    return y


def softmax(x: Array, *, out: Array | None = None) -> Array:
    """``exp(x - max) / sum(exp(x - max))`` over the last axis; -inf becomes 0, a row with NaN or +inf NaN.

    >>> import numpy as np
    >>> softmax(np.array([0.0, -np.inf])).tolist()
    [1.0, 0.0]
    """
    y: Array = extension().softmax(x, out=out)
    return y


def log_softmax(x: Array, *, out: Array | None = None) -> Array:
    """``x - max - log(sum(exp(x - max)))`` over the last axis.

    >>> import numpy as np
    >>> log_softmax(np.zeros(2)).round(4).tolist()
    [-0.6931, -0.6931]
    """
    y: Array = extension().log_softmax(x, out=out)
    return y


def sigmoid(x: Array, *, out: Array | None = None) -> Array:
    """``1 / (1 + exp(-x))``, as in the gates.

    >>> import numpy as np
    >>> sigmoid(np.zeros(1)).tolist()
    [0.5]
    """
    y: Array = extension().sigmoid(x, out=out)
    return y


def tanh(x: Array, *, out: Array | None = None) -> Array:
    """``tanh(x)``, as in the gates.

    >>> import numpy as np
    >>> tanh(np.zeros(1)).tolist()
    [0.0]
    """
    y: Array = extension().tanh(x, out=out)
    return y
