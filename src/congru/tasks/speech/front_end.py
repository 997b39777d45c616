"""From samples or frames to the steps of the network: one description, the same in training, on files and in a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from congru.errors import DataError
from congru.tasks.speech.audio import Audio, Resampler, Samples
from congru.tasks.speech.frames import SHIFT_SECONDS, WINDOW_SECONDS, Floats, make_frames
from congru.tasks.speech.stages import (
    Differences,
    Pipeline,
    RunningNorm,
    Stacking,
    Stage,
    UtteranceNorm,
)

FROM_FILE = "given"  # features from a file, of an unknown front end


@dataclass(frozen=True)
class FrontEnd:
    """What the frames are, and what is done to them.

    kind: fbank, mfcc, sphinx, or given where features came from a file; rate_hz: of the samples; size: F of a frame;
    running: normalised with what has been heard so far, else with the mean of the utterance; mean, deviation: [F] of the
    training frames; differences: 0, 1 or 2; stack: frames in a step.
    """

    kind: str
    rate_hz: int
    size: int
    running: bool
    mean: Sequence[float]
    deviation: Sequence[float]
    differences: int
    stack: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> FrontEnd:
        """From what :meth:`config` gave."""
        return cls(**config)

    def config(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "mean": list(self.mean), "deviation": list(self.deviation)}

    @property
    def frames_in_words(self) -> str:
        """What a frame is: models of the same frames can hear the same recording side by side."""
        return f"{self.kind}, {self.size} numbers a frame, {self.rate_hz} Hz"

    @property
    def step_size(self) -> int:
        """Features of a step."""
        return self.size * (1 + self.differences) * self.stack

    @property
    def step_seconds(self) -> float:
        """Time from one step to the next."""
        return self.stack * SHIFT_SECONDS

    @property
    def delay_seconds(self) -> float:
        """How long after the beginning of a step it can be computed: its frames, and those its differences look at."""
        return (self.stack - 1 + 2 * self.differences) * SHIFT_SECONDS + WINDOW_SECONDS

    def norm(self) -> Stage:
        """The normalisation of a new stream."""
        return RunningNorm(self.mean, self.deviation) if self.running else UtteranceNorm(self.deviation)

    def after_norm(self) -> Pipeline:
        """Differences and stacking of a new stream."""
        size = self.size * (1 + self.differences)
        return Pipeline([Differences(self.differences, self.size), Stacking(self.stack, size)])

    def steps(self, frames: Floats) -> Floats:
        """Frames [n, F] of a whole utterance as steps [T, step_size]."""
        return whole(Pipeline([self.norm(), self.after_norm()]), frames)

    def frames(self, audio: Audio) -> Floats:
        """The frames [n, F] of an utterance."""
        self.check_samples()
        return frames_of(audio, self.kind, self.rate_hz)

    def check_samples(self) -> None:
        """Refuse samples where the front end is not known.

        Raises:
            DataError: the model was trained on features of a file.
        """
        if self.kind == FROM_FILE:
            raise DataError(
                f"the model reads features of {self.size} numbers from .npz files, expected no audio: train it with"
                " --features and the front end that made them"
            )

    def stream(self, rate_hz: int) -> StepStream:
        """Samples at `rate_hz` in, steps out."""
        return StepStream(self, rate_hz)


def whole(stage: Stage, frames: Floats) -> Floats:
    """All of a stage's output for all of its input."""
    return np.concatenate([stage.feed(frames), stage.finish()])


def frames_of(audio: Audio, kind: str, rate_hz: int) -> Floats:
    """Frames [n, F] of a whole piece of audio, resampled to `rate_hz`."""
    samples = Resampler(audio.rate_hz, rate_hz).feed(audio.samples, last=True)
    frames = make_frames(kind, rate_hz)
    return np.concatenate([frames.feed(samples), frames.finish()])


class StepStream:
    """Samples in pieces of any size, steps [T, step_size] as they become known."""

    def __init__(self, front_end: FrontEnd, rate_hz: int) -> None:
        front_end.check_samples()
        self._resampler = Resampler(rate_hz, front_end.rate_hz)
        self._frames = make_frames(front_end.kind, front_end.rate_hz)
        self._pipeline = Pipeline([front_end.norm(), front_end.after_norm()])

    def feed(self, samples: Samples) -> Floats:
        """The steps that are complete now."""
        return self._pipeline.feed(self._frames.feed(self._resampler.feed(samples)))

    def finish(self) -> Floats:
        """The last steps."""
        samples = self._resampler.feed(np.zeros(0, np.float32), last=True)
        frames = np.concatenate([self._frames.feed(samples), self._frames.finish()])
        return np.concatenate([self._pipeline.feed(frames), self._pipeline.finish()])
