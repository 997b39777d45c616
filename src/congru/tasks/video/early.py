"""Early decisions: a stream stops reading a clip as soon as it is sure enough.

It decides at the first frame t >= first whose most probable class has p_t >= threshold; a clip without such a frame is answered
at its end. The threshold is the lowest one at which validation clips are not decided worse than at their ends (by more than the
share that is allowed), and at least N / (N + 1), less that share: N clips say nothing of mistakes that are rarer than one in N.
Legend: N clips, T frames, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[Any]
THRESHOLDS = tuple(float(1 - 10 ** (-k / 10)) for k in range(3, 41))  # 0.5 .. 0.9999


class Rule(NamedTuple):
    """When a stream decides: not below the threshold, and not before frame `first`, from 0."""

    threshold: float
    first: int = 0

    def decides(self, frame: int, probabilities: Probabilities) -> bool:
        """Whether a frame, from 0, decides with these probabilities [K].

        >>> rule = Rule(0.8, first=2)
        >>> rule.decides(1, np.array([0.1, 0.9])), rule.decides(2, np.array([0.1, 0.9]))
        (False, True)
        """
        return frame >= self.first and float(probabilities.max()) >= self.threshold

    def in_words(self) -> str:
        """As a reader says it.

        >>> Rule(0.95, first=13).in_words()
        'from frame 14 on, at a probability of 95.0 % or more'
        """
        return f"from frame {self.first + 1} on, at a probability of {100 * self.threshold:.1f} % or more"


class Early(NamedTuple):
    """How early decisions come out: share right, share right at the end, share of frames not read."""

    accuracy: float
    end_accuracy: float
    saved: float


def decide(probabilities: Probabilities, rule: Rule) -> tuple[int, int] | None:
    """The class and the frame (from 0) of the decision, of probabilities [T, K] after every frame; None where none falls.

    >>> decide(np.array([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5]]), Rule(0.8))
    (1, 1)
    >>> decide(np.array([[0.6, 0.4], [0.7, 0.3]]), Rule(0.8)) is None
    True
    """
    sure = np.flatnonzero(probabilities[rule.first :].max(1) >= rule.threshold)
    if not len(sure):
        return None
    frame = rule.first + int(sure[0])
    return int(probabilities[frame].argmax()), frame


def score(clips: Sequence[Probabilities], labels: NDArray[np.int64], rule: Rule) -> Early:
    """Early decisions on N clips; one without a decision counts with its end."""
    decided = [decide(clip, rule) or (int(clip[-1].argmax()), len(clip) - 1) for clip in clips]
    right = np.array([label == own for (label, _), own in zip(decided, labels)])
    ends = np.array([clip[-1].argmax() == own for clip, own in zip(clips, labels)])
    saved = [1 - (frame + 1) / len(clip) for (_, frame), clip in zip(decided, clips)]
    return Early(float(right.mean()), float(ends.mean()), float(np.mean(saved)))


def fit_rule(
    clips: Sequence[Probabilities], labels: NDArray[np.int64], loss: float = 0.0, earliest: float = 0.0
) -> Rule:
    """The lowest of `THRESHOLDS` from which on no higher one loses more than `loss` of the accuracy at the end.

    It is at least N / (N + 1) - loss. No frame before the share `earliest` of the median clip decides.

    >>> clips = [np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.95, 0.05], [0.99, 0.01]])]
    >>> 0.9 < fit_rule(clips, np.array([1, 0])).threshold < 0.95
    True
    >>> fit_rule(clips, np.array([1, 0]), earliest=0.5).first
    1
    """
    usual = float(np.median([len(clip) for clip in clips]))
    first = int(earliest * usual + 1e-6)  # 0.7 * 90 is a little below 63
    best = 1.0
    for threshold in reversed(THRESHOLDS):
        result = score(clips, labels, Rule(threshold, first))
        if result.accuracy < result.end_accuracy - loss - 1e-9:
            break
        best = threshold
    return Rule(max(best, len(clips) / (len(clips) + 1) - loss), first)
