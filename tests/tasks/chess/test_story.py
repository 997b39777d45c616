"""The story of the father and his son, told with a tiny model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from congru.tasks.chess.predict import Predictor

STORY = Path(__file__).parents[3] / "examples" / "father_and_son.py"


def test_the_story_of_the_father_and_his_son(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("father_and_son", STORY)
    assert spec is not None
    assert spec.loader is not None
    story = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(story)
    story.main([str(model), str(tmp_path), "--games", "4", "--rounds", "2"])
    out = capsys.readouterr().out
    assert "both players are invented" in out
    assert Predictor.load(tmp_path / "family").players[-2:] == [story.FATHER, story.SON]
    assert (tmp_path / "earlier.pgn").read_text().count("[Event ") == 4
    figures = [float(line.split()[-1]) for line in out.splitlines() if line.startswith("  knowing")]
    assert len(figures) == 3
