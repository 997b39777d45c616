"""What the layers between and around the cells compute, in NumPy float32: embedding, linear, normalisation,
activations, pooling.

Arrays are time-major: [T, B, F] steps or [B, F] after pooling. Products are taken per step (see cells.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from congru.runtime.cells import Array, sigmoid_
from congru.runtime.declaration import Layer

Lengths = NDArray[np.int64] | None
EPSILON = np.float32(1e-5)  # torch.nn.LayerNorm's default


def linear(x: Array, weight_t: Array, bias: Array | None) -> Array:
    """x [..., F] times weight_t [F, O], plus bias [O]."""
    y: Array = np.matmul(x, weight_t)
    if bias is not None:
        y += bias
    return y


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    """(x - mean) / sqrt(variance + 1e-5) * weight + bias over the last axis."""
    centred: Array = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    centred /= np.sqrt(variance + EPSILON)
    centred *= weight
    centred += bias
    return centred


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return np.maximum(x, np.float32(0))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return sigmoid_(x.copy())


def silu(x: Array) -> Array:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


# erfc(z) = t * exp(-z*z + P(t)) with t = 1 / (1 + z/2), z >= 0; P by a Chebyshev fit, highest power first.
_ERFC = (
    0.165192287775,
    -1.21747358015,
    3.86695241727,
    -6.81003035211,
    7.10737281809,
    -4.42087874196,
    1.7776866495,
    -0.64943608229,
    -0.00866169436961,
    0.0809178781474,
    0.373648267279,
    1.00023507923,
    -1.26552494631,
)


def erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The error function, absolute error below 1e-9.

    >>> bool(abs(erf(np.array([0.5]))[0] - 0.5204998778130465) < 1e-9)
    True
    """
    z = np.abs(x)
    t = 1 / (1 + 0.5 * z)
    polynomial = np.full_like(t, _ERFC[0])
    for coefficient in _ERFC[1:]:
        polynomial *= t
        polynomial += coefficient
    result: NDArray[np.float64] = np.copysign(1 - t * np.exp(polynomial - z * z), x)
    return result


def gelu(x: Array) -> Array:
    """x * (1 + erf(x / sqrt 2)) / 2 (Hendrycks & Gimpel 2016, equation 1)."""
    wide = x.astype(np.float64)
    return (0.5 * wide * (1 + erf(wide * np.sqrt(0.5)))).astype(np.float32)


def tanh(x: Array) -> Array:
    """tanh(x)."""
    return np.tanh(x)


ACTIVATION: dict[str, Callable[[Array], Array]] = {
    "relu": relu,
    "tanh": tanh,
    "gelu": gelu,
    "silu": silu,
    "sigmoid": sigmoid,
}


def last(x: Array, lengths: Lengths) -> Array:
    """The last valid step of every sequence, [T, B, F] -> [B, F]; zeros where there is none."""
    if len(x) == 0:
        return np.zeros(x.shape[1:], np.float32)
    if lengths is None:
        final: Array = x[-1]
        return final
    picked = x[np.maximum(lengths - 1, 0), np.arange(x.shape[1])]
    return np.where((lengths > 0)[:, None], picked, np.float32(0))


def mean(x: Array, lengths: Lengths) -> Array:
    """The mean over the valid steps, [T, B, F] -> [B, F]; zeros where there is none."""
    if lengths is None:
        lengths = np.full(x.shape[1], len(x))
    valid = np.arange(len(x))[:, None] < lengths
    total = np.where(valid[:, :, None], x, np.float32(0)).sum(axis=0)
    average: Array = (total / np.maximum(lengths, 1)[:, None]).astype(np.float32)
    return average


POOLING: dict[str, Callable[[Array, Lengths], Array]] = {"last": last, "mean": mean}


def pointwise(layer: Layer, weights: Mapping[str, Array]) -> Callable[[Array], Array]:
    """The function of a layer that treats every step by itself: embedding, linear, layer_norm, dropout, an activation."""
    kind, name = layer["type"], layer.get("name")
    if kind == "embedding":
        table = weights[f"{name}.weight"]
        return lambda x: table[x]
    if kind == "linear":
        owner = layer["tied"] or name
        weight_t = np.ascontiguousarray(weights[f"{owner}.weight"].T)
        bias = weights[f"{name}.bias"] if layer["bias"] else None
        return lambda x: linear(x, weight_t, bias)
    if kind == "layer_norm":
        gain, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return lambda x: layer_norm(x, gain, shift)
    if kind == "dropout":  # only in training
        return lambda x: x
    return ACTIVATION[kind]
