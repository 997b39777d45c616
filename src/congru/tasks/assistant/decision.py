"""From the outputs of the network to an answer: the intent, the tag path by Viterbi, or "I don't know".

p(i) = softmax_i(logits[i] + log Σ_y exp(tags' part of s(i, y))), s of crf.py; confidence = max over the intents but `oos` of p
known = confidence >= threshold;  the path is the best one of the intent that is chosen

Where several members stand in the network, tag scores, logits and the weights of the field are the means of theirs.

Legend: B sentences, T words, K tags, N intents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.runtime.decoding.viterbi import LinearChain, bio_allowed
from congru.tasks.assistant.formats import OUT_OF_SCOPE
from congru.tasks.members import member_name

Floats = NDArray[Any]
_LOST = 0.02  # share of rightly understood sentences that may stay below the threshold


class Field:
    """Learnt transitions [K, K], start [K] and coupling [N, K], within what BIO allows; coupling None for zeros."""

    def __init__(
        self, transitions: Floats, start: Floats, coupling: Floats | None, tags: Sequence[str]
    ) -> None:
        self.chain = LinearChain(transitions, start, allowed=bio_allowed(list(tags)))
        zeros = np.zeros((1, len(tags)))
        self.coupling = zeros if coupling is None else np.asarray(coupling, np.float64)
        self._peak = float(self.chain.transitions.max())
        self._weights = np.exp(self.chain.transitions - self._peak)

    @classmethod
    def of(cls, weights: Mapping[str, Floats], tags: Sequence[str]) -> Field:
        """The mean of the members' weights by the names that they have in a folder."""
        transitions, start = mean_of_members("transitions", weights), mean_of_members("start", weights)
        coupling = mean_of_members("coupling", weights) if "coupling" in weights else None
        return cls(transitions, start, coupling, tags)

    def coupled(self, tag_scores: Floats, intents: NDArray[np.int64]) -> Floats:
        """Tag scores [B, T, K] under one intent a sentence [B]."""
        rows = np.minimum(intents, len(self.coupling) - 1)
        scores: Floats = tag_scores + self.coupling[rows][:, None]
        return scores

    def log_partitions(self, tag_scores: Floats, lengths: NDArray[np.int64]) -> Floats:
        """log Σ_y exp of the tags' part of s(i, y), [B, N], or [B, 1] without coupling."""
        scores = np.asarray(tag_scores, np.float64)
        forward = (self.chain.start + scores[:, 0])[:, None] + self.coupling
        with np.errstate(divide="ignore"):
            for t in range(1, scores.shape[1]):
                highest = forward.max(axis=2, keepdims=True)
                reached = np.log(np.exp(forward - highest) @ self._weights) + (highest + self._peak)
                reached += scores[:, t, None] + self.coupling
                forward = np.where((t < lengths)[:, None, None], reached, forward)
        highest = forward.max(axis=2)
        sums: Floats = np.log(np.exp(forward - highest[:, :, None]).sum(axis=2)) + highest
        return sums


def mean_of_members(name: str, values: Mapping[str, Floats]) -> Floats:
    """The mean of `name` over the members of a network.

    >>> mean_of_members("tags", {"tags": np.array([1.0]), "tags2": np.array([3.0]), "intent": np.array([9.0])})
    array([2.])
    """
    parts = [values[name]]
    while (other := member_name(name, len(parts))) in values:
        parts.append(values[other])
    return parts[0] if len(parts) == 1 else np.mean(parts, axis=0)


@dataclass(frozen=True)
class Decision:
    """For each of B sentences: probabilities of the intents [B, N], confidence [B], tag numbers [B, T]."""

    probabilities: Floats
    confidence: Floats
    intents: NDArray[np.int64]
    paths: NDArray[np.int64]


def decide(
    tag_scores: Floats, logits: Floats, lengths: NDArray[np.int64], field: Field, names: Sequence[str]
) -> Decision:
    """Tag scores [B, T, K], logits [B, N], lengths [B] of at least 1; `names` of the N intents."""
    joint = logits.astype(np.float64)
    if len(field.coupling) > 1:
        joint = joint + field.log_partitions(tag_scores, lengths)
    shifted = np.exp(joint - joint.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    inside = np.array([name != OUT_OF_SCOPE for name in names])
    scores = np.where(inside, probabilities, -1.0)
    intents = scores.argmax(axis=1)
    paths, _ = field.chain.viterbi(field.coupled(tag_scores, intents), lengths)
    return Decision(probabilities, scores.max(axis=1), intents, paths)


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
