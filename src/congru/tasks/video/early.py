"""Early decisions: a stream stops reading a clip as soon as it is sure enough.

It decides at the first frame t whose most probable class has p_t >= threshold, else at the last frame. The threshold is the
lowest one at which validation clips are not decided worse than at their ends (by more than the share that is allowed), and
at least N / (N + 1), less that share: N clips say nothing of mistakes that are rarer than one in N.
Legend: N clips, T frames, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[Any]
THRESHOLDS = tuple(float(1 - 10 ** (-k / 10)) for k in range(3, 41))  # 0.5 .. 0.9999


class Early(NamedTuple):
    """How early decisions come out: share right, share right at the end, share of frames not read."""

    accuracy: float
    end_accuracy: float
    saved: float


def decide(probabilities: Probabilities, threshold: float) -> tuple[int, int]:
    """The class and the frame (from 0) of the decision, of probabilities [T, K] after every frame.

    >>> decide(np.array([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5]]), 0.8)
    (1, 1)
    >>> decide(np.array([[0.6, 0.4], [0.7, 0.3]]), 0.8)
    (0, 1)
    """
    sure = np.flatnonzero(probabilities.max(1) >= threshold)
    frame = int(sure[0]) if len(sure) else len(probabilities) - 1
    return int(probabilities[frame].argmax()), frame


def score(clips: Sequence[Probabilities], labels: NDArray[np.int64], threshold: float) -> Early:
    """Early decisions on N clips."""
    decided = [decide(clip, threshold) for clip in clips]
    right = np.array([label == own for (label, _), own in zip(decided, labels)])
    ends = np.array([clip[-1].argmax() == own for clip, own in zip(clips, labels)])
    saved = [1 - (frame + 1) / len(clip) for (_, frame), clip in zip(decided, clips)]
    return Early(float(right.mean()), float(ends.mean()), float(np.mean(saved)))


def fit_threshold(clips: Sequence[Probabilities], labels: NDArray[np.int64], loss: float = 0.0) -> float:
    """The lowest of `THRESHOLDS` from which on no higher one loses more than `loss` of the accuracy at the end.

    It is at least N / (N + 1) - loss.

    >>> clips = [np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.95, 0.05], [0.99, 0.01]])]
    >>> 0.9 < fit_threshold(clips, np.array([1, 0])) < 0.95
    True
    """
    best = 1.0
    for threshold in reversed(THRESHOLDS):
        result = score(clips, labels, threshold)
        if result.accuracy < result.end_accuracy - loss - 1e-9:
            break
        best = threshold
    return max(best, len(clips) / (len(clips) + 1) - loss)
