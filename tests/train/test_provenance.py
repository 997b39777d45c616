"""What data.json and env.json hold, and the line that continues a run."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch
from toy import ToyLearner, ToySettings

from congru.errors import RunFolderError
from congru.tasks.speech.settings import Settings
from congru.train.folder import RunFolder
from congru.train.provenance import data_record, environment, processor_name, resume_line


def test_files_are_recorded_with_their_sums(tmp_path: Path) -> None:
    (tmp_path / "data" / "b").mkdir(parents=True)
    (tmp_path / "data" / "b" / "two.txt").write_bytes(b"two")
    (tmp_path / "data" / "a.txt").write_bytes(b"one")
    record = data_record({"source": str(tmp_path / "data"), "train": 3})
    assert record["files"] == [
        {"path": "a.txt", "sha256": hashlib.sha256(b"one").hexdigest(), "bytes": 3},
        {"path": "b/two.txt", "sha256": hashlib.sha256(b"two").hexdigest(), "bytes": 3},
    ]
    single = data_record({"source": str(tmp_path / "data" / "a.txt")})
    assert [file["path"] for file in single["files"]] == ["a.txt"]  # type: ignore[attr-defined]
    assert data_record({"source": "a table in memory", "train": 3}) == {
        "source": "a table in memory",
        "train": 3,
    }
    own = {"source": str(tmp_path), "files": []}
    assert data_record(own) == own


def test_a_run_is_not_continued_on_a_changed_file(tmp_path: Path) -> None:
    data = tmp_path / "romeo.txt"
    data.write_text("O Romeo")
    folder = RunFolder(tmp_path / "run")
    folder.write_json("data.json", data_record({"source": str(data), "train": 7}))
    folder.check_same_data(data_record({"source": os.path.relpath(data), "train": 7}))
    data.write_text("0 Romeo")
    with pytest.raises(
        RunFolderError, match=r"data: files is not what the run in .* was started with: use the"
    ):
        folder.check_same_data(data_record({"source": str(data), "train": 7}))
    folder.close()


def test_of_a_run_that_a_setting_names_only_the_model_counts(tmp_path: Path) -> None:
    first = tmp_path / "first"
    (first / "model").mkdir(parents=True)
    (first / "model" / "config.json").write_text("{}")
    (first / "log.txt").write_text("one")
    settings = Settings(cut_by=first)
    before = data_record({"files": []}, settings)
    assert [one["path"] for one in before["settings_files"]] == ["config.json"]  # type: ignore[attr-defined]
    (first / "log.txt").write_text("two")
    (first / "second").mkdir()
    assert data_record({"files": []}, settings) == before
    assert data_record({"files": []}, Settings(cut_by=first / "model")) == before
    (first / "model" / "config.json").write_text("{ }")
    assert data_record({"files": []}, settings) != before


def test_the_environment_is_plain_json() -> None:
    recorded = environment(torch.device("cpu"), 2)
    assert json.loads(json.dumps(recorded)) == recorded
    assert (recorded["processes"], recorded["device"], recorded["processor"]) == (2, "cpu", processor_name())
    assert recorded["packages"]["torch"].startswith("2.")


def test_the_resume_line_is_quoted() -> None:
    learner = ToyLearner(ToySettings())
    assert resume_line(learner, Path("my run")) == "congru train toy waves --out 'my run' --resume"
