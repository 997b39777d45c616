"""Beam search and greedy decoding against all strings, against a plain beam, and batched against alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congru.errors import SettingsError, ShapeError
from congru.runtime.decoding.beam import Hypothesis, beam_search, greedy, length_penalty
from congru.runtime.decoding.filters import Forbidden, Locked
from congru.runtime.decoding.scores import log_softmax

V, END, START = 3, 0, 1


def next_log_p(model: int, prefix: Sequence[int]) -> np.ndarray:
    """What follows a prefix in one of many random models; coarse, so that equal scores happen."""
    rng = np.random.default_rng([model, len(prefix), *prefix])
    return np.log(rng.integers(1, 5, V) / 12)


class Model:
    """A `step` whose state holds, per row, the model's number and all tokens so far; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    @staticmethod
    def state(models: Sequence[int]) -> dict[str, np.ndarray]:
        history = np.full((2, len(models), 12), -1)
        history[0, :, 0], history[1] = models, history[0]
        return {"history": history}

    def __call__(self, tokens: np.ndarray, state: dict[str, np.ndarray]):
        history = state["history"].copy()
        if self.calls:
            history[:, :, self.calls] = tokens
        self.calls += 1
        rows = [[int(token) for token in row[: self.calls]] for row in history[1]]
        scores = np.stack([next_log_p(row[0], row[1:]) for row in rows])
        return scores, {"history": history}, history[0]


def all_strings(model: int, max_length: int, alpha: float, min_length: int = 0) -> list[tuple]:
    """(not ended, -score, tokens) of every string, best first."""
    scored = []
    for length in range(1, max_length + 1):
        for tokens in itertools.product(range(V), repeat=length):
            ended = tokens[-1] == END
            if END in tokens[:-1] or not (ended or length == max_length) or (ended and length <= min_length):
                continue
            log_p = sum(next_log_p(model, tokens[:i])[token] for i, token in enumerate(tokens))
            score = log_p / ((5 + length) / 6) ** alpha
            scored.append((not ended, -score, list(tokens[:-1] if ended else tokens)))
    return sorted(scored)


def plain_beam(model: int, beam_size: int, max_length: int, alpha: float) -> list[Hypothesis]:
    """The same search to the last step, without early stop, arrays or state."""
    opened, ended = [([], 0.0)], []
    for length in range(1, max_length + 1):
        grown = [
            ([*tokens, token], log_p + next_log_p(model, tokens)[token])
            for tokens, log_p in opened
            for token in range(V)
        ]
        grown.sort(key=lambda one: -one[1])
        opened = []
        for tokens, log_p in grown:
            if len(opened) == beam_size:
                break
            if tokens[-1] == END:
                ended.append((tokens[:-1], log_p / length_penalty(length, alpha)))
            else:
                opened.append((tokens, log_p))
    cut = [(tokens, log_p / length_penalty(max_length, alpha)) for tokens, log_p in opened]
    return sorted(ended, key=lambda one: -one[1]) + cut


@settings(max_examples=60, deadline=None)
@given(
    model=st.integers(0, 10**6),
    max_length=st.integers(1, 4),
    alpha=st.sampled_from([0.0, 0.6, 1.0, 2.5]),
    num_best=st.sampled_from([1, 4, 81]),
    min_length=st.integers(0, 2),
)
def test_a_wide_beam_finds_the_best_of_all_strings(
    model: int, max_length: int, alpha: float, num_best: int, min_length: int
) -> None:
    least = min(min_length, max_length)
    settings = {"max_length": max_length, "min_length": least, "alpha": alpha}
    best = beam_search(
        Model(), Model.state([model]), start=START, end=END, beam_size=81, num_best=num_best, **settings
    )[0]
    expected = all_strings(model, max_length, alpha, least)
    assert len(best) == min(num_best, len(expected))
    for one, (cut, score, _) in zip(best, expected):
        assert one.ended is not cut
        assert one.score == pytest.approx(-score, abs=1e-12)
    strings = {tuple(tokens): -score for _, score, tokens in expected}
    for one in best:
        if one.ended or len(one.tokens) == max_length:
            assert one.score == pytest.approx(strings[tuple(one.tokens)], abs=1e-12)
    assert len({(tuple(one.tokens), one.ended) for one in best}) == len(best)


@settings(max_examples=60, deadline=None)
@given(
    model=st.integers(0, 10**6),
    beam_size=st.integers(1, 4),
    max_length=st.integers(1, 9),
    alpha=st.sampled_from([0.0, 0.6, 2.5]),
    data=st.data(),
)
def test_stopping_early_changes_nothing(
    model: int, beam_size: int, max_length: int, alpha: float, data
) -> None:
    num_best = data.draw(st.integers(1, beam_size))
    expected = plain_beam(model, beam_size, max_length, alpha)[:num_best]
    best = beam_search(
        Model(),
        Model.state([model]),
        start=START,
        end=END,
        max_length=max_length,
        beam_size=beam_size,
        num_best=num_best,
        alpha=alpha,
    )[0]
    assert [(one.tokens, one.score) for one in best] == expected


@pytest.mark.parametrize(("alpha", "num_steps"), [(0.0, 1), (0.6, 3)])
def test_it_stops_where_nothing_open_can_win(alpha: float, num_steps: int) -> None:
    """Kept: log 0.5 after one step. Open after n: n log 0.25 / lp(60), with lp(60) = 1 or 4.04."""
    calls = []

    def step(tokens, state):
        calls.append(len(tokens))
        return np.log([[0.5, 0.25, 0.25]] * len(tokens)), state

    best = beam_search(step, {}, start=1, end=0, max_length=60, beam_size=2, alpha=alpha)[0]
    assert best[0].tokens == []
    assert calls == [2] * num_steps


@settings(max_examples=40, deadline=None)
@given(
    models=st.lists(st.integers(0, 10**6), min_size=1, max_size=4),
    beam_size=st.integers(1, 4),
    max_length=st.integers(1, 6),
    alpha=st.sampled_from([0.0, 0.6]),
)
def test_a_sentence_of_a_batch_is_the_sentence_alone(
    models: list[int], beam_size: int, max_length: int, alpha: float
) -> None:
    def filters(number: int):
        return [Locked({1: 2})] if models[number] % 2 else []

    def decode(numbers: list[int]):
        return beam_search(
            Model(),
            Model.state([models[n] for n in numbers]),
            start=[START] * len(numbers),
            end=END,
            max_length=max_length,
            num_sentences=len(numbers),
            beam_size=beam_size,
            num_best=beam_size,
            alpha=alpha,
            filters=lambda number: filters(numbers[number]),
        )

    def same(a: Hypothesis, b: Hypothesis) -> bool:
        arrays = all(
            np.array_equal(x, y) for x, y in ((a.token_scores, b.token_scores), (a.extras, b.extras))
        )
        return arrays and a[:3] == b[:3] and a.ended == b.ended

    together = decode(list(range(len(models))))
    for number, best in enumerate(together):
        alone = decode([number])[0]
        assert len(alone) == len(best)
        assert all(same(a, b) for a, b in zip(alone, best))
        for one in best:
            assert models[number] % 2 == 0 or one.tokens[1:2] in ([], [2])
    firsts = greedy(
        Model(), Model.state(models), start=START, end=END, max_length=max_length, num_sentences=len(models)
    )
    for number, one in enumerate(firsts):
        alone = greedy(Model(), Model.state([models[number]]), start=START, end=END, max_length=max_length)[0]
        assert same(one, alone)


@settings(max_examples=40, deadline=None)
@given(model=st.integers(0, 10**6), max_length=st.integers(1, 8), min_length=st.integers(0, 3))
def test_greedy_takes_the_first_most_probable_token(model: int, max_length: int, min_length: int) -> None:
    min_length = min(min_length, max_length)
    tokens: list[int] = []
    scores = []
    while len(tokens) < max_length:
        log_p = next_log_p(model, tokens)
        if len(tokens) < min_length:
            log_p[END] = -np.inf
        tokens.append(int(np.argmax(log_p)))
        scores.append(log_p[tokens[-1]])
        if tokens[-1] == END:
            break
    one = greedy(
        Model(), Model.state([model]), start=1, end=END, max_length=max_length, min_length=min_length
    )[0]
    assert one.tokens == [token for token in tokens if token != END]
    assert one.ended is (tokens[-1] == END)
    np.testing.assert_array_equal(one.token_scores, scores)
    assert one.score == one.log_p == pytest.approx(sum(scores), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(model=st.integers(0, 10**6), alpha=st.sampled_from([0.0, 0.6]))
def test_extras_and_token_scores_follow_the_parents(model: int, alpha: float) -> None:
    hypotheses = beam_search(
        Model(),
        Model.state([model]),
        start=START,
        end=END,
        max_length=6,
        beam_size=3,
        num_best=3,
        alpha=alpha,
    )[0]
    for one in hypotheses:
        tokens = [*one.tokens, END] if one.ended else one.tokens
        assert one.extras is not None
        assert one.extras.shape == (len(tokens), 12)
        assert one.extras[-1, 1 : len(tokens)].tolist() == tokens[:-1]  # the last step saw all before it
        expected = [next_log_p(model, tokens[:i])[token] for i, token in enumerate(tokens)]
        np.testing.assert_array_equal(one.token_scores, expected)
        assert one.log_p == pytest.approx(one.token_scores.sum(), abs=1e-12)
        assert one.score == one.log_p / length_penalty(len(tokens), alpha)


def test_equal_scores_come_in_the_order_of_rows_and_tokens() -> None:
    def uniform(tokens, state):
        return np.full((len(tokens), 3), np.log(1 / 3)), state

    best = beam_search(uniform, {}, start=0, end=None, max_length=2, beam_size=4, num_best=4)[0]
    assert [one.tokens for one in best] == [[0, 0], [0, 1], [0, 2], [1, 0]]
    assert all(not one.ended and one.extras is None for one in best)
    best = beam_search(uniform, {}, start=1, end=0, max_length=3, beam_size=4, num_best=4, alpha=0)[0]
    assert [one.tokens for one in best] == [[], [1], [2], [1, 1]]


def test_the_tokens_a_step_was_given_stay_as_they_were() -> None:
    kept = []

    def step(tokens, state):
        kept.append((tokens, tokens.tolist()))
        return np.log([[0.1, 0.2, 0.7]] * len(tokens)), state

    greedy(step, {}, start=1, end=0, max_length=3)
    assert [tokens.tolist() for tokens, _ in kept] == [told for _, told in kept] == [[1], [2], [2]]


def test_filters_hold_in_every_hypothesis() -> None:
    rng = np.random.default_rng(3)
    table = log_softmax(rng.normal(size=(6, 6)))
    best = beam_search(
        lambda tokens, state: (table[tokens], state),
        {},
        start=0,
        end=None,
        max_length=5,
        beam_size=6,
        num_best=6,
        filters=[Locked({0: 5, 3: 2}), Forbidden([4])],
    )[0]
    free = [row for row in itertools.product(range(6), repeat=5) if row[0] == 5 and row[3] == 2]
    scores = {row: sum(table[a, b] for a, b in zip((0, *row), row)) for row in free if 4 not in row}
    assert tuple(best[0].tokens) == max(scores, key=lambda row: scores[row])
    assert all(tuple(one.tokens) in scores for one in best)


def bad_step(scores):
    return lambda tokens, state: (scores, state)


GOOD = {"start": 0, "end": 0, "max_length": 3, "beam_size": 2}


@pytest.mark.parametrize(
    ("error", "line", "changes"),
    [
        (
            SettingsError,
            "num_best is 3, expected 1 to beam_size = 2: raise beam_size to keep more",
            {"num_best": 3},
        ),
        (SettingsError, "alpha is -1, expected a number of at least 0: try 0.6", {"alpha": -1}),
        (SettingsError, "alpha is nan, expected a number of at least 0: try 0.6", {"alpha": float("nan")}),
        (SettingsError, "max_length is 0, expected a whole number of at least 1", {"max_length": 0}),
        (
            SettingsError,
            "min_length is 4, expected 0 to max_length = 3: lower it",
            {"min_length": 4},
        ),
        (SettingsError, "num_sentences is 0, expected a whole number of at least 1", {"num_sentences": 0}),
        (
            ShapeError,
            "start has shape (2,), expected one token or [S] = (1,): give one a sentence",
            {"start": [0, 0]},
        ),
        (
            SettingsError,
            "end is 5, expected a token from 0 to 2: use the model's end token, or None",
            {"end": 5},
        ),
        (
            ShapeError,
            "state 'h' has shape (1, 2, 3), expected [L*D, S, H] with S = 1: give one row a sentence,"
            " and num_sentences",
            {"state": {"h": np.zeros((1, 2, 3))}},
        ),
        (
            ShapeError,
            "step's scores has shape (3, 3), expected [rows, V] = (2, any): give one row of V scores each",
            {"step": bad_step(np.zeros((3, 3)))},
        ),
        (
            ShapeError,
            "step's scores holds 2, expected log-probabilities of at most 0: pass log_softmax(logits)",
            {"step": bad_step(np.full((2, 3), 2.0))},
        ),
        (
            SettingsError,
            "filters[0] (Forbidden) leaves no token at position 0 after [], expected at least one:"
            " loosen it or those before it",
            {"filters": [Forbidden([0, 1, 2])]},
        ),
    ],
)
def test_error_lines(error, line, changes) -> None:
    arguments = {"step": bad_step(np.full((2, 3), -1.0)), "state": {}, **GOOD, **changes}
    with pytest.raises(error, match=f"^{re.escape(line)}$"):
        beam_search(arguments.pop("step"), arguments.pop("state"), **arguments)


def test_beam_size_error_line() -> None:
    with pytest.raises(SettingsError, match=r"^num_best is 1, expected 1 to beam_size = 0: raise beam_size"):
        beam_search(bad_step(np.zeros((0, 3))), {}, **{**GOOD, "beam_size": 0})
