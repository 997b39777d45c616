"""Awkward files and what must come out of them; wrong input, each one line."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shared_files
from congru.errors import CongruError, DataError
from congru.tasks.sentiment.data import Part, overlap, prepare, split_by_text
from congru.tasks.sentiment.folders import read_parts
from congru.tasks.sentiment.labels import make_rules
from congru.tasks.sentiment.rows import read_rows
from congru.tasks.sentiment.settings import Settings
from congru.tasks.sentiment.tokens import Steps, words_file

CASES = shared_files.CASES / "sentiment"
needs_cases = shared_files.needs(CASES)

STARS = {"1": 2, "4": 2, "5": 9, "6": 9, "7": 11, "8": 19, "9": 12, "10": 36}
MORE_STARS = {"1": 11, "4": 1, "5": 4, "6": 1, "7": 7, "8": 14, "9": 25, "10": 237}
# File -> rows read, labels among them, classes, train + validation, words that must be told.
EXPECTED: dict[str, tuple[int, dict[str, int], list[str], int, tuple[str, ...]]] = {
    "imdb_labelled.txt": (1000, {"0": 500, "1": 500}, ["0", "1"], 997, ("exact repeats",)),
    "yelp_labelled.txt": (1000, {"0": 500, "1": 500}, ["0", "1"], 996, ("exact repeats",)),
    "korean_stars.json": (100, STARS, ["1", "4", "5", "6", "7", "8", "9", "10"], 100, ()),
    "korean_stars.jsonl": (300, MORE_STARS, ["1", "5", "7", "8", "9", "10"], 298, ("4, 6",)),
    "words_emoji_entities.csv": (
        44,
        {"positive": 9, "POSITIVE": 7, "pos": 6, "1": 7, "mixed": 1, "": 1},
        ["negative", "positive"],
        40,
        ("line 54; line 55", "line 56", "mixed", "one class 'positive' from 4 spellings", "'pos' 6"),
    ),
    "folders": (
        15,
        {"pos": 8, "neg": 7},
        ["neg", "pos"],
        14,
        ("neg/6.txt", "Latin-1", "UTF-16", "readme.md"),
    ),
    "conflicts.tsv": (
        48,
        {"pos": 23, "neg": 25},
        ["neg", "pos"],
        45,
        ("5 texts with more than one label", "3"),
    ),
    "imbalance_195_5.csv": (200, {"positive": 195, "negative": 5}, ["negative", "positive"], 200, ()),
}


@needs_cases
@pytest.mark.parametrize("name", EXPECTED)
def test_awkward_files_are_read_as_they_should(name: str) -> None:
    num_rows, labels, classes, used, told = EXPECTED[name]
    rows = read_parts(CASES / name, None, None)["train"]
    assert len(rows) == num_rows
    counts = Counter(rows.labels)
    assert {label: counts[label] for label in labels} == labels
    data = prepare(str(CASES / name), Settings())
    assert data.classes == classes
    assert len(data.train) + len(data.validation) == used
    assert set(data.train.labels.tolist()) == set(range(len(classes)))
    words = json.dumps(data.notes, ensure_ascii=False)
    for part in told:
        assert part in words


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "scores_not_classes.txt",
        {},
        "135 different numbers (-3.7 to 3.35) as labels, expected at most 20 classes",
    ),
    ("one_class.tsv", {}, "only one class with several rows: 1 (40 rows)"),
    ("quotes_and_newlines.csv", {}, "has the columns a, b, expected a text"),
    ("json_in_cell.csv", {"text_column": "val", "label_column": "key"}, "only one class"),
]


@needs_cases
@pytest.mark.parametrize(("name", "settings", "complaint"), REFUSED)
def test_files_without_classes_are_refused_in_one_line(
    name: str, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(DataError) as caught:
        prepare(str(CASES / name), Settings(**settings))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_cases
def test_scores_are_cut_into_bands_on_request() -> None:
    rows = read_rows(CASES / "scores_not_classes.txt")
    assert len(rows) == 800
    assert rows.texts[0].startswith("troubleshooting ad-2500")
    data = prepare(str(CASES / "scores_not_classes.txt"), Settings(bands=(-0.5, 0.5)))
    assert data.classes == ["below -0.5", "-0.5 to 0.5", "from 0.5"]


@needs_cases
def test_cells_with_quotes_line_breaks_and_json_come_whole() -> None:
    rows = read_rows(CASES / "quotes_and_newlines.csv", "b", "a")
    assert (rows.texts, rows.labels) == (['ha \n"ha" \nha', "4"], ["1", "3"])
    assert json.loads(read_rows(CASES / "json_in_cell.csv", "val", "key").texts[0])["type"] == "Point"


@needs_cases
def test_an_imbalanced_file_sorted_by_label_has_both_classes_on_both_sides() -> None:
    data = prepare(str(CASES / "imbalance_195_5.csv"), Settings(validation=0.2))
    assert np.bincount(data.train.labels).tolist() == [4, 156]
    assert np.bincount(data.validation.labels).tolist() == [1, 39]


def write(path: Path, content: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return str(path)


TWO = "text,label\ngood film,pos\nbad film,neg\nfine film,pos\npoor film,neg\n"
WRONG: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "a.csv",
        "words,kind\na,b\nc,d\n",
        {},
        "has the columns words, kind, expected a text (text, sentence, review",
    ),
    (
        "a.csv",
        TWO,
        {"text_column": "body"},
        "has the columns text, label, expected 'body': pass --text-column",
    ),
    ("a.csv", TWO, {"text_column": "1", "label_column": "1"}, "as both text and label, expected two columns"),
    ("a.csv", "text,label\n", {}, "has a header but no rows"),
    ("a.csv", "", {}, "is empty, expected rows with a text and a label"),
    ("a.csv", "text,label\n ,pos\n,neg\n", {}, "has 2 rows, none with both text and label"),
    ("a.tsv", "text\tlabel\na\tx\nb\n", {}, "line 3 has 1 cells, expected at least 2"),
    ("a.jsonl", '{"text": "a", "label": 1}\n{"text"\n', {}, "a.jsonl line 2: not JSON"),
    ("a.json", '{"a": 1}', {}, "holds no list of objects"),
    ("a.jsonl", "[1]\n", {}, "line 1 is no object"),
    ("a.csv", TWO, {"rename": ("pos",)}, "rename is 'pos', expected OLD=NEW"),
    ("a.csv", TWO, {"bands": (0.0,)}, "label 'pos' is no number, expected numbers with --bands"),
    ("a.csv", TWO, {"bands": (1.0, 0.0)}, "bands is [1.0, 0.0], expected rising cut points"),
]


@pytest.mark.parametrize(("name", "content", "settings", "complaint"), WRONG)
def test_wrong_files_are_one_line(
    tmp_path: Path, name: str, content: str, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(CongruError) as caught:
        prepare(write(tmp_path / name, content), Settings(**settings))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_label_never_seen_in_training_is_named_by_its_line(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", TWO)
    write(tmp_path / "dev.csv", "text,label\nan odd film,meh\n")
    with pytest.raises(
        DataError, match=r"dev.csv line 2: label 'meh' was never seen in training, expected one of neg, pos"
    ):
        prepare(str(tmp_path), Settings())


def test_more_labels_than_rows_would_bear_are_refused() -> None:
    with pytest.raises(DataError, match="30 different labels in 30 rows"):
        make_rules([f"id_{k}" for k in range(30)], "a.csv")


def test_parts_are_found_by_name_and_rows_of_train_in_them_are_a_warning(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", TWO)
    write(tmp_path / "valid.csv", "text,label\nGOOD film!,pos\na new one,neg\n")
    write(tmp_path / "test.csv", "text,label\nbad film,neg\n")
    data = prepare(str(tmp_path), Settings())
    assert (len(data.train), len(data.validation), len(data.test or ())) == (4, 2, 1)
    assert data.notes["warning"] == (
        "1 of 2 validation rows also stand in train, such as 'GOOD film!';"
        " 1 of 1 test rows also stand in train, such as 'bad film'"
    )
    for part in ("train", "test"):
        for name, text in (("pos", "good"), ("neg", "bad")):
            for k in range(3):
                write(tmp_path / "texts" / part / name / f"{k}.txt", f"{text} {k} {part}")
    folders = prepare(str(tmp_path / "texts"), Settings())
    assert (folders.classes, len(folders.train), len(folders.validation)) == (["neg", "pos"], 4, 2)
    assert folders.test is not None


def test_all_copies_of_a_text_lie_on_one_side_of_the_split() -> None:
    texts = [f"text {k % 30}" + "!" * (k // 30) for k in range(90)]
    train, validation = split_by_text(Part(texts, np.arange(90) % 2), 0.2)
    assert overlap(train, validation, "validation") == ""
    assert len(train) + len(validation) == 90
    assert len(validation) == 18


def test_spellings_of_one_class_are_brought_together_only_where_they_stand_side_by_side() -> None:
    mixed, remarks = make_rules(["pos", "positive", "neg", "1", "0", "0"], "a.csv")
    assert mixed.classes == ["negative", "positive"]
    assert len(remarks) == 2
    assert mixed.class_of(" NEG ") == "negative"
    assert make_rules(["0", "1", "0"], "a.csv")[0].classes == ["0", "1"]
    assert make_rules(["pos", "neg", "neutral"], "a.csv")[0].classes == ["neg", "neutral", "pos"]
    assert make_rules(["5.0", "5", "1"], "a.csv")[0].classes == ["1", "5"]
    assert make_rules(["a", "b", "c"], "a.csv", rename=["c=a"])[0].class_of("c") == "a"


def test_steps_know_where_in_the_text_they_end() -> None:
    steps = Steps("word", words_file(["it's", "great", "👍🏽"]))
    encoded = steps.encode("It&#39;s <br />GREAT 👍🏽 indeed!!!")
    assert encoded.pieces == ["it's", "great", "👍🏽", "indeed", "!!!"]
    assert encoded.ids.tolist() == [1, 2, 3, 0, 0]
    assert [encoded.text[:end] for end in encoded.ends][1] == "it's great"
    with pytest.raises(DataError, match="expected at least one word"):
        steps.encode(" <br> ")
