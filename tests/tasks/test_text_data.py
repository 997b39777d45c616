"""Reading, splitting, tokenising; and the one line for each way a text can be unusable."""

from __future__ import annotations

import builtins
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.errors import DataError, MissingPackageError
from congru.runtime.tokenizer import parse_tokenizer
from congru.tasks.text.data import describe, length_of, metrics_of, prepare
from congru.tasks.text.settings import Settings
from congru.tasks.text.tokens import bpe_file, char_file, encode

TEXT = "Ein Jäger längs dem Weiher ging.\nLauf, Jäger, lauf!\n" * 40


def write(folder: Path, text: str) -> str:
    path = folder / "a.txt"
    path.write_text(text)
    return str(path)


def small(**changes: Any) -> Settings:
    return Settings(**{"batch_size": 4, "chunk": 16, **changes})


def test_the_last_tenth_is_for_validation(tmp_path: Path) -> None:
    data = prepare(write(tmp_path, TEXT), small())
    split = int(len(TEXT) * 0.9)
    assert data.train == length_of(TEXT[:split])
    assert data.validation == length_of(TEXT[split:])
    assert (len(data.ids), data.num_train, data.ids.itemsize) == (len(TEXT), split, 1)
    assert parse_tokenizer(data.tokenizer_file).decode(data.ids.tolist()) == TEXT
    assert list(data.baselines) == ["5-gram", "unigram"]


def test_the_share_is_a_setting(tmp_path: Path) -> None:
    data = prepare(write(tmp_path, TEXT), small(validation=0.5))
    assert data.validation.characters == len(TEXT) // 2


def test_character_ids_are_those_of_the_runtime() -> None:
    file = char_file(TEXT)
    assert encode(file, TEXT).tolist() == parse_tokenizer(file).encode(TEXT)
    assert json.loads(file)["symbols"] == sorted(set(TEXT))
    unsorted, text = json.dumps({"type": "char", "symbols": ["c", "a", "b"]}).encode(), "abcca"
    assert encode(unsorted, text).tolist() == parse_tokenizer(unsorted).encode(text)


def test_an_unknown_character_is_named() -> None:
    with pytest.raises(
        DataError, match=r"text holds 'x' at position 1, expected one of the model's 2 symbols"
    ):
        encode(char_file("ab"), "axb")


def test_byte_pairs_are_those_of_the_tokenizers_library() -> None:
    from tokenizers import Tokenizer

    file = bpe_file(TEXT, 280)
    ids = encode(file, TEXT)
    assert ids.tolist() == Tokenizer.from_str(file.decode()).encode(TEXT).ids
    assert parse_tokenizer(file).decode(ids.tolist()) == TEXT
    assert len(ids) < len(TEXT) / 2
    assert parse_tokenizer(file).num_tokens == 280


def test_byte_pairs_are_learned_from_the_training_part_alone(tmp_path: Path) -> None:
    head = "the cat sat on the mat and the dog sat on the log\n" * 30
    text = head + "zyzzyva " * 180
    data = prepare(write(tmp_path, text), small(tokens="bpe", vocab_size=270, validation=0.5))
    train_text, validation_text = text[: len(text) // 2], text[len(text) // 2 :]
    assert data.tokenizer_file == bpe_file(train_text, 270)
    assert b"zy" not in data.tokenizer_file
    tokenizer = parse_tokenizer(data.tokenizer_file)
    assert tokenizer.decode(data.ids[: data.num_train].tolist()) == train_text
    assert tokenizer.decode(data.ids[data.num_train :].tolist()) == validation_text


def test_too_many_byte_pairs() -> None:
    with pytest.raises(
        DataError, match=r"^vocab_size is 5000, expected at most 2\d\d, all that this text gives"
    ):
        bpe_file("abcabcabc", 5000)


def test_without_the_tokenizers_library(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "tokenizers":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'congru\[text\]'"):
        bpe_file(TEXT, 300)


def test_figures_count_characters_and_bytes() -> None:
    metrics = metrics_of(10.0, length_of("äb"))
    assert metrics == {
        "nats_per_char": 5.0,
        "bits_per_char": pytest.approx(10 / np.log(2) / 2),
        "bits_per_byte": pytest.approx(10 / np.log(2) / 3),
    }


def test_the_summary_is_plain_json_and_names_what_was_passed_over(tmp_path: Path) -> None:
    write(tmp_path, TEXT)
    for index in range(7):
        (tmp_path / f"{index}.png").write_bytes(b"x")
    settings = small()
    summary = describe(prepare(str(tmp_path), settings), settings)
    assert json.loads(json.dumps(summary)) == summary
    assert summary["split"] == "first 90% train, last 10% validation"
    assert summary["skipped"].startswith("7 files: ")
    assert summary["skipped"].endswith(" and 2 more")
    assert summary["files"][0]["bytes"] == len(TEXT.encode())


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (
            "aaaa" * 100,
            {},
            "a.txt holds one distinct character ('a'), expected at least two: there is nothing to learn,"
            " choose another text",
        ),
        (
            "ab",
            {"validation": 0.9},
            "a.txt has 2 characters, expected enough for a training and a validation part (validation is"
            " 0.9): add text or change --validation",
        ),
        (
            "ab" * 20,
            {},
            "a.txt has 36 training characters, expected at least batch_size * chunk = 4 * 16 = 64: add text,"
            " or pass --batch-size 9 --chunk 4",
        ),
        (
            "ab" * 5,
            {"devices": 2},
            "a.txt has 9 training characters, expected at least batch_size * chunk = 4 * 16 = 64: add text,"
            " or pass --batch-size 8 --chunk 1",
        ),
    ],
)
def test_unusable_texts(tmp_path: Path, text: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        prepare(write(tmp_path, text), small(**changes))
    assert str(caught.value).replace(f"{tmp_path}/", "") == message


def test_the_advice_for_a_short_text_works(tmp_path: Path) -> None:
    source = write(tmp_path, "ab" * 20)
    assert prepare(source, small(batch_size=9, chunk=4)).num_train == 36
