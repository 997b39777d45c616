"""Filters: what each forbids, that they compose, and every error line."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congru.errors import SettingsError, ShapeError
from congru.runtime.decoding.filters import Forbidden, Legal, Locked, MinLength, forced, narrow
from congru.runtime.decoding.sampling import Sampling, probabilities, sample

SCORES = np.log(np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]))
PREFIXES = [[0], [1, 2]]


def allowed_tokens(scores: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(row > -np.inf).tolist() for row in scores]


@pytest.mark.parametrize(
    ("narrower", "expected"),
    [
        (Legal(lambda prefix: [prefix[-1], 3]), [[0, 3], [2, 3]]),
        (Legal(lambda prefix: np.arange(4) < len(prefix)), [[0], [0, 1]]),
        (Locked({1: 3, 5: 0}), [[3], [0, 1, 2, 3]]),
        (forced([1, 1, 2]), [[1], [2]]),
        (Forbidden([1, 2]), [[0, 3], [0, 3]]),
        (Forbidden([]), [[0, 1, 2, 3], [0, 1, 2, 3]]),
        (MinLength(2, end=3), [[0, 1, 2], [0, 1, 2, 3]]),
    ],
)
def test_each_filter_keeps_the_scores_of_what_it_allows(narrower, expected) -> None:
    before = SCORES.copy()
    narrowed = narrower(SCORES, PREFIXES)
    assert allowed_tokens(narrowed) == expected
    np.testing.assert_array_equal(narrowed[narrowed > -np.inf], SCORES[narrowed > -np.inf])
    np.testing.assert_array_equal(SCORES, before)
    assert narrower(SCORES.astype(np.float32), PREFIXES).dtype == np.float32


@settings(max_examples=50, deadline=None)
@given(tokens=st.lists(st.integers(0, 3), max_size=3), least=st.integers(0, 3), locked=st.integers(0, 3))
def test_filters_compose_in_any_order(tokens: list[int], least: int, locked: int) -> None:
    filters = [Forbidden(tokens), MinLength(least, end=0), Locked({1: locked})]
    both = np.stack([each(SCORES, PREFIXES) for each in filters]).min(axis=0)
    if (both.max(axis=1) > -np.inf).all():
        for order in (filters, filters[::-1]):
            np.testing.assert_array_equal(narrow(SCORES, PREFIXES, order), both)
    else:
        with pytest.raises(SettingsError, match="leaves no token at position"):
            narrow(SCORES, PREFIXES, filters)


def test_sampling_draws_only_what_filters_allow() -> None:
    sampling = Sampling(filters=[Locked({2: 1}), Forbidden([3])])
    np.testing.assert_allclose(probabilities(SCORES[0], sampling, [0]), [1 / 6, 2 / 6, 3 / 6, 0], atol=1e-15)
    rng = np.random.default_rng(0)
    assert {sample(SCORES[0], sampling, rng, [0, 0]) for _ in range(20)} == {1}
    coldest = Sampling(temperature=0, filters=[Forbidden([3])])
    assert sample(SCORES[0], coldest, rng) == 2


@pytest.mark.parametrize(
    ("error", "message", "filters"),
    [
        (
            SettingsError,
            "filters[1] (Locked) leaves no token at position 1 after [0], expected at least one:"
            " loosen it or those before it",
            [Forbidden([3]), Locked({1: 3})],
        ),
        (
            SettingsError,
            "filters[0] (Legal) leaves no token at position 2 after [1, 2], expected at least one:"
            " loosen it or those before it",
            [Legal(lambda prefix: [] if len(prefix) == 2 else [1])],
        ),
        (
            ShapeError,
            "filters[0] (<lambda>) returned shape (4,), expected [K, V] = (2, 4): return one score a token",
            [lambda scores, prefixes: scores[0]],
        ),
        (
            ShapeError,
            "Legal mask has shape (3,), expected [V] = (4,): give one truth value a token",
            [Legal(lambda prefix: np.ones(3, bool))],
        ),
        (
            SettingsError,
            "Legal holds token 4, expected a whole number from 0 to 3: use the model's token ids",
            [Legal(lambda prefix: [1, 4])],
        ),
        (
            SettingsError,
            "Legal holds token 0.5, expected a whole number from 0 to 3: use the model's token ids",
            [Legal(lambda prefix: [0.5])],
        ),
        (SettingsError, "Locked holds token -1, expected a whole number from 0 to 3", [Locked({1: -1})]),
        (SettingsError, "Forbidden holds token 9, expected a whole number from 0 to 3", [Forbidden([9])]),
        (SettingsError, "MinLength end holds token 7, expected a whole number", [MinLength(1, end=7)]),
    ],
)
def test_error_lines(error, message, filters) -> None:
    with pytest.raises(error, match="^" + re.escape(message)):
        narrow(SCORES, PREFIXES, filters)


def test_other_error_lines() -> None:
    line = "Locked position is -1, expected at least 0: count from the first token"
    with pytest.raises(SettingsError, match=f"^{line}$"):
        Locked({-1: 0})
    line = "the scores have no token at position 7 after [..., 2, 3, 4, 5, 6], expected at least one: check the model"
    with pytest.raises(SettingsError, match="^" + re.escape(line)):
        narrow(np.full((1, 3), -np.inf), [range(7)], [])
