"""Linear chains against all paths: best, n best, partition, marginals; batched against alone; every error line."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congru.errors import SettingsError, ShapeError
from congru.runtime.decoding.viterbi import Allowed, LinearChain, bio_allowed


def random_chain(rng: np.random.Generator, K: int, coarse: bool, forbid: float) -> LinearChain:
    def values(*shape: int) -> np.ndarray:
        return rng.integers(-2, 3, shape).astype(float) if coarse else rng.normal(0, 2, shape)

    mask = rng.random((K, K)) >= forbid
    np.fill_diagonal(mask, True)  # so that a path exists
    allowed = Allowed(mask, np.ones(K, bool), rng.random(K) >= -1)
    return LinearChain(values(K, K), values(K), values(K), allowed)


def path_score(chain: LinearChain, emissions: np.ndarray, path: tuple[int, ...]) -> float:
    if not path:
        return 0.0
    score = chain.start[path[0]] + emissions[0, path[0]]
    for t in range(1, len(path)):
        score = score + chain.transitions[path[t - 1], path[t]] + emissions[t, path[t]]
    return score + chain.end[path[-1]]


def all_paths(chain: LinearChain, emissions: np.ndarray, length: int) -> dict[tuple[int, ...], float]:
    paths = itertools.product(range(chain.num_tags), repeat=length)
    scored = {path: path_score(chain, emissions, path) for path in paths}
    return {path: score for path, score in scored.items() if score > -np.inf}


problems = {
    "seed": st.integers(0, 2**32 - 1),
    "K": st.integers(1, 4),
    "lengths": st.lists(st.integers(0, 4), min_size=1, max_size=4),
    "coarse": st.booleans(),
    "forbid": st.sampled_from([0.0, 0.4]),
}


@settings(max_examples=80, deadline=None)
@given(num_best=st.integers(1, 5), **problems)
def test_against_all_paths(
    seed: int, K: int, lengths: list[int], coarse: bool, forbid: float, num_best: int
) -> None:
    rng = np.random.default_rng(seed)
    chain = random_chain(rng, K, coarse, forbid)
    T = max(lengths)
    emissions = (
        rng.integers(-2, 3, (len(lengths), T, K)) if coarse else rng.normal(0, 2, (len(lengths), T, K))
    )
    emissions = emissions.astype(float)
    paths, scores = chain.n_best(emissions, num_best, lengths)
    first, first_scores = chain.viterbi(emissions, lengths)
    np.testing.assert_array_equal(first, paths[:, 0])
    np.testing.assert_array_equal(first_scores, scores[:, 0])
    partition, marginals = chain.log_partition(emissions, lengths), chain.marginals(emissions, lengths)
    for row, length in enumerate(lengths):
        expected = all_paths(chain, emissions[row], length)
        kept = scores[row] > -np.inf
        assert kept.sum() == min(num_best, len(expected))
        best_scores = sorted(expected.values(), reverse=True)[: int(kept.sum())]
        np.testing.assert_allclose(scores[row][kept], best_scores, atol=1e-12)
        decoded = [tuple(path[:length].tolist()) for path in paths[row][kept]]
        assert len(set(decoded)) == len(decoded)
        np.testing.assert_allclose([expected[path] for path in decoded], scores[row][kept], atol=1e-12)
        assert (paths[row, :, length:] == -1).all()
        assert (paths[row][~kept] == -1).all()
        weights = np.exp(np.array(list(expected.values())))
        assert partition[row] == pytest.approx(np.log(weights.sum()), abs=1e-10)
        shares = np.zeros((T, K))
        for path, weight in zip(expected, weights / weights.sum()):
            for t, tag in enumerate(path):
                shares[t, tag] += weight
        np.testing.assert_allclose(marginals[row], shares, atol=1e-10)
        np.testing.assert_allclose(marginals[row, :length].sum(axis=1), 1, atol=1e-10)
        padded = np.where(first[row] < 0, 99, first[row])
        told = chain.score(emissions[row : row + 1], padded[None], [length])
        np.testing.assert_allclose(told, first_scores[row], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(num_best=st.integers(1, 3), **problems)
def test_a_row_of_a_batch_is_the_row_alone(
    seed: int, K: int, lengths: list[int], coarse: bool, forbid: float, num_best: int
) -> None:
    rng = np.random.default_rng(seed)
    chain = random_chain(rng, K, coarse, forbid)
    emissions = rng.normal(0, 2, (len(lengths), max(lengths) + 1, K))
    emissions[np.arange(emissions.shape[1]) >= np.array(lengths)[:, None]] = np.nan  # padding is not read
    paths, scores = chain.n_best(emissions, num_best, lengths)
    partition, marginals = chain.log_partition(emissions, lengths), chain.marginals(emissions, lengths)
    for row, length in enumerate(lengths):
        alone = emissions[row : row + 1, :length]
        own_paths, own_scores = chain.n_best(alone, num_best)
        np.testing.assert_array_equal(own_paths[0], paths[row, :, :length])
        np.testing.assert_array_equal(own_scores[0], scores[row])
        np.testing.assert_array_equal(chain.log_partition(alone)[0], partition[row])
        np.testing.assert_array_equal(chain.marginals(alone)[0], marginals[row, :length])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(1, 6))
def test_bio_paths_are_valid(seed: int, length: int) -> None:
    tags = ["I-A", "O", "B-A", "B-B", "I-B"]
    rng = np.random.default_rng(seed)
    chain = LinearChain(rng.normal(0, 2, (5, 5)), allowed=bio_allowed(tags))
    emissions = rng.normal(0, 4, (1, length, 5))
    for path in chain.n_best(emissions, 4)[0][0]:
        names = ["O"] + [tags[tag] for tag in path if tag >= 0]
        for before, after in itertools.pairwise(names):
            assert not after.startswith("I-") or before in ("B" + after[1:], after)
    assert chain.marginals(emissions)[0, 0, [0, 4]].tolist() == [0, 0]


def test_bio_allowed() -> None:
    allowed = bio_allowed(["O", "B-A", "I-A", "B-B", "I-B"])
    assert allowed.start.tolist() == [True, True, False, True, False]
    assert allowed.end.all()
    assert allowed.transitions[:, 2].tolist() == [False, True, True, False, False]
    assert allowed.transitions[:, [0, 1, 3]].all()


def test_equals_and_extremes() -> None:
    chain = LinearChain(np.zeros((2, 2)))
    paths, _ = chain.n_best(np.zeros((1, 2, 2)), 5)
    assert paths[0].tolist() == [[0, 0], [1, 0], [0, 1], [1, 1], [-1, -1]]
    large = np.array([[[1e4, 0.0], [0.0, 1e4]]])
    np.testing.assert_allclose(chain.marginals(large)[0], [[1, 0], [0, 1]], atol=1e-12)
    assert chain.log_partition(-large)[0] == pytest.approx(0, abs=1e-12)
    assert chain.marginals(np.zeros((2, 0, 2))).shape == (2, 0, 2)
    assert chain.log_partition(np.zeros((2, 0, 2))).tolist() == [0, 0]


GOOD = LinearChain(np.zeros((2, 2)))
BLOCKED = LinearChain([[-np.inf, -np.inf], [0, -np.inf]])


@pytest.mark.parametrize(
    ("error", "line", "call"),
    [
        (
            ShapeError,
            "transitions has shape (2, 3), expected [K, K]: give a score for each pair of tags",
            lambda: LinearChain(np.zeros((2, 3))),
        ),
        (
            ShapeError,
            "start has shape (3,), expected [K] = (2,): give one score a tag",
            lambda: LinearChain(np.zeros((2, 2)), start=np.zeros(3)),
        ),
        (
            ShapeError,
            "end has shape (1,), expected [K] = (2,): give one score a tag",
            lambda: LinearChain(np.zeros((2, 2)), end=np.zeros(1)),
        ),
        (
            ShapeError,
            "allowed.transitions has shape (3, 3), expected [K, K] = (2, 2): give one truth value a tag",
            lambda: LinearChain(np.zeros((2, 2)), allowed=bio_allowed(["O", "B-A", "I-A"])),
        ),
        (
            ShapeError,
            "transitions holds NaN or +inf, expected numbers or -inf: check the model that made them",
            lambda: LinearChain([[np.nan]]),
        ),
        (
            ShapeError,
            "emissions holds NaN or +inf, expected numbers or -inf: check the model that made them",
            lambda: GOOD.viterbi([[[np.inf, 0.0]]]),
        ),
        (
            ShapeError,
            "emissions has shape (1, 4, 3), expected [B, T, K] = (any, any, 2): give one score a tag",
            lambda: GOOD.marginals(np.zeros((1, 4, 3))),
        ),
        (
            ShapeError,
            "lengths has shape (2,), expected [B] = (1,): give one length a row",
            lambda: GOOD.viterbi(np.zeros((1, 4, 2)), [1, 2]),
        ),
        (
            ShapeError,
            "lengths holds 5, expected 0 to T = 4: count the steps of each row",
            lambda: GOOD.viterbi(np.zeros((1, 4, 2)), [5]),
        ),
        (
            SettingsError,
            "num_best is 0, expected a whole number of at least 1",
            lambda: GOOD.n_best(np.zeros((1, 4, 2)), 0),
        ),
        (
            ShapeError,
            "tags has shape (1, 2), expected [B, T] = (1, 4): give one tag a step",
            lambda: GOOD.score(np.zeros((1, 4, 2)), [[0, 1]]),
        ),
        (
            SettingsError,
            "tags holds 2, expected 0 to 1: use the numbers of the tags",
            lambda: GOOD.score(np.zeros((1, 2, 2)), [[0, 2]]),
        ),
        (
            SettingsError,
            "row 1 has no allowed path, expected at least one: allow more transitions",
            lambda: BLOCKED.viterbi(np.zeros((2, 3, 2)), [2, 3]),
        ),
        (
            SettingsError,
            "row 0 has no allowed path, expected at least one: allow more transitions",
            lambda: BLOCKED.marginals(np.zeros((1, 3, 2))),
        ),
        (
            SettingsError,
            "tag is 'X-PER', expected 'O', 'B-...' or 'I-...': rename it",
            lambda: bio_allowed(["O", "X-PER"]),
        ),
    ],
)
def test_error_lines(error, line, call) -> None:
    with pytest.raises(error, match=f"^{re.escape(line)}$"):
        call()
