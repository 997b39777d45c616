"""Alignment and language models against enumeration and sums; beams with words; faults of ARPA files."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from congru.errors import DataError, SettingsError
from congru.runtime.decoding.scores import log_softmax
from congru.tasks.speech.align import align
from congru.tasks.speech.arpa import END, UNKNOWN, estimate, format_arpa, parse_arpa, read_arpa, read_words
from congru.tasks.speech.decoding import Decoding
from congru.tasks.speech.texts import BLANK, Alphabet
from congru.tasks.speech.word_scores import WordScores
from congru.tasks.speech.words import text_of, words_of
from shared_files import CASES, DATA, needs

SPEECH = CASES / "speech"
ALPHABET = Alphabet([BLANK, " ", "A", "B"])
TEXTS = [text.split() for text in ("a b a", "a b", "b", "c a b", "a")]


def frames_of_text(path: str, sure: float = 0.9) -> np.ndarray:
    """Log-probabilities of a path of labels, `-` the blank."""
    p = np.full((len(path), 4), (1 - sure) / 3)
    for t, char in enumerate(path):
        p[t, 0 if char == "-" else ALPHABET.encode(char)[0]] = sure
    return np.log(p)


def collapse(path: tuple[int, ...]) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token]


def test_alignment_is_the_best_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    for tokens in ([1], [1, 2], [2, 2]):
        frames = log_softmax(rng.standard_normal((5, 3)))
        paths = [p for p in itertools.product(range(3), repeat=5) if collapse(p) == tokens]
        best = max(paths, key=lambda p: sum(frames[t, v] for t, v in enumerate(p)))
        aligned = align(frames, tokens)
        path = [0] * 5
        for one in aligned:
            path[one.start : one.end] = [one.token] * (one.end - one.start)
        assert tuple(path) == best
    with pytest.raises(DataError, match="too few for a text of 2 tokens"):
        align(frames[:2], [1, 1])
    assert align(frames, []) == []


@pytest.mark.parametrize("order", [1, 2, 3])
def test_witten_bell_sums_to_one_after_every_history(order: int) -> None:
    model = estimate(TEXTS, order, extra=["d"])
    histories = (
        {model.start()} | {("a", "b")[-(order - 1) :] if order > 1 else ()} | {("c",) if order > 1 else ()}
    )
    for history in histories:
        total = sum(math.exp(model.score(history, word)[0]) for word in ("a", "b", "c", "d", END, UNKNOWN))
        assert total == pytest.approx(1.0)


def test_a_model_prefers_its_texts_and_survives_its_file() -> None:
    model = estimate(TEXTS)
    assert model.log_p(["a", "b"]) > model.log_p(["b", "b"]) > model.log_p(["z", "z", "z"])
    again = parse_arpa(format_arpa(model), "x")
    assert again.order == 3
    assert again.words == ["a", "b", "c"]
    for text in TEXTS:
        assert again.log_p(text) == pytest.approx(model.log_p(text), abs=1e-4)


@needs(SPEECH)
def test_real_arpa_files() -> None:
    plain = read_arpa(SPEECH / "yes_no.arpa")
    assert sum(len(words) == 1 for words in plain.entries) == 4
    odd = read_arpa(SPEECH / "odd_tokens.arpa")
    counts = [sum(len(words) == n for words in odd.entries) for n in (1, 2)]
    assert counts == [904, 24_780]
    with pytest.raises(DataError) as caught:
        read_arpa(SPEECH / "odd_tokens_cut.arpa")
    assert "promises 904 + 24,780 n-grams" in str(caught.value)
    assert "\\end\\ is missing" in str(caught.value)


@needs(DATA / "speech/an4")
def test_a_flat_word_list_of_an_arpa_file_or_a_dictionary() -> None:
    words = read_words(DATA / "speech/an4/an4.ug.lm")
    assert (len(words), "THIRTEEN" in words, "<UNK>" in words) == (104, False, False)
    assert read_words(DATA / "speech/an4/an4.dic")[:3] == ["A", "AND", "APOSTROPHE"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hello", "x has no line"),
        (
            "\\data\\\nngram 1=1\n\n\\1-grams:\nmany A\n\n\\end\\\n",
            "x line 5 is 'many A', expected log10 p, 1 words",
        ),
        ("\\data\\\n\\end\\\n", "promises no n-grams"),
        ("\\data\\\nngram 1=2\n\n\\1-grams:\n-1 A\n\n\\end\\\n", "promises 2 n-grams, 1 are there"),
    ],
)
def test_a_faulty_arpa_file_is_one_line(text: str, line: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_arpa(text, "x")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_words_mend_what_the_best_path_misspells() -> None:
    frames = frames_of_text("A-A- -B--", 0.7)
    texts = {
        name: text_of(words_of(_tokens(decoding, frames), ALPHABET, 0.03))
        for name, decoding in {
            "greedy": Decoding(),
            "words": Decoding(8, words=["AB", "A", "B"]),
            "lm": Decoding(8, ["AB", "A", "B"], estimate([["AB", "B"]] * 9, 2), lm_weight=3.0),
        }.items()
    }
    assert texts["greedy"] == "AA B"
    assert set(texts["words"].split()) <= {"AB", "A", "B"}
    assert texts["lm"] == "AB B"


def _tokens(decoding: Decoding, frames: np.ndarray) -> list:
    search = decoding.search(ALPHABET)
    search.feed(frames)
    return search.finish()


@pytest.mark.parametrize(
    "decoding", [Decoding(), Decoding(3), Decoding(8, ["A", "AB", "B"], word_bonus=0.5)], ids=str
)
def test_what_has_settled_never_changes(decoding: Decoding) -> None:
    frames = frames_of_text("-A- BB -AB- A-B--", 0.8)
    search, before = decoding.search(ALPHABET), []
    for frame in frames:
        search.feed(frame[None])
        settled = search.settled()
        assert settled[: len(before)] == before
        before = settled
    assert len(before) > 3
    assert search.finish()[: len(before)] == before
    at_once = decoding.search(ALPHABET)
    at_once.feed(frames)
    assert [one.token for one in at_once.finish()] == [one.token for one in search.finish()]


def test_a_space_without_a_word_before_it_costs_nothing() -> None:
    scores = WordScores(ALPHABET, estimate([["A", "B"]] * 3), 1.0, 0.5)
    assert scores.score(scores.start(), ALPHABET.space) == (0.0, scores.start())
    added, state = scores.score(scores.score(scores.start(), 2)[1], ALPHABET.space)
    assert added == pytest.approx(estimate([["A", "B"]] * 3).score(("<s>",), "A")[0] + 0.5)
    assert state == (("<s>", "A"), "")


def test_one_word_of_a_list() -> None:
    frames = frames_of_text("A-- B-B--", 0.6)
    tokens = _tokens(Decoding(8, ["AB", "B"], one_word=True), frames)
    assert text_of(words_of(tokens, ALPHABET, 0.03)) in ("AB", "B")


def test_faults_of_decoding(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="beam is 0, expected at least 1 with a word list"):
        Decoding(0, words=["A"]).search(ALPHABET)
    with pytest.raises(SettingsError, match="one_word is True without a word list"):
        Decoding(4, one_word=True).search(ALPHABET)
    with pytest.raises(DataError, match="none in the characters of the model"):
        Decoding(4, words=["a"]).search(ALPHABET)
    (tmp_path / "w.txt").write_text("# nothing\n")
    with pytest.raises(DataError, match="has no word"):
        read_words(tmp_path / "w.txt")
