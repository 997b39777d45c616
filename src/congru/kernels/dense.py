"""Dense layers on the C core's tiles, packed once and shared by threads, and causal convolutions on them.

float32 and float64; a row has the same bits in any batch, chunking and number of threads.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from congru.errors import ShapeError, check_shape
from congru.kernels.binding import DTYPES, extension
from congru.kernels.call import Array


class Dense(Protocol):
    """``y = x W^T + b`` on packed weights."""

    inputs: int
    outputs: int

    def __call__(self, x: Array, /, *, out: Array | None = None) -> Array:
        """``x [.., F] -> y [.., O]``; the last axis of x is contiguous, `out` is a contiguous array for y."""


def dense(weight: Array, bias: Array | None = None) -> Dense:
    """Pack ``y = x W^T + b`` with weight [O, F] and bias [O], float32 or float64: copied, and shared by threads.

    Each output is one ordered sum over its inputs that begins with its bias, so that a row has the same bits in any batch.

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
    weight = np.ascontiguousarray(weight)
    bias = None if bias is None else np.ascontiguousarray(bias)
    bias_at = 0 if bias is None else bias.ctypes.data
    made: Dense = extension().Dense(DTYPES[str(weight.dtype)], *weight.shape, weight.ctypes.data, bias_at)
    return made


class Convolution:
    """Causal convolution over time, packed by `convolution`: ``y_t = b + sum_k W_k x_(t - K + 1 + k)``, k = 0 .. K - 1.

    Its state is the last K - 1 inputs. A window of K inputs lies in one piece of memory, so that it is one row of a dense
    layer; no window is copied.
    """

    __slots__ = ("dense", "features", "taps")

    def __init__(self, packed: Dense, taps: int, features: int) -> None:
        self.dense, self.taps, self.features = packed, taps, features

    def __call__(self, x: Array, history: Array | None = None) -> tuple[Array, Array]:
        """``x [B, T, F] -> y [B, T, O]`` and the history [B, K - 1, F] after it; None begins with zeros."""
        check_shape("x", x, "[B, T, F]", (None, None, self.features), "give x the features of the weight")
        B, T, F = x.shape
        if history is None:
            history = np.zeros((B, self.taps - 1, F), x.dtype)
        check_shape("history", history, "[B, K - 1, F]", (B, self.taps - 1, F), "pass None for zeros")
        if history.dtype != x.dtype:
            raise ShapeError(f"history has dtype {history.dtype}, expected {x.dtype} as x: convert it")
        line = np.concatenate([history, x], axis=1)
        windows = np.lib.stride_tricks.as_strided(
            line, (B, T, self.taps * F), (line.strides[0], line.strides[1], line.strides[2]), writeable=False
        )
        return self.dense(windows), line[:, T:].copy()


def convolution(weight: Array, bias: Array | None = None) -> Convolution:
    """Pack a causal convolution with weight [O, F, K] as in torch.nn.Conv1d, the last tap at the newest input; bias [O].

    >>> layer = convolution(np.ones((1, 1, 3), "float32"))
    >>> layer(np.ones((1, 4, 1), "float32"))[0].ravel().tolist()
    [1.0, 2.0, 3.0, 3.0]
    """
    check_shape("weight", weight, "[O, F, K]", (None, None, None), "pass the weight of a Conv1d")
    O, F, K = weight.shape
    if K < 1:
        raise ShapeError(f"weight has shape {weight.shape}, expected at least one tap: pass [O, F, K]")
    return Convolution(dense(weight.transpose(0, 2, 1).reshape(O, K * F), bias), K, F)
