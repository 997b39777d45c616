"""Choosing a token from logits: temperature, top-k (Fan et al. 2018) and top-p (Holtzman et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import SettingsError
from congru.runtime.decoding.filters import Filter, Prefix, narrow


class Sampling(NamedTuple):
    """How to choose: `filters` forbid tokens; `temperature` 0 takes the most probable; `top_k` and `top_p` narrow the
    choice first.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    filters: Sequence[Filter] = ()

    def check(self) -> Sampling:
        """Itself; raises :class:`SettingsError` for a value that makes no distribution."""
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise SettingsError(
                f"temperature is {self.temperature}, expected a number of at least 0: try 0.8"
            )
        if self.top_k is not None and self.top_k < 1:
            raise SettingsError(f"top_k is {self.top_k}, expected a whole number of at least 1: try 40")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise SettingsError(f"top_p is {self.top_p}, expected above 0 and up to 1: try 0.9")
        return self


def probabilities(logits: ArrayLike, sampling: Sampling, prefix: Prefix = ()) -> NDArray[np.float64]:
    """The distribution [V] that is drawn from: softmax(logits / temperature) over the tokens that the filters
    allow after `prefix`, cut to top_k, then to top_p.

    top_k keeps the k largest (the first of equals); top_p the fewest, largest first, whose sum reaches p.
    Raises :class:`SettingsError` for a wrong setting and where the filters leave no token.

    >>> probabilities([0.0, 0.0, 9.0], Sampling(temperature=0)).tolist()
    [0.0, 0.0, 1.0]
    >>> probabilities(np.log([0.5, 0.3, 0.2]), Sampling(top_k=2)).round(3).tolist()
    [0.625, 0.375, 0.0]
    >>> from congru.runtime.decoding.filters import Forbidden
    >>> probabilities(np.log([0.5, 0.3, 0.2]), Sampling(filters=[Forbidden([0])])).round(3).tolist()
    [0.0, 0.6, 0.4]
    """
    sampling.check()
    scores = np.asarray(logits, np.float64)
    if sampling.filters:
        scores = narrow(scores[None], [prefix], sampling.filters)[0].astype(np.float64, copy=False)
    if sampling.temperature == 0:
        chosen = np.zeros_like(scores)
        chosen[np.argmax(scores)] = 1
        return chosen
    weights = np.exp((scores - scores.max()) / sampling.temperature)
    if sampling.top_k is not None or sampling.top_p is not None:
        order = np.argsort(-scores, kind="stable")
        keep = min(sampling.top_k or len(order), len(order))
        if sampling.top_p is not None:
            shares = np.cumsum(weights[order[:keep]])
            keep = min(int(np.searchsorted(shares, sampling.top_p * shares[-1])) + 1, keep)
        weights[order[keep:]] = 0
    result: NDArray[np.float64] = weights / weights.sum()
    return result


def sample(logits: ArrayLike, sampling: Sampling, rng: np.random.Generator, prefix: Prefix = ()) -> int:
    """Draw a token id from logits [V]; `prefix`, the tokens so far, is what the filters see.

    Raises what :func:`probabilities` raises.

    >>> sample([0.0, 9.0, 0.0], Sampling(temperature=0), np.random.default_rng(0))
    1
    """
    shares = np.cumsum(probabilities(logits, sampling, prefix))
    return int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))
