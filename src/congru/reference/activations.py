"""The squashing functions of the cells, finite and right for every finite input, in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from congru.reference.arguments import Array


def log_sigmoid(a: Array) -> Array:
    """log sigmoid(a) = -log(1 + exp(-a)), without overflow."""
    return np.minimum(a, 0.0) - np.log1p(np.exp(-np.abs(a)))


def sigmoid(a: Array) -> Array:
    """sigmoid(a) = 1 / (1 + exp(-a)) = exp(a) / (1 + exp(a)), without overflow, relatively precise near 0.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.exp(np.minimum(a, 0.0)) / (1.0 + np.exp(-np.abs(a)))


def tanh(a: Array) -> Array:
    """tanh(a)."""
    return np.tanh(a)


def g(a: Array) -> Array:
    """minGRU's positive candidate (Feng et al. 2024, appendix B): a + 0.5 for a >= 0, sigmoid(a) below."""
    return np.where(a >= 0, a + 0.5, sigmoid(a))


def log_g(a: Array) -> Array:
    """log g(a), finite where g(a) itself underflows."""
    return np.where(a >= 0, np.log(np.maximum(a, 0.0) + 0.5), log_sigmoid(a))


def clipped(clip: float | None) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return (sigmoid, tanh), each with its argument held in [-clip, clip] first; None leaves it free.

    This is the attribute `clip` of ONNX's recurrent operators.
    """
    if clip is None:
        return sigmoid, tanh
    return lambda a: sigmoid(np.clip(a, -clip, clip)), lambda a: tanh(np.clip(a, -clip, clip))
