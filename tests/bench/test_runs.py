"""Measurements from their first line to their file, with a budget of two steps: a benchmark that nobody runs breaks unseen."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import record, runs
from congru.data.registry import VARIABLE
from shared_files import DATA

# What follows `python -m bench.`, the data it reads, and figures that its file must have.
RUNS = [
    ("assistant small", "", "seconds"),
    ("assistant dialogues", "chat/babi_dialog", "task 1, 100 dialogues"),
    ("music variants", "music/boulanger", "metric"),
    ("speech yesno_cut", "speech/yesno", "word list"),
    ("speech speakers", "speech/fsdd", "accuracy"),
    ("video cells", "video/libras", "gru"),
    ("video online", "video/libras", "early_accuracy"),
    ("video libras", "video/libras", "accuracy"),
]
LIMITS: dict[str, dict[str, Any]] = {
    "assistant": {"TASKS": {"task 1": "task1-API-calls"}},
    "music": {"VARIANTS": {"keys, of the state alone": {"frame": "keys", "recall": False, "beat": 0}}},
    "speech": {"SPEAKERS": ("theo",)},
}


def test_a_training_is_kept_goes_on_and_begins_anew_with_another_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, resumed = tmp_path / "run", list[bool]()

    def train(resume: bool) -> dict[str, Any]:
        resumed.append(resume)
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").touch()
        return {"trainings": len(resumed)}

    monkeypatch.setattr(runs, "commit", lambda: "one")
    first = runs.kept_training(folder, train)
    assert first.pop("cpu_seconds") >= 0
    assert first == {"trainings": 1}
    assert runs.kept_training(folder, train)["trainings"] == 1
    (folder / "took.json").unlink()
    assert runs.kept_training(folder, train) == {"trainings": 2}
    monkeypatch.setattr(runs, "commit", lambda: "two")
    assert runs.kept_training(folder, train)["trainings"] == 3
    assert resumed == [False, True, False]


def test_a_result_counts_what_kept_runs_have_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "_kept_seconds", [])
    run, path = {"cpu_seconds": 1e6}, tmp_path / "took.json"
    assert runs.kept(path, lambda: run) == runs.kept(path, lambda: {}) == run
    assert (
        runs.kept(tmp_path / "unknown.json", lambda: {})
        == runs.kept(tmp_path / "unknown.json", lambda: run)
        == {}
    )
    written = json.loads(record.write_result("one", "make bench", {}, folder=tmp_path).read_text())
    assert 1e6 < written["cpu_seconds"] < 2e6


@pytest.mark.parametrize(("words", "data", "figure"), RUNS, ids=[run[0].replace(" ", "-") for run in RUNS])
def test_it_runs_to_its_file(
    words: str, data: str, figure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (DATA / data).exists():
        pytest.skip(f"{data} is not here")
    name, which = words.split()
    module = importlib.import_module(f"bench.{name}")
    for settings in module.SETTINGS.values():
        for key, value in {"steps": 2, "epochs": None, "minutes": None}.items():
            monkeypatch.setitem(settings, key, value)
    for key, value in LIMITS.get(name, {}).items():
        monkeypatch.setattr(module, key, value)
    monkeypatch.setenv(VARIABLE, str(DATA))
    monkeypatch.setattr(sys, "argv", [name, which, "--seeds", "0", "--folder", str(tmp_path)])
    module.main()
    written = json.loads((tmp_path / f"{name}_{which}.json").read_text())
    assert figure in written["figures"]
    assert written["machine"]["instructions"]
    assert written["cpu_seconds"] > 0
