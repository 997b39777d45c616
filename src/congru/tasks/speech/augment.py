"""Training utterances varied: other voices, other speeds, masked stretches (SpecAugment, Park et al. 2019).

    warp a    log-mel energies L'(u) = L(a u), u in 0 .. 1 over the mel axis; of cepstra the same, as one matrix: with
              L(u) = sum_k b_k cos(pi k u), b'_k = (2 - [k = 0]) sum_l b_l integral cos(pi k u) cos(pi l a u) du
    speed s   x'(t) = x(s t), by linear interpolation between frames

All act on normalised frames [n, F], where 0 is the mean.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from congru.tasks.speech.frames import NUM_CEPSTRA, NUM_MELS, Floats

_WARPS = 21  # different stretches
_LIFTER = 22.0  # Kaldi's


def warp_matrix(kind: str, factor: float) -> NDArray[np.float64]:
    """[F, F], frames @ matrix: the frames of a kind with their frequencies stretched.

    >>> bool(np.allclose(warp_matrix("mfcc", 1.0), np.eye(13), atol=1e-6))
    True
    """
    if kind == "fbank":
        j = np.arange(NUM_MELS)
        at = np.clip((j + 0.5) * factor - 0.5, 0, NUM_MELS - 1)
        low = np.minimum(at.astype(int), NUM_MELS - 2)
        matrix = np.zeros((NUM_MELS, NUM_MELS))
        matrix[low, j] = 1 - (at - low)
        matrix[low + 1, j] += at - low
        return matrix
    u = (np.arange(1000) + 0.5) / 1000
    k = np.arange(NUM_CEPSTRA)[:, None]
    basis, warped = np.cos(np.pi * k * u), np.cos(np.pi * k * np.minimum(factor * u, 1.0))
    b = (np.where(k == 0, 1, 2) / len(u)) * (basis @ warped.T)  # [k, l]
    scale = _scales(kind)  # b = scale * c
    return np.asarray((b * scale[None, :] / scale[:, None]).T)


def _scales(kind: str) -> NDArray[np.float64]:
    """b_k / c_k of a kind of cepstra."""
    k = np.arange(NUM_CEPSTRA)
    if kind == "sphinx":
        return np.asarray(np.where(k == 0, 1.0, 2.0))
    lifter = 1 + 0.5 * _LIFTER * np.sin(np.pi * k / _LIFTER)
    return np.asarray(np.where(k == 0, 1.0, np.sqrt(2.0)) / lifter)


@cache
def _warps(kind: str, most: float) -> tuple[NDArray[np.float64], ...]:
    return tuple(warp_matrix(kind, factor) for factor in np.linspace(1 - most, 1 + most, _WARPS))


def warped(
    frames: Floats, kind: str, most: float, deviation: NDArray[np.float64], rng: np.random.Generator
) -> Floats:
    """Normalised frames with their frequencies stretched by up to `most`; `deviation` [F] is what they were divided by."""
    matrices = _warps(kind, most)
    matrix = matrices[int(rng.integers(len(matrices)))]
    return np.asarray(frames @ (deviation[:, None] * matrix / deviation), np.float32)


def at_speed(frames: Floats, factor: float) -> Floats:
    """The frames [n, F] `factor` times as fast: [n / factor, F].

    >>> at_speed(np.arange(4, dtype=np.float32)[:, None], 2.0).ravel().tolist()
    [0.0, 2.0]
    """
    count = max(1, round(len(frames) / factor))
    at = np.minimum(np.arange(count) * factor, len(frames) - 1)
    low = np.minimum(at.astype(int), max(0, len(frames) - 2))
    share = (at - low)[:, None]
    high = np.minimum(low + 1, len(frames) - 1)
    return np.asarray(frames[low] * (1 - share) + frames[high] * share, np.float32)


def mask_times(steps: Floats, count: int, longest: int, rng: np.random.Generator) -> Floats:
    """A copy with `count` stretches of 0 to `longest` steps set to 0, together at most a third of all."""
    out, left = steps.copy(), len(steps) // 3
    for _ in range(count):
        length = min(int(rng.integers(longest + 1)), left)
        begin = int(rng.integers(len(steps) - length + 1))
        out[begin : begin + length] = 0
        left -= length
    return out


def mask_bands(frames: Floats, count: int, widest: int, rng: np.random.Generator) -> Floats:
    """A copy of [n, F] with `count` bands of 0 to `widest` features set to 0."""
    out = frames.copy()
    for _ in range(count):
        width = min(int(rng.integers(widest + 1)), frames.shape[1] - 1)
        begin = int(rng.integers(frames.shape[1] - width + 1))
        out[:, begin : begin + width] = 0
    return out
