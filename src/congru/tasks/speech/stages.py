"""What is done to frames before the network, in a stream: normalisation, differences, stacking; in pieces as in one piece.

    running normalisation   n_t = f n_(t-1) + 1,  s_t = f s_(t-1) + x_t,  y_t = (x_t - s_t / n_t) / deviation
                            n_0 = 100 frames of the training mean; f = 1 - 1/1000, so ten seconds are remembered
    of the utterance        y_t = (x_t - mean of the utterance) / deviation of the training frames
    differences             d_t = sum over k = 1, 2 of k (x_(t+k) - x_(t-k)) / 10, the first and last frame repeated beyond
                            the ends; second differences are those of d
    stacking                frames kt .. kt + k - 1 side by side, the last frame repeated to fill the last group

Every stage has ``feed(frames [n, F]) -> [m, F']`` and ``finish() -> [m, F']``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from congru.tasks.speech.frames import Floats

PRIOR_FRAMES = 100.0
FORGET = 1 - 1 / 1000
_REACH = 2  # frames that a difference looks to either side


class Stage(Protocol):
    """Frames in, frames out."""

    def feed(self, frames: Floats) -> Floats:
        """What the frames so far give beyond what was returned."""

    def finish(self) -> Floats:
        """The rest."""


class RunningNorm:
    """Running normalisation; see above."""

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        self._deviation = np.array(deviation)
        self._sum, self._count = PRIOR_FRAMES * np.array(mean), PRIOR_FRAMES

    def feed(self, frames: Floats) -> Floats:
        """As many frames as came, [n, F]."""
        means = np.empty(frames.shape)
        for t, frame in enumerate(frames):
            self._sum = FORGET * self._sum + frame
            self._count = FORGET * self._count + 1
            means[t] = self._sum / self._count
        return np.asarray((frames - means) / self._deviation, np.float32)

    def finish(self) -> Floats:
        """Nothing is held back."""
        return np.zeros((0, len(self._deviation)), np.float32)


class UtteranceNorm:
    """Normalisation by the mean of all frames, which waits for the last."""

    def __init__(self, deviation: Sequence[float]) -> None:
        self._deviation = np.array(deviation)
        self._frames = [np.zeros((0, len(deviation)), np.float32)]

    def feed(self, frames: Floats) -> Floats:
        """Nothing yet."""
        self._frames.append(frames)
        return self._frames[0]

    def finish(self) -> Floats:
        """All frames."""
        frames = np.concatenate(self._frames).astype(np.float64)
        mean = frames.mean(0) if len(frames) else 0.0
        return np.asarray((frames - mean) / self._deviation, np.float32)


class _Difference:
    """The differences of frames; the last two are held back for the frames to come."""

    def __init__(self, size: int) -> None:
        self._frames = np.zeros((0, size), np.float32)

    def feed(self, frames: Floats) -> Floats:
        if len(frames) and not len(self._frames):
            frames = np.concatenate([np.repeat(frames[:1], _REACH, axis=0), frames])
        self._frames = np.concatenate([self._frames, frames])
        return self._ready()

    def finish(self) -> Floats:
        self._frames = np.concatenate([self._frames, np.repeat(self._frames[-1:], _REACH, axis=0)])
        return self._ready()

    def _ready(self) -> Floats:
        x, count = self._frames, len(self._frames) - 2 * _REACH
        if count <= 0:
            return x[:0]
        self._frames = x[count:]
        near = x[3 : 3 + count] - x[1 : 1 + count]
        far = x[4 : 4 + count] - x[:count]
        return np.asarray((near + 2 * far) / np.float32(10))


class Differences:
    """Frames with their first (`order` 1) and second (2) differences beside them: [n, F] -> [n, (order + 1) F]."""

    def __init__(self, order: int, size: int) -> None:
        self._stages = [_Difference(size) for _ in range(order)]
        self._waiting = [np.zeros((0, size), np.float32) for _ in range(order + 1)]

    def feed(self, frames: Floats) -> Floats:
        """The frames whose differences are known."""
        self._waiting[0] = np.concatenate([self._waiting[0], frames])
        for k, stage in enumerate(self._stages):
            frames = stage.feed(frames)
            self._waiting[k + 1] = np.concatenate([self._waiting[k + 1], frames])
        return self._ready()

    def finish(self) -> Floats:
        """The last frames."""
        frames = self._waiting[0][:0]
        for k, stage in enumerate(self._stages):
            frames = np.concatenate([stage.feed(frames), stage.finish()])
            self._waiting[k + 1] = np.concatenate([self._waiting[k + 1], frames])
        return self._ready()

    def _ready(self) -> Floats:
        count = len(self._waiting[-1])
        out = np.concatenate([part[:count] for part in self._waiting], axis=1)
        self._waiting = [part[count:] for part in self._waiting]
        return out


class Stacking:
    """`count` frames side by side as one step: [n, F] -> [n / count, count F]."""

    def __init__(self, count: int, size: int) -> None:
        self._count, self._frames = count, np.zeros((0, size), np.float32)

    def feed(self, frames: Floats) -> Floats:
        """The groups that are full."""
        self._frames = np.concatenate([self._frames, frames])
        whole = len(self._frames) // self._count * self._count
        out, self._frames = self._frames[:whole], self._frames[whole:]
        return out.reshape(whole // self._count, self._count * out.shape[1])

    def finish(self) -> Floats:
        """The last group, filled up."""
        missing = -len(self._frames) % self._count
        return self.feed(np.repeat(self._frames[-1:], missing, axis=0))


class Pipeline:
    """Stages one after the other."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = list(stages)

    def feed(self, frames: Floats) -> Floats:
        """Through all stages."""
        for stage in self._stages:
            frames = stage.feed(frames)
        return frames

    def finish(self) -> Floats:
        """What the stages held back, in order."""
        rest = self._stages[0].finish()
        for stage in self._stages[1:]:
            rest = np.concatenate([stage.feed(rest), stage.finish()])
        return rest


def deviation_of(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """The deviation [F] of frames [n, F] around their mean; 1 where they do not differ."""
    deviation = frames.std(0)
    return np.where(deviation > 1e-6, deviation, 1.0)
