"""What commands print to type next: each such line is run as it was printed, in folders whose names have a space."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cases import make_case
from congru.cli import weather
from congru.cli.main import main
from congru.reference.conventions import from_canonical
from congru.tasks.speech import voices
from printed import next_lines, type_next
from slim import ROOT, make_slim, run_slim

# Where such lines are printed, and the tests that run them.
RUN_IN = {
    "cli/compare.py": "cli/test_commands.py",
    "cli/convert.py": "cli/test_next_lines.py",
    "cli/doctor.py": "convert/test_comparison.py",
    "cli/sign.py": "runtime/test_signature.py",
    "cli/sweep.py": "cli/test_next_lines.py",
    "cli/weather.py": "cli/test_next_lines.py",
    "tasks/chess/story.py": "tasks/chess/test_predict.py",
    "tasks/chess/use.py": "tasks/chess/test_predict.py",
    "tasks/speech/voices.py": "cli/test_next_lines.py",
    "train/wording.py": "tasks/test_contract.py",
}
TINY = ["--steps", "3", "--evaluations", "1", "--hidden-size", "8", "--batch-size", "4", "--chunk", "16"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my models").mkdir()
    (tmp_path / "my models" / "cats.txt").write_text("the cat sat on the mat, a bat and a rat.\n" * 60)
    return tmp_path / "my models"


def run(*words: str | Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 0, words


def test_every_place_that_prints_such_lines_has_its_test() -> None:
    source = ROOT / "src" / "congru"
    pattern = re.compile(r"""print\(.*\bnext["'\\]|\bnext: \{|\bnext:"|append\("next"\)""")
    printing = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if pattern.search(path.read_text())
    }
    assert printing == set(RUN_IN)
    for test in RUN_IN.values():
        assert re.search(r"\b(type_next|next_lines|next_words)\(", (ROOT / "tests" / test).read_text()), test


def test_a_conversion_without_torch(folder: Path, tmp_path: Path) -> None:
    weights = tuple(part.astype(np.float32) for part in make_case("gru", I=3, H=4).weights)
    np.savez(folder / "it's.npz", **from_canonical("haiku", weights, True).arrays)
    slim = make_slim(tmp_path, core=False)
    done = run_slim(slim, "-m", "congru", "convert", "it's.npz", "--to", "a folder", folder=folder)
    assert done.returncode == 0, done.stderr
    [line] = next_lines(done.stdout)
    done = run_slim(slim, "-m", *line, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("equal: both compute the same\n")


def test_a_sweep(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "space.yaml").write_text("learning_rate: {low: 0.001, high: 0.01}\n")
    words = [
        "--space",
        folder / "space.yaml",
        "--trials",
        "1",
        "--refit-seeds",
        "0",
        "--out",
        folder / "swept",
        *TINY,
    ]
    run("sweep", "text", folder / "cats.txt", *words)
    shown = capsys.readouterr().out
    helping = re.search(r"to help from anywhere that sees the folder: congru (.*)", shown)
    assert helping is not None
    run(*shlex.split(helping[1]))
    type_next(shown, 2)


def test_the_weather_demo(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end, on a forecaster that was trained before."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "tests" / "tasks" / "folders" / "forecast-format-1", folder / "gru")
    best = SimpleNamespace(model=SimpleNamespace(folder=folder / "gru"))
    comparison = SimpleNamespace(rows=[SimpleNamespace(folders=[str(folder / "gru")])])
    monkeypatch.setattr(weather, "train_all", lambda *arguments: comparison)
    monkeypatch.setattr(weather, "score_all", lambda *arguments: ([weather.Score("GRU", 2.5)], best))
    for name in ("table_of", "write_report", "stream_month", "write_comparison", "conclusion_of"):
        monkeypatch.setattr(weather, name, lambda *arguments: "")
    monkeypatch.setattr("congru.train.comparison.unequal_steps", lambda *arguments: [])
    weather.weather(0.1)
    type_next(capsys.readouterr().out, 2)


def test_spoken_digits(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The corpus itself needs a program that speaks; the line names its folder and what a training is told."""
    monkeypatch.setattr(voices, "speak", lambda folder, recordings: None)
    voices.main([str(folder / "spoken"), "--train", "2"])
    [words] = next_lines(capsys.readouterr().out)
    assert words == ["congru", "train", "speech", str(folder / "spoken"), "--out", "digits-model"]
