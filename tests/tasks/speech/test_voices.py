"""The corpus from nothing: voices apart by part, real recordings where espeak-ng is, one line where it is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from congru.errors import DataError
from congru.tasks.speech import voices
from congru.tasks.speech.data import prepare
from congru.tasks.speech.settings import Settings


def test_no_voice_is_in_two_parts() -> None:
    names = [name for variants in voices.VARIANTS.values() for name in variants]
    assert len(names) == len(set(names))
    planned = voices.plan({"train": 9, "validation": 3, "test": 4}, 3, seed=1)
    assert {(one.part, one.variant) for one in planned} <= {
        (part, name) for part, variants in voices.VARIANTS.items() for name in variants
    }
    assert planned == voices.plan({"train": 9, "validation": 3, "test": 4}, 3, seed=1)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here")
def test_espeak_speaks_a_corpus_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    voices.main([str(tmp_path / "digits"), "--train", "24", "--validation", "2", "--test", "2"])
    assert "28 recordings" in capsys.readouterr().out
    corpus = prepare(str(tmp_path / "digits"), Settings())
    assert (len(corpus.train), len(corpus.validation), corpus.num_test) == (24, 2, 2)
    with pytest.raises(DataError, match="is not empty, expected a new folder"):
        voices.speak(tmp_path / "digits", [])


def test_without_espeak_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        SystemExit, match="voices: espeak-ng is not installed, expected by this demo: apt install"
    ):
        voices.main([str(tmp_path / "digits")])
