"""Whatever happens while a model folder is replaced, there is a whole model in its place, old or new."""

from __future__ import annotations

from pathlib import Path

import pytest

from congru.runtime import atomic
from faults import model_folders
from faults.crashes import ERRORS


@pytest.mark.parametrize("one_step", [True, False], ids=["one step", "two renames"])
def test_killed_at_every_operation(one_step: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not one_step:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    every = 1 if one_step else 5
    model_folders.killed_at_every_operation(tmp_path / "model", one_step, every).check(30 // every)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_an_error_at_some_operations(error: BaseException, tmp_path: Path) -> None:
    model_folders.error_at_every_operation(tmp_path / "model", error, every=6).check(8)


def test_a_reader_during_saves_gets_one_model_or_the_other(tmp_path: Path) -> None:
    model_folders.reads_during_saves(tmp_path / "model", 0.7).check(5)


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    model_folders.damaged(tmp_path / "model", 200).check(200)
