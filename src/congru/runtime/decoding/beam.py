"""Beam search and greedy decoding over a `step` function, several sentences at once.

S sentences, K hypotheses a sentence (the beam), V tokens. Rows are sentence-major: row s * K + k is hypothesis k of
sentence s. Scores are log-probabilities [S * K, V]; a model that gives logits wraps them in `scores.log_softmax`.

Every row is computed apart from the others, so the result of a sentence is the one it has alone, as long as `step` keeps
its rows apart too. A hypothesis keeps its chain of parents, so that what `step` shows (attention) can be read back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import SettingsError, ShapeError
from congru.runtime.decoding.filters import Filter, MinLength, narrow
from congru.runtime.decoding.scores import check_log_probabilities, largest

State = dict[str, NDArray[Any]]
Step = Callable[[NDArray[np.int64], State], Sequence[Any]]
Filters = Sequence[Filter] | Callable[[int], Sequence[Filter]]


class Hypothesis(NamedTuple):
    """A decoded sentence; n is the number of scored tokens, the end token included."""

    tokens: list[int]  # without start and end token
    score: float  # log_p / length_penalty(n, alpha), what hypotheses are ranked by
    log_p: float  # the sum of token_scores
    token_scores: NDArray[np.float64]  # [n]: log p of each token, the end token last
    ended: bool  # by the end token; False where max_length cut it off
    extras: NDArray[Any] | None  # [n, ...]: what `step` gave beside each token


def length_penalty(length: int, alpha: float) -> float:
    """lp(n) = ((5 + n) / 6)^α (Wu et al. 2016, arXiv 1609.08144, equation 14): 1 for α = 0 or n = 1.

    >>> length_penalty(1, 0.6), round(length_penalty(13, 0.6), 4)
    (1.0, 1.9332)
    """
    return float(((5 + length) / 6) ** alpha)


def beam_search(
    step: Step,
    state: Mapping[str, ArrayLike],
    *,
    start: int | Sequence[int],
    end: int | None,
    max_length: int,
    min_length: int = 0,
    num_sentences: int = 1,
    beam_size: int = 4,
    num_best: int = 1,
    alpha: float = 0.6,
    filters: Filters = (),
) -> list[list[Hypothesis]]:
    """The best `num_best` token sequences of each sentence: max log p(y) / lp(|y|), searched with a beam.

    Every step keeps the K most probable open hypotheses of each sentence; of equals the one whose parent ranks higher,
    then the smaller token. One that takes the end token where it outranks an open one is finished. A sentence
    stops where no open hypothesis can beat its worst kept one: as log p only falls and lp only rises, an open one reaches
    at most log p / lp(max_length). α = 0.6 and K = 4 are the values of Vaswani et al. 2017 (arXiv 1706.03762), section 6.1.

    Args:
        step: (tokens [S * K] int64, state) -> (log-probabilities [S * K, V], state) or (.., state, extras [S * K, ...]).
            What must not follow the beam (an encoder's memory) is closed over, with S * K rows.
        state: name -> [L * D, S, H], a row per sentence; `step` sees S * K rows. May be empty.
        start: the token before the first, one for all sentences or one each.
        end: the token that finishes a sentence, or None: then all have `max_length` tokens.
        max_length: the most tokens, the end token included.
        min_length: the fewest tokens before the end token.
        num_sentences: S.
        beam_size: K.
        num_best: hypotheses returned a sentence, at most K.
        alpha: the exponent of the length penalty, at least 0.
        filters: for all sentences, or a function from the sentence's number to its filters.

    Returns:
        A list for each sentence: hypotheses that ended, best first, then, where they are fewer than `num_best`, those
        that `max_length` cut off, best first.

    Raises:
        SettingsError: for a setting out of range, or filters that leave no token.
        ShapeError: for a state without S rows, or scores that are no log-probabilities [S * K, V].

    >>> log_p = np.log([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.8, 0.1, 0.1]])
    >>> def bigram(tokens, state):
    ...     return log_p[tokens], state
    >>> best = beam_search(bigram, {}, start=0, end=0, max_length=5, num_best=2, alpha=0.0)[0]
    >>> [(one.tokens, round(float(np.exp(one.score)), 3)) for one in best]
    [([1], 0.3), ([2], 0.24)]
    """
    if not 1 <= num_best <= beam_size:
        raise SettingsError(
            f"num_best is {num_best}, expected 1 to beam_size = {beam_size}: raise beam_size to keep more"
        )
    if not (math.isfinite(alpha) and alpha >= 0):
        raise SettingsError(f"alpha is {alpha}, expected a number of at least 0: try 0.6")
    sizes = _Sizes(end, max_length, min_length, beam_size, 2 * beam_size, num_best, alpha)
    return _search(step, state, start, num_sentences, sizes, filters)


def greedy(
    step: Step,
    state: Mapping[str, ArrayLike],
    *,
    start: int | Sequence[int],
    end: int | None,
    max_length: int,
    min_length: int = 0,
    num_sentences: int = 1,
    filters: Filters = (),
) -> list[Hypothesis]:
    """The most probable token at every step, for each of S sentences: y_t = argmax_v p(v | y_1 .. y_{t-1}).

    Arguments and errors are those of :func:`beam_search`; `step` sees S rows. The score is log p.

    >>> log_p = np.log([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.8, 0.1, 0.1]])
    >>> greedy(lambda tokens, state: (log_p[tokens], state), {}, start=[0, 2], end=0, max_length=5, num_sentences=2)[0].tokens
    [1]
    """
    sizes = _Sizes(end, max_length, min_length, beam_size=1, num_candidates=1, num_best=1, alpha=0.0)
    return [best[0] for best in _search(step, state, start, num_sentences, sizes, filters)]


class _Sizes(NamedTuple):
    end: int | None
    max_length: int
    min_length: int
    beam_size: int
    num_candidates: int  # looked at a step: twice the beam, as each row may give one that ends
    num_best: int
    alpha: float

    def check(self) -> None:
        if self.max_length < 1:
            raise SettingsError(f"max_length is {self.max_length}, expected a whole number of at least 1")
        if not 0 <= self.min_length <= self.max_length:
            raise SettingsError(
                f"min_length is {self.min_length}, expected 0 to max_length = {self.max_length}: lower it"
            )


class _Link(NamedTuple):
    """One token of a hypothesis, with the chain before it."""

    parent: _Link | None
    log_p: float
    extra: NDArray[Any] | None


class _Open(NamedTuple):
    tokens: list[int]
    log_p: float
    link: _Link | None

    def close(self, penalty: float, ended: bool) -> Hypothesis:
        chain, link = [], self.link
        while link is not None:
            chain.append(link)
            link = link.parent
        chain.reverse()
        extras = [link.extra for link in chain if link.extra is not None]
        return Hypothesis(
            self.tokens[:-1] if ended else self.tokens,
            self.log_p / penalty,
            self.log_p,
            np.array([link.log_p for link in chain]),
            ended,
            np.stack(extras) if extras else None,
        )


class _Sentence:
    """The beam of one sentence: open hypotheses, most probable first, and the best that ended."""

    def __init__(self, sizes: _Sizes, filters: Sequence[Filter]) -> None:
        shortest = [] if sizes.end is None else [MinLength(sizes.min_length, sizes.end)]
        self.sizes, self.filters = sizes, [*filters, *shortest]
        self.open = [_Open([], 0.0, None)]
        self.ended: list[Hypothesis] = []
        self._last_penalty = length_penalty(sizes.max_length, sizes.alpha)

    @property
    def done(self) -> bool:
        """Whether no open hypothesis can still enter the n best."""
        if not self.open:
            return True
        full = len(self.ended) == self.sizes.num_best
        return full and self.ended[-1].score >= self.open[0].log_p / self._last_penalty

    def advance(self, scores: NDArray[np.float64], extras: NDArray[Any] | None) -> list[int]:
        """Take the scores [open, V] of the next token; returns the row of each new open hypothesis' parent."""
        narrowed = narrow(scores, [one.tokens for one in self.open], self.filters)
        totals = narrowed + np.array([one.log_p for one in self.open])[:, None]
        opened: list[_Open] = []
        parents: list[int] = []
        for flat in largest(totals.ravel(), self.sizes.num_candidates):
            row, token = divmod(int(flat), totals.shape[1])
            if totals[row, token] == -np.inf or len(opened) == self.sizes.beam_size:
                break
            parent = self.open[row]
            extra = None if extras is None else np.array(extras[row])
            link = _Link(parent.link, float(narrowed[row, token]), extra)
            child = _Open([*parent.tokens, token], float(totals[row, token]), link)
            if token == self.sizes.end:
                self._end(child)
            else:
                opened.append(child)
                parents.append(row)
        self.open = opened
        return parents

    def best(self) -> list[Hypothesis]:
        missing = self.sizes.num_best - len(self.ended)
        return self.ended + [one.close(self._last_penalty, False) for one in self.open[:missing]]

    def _end(self, child: _Open) -> None:
        penalty = length_penalty(len(child.tokens), self.sizes.alpha)
        if len(self.ended) < self.sizes.num_best or child.log_p / penalty > self.ended[-1].score:
            ranked = sorted([*self.ended, child.close(penalty, True)], key=lambda one: -one.score)
            self.ended = ranked[: self.sizes.num_best]


def _search(
    step: Step,
    state: Mapping[str, ArrayLike],
    start: int | Sequence[int],
    num_sentences: int,
    sizes: _Sizes,
    filters: Filters,
) -> list[list[Hypothesis]]:
    sizes.check()
    num_rows = num_sentences * sizes.beam_size
    tokens = np.repeat(_start_tokens(start, num_sentences), sizes.beam_size)
    rows = _spread(state, num_sentences, sizes.beam_size)
    sentences = [
        _Sentence(sizes, filters(number) if callable(filters) else filters) for number in range(num_sentences)
    ]
    for _ in range(sizes.max_length):
        if all(sentence.done for sentence in sentences):
            break
        raw_scores, rows, *shown = step(tokens, rows)
        scores = check_log_probabilities("step's scores", raw_scores, num_rows)
        _check_end(sizes.end, scores.shape[1])
        parents, tokens = np.arange(num_rows), tokens.copy()
        for number, sentence in enumerate(sentences):
            if sentence.done:  # its rows go on as they are, so that the others keep theirs
                continue
            first = number * sizes.beam_size
            live = slice(first, first + len(sentence.open))
            chosen = sentence.advance(scores[live], shown[0][live] if shown else None)
            following = slice(first, first + len(chosen))
            parents[following] = np.array(chosen, np.int64) + first
            tokens[following] = [one.tokens[-1] for one in sentence.open]
        rows = {name: value[:, parents] for name, value in rows.items()}
    return [sentence.best() for sentence in sentences]


def _start_tokens(start: int | Sequence[int], num_sentences: int) -> NDArray[np.int64]:
    if num_sentences < 1:
        raise SettingsError(f"num_sentences is {num_sentences}, expected a whole number of at least 1")
    tokens = np.asarray(start, np.int64)
    if tokens.shape not in ((), (num_sentences,)):
        raise ShapeError(
            f"start has shape {tokens.shape}, expected one token or [S] = ({num_sentences},): give one a sentence"
        )
    return np.broadcast_to(tokens, (num_sentences,))


def _spread(state: Mapping[str, ArrayLike], num_sentences: int, beam_size: int) -> State:
    """The state with K equal rows for each sentence's one."""
    rows = {}
    for name, value in state.items():
        array = np.asarray(value)
        if array.ndim < 2 or array.shape[1] != num_sentences:
            raise ShapeError(
                f"state '{name}' has shape {array.shape}, expected [L*D, S, H] with S = {num_sentences}:"
                " give one row a sentence, and num_sentences"
            )
        rows[name] = np.repeat(array, beam_size, axis=1)
    return rows


def _check_end(end: int | None, num_tokens: int) -> None:
    if end is not None and not 0 <= end < num_tokens:
        raise SettingsError(
            f"end is {end}, expected a token from 0 to {num_tokens - 1}: use the model's end token, or None"
        )
