"""CTC decoding against all alignments; chunked against whole; language model, lexicon, stable prefix; error lines."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congru.errors import SettingsError, ShapeError
from congru.runtime.decoding.ctc import CTCGreedy, CTCPrefixBeam, Lexicon
from congru.runtime.decoding.scores import log_softmax


def random_frames(seed: int, T: int, V: int, coarse: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return log_softmax(rng.integers(0, 2, (T, V)) * 2.0 if coarse else rng.normal(0, 2, (T, V)))


def collapse(alignment: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(alignment) if token != blank)


def all_texts(frames: np.ndarray, blank: int) -> dict[tuple[int, ...], float]:
    """log p of every text, by adding up all alignments."""
    T, V = frames.shape
    shares: dict[tuple[int, ...], float] = defaultdict(float)
    for alignment in itertools.product(range(V), repeat=T):
        shares[collapse(alignment, blank)] += float(np.exp(frames[np.arange(T), alignment].sum()))
    return {text: np.log(share) for text, share in shares.items()}


class Bigram:
    """A language model over tokens whose state is the last token; `calls` counts the questions."""

    def __init__(self, seed: int, V: int) -> None:
        self.table = log_softmax(np.random.default_rng(seed).normal(0, 2, (V + 1, V + 1)))
        self.calls: list[tuple[int, int]] = []

    def start(self) -> int:
        return len(self.table) - 1

    def score(self, state: int, token: int) -> tuple[float, int]:
        self.calls.append((state, token))
        return float(self.table[state, token]), token


class EndingBigram(Bigram):
    def end(self, state: int) -> float:
        return float(self.table[state, -1])


problems = {
    "seed": st.integers(0, 2**32 - 1),
    "T": st.integers(0, 5),
    "V": st.integers(2, 4),
    "coarse": st.booleans(),
}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), **problems)
def test_a_wide_beam_adds_up_all_alignments(data, seed: int, T: int, V: int, coarse: bool) -> None:
    blank = data.draw(st.integers(0, V - 1))
    frames = random_frames(seed, T, V, coarse)
    expected = all_texts(frames, blank)
    texts = CTCPrefixBeam(blank, beam_size=2000).feed(frames).n_best(2000)
    assert {tuple(one.tokens) for one in texts} == set(expected)
    for one in texts:
        assert one.log_p == one.score == pytest.approx(expected[tuple(one.tokens)], abs=1e-10)
    assert [one.score for one in texts] == sorted((one.score for one in texts), reverse=True)
    assert np.exp([one.log_p for one in texts]).sum() == pytest.approx(1, abs=1e-10)


@settings(max_examples=60, deadline=None)
@given(
    bonus=st.sampled_from([0.0, 0.7, -0.4]),
    weight=st.sampled_from([0.0, 0.8]),
    ending=st.booleans(),
    separated=st.booleans(),
    **problems,
)
def test_language_model_bonus_and_lexicon(
    seed: int, T: int, V: int, coarse: bool, bonus: float, weight: float, ending: bool, separated: bool
) -> None:
    frames = random_frames(seed, T, V, coarse)
    lm = (EndingBigram if ending else Bigram)(seed, V)
    separator = V - 1 if separated and V > 2 else None
    alphabet = [token for token in range(1, V) if token != separator]
    lexicon = Lexicon([alphabet, alphabet[:1], alphabet[:1] * 2], separator)
    beam = CTCPrefixBeam(beam_size=2000, lm=lm, lm_weight=weight, token_bonus=bonus, lexicon=lexicon).feed(
        frames
    )
    expected = {}
    for text, log_p in all_texts(frames, 0).items():
        if lexicon.accepts(text):
            path = [lm.start(), *text]
            told = sum(lm.table[a, b] for a, b in itertools.pairwise(path)) + ending * lm.table[path[-1], -1]
            expected[text] = (log_p + weight * told + bonus * len(text), log_p)
    texts = beam.n_best(2000)
    assert {tuple(one.tokens) for one in texts} == set(expected)
    for one in texts:
        assert (one.score, one.log_p) == pytest.approx(expected[tuple(one.tokens)], abs=1e-10)
    assert [one.score for one in texts] == sorted((one.score for one in texts), reverse=True)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cuts=st.lists(st.integers(0, 30), max_size=5),
    beam_size=st.sampled_from([1, 2, 5, 20]),
    top_tokens=st.sampled_from([None, 1, 3]),
    coarse=st.booleans(),
    with_lm=st.booleans(),
)
def test_chunks_give_the_bits_of_the_whole_and_stable_tokens_stay(
    seed: int, cuts: list[int], beam_size: int, top_tokens: int | None, coarse: bool, with_lm: bool
) -> None:
    frames = random_frames(seed, 30, 6, coarse)

    def make() -> CTCPrefixBeam:
        lm = Bigram(seed, 6) if with_lm else None
        return CTCPrefixBeam(beam_size=beam_size, top_tokens=top_tokens, lm=lm, lm_weight=0.5)

    whole, whole_greedy = make().feed(frames), CTCGreedy().feed(frames)
    parts, greedy, stable = make(), CTCGreedy(), []
    edges = [0, *sorted(cuts), 30]
    for first, last in itertools.pairwise(edges):
        before = stable
        parts.feed(frames[first:last])
        greedy.feed(frames[first:last])
        stable = parts.stable()
        assert stable[: len(before)] == before
        every = [one.tokens for one in parts.n_best(beam_size, final=False)]
        assert all(tokens[: len(stable)] == stable for tokens in every)
        longer = {tuple(tokens[: len(stable) + 1]) for tokens in every}
        assert len(every) == 1 or len(longer) > 1
    assert parts.n_best(beam_size) == whole.n_best(beam_size)
    assert (greedy.tokens, greedy.log_p, greedy.num_frames) == (
        whole_greedy.tokens,
        whole_greedy.log_p,
        30,
    )
    assert parts.num_frames == 30


@settings(max_examples=60, deadline=None)
@given(data=st.data(), **problems)
def test_greedy_is_the_best_alignment(data, seed: int, T: int, V: int, coarse: bool) -> None:
    blank = data.draw(st.integers(0, V - 1))
    frames = random_frames(seed, T, V, coarse)
    greedy = CTCGreedy(blank).feed(frames)
    alignments = itertools.product(range(V), repeat=T)
    best = max(alignments, key=lambda path: frames[np.arange(T), path].sum().round(9))
    assert tuple(one.token for one in greedy.tokens) == collapse(best, blank)
    assert greedy.log_p == pytest.approx(frames[np.arange(T), best].sum(), abs=1e-9)
    covered = np.full(T, blank)
    for one in greedy.tokens:
        covered[one.start : one.end] = one.token
        shares = np.exp(frames[one.start : one.end, one.token])
        assert one.confidence == pytest.approx(shares.mean(), abs=1e-12)
    assert tuple(covered.tolist()) == best


def test_the_end_of_a_text_is_scored_only_at_the_end() -> None:
    lm = EndingBigram(5, 3)
    beam = CTCPrefixBeam(beam_size=9, lm=lm, lm_weight=0.5).feed(random_frames(5, 1, 3))
    running = {tuple(one.tokens): one.score for one in beam.n_best(9, final=False)}
    ended = {tuple(one.tokens): one.score for one in beam.n_best(9)}
    assert set(ended) == {(), (1,), (2,)}
    for text, score in ended.items():
        last = text[-1] if text else lm.start()
        assert score == pytest.approx(running[text] + 0.5 * lm.table[last, -1], abs=1e-12)


def test_the_best_text_need_not_be_the_best_path() -> None:
    frames = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert CTCGreedy().feed(frames).tokens == []
    assert CTCPrefixBeam(beam_size=2).feed(frames).n_best()[0].tokens == [1]


def test_top_tokens_are_the_most_probable_ones_of_a_frame() -> None:
    frames = np.log([[0.1, 0.2, 0.3, 0.4]])
    texts = CTCPrefixBeam(top_tokens=2).feed(frames).n_best(9)
    assert [one.tokens for one in texts] == [[3], [2], []]
    texts = CTCPrefixBeam(blank=3, top_tokens=2).feed(frames).n_best(9)
    assert [one.tokens for one in texts] == [[], [2], [1]]


def test_a_prefix_that_comes_back_is_the_same_prefix() -> None:
    """With a beam of one the text [1] is dropped and found again; a language model is asked once for each text."""
    lm = Bigram(0, 3)
    frames = random_frames(1, 40, 3)
    CTCPrefixBeam(beam_size=4, lm=lm, lm_weight=0.1).feed(frames)
    asked = len(lm.calls)
    assert asked < 40 * 4 * 2
    beam = CTCPrefixBeam(beam_size=4).feed(frames)
    every = [tuple(one.tokens) for one in beam.n_best(4)]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("separator", [0, None])
def test_a_lexicon_accepts_words_with_one_separator_between(separator: int | None) -> None:
    words = {(1,), (1, 2), (2, 2)}
    lexicon = Lexicon([list(word) for word in words], separator)
    for length in range(7):
        for text in itertools.product(range(3), repeat=length):
            parts = [tuple(map(int, part)) for part in "".join(map(str, text)).split("0")]
            if separator is None:
                expected = not text or text in words
            else:
                expected = set(parts[:-1]) <= words and parts[-1] in words | {()}
            assert lexicon.accepts(text) is expected, text


def test_inside_a_word() -> None:
    lexicon = Lexicon([[1, 2]], separator=None)
    beam = CTCPrefixBeam(beam_size=1, lexicon=lexicon).feed(np.log([[0.1, 0.8, 0.1]]))
    assert beam.n_best(final=True) == []
    assert [one.tokens for one in beam.n_best(final=False)] == [[1]]
    beam.feed(np.log([[0.1, 0.1, 0.8]]))
    assert beam.n_best()[0].tokens == [1, 2]


class NaNModel(Bigram):
    def score(self, state: int, token: int) -> tuple[float, int]:
        return float("nan"), token


FRAME = np.log([[0.5, 0.5]])


@pytest.mark.parametrize(
    ("error", "line", "call"),
    [
        (
            SettingsError,
            "beam_size is 0, expected a whole number of at least 1",
            lambda: CTCPrefixBeam(beam_size=0),
        ),
        (
            SettingsError,
            "top_tokens is 0, expected a whole number of at least 1",
            lambda: CTCPrefixBeam(top_tokens=0),
        ),
        (
            SettingsError,
            "lm_weight is -1, expected a number of at least 0: try 0.5",
            lambda: CTCPrefixBeam(lm_weight=-1),
        ),
        (
            SettingsError,
            "token_bonus is nan, expected a finite number: try 0.5",
            lambda: CTCPrefixBeam(token_bonus=float("nan")),
        ),
        (
            SettingsError,
            "num_best is 0, expected a whole number of at least 1",
            lambda: CTCPrefixBeam().n_best(0),
        ),
        (
            SettingsError,
            "blank is 2, expected a token from 0 to 1: use the model's blank",
            lambda: CTCGreedy(blank=2).feed(FRAME),
        ),
        (
            ShapeError,
            "frames has 3 scores a frame, expected V = 2: feed one stream's frames",
            lambda: CTCPrefixBeam().feed(FRAME).feed(np.log([[0.4, 0.3, 0.3]])),
        ),
        (
            ShapeError,
            "frames has 3 scores a frame, expected V = 2: feed one stream's frames",
            lambda: CTCGreedy().feed(FRAME).feed(np.log([[0.4, 0.3, 0.3]])),
        ),
        (
            ShapeError,
            "frames holds 0.5, expected log-probabilities of at most 0: pass log_softmax(logits)",
            lambda: CTCPrefixBeam().feed(np.exp(FRAME)),
        ),
        (
            ShapeError,
            "frames has shape (2,), expected [rows, V] = (any, any): give one row of V scores each",
            lambda: CTCGreedy().feed(FRAME[0]),
        ),
        (
            SettingsError,
            "frame 1 leaves no hypothesis, expected at least one: raise beam_size or top_tokens, or check the"
            " frames, the lexicon and the language model",
            lambda: CTCPrefixBeam().feed(FRAME).feed([[-np.inf, -np.inf]]),
        ),
        (
            SettingsError,
            "lm.score of token 1 is nan, expected a log-probability: check the language model",
            lambda: CTCPrefixBeam(lm=NaNModel(0, 2)).feed(FRAME),
        ),
        (
            SettingsError,
            "words holds [1, 0], expected at least one token and no separator 0: remove it",
            lambda: Lexicon([[1, 0]], separator=0),
        ),
        (
            SettingsError,
            "words holds [], expected at least one token and no separator None: remove it",
            lambda: Lexicon([[]], separator=None),
        ),
    ],
)
def test_error_lines(error, line, call) -> None:
    with pytest.raises(error, match=f"^{re.escape(line)}$"):
        call()
