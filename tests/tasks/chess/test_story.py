"""The story of the father and his son, told with a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from congru.tasks.chess import story
from congru.tasks.chess.predict import Predictor


def test_the_story_of_the_father_and_his_son(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    story.main([str(model), str(tmp_path), "--games", "4", "--rounds", "2"])
    out = capsys.readouterr().out
    assert "both players are invented" in out
    assert Predictor.load(tmp_path / "family").players[-2:] == [story.FATHER, story.SON]
    assert (tmp_path / "earlier.pgn").read_text().count("[Event ") == 4
    figures = [float(line.split()[-1]) for line in out.splitlines() if line.startswith("  knowing")]
    assert len(figures) == 3
