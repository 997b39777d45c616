"""From a clip to what the network reads: x = (value - mean) / deviation, and beside it what changed since the frame before.

    pictures [T, C, H, W] -> [T, C or 2C, H, W]     one mean and deviation per channel
    tracks   [T, I]       -> [T, I or 2I]           one per number; deviations of the coordinates of a landmark are one

d_t = (x_t - x_(t-1)) / step, with the deviation `step` of that over the training clips, and d_0 = 0. Frames can come one
at a time: the frame before is the only state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.tasks.video.clips import Clip

Features = NDArray[np.float32]
_LEAST_DEVIATION = 1e-3


@dataclass(frozen=True)
class Preparation:
    """Mean and deviation by channel or number; the deviation of differences, empty where none stand beside."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    step: tuple[float, ...] = ()

    @classmethod
    def fit(cls, clips: Sequence[Clip], differences: bool) -> Preparation:
        """From training clips."""
        first = clips[0]
        axes = (0, 2, 3) if first.ndim == 4 else (0,)
        count = sum(clip.size / clip.shape[1] for clip in clips)
        mean = sum(clip.sum(axes, dtype=np.float64) for clip in clips) / count
        square = sum((clip.astype(np.float64) ** 2).sum(axes) for clip in clips) / count
        deviation = np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), _LEAST_DEVIATION)
        values = cls(tuple(mean.tolist()), tuple(deviation.tolist()))
        if not differences:
            return values
        moves = [np.diff(values.scaled(clip), axis=0) for clip in clips]
        count = max(1.0, sum(move.size / move.shape[1] for move in moves))
        step = np.sqrt(sum(np.square(move, dtype=np.float64).sum(axes) for move in moves) / count)
        return replace(values, step=tuple(np.maximum(step, _LEAST_DEVIATION).tolist()))

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Preparation:
        """As a model's task_config holds it."""
        return cls(tuple(config["mean"]), tuple(config["deviation"]), tuple(config["step"]))

    def config(self) -> dict[str, Any]:
        """For the model's task_config."""
        return {"mean": list(self.mean), "deviation": list(self.deviation), "step": list(self.step)}

    def shape(self, clip_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of a step that comes of a frame of `clip_shape`."""
        return (clip_shape[0] * (2 if self.step else 1), *clip_shape[1:])

    def scaled(self, clip: Clip) -> Features:
        """(value - mean) / deviation."""
        shifted = clip.astype(np.float32) - _as(self.mean, clip)
        return np.asarray(shifted / _as(self.deviation, clip), np.float32)

    def __call__(self, clip: Clip, before: Clip | None = None) -> Features:
        """The steps of a clip; `before` [1, ...] is the frame before its first, where it goes on."""
        x = self.scaled(clip)
        if not self.step:
            return x
        past = x[:1] if before is None else self.scaled(before)
        moves = np.diff(x, axis=0, prepend=past) / _as(self.step, clip)
        return np.concatenate([x, moves], axis=1)


def _as(values: Sequence[float], clip: Clip) -> Features:
    """A number per channel, so that it broadcasts over frames."""
    return np.array(values, np.float32).reshape(-1, *(1,) * (clip.ndim - 2))


def pad(clips: Sequence[Features]) -> tuple[Features, NDArray[np.int64]]:
    """Clips of different lengths as one array [N, T, ...], zeros at the ends, and the lengths [N]."""
    lengths = np.array([len(clip) for clip in clips], np.int64)
    x = np.zeros((len(clips), int(lengths.max()), *clips[0].shape[1:]), np.float32)
    for row, clip in enumerate(clips):
        x[row, : len(clip)] = clip
    return x, lengths
