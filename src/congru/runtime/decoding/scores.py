"""Arrays of log-probabilities: making them, checking them, and picking the largest with ties in order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import ShapeError
from congru.kernels import binding, rows

_ABOVE_ZERO = 1e-3  # what rounding may leave above log 1 in float32 or bfloat16


def log_softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """log p_v = s_v - log Σ_w exp(s_w) over the last axis of logits [..., V], in float64.

    A row's values do not depend on the other rows. A score of -inf is a probability of 0.

    >>> np.exp(log_softmax([[0.0, 0.0], [np.log(3.0), 0.0]])).round(6).tolist()
    [[0.5, 0.5], [0.75, 0.25]]
    """
    scores = np.asarray(logits, np.float64)
    if binding.is_available() and scores.ndim:  # several times as fast
        result: NDArray[np.float64] = rows.log_softmax(np.ascontiguousarray(scores))
        return result
    shifted = scores - scores.max(axis=-1, keepdims=True)
    result = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def check_log_probabilities(name: str, values: ArrayLike, num_rows: int | None) -> NDArray[np.float64]:
    """`values` [rows, V] as float64 of at most 0; raises :class:`ShapeError` for another shape, NaN or values above 0.

    >>> check_log_probabilities("frames", [[0.5, 0.5]], None)
    Traceback (most recent call last):
    congru.errors.ShapeError: frames holds 0.5, expected log-probabilities of at most 0: pass log_softmax(logits)
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] == 0 or num_rows not in (None, len(array)):
        rows = "any" if num_rows is None else num_rows
        raise ShapeError(
            f"{name} has shape {array.shape}, expected [rows, V] = ({rows}, any): give one row of V scores each"
        )
    peak = array.max(initial=-np.inf)
    if not peak <= _ABOVE_ZERO:
        raise ShapeError(
            f"{name} holds {peak:.6g}, expected log-probabilities of at most 0: pass log_softmax(logits)"
        )
    result: NDArray[np.float64] = np.minimum(array, 0)
    return result


def largest(values: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Indices of the k largest of values [N], largest first, the first of equals first; all of them if k > N.

    >>> largest(np.array([1.0, 3.0, 2.0, 3.0, 2.0]), 3).tolist()
    [1, 3, 2]
    """
    if k < len(values):
        threshold = np.partition(values, len(values) - k)[len(values) - k]
        above = np.flatnonzero(values > threshold)
        equal = np.flatnonzero(values == threshold)[: k - len(above)]
        chosen = np.concatenate([above, equal])
    else:
        chosen = np.arange(len(values))
    ordered: NDArray[np.int64] = chosen[np.argsort(-values[chosen], kind="stable")]
    return ordered
