"""From the outputs of the network to an answer: the tag path by Viterbi, the intent, or "I don't know".

p(intent) = softmax(logits), confidence = max over the intents but `oos` of p
known = confidence >= threshold
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.runtime.decoding.viterbi import LinearChain, bio_allowed
from congru.tasks.assistant.formats import OUT_OF_SCOPE

Floats = NDArray[Any]
_LOST = 0.02  # share of rightly understood sentences that may stay below the threshold


def make_chain(transitions: Floats, start: Floats, tags: Sequence[str]) -> LinearChain:
    """The chain of a model: learnt transitions [K, K] and start [K], within what BIO allows."""
    return LinearChain(transitions, start, allowed=bio_allowed(list(tags)))


@dataclass(frozen=True)
class Decision:
    """For each of B sentences: probabilities of the intents [B, N], confidence [B], tag numbers [B, T]."""

    probabilities: Floats
    confidence: Floats
    intents: NDArray[np.int64]
    paths: NDArray[np.int64]


def decide(
    tag_scores: Floats, logits: Floats, lengths: NDArray[np.int64], chain: LinearChain, names: Sequence[str]
) -> Decision:
    """Tag scores [B, T, K], logits [B, N], lengths [B]; `names` of the N intents."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    inside = np.array([name != OUT_OF_SCOPE for name in names])
    scores = np.where(inside, probabilities, -1.0)
    paths, _ = chain.viterbi(tag_scores, lengths)
    return Decision(probabilities, scores.max(axis=1), scores.argmax(axis=1), paths)


def learn_threshold(confidence: Floats, right: NDArray[np.bool_], outside: NDArray[np.bool_]) -> float:
    """The confidence below which "I don't know" is said, from validation: at most one in fifty rightly understood is lost.

    With sentences from `outside` it is the one of these that maximises the accuracy within plus the recall outside; without,
    the highest of them.

    >>> learn_threshold(np.array([0.9, 0.8, 0.2]), np.array([True, True, False]), np.array([False, False, True]))
    0.5
    """
    right = right & ~outside
    highest = float(np.quantile(confidence[right], _LOST)) if right.any() else 0.0
    if not outside.any():
        return highest
    ordered = np.unique(confidence)
    candidates = [0.0, *((ordered[1:] + ordered[:-1]) / 2).tolist()]
    kept = confidence[~outside]
    accurate = right[~outside]
    strange = confidence[outside]

    def value(threshold: float) -> float:
        within = float((accurate & (kept >= threshold)).mean()) if len(kept) else 0.0
        return within + float((strange < threshold).mean())

    best: float = max((t for t in candidates if t <= highest), key=value, default=0.0)
    return round(best, 12)
