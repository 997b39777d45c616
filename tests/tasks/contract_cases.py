"""What the contract test needs of every task: a tiny data set, settings for a second of training, what is wrong input.

A new task adds one case here, and test_contract.py runs over it. The first word of a case is its task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dialogue_cases import write_dialogues

from chess_cases import write_games
from forecast_cases import two_series
from speech_cases import write_tones, write_unwritten_tones
from video_cases import write_paths, write_unlabelled_paths


@dataclass(frozen=True)
class Case:
    """A task's tiny data and settings."""

    data: Callable[[Path], list[str]]
    """Writes the data into a folder and returns the paths that `congru train` takes."""
    settings: dict[str, Any]
    """Besides steps, out and the like."""
    bad: Callable[[Path], list[str]]
    """As `data`, but wrong."""
    complaint: str
    """A part of the line that says so."""
    run: dict[str, Any] = field(default_factory=dict)
    """Keywords of `use.run`."""
    streams: bool = True
    """Whether a network of it can run step by step."""
    has_test: bool = False
    """Whether its data has a test part."""


def _text(folder: Path) -> list[str]:
    (folder / "poem.txt").write_text(
        "The fog comes on little cat feet.\nIt sits looking over harbour and city\n" * 30
    )
    return [str(folder / "poem.txt")]


def _one_letter(folder: Path) -> list[str]:
    (folder / "a.txt").write_text("a" * 500)
    return [str(folder / "a.txt")]


def _series(folder: Path) -> list[str]:
    two_series().to_csv(folder / "series.csv", index=False)
    return [str(folder / "series.csv")]


def _wrong_date(folder: Path) -> list[str]:
    (folder / "bad.csv").write_text("unique_id,ds,y\nn,2024-01-01,1\nn,2024-13-02,2\n")
    return [str(folder / "bad.csv")]


def _games(folder: Path) -> list[str]:
    write_games(folder / "games.pgn", 60)
    return [str(folder / "games.pgn")]


def _illegal_game(folder: Path) -> list[str]:
    (folder / "bad.pgn").write_text('[White "A"]\n[Black "B"]\n[Result "1-0"]\n\n1. e4 e5 2. Ke3 1-0\n')
    return [str(folder / "bad.pgn")]


def _reviews(folder: Path) -> list[str]:
    good, bad = (
        ("a warm funny film", "what a lovely story", "funny and warm"),
        ("a dull film", "so dull and slow", "slow"),
    )
    lines = [
        f"{text} {k}\t{label}"
        for k in range(20)
        for label, texts in (("pos", good), ("neg", bad))
        for text in texts
    ]
    (folder / "reviews.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    return [str(folder / "reviews.tsv")]


def _one_class(folder: Path) -> list[str]:
    (folder / "one.tsv").write_text("text\tlabel\na film\tpos\nanother film\tpos\n")
    return [str(folder / "one.tsv")]


def _requests(folder: Path) -> list[str]:
    """Five intents, forty examples."""
    cities = ["Rome", "Oslo", "New York", "Lima", "Cairo", "Delhi", "San Juan", "Bern"]
    foods = ["soup", "rice", "pizza", "green tea", "bread", "fish", "pasta", "cake"]
    lines = [f"weather\twhat is the weather in [{city}](city) now" for city in cities]
    lines += [f"travel\tbook a flight to [{city}](city) please" for city in cities]
    lines += [f"order\ti want to eat [{food}](food) today" for food in foods]
    lines += [
        f"greet\t{word} there" for word in ("hi", "hello", "hey", "howdy", "hullo", "yo", "ahoy", "hiya")
    ]
    lines += [
        f"bye\tgood {word}" for word in ("bye", "night", "day", "luck", "travels", "times", "rest", "end")
    ]
    (folder / "requests.txt").write_text("\n".join(lines) + "\n")
    return [str(folder / "requests.txt")]


def _three_columns(folder: Path) -> list[str]:
    (folder / "bad.txt").write_text("greet\thello\ngreet\thello\tthere\n")
    return [str(folder / "bad.txt")]


def _unnumbered(folder: Path) -> list[str]:
    (folder / "bad.txt").write_text("1 hi\thello\nbye\tbye\n")
    return [str(folder / "bad.txt")]


def _tunes(folder: Path) -> list[str]:
    """Twelve tunes in one key, all different."""
    lines = []
    for number in range(12):
        notes = "".join("CDEFGABc"[(number + k * (1 + number % 3)) % 8] for k in range(16))
        lines.append(
            f"X:{number + 1}\nT:Tune {number}\nM:4/4\nL:1/8\nK:C\n[{notes[0]}E]{notes[1:8]}|{notes[8:]}|]\n"
        )
    (folder / "tunes.abc").write_text("\n".join(lines))
    return [str(folder / "tunes.abc")]


def _only_rests(folder: Path) -> list[str]:
    (folder / "rests.abc").write_text("X:1\nK:C\nz4|\n")
    return [str(folder / "rests.abc")]


def _sentences(folder: Path) -> list[str]:
    """Two aligned files of a toy language."""
    nouns = {"hund": "dog", "mann": "man", "ball": "ball", "baum": "tree"}
    verbs = {"sieht": "sees", "holt": "fetches", "mag": "likes"}
    pairs = [
        (f"ein {a} {v} einen {b} .", f"a {nouns[a]} {verbs[v]} a {nouns[b]} .")
        for a in nouns
        for v in verbs
        for b in nouns
    ]
    for name, sentences in zip(("train.de", "train.en"), zip(*pairs)):
        (folder / name).write_text("\n".join(sentences) + "\n")
    return [str(folder / "train.de"), str(folder / "train.en")]


def _not_aligned(folder: Path) -> list[str]:
    (folder / "bad.de").write_text("ein hund\nein mann\nein ball\n")
    (folder / "bad.en").write_text("a dog\na man\n")
    return [str(folder / "bad.de"), str(folder / "bad.en")]


CASES = {
    "translate": Case(
        data=_sentences,
        settings={
            "hidden_size": 8,
            "embedding_size": 12,
            "vocab_size": 300,
            "batch_size": 8,
            "precision": "float32",
            "bleu_tokenize": "none",
        },
        bad=_not_aligned,
        complaint="bad.de has 3 lines and bad.en has 2, expected as many",
        run={"text": "ein hund mag einen ball ."},
    ),
    "chess": Case(
        data=_games,
        settings={
            "hidden_size": 12,
            "move_size": 8,
            "player_size": 4,
            "min_games": 5,
            "batch_size": 4,
            "chunk": 8,
            "workers": 0,
            "precision": "float32",
        },
        bad=_illegal_game,
        complaint="bad.pgn has no game that can be followed",
        run={"moves": "1. e4 e5 2. Nf3"},
        has_test=True,
    ),
    "sentiment": Case(
        data=_reviews,
        settings={"hidden_size": 8, "embedding_size": 12, "batch_size": 16, "streaming": True},
        bad=_one_class,
        complaint="one.tsv has only one class with several rows: pos (2 rows)",
        run={"text": "a warm story"},
    ),
    "assistant": Case(
        data=_requests,
        settings={"hidden_size": 8, "embedding_size": 8, "batch_size": 8},
        bad=_three_columns,
        complaint="bad.txt line 2 has 3 columns, expected 2 (intent, tab, sentence)",
        run={"text": "book a flight to Rome"},
        streams=False,
    ),
    "assistant of dialogues": Case(
        data=write_dialogues,
        settings={"hidden_size": 8, "batch_size": 8},
        bad=_unnumbered,
        complaint="bad.txt line 2 begins with no number, expected '1 sentence<TAB>reply'",
        run={"text": "hi"},
        has_test=True,
    ),
    "music": Case(
        data=_tunes,
        settings={"hidden_size": 8, "notes_size": 8, "batch_size": 4, "chunk": 32, "grid": 2},
        bad=_only_rests,
        complaint="rests.abc line 1: tune 1 has no note",
        run={"bars": 1},
    ),
    "speech": Case(
        data=write_tones,
        settings={
            "hidden_size": 8,
            "num_layers": 1,
            "conv_size": 8,
            "batch_size": 4,
            "kernel": 3,
            "look_ahead": 1,
        },
        bad=write_unwritten_tones,
        complaint="transcripts.tsv line 3 has no text",
    ),
    "text": Case(
        data=_text,
        settings={"hidden_size": 16, "batch_size": 8, "chunk": 12, "precision": "float32"},
        bad=_one_letter,
        complaint="a.txt holds one distinct character ('a'), expected at least two",
        run={"prompt": "The ", "n": 8, "seed": 0},
    ),
    "forecast": Case(
        data=_series,
        settings={
            "horizon": 3,
            "levels": [80],
            "hidden_size": 8,
            "batch_size": 8,
            "input_size": 10,
            "segment": 1,
            "test_size": 9,
        },
        bad=_wrong_date,
        complaint="bad.csv row 3: ds '2024-13-02' is not",
        has_test=True,
    ),
    "video": Case(
        data=write_paths,
        settings={"hidden_size": 8, "batch_size": 8, "streaming": True},
        bad=write_unlabelled_paths,
        complaint="bad.npz has no labels for the 3 clips of X, expected y [3]",
    ),
}
