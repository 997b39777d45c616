"""When a text was said: the best alignment of its tokens with frames of log-probabilities [T, V] (Viterbi over CTC).

    best(t, s) = log p_t(l_s) + max(best(t-1, s), best(t-1, s-1), best(t-1, s-2) where l_s is no blank and l_s != l_(s-2))

l is the text with a blank before, between and after its tokens (Graves et al. 2006).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.runtime.decoding.ctc import Token


def align(frames: NDArray[np.float64], tokens: Sequence[int], blank: int = 0) -> list[Token]:
    """Every token with its frames start .. end - 1 and its mean probability over them.

    Raises:
        DataError: fewer frames than the text needs.

    >>> frames = np.log([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1], [0.2, 0.1, 0.7]])
    >>> [(one.token, one.start, one.end) for one in align(frames, [1, 2])]
    [(1, 0, 1), (2, 2, 3)]
    """
    if not len(tokens):
        return []
    labels = np.full(2 * len(tokens) + 1, blank)
    labels[1::2] = tokens
    scores = frames[:, labels]
    may_skip = np.zeros(len(labels), bool)
    may_skip[3::2] = labels[3::2] != labels[1:-2:2]
    best = np.full(len(labels), -np.inf)
    best[:2] = scores[0, :2]
    steps = np.zeros(scores.shape, np.int8)
    for t in range(1, len(scores)):
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(may_skip, np.concatenate([[-np.inf, -np.inf], best[:-2]]), -np.inf)
        choices = np.stack([best, one, two])
        steps[t] = choices.argmax(0)
        best = choices.max(0) + scores[t]
    state = len(labels) - 1 if best[-1] >= best[-2] else len(labels) - 2
    if best[state] == -np.inf:
        raise DataError(
            f"frames are {len(frames)}, too few for a text of {len(tokens)} tokens: give more audio"
        )
    path = np.empty(len(scores), np.int64)
    for t in range(len(scores) - 1, -1, -1):
        path[t] = state
        state -= int(steps[t, state])
    aligned = []
    for k, token in enumerate(tokens):
        own = np.flatnonzero(path == 2 * k + 1)
        p = float(np.exp(frames[own, token]).mean())
        aligned.append(Token(int(token), int(own[0]), int(own[-1]) + 1, p))
    return aligned
