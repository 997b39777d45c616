"""The measurement of classifiers: trees become phrases, and training rows never come from another set's test part."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.sentiment import parts_of, phrases_of, polar, prepared
from congru.tasks.sentiment.settings import Settings


def test_a_tree_gives_its_sentence_first_and_every_phrase_with_its_own_label() -> None:
    phrases = phrases_of("(3 (2 (2 a) (1 -LRB-)) (4 (3 good) (2 film)))")
    assert phrases[0] == ("a ( good film", "3")
    assert phrases[1:] == [
        ("a (", "2"),
        ("a", "2"),
        ("(", "1"),
        ("good film", "4"),
        ("good", "3"),
        ("film", "2"),
    ]
    assert polar(phrases) == [("a ( good film", "1"), ("(", "0"), ("good film", "1"), ("good", "1")]


def test_sentence_polarity_is_cut_into_ten_folds_that_share_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sentiment" / "sentence_polarity"
    folder.mkdir(parents=True)
    for name, word in (("neg", "bad"), ("pos", "good")):
        text = "".join(f"{word} caf\xe9 {k}\n" for k in range(50))
        (folder / f"rt-polarity.{name}").write_bytes(text.encode("latin-1"))
    monkeypatch.setenv("CONGRU_DATA", str(tmp_path))
    folds = parts_of("polarity")
    assert len(folds) == 10
    assert sum(len(parts["test"]) for parts in folds) == 100
    for parts in folds:
        assert not set(parts["train"]) & set(parts["test"])
        assert len(parts["train"]) == 90
    features = prepared(folds[0], Settings(threads=1))
    assert len(features.train) + len(features.validation) == 90
