"""Filters: what may come next. Each looks at a step's scores and sets those of forbidden tokens to -inf.

K rows (hypotheses), V tokens. Filters are applied one after another, so a token stays possible where all allow it; the
scores that stay are not changed, nor made to sum to one again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import SettingsError, ShapeError, check_shape

Scores = NDArray[np.floating[Any]]
Prefix = Sequence[int]

_SHOWN = 5  # tokens of a prefix that a message shows


class Filter(Protocol):
    """Narrows scores [K, V] of the token that follows prefixes (K lists of token ids, without the start token).

    Returns new scores [K, V]: the same numbers, or -inf where a token is forbidden. Rows must not depend on each other.
    """

    def __call__(self, scores: Scores, prefixes: Sequence[Prefix]) -> Scores: ...


@dataclass(frozen=True)
class Legal:
    """Only what `allowed(prefix)` names: legal token ids, or a boolean mask [V].

    Raises :class:`ShapeError` for a mask of another size, :class:`SettingsError` for an id outside 0 to V - 1.

    >>> no_repeat = Legal(lambda prefix: [token for token in range(3) if token not in prefix])
    >>> no_repeat(np.zeros((2, 3)), [[0], [2, 1]]).tolist()
    [[-inf, 0.0, 0.0], [0.0, -inf, -inf]]
    """

    allowed: Callable[[Prefix], ArrayLike]

    def __call__(self, scores: Scores, prefixes: Sequence[Prefix]) -> Scores:
        mask = np.zeros(scores.shape, bool)
        for row, prefix in enumerate(prefixes):
            legal = np.asarray(self.allowed(prefix))
            if legal.dtype == bool:
                check_shape("Legal mask", legal, "[V]", scores.shape[1:], "give one truth value a token")
            elif legal.size:
                _check_tokens("Legal", legal, scores.shape[1])
            else:
                continue
            mask[row, legal] = True
        return np.where(mask, scores, -np.inf)


@dataclass(frozen=True)
class Locked:
    """The token at each position named in `tokens` {position: token}; other positions are free. Positions count from 0.

    A hypothesis may end before a locked position: add :class:`MinLength` to forbid that. Raises
    :class:`SettingsError` for a negative position or a token outside 0 to V - 1.

    >>> Locked({1: 2})(np.zeros((2, 3)), [[0], [0, 2]]).tolist()
    [[-inf, -inf, 0.0], [0.0, 0.0, 0.0]]
    """

    tokens: Mapping[int, int]

    def __post_init__(self) -> None:
        for position in self.tokens:
            if position < 0:
                raise SettingsError(
                    f"Locked position is {position}, expected at least 0: count from the first token"
                )

    def __call__(self, scores: Scores, prefixes: Sequence[Prefix]) -> Scores:
        result = scores.copy()
        for row, prefix in enumerate(prefixes):
            token = self.tokens.get(len(prefix))
            if token is not None:
                _check_tokens("Locked", np.asarray(token), scores.shape[1])
                result[row] = -np.inf
                result[row, token] = scores[row, token]
        return result


def forced(tokens: Sequence[int]) -> Locked:
    """The filter that makes an answer begin with `tokens`.

    >>> forced([2, 0])(np.zeros((1, 3)), [[2]]).tolist()
    [[0.0, -inf, -inf]]
    """
    return Locked(dict(enumerate(tokens)))


@dataclass(frozen=True)
class Forbidden:
    """None of `tokens`, at any position. Raises :class:`SettingsError` for a token outside 0 to V - 1.

    >>> Forbidden([0, 2])(np.zeros((1, 3)), [[]]).tolist()
    [[-inf, 0.0, -inf]]
    """

    tokens: Sequence[int]

    def __call__(self, scores: Scores, prefixes: Sequence[Prefix]) -> Scores:
        tokens = np.asarray(self.tokens, np.int64)
        _check_tokens("Forbidden", tokens, scores.shape[1])
        result = scores.copy()
        result[:, tokens] = -np.inf
        return result


@dataclass(frozen=True)
class MinLength:
    """No `end` token before `length` others. Raises :class:`SettingsError` for an `end` outside 0 to V - 1.

    >>> MinLength(2, end=0)(np.zeros((2, 2)), [[1], [1, 1]]).tolist()
    [[-inf, 0.0], [0.0, 0.0]]
    """

    length: int
    end: int

    def __call__(self, scores: Scores, prefixes: Sequence[Prefix]) -> Scores:
        _check_tokens("MinLength end", np.asarray(self.end), scores.shape[1])
        result = scores.copy()
        result[[len(prefix) < self.length for prefix in prefixes], self.end] = -np.inf
        return result


def narrow(scores: Scores, prefixes: Sequence[Prefix], filters: Sequence[Filter]) -> Scores:
    """Scores [K, V] after all filters, one after another.

    Raises :class:`SettingsError` where a row has no possible token left, naming the filter and the position, and
    :class:`ShapeError` for a filter that returns another shape.

    >>> narrow(np.zeros((1, 3)), [[1]], [Forbidden([0]), Locked({1: 0})])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    congru.errors.SettingsError: filters[1] (Locked) leaves no token at position 1 after [1], expected at least one: ...
    """
    _check_possible("the scores have", scores, prefixes, "check the model that made them")
    for number, narrower in enumerate(filters):
        name = f"filters[{number}] ({getattr(narrower, '__name__', type(narrower).__name__)})"
        narrowed = narrower(scores, prefixes)
        if narrowed.shape != scores.shape:
            raise ShapeError(
                f"{name} returned shape {narrowed.shape}, expected [K, V] = {scores.shape}: return one score a token"
            )
        scores = narrowed
        _check_possible(f"{name} leaves", scores, prefixes, "loosen it or those before it")
    return scores


def _check_possible(who: str, scores: Scores, prefixes: Sequence[Prefix], fix: str) -> None:
    possible = scores.max(axis=1) > -np.inf
    if not possible.all():
        prefix = list(prefixes[int(np.argmin(possible))])
        tail = ", ".join(["..."] * (len(prefix) > _SHOWN) + [str(token) for token in prefix[-_SHOWN:]])
        raise SettingsError(
            f"{who} no token at position {len(prefix)} after [{tail}], expected at least one: {fix}"
        )


def _check_tokens(name: str, tokens: NDArray[Any], num_tokens: int) -> None:
    """Raise :class:`SettingsError` unless all tokens are whole numbers from 0 to V - 1."""
    whole = np.issubdtype(tokens.dtype, np.integer)
    wrong = tokens if not whole else tokens[(tokens < 0) | (tokens >= num_tokens)]
    if wrong.size:
        raise SettingsError(
            f"{name} holds token {wrong.flat[0]}, expected a whole number from 0 to {num_tokens - 1}:"
            " use the model's token ids"
        )
