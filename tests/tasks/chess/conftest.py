"""Tiny models of both kinds, trained once on made-up games."""

from __future__ import annotations

from pathlib import Path

import pytest

from chess_cases import write_games
from congru.tasks.chess import train

TINY = {
    "hidden_size": 16,
    "move_size": 8,
    "player_size": 4,
    "min_games": 5,
    "batch_size": 4,
    "chunk": 12,
    "workers": 0,
    "threads": 1,
    "precision": "float32",
    "steps": 80,
    "evaluations": 1,
    "learning_rate": 0.01,
    "ema": 0.9,
    "quiet": True,
}


@pytest.fixture(scope="session")
def games(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chess") / "games.pgn"
    write_games(path, 80)
    return path


@pytest.fixture(scope="session", params=["b", "m"])
def model(request: pytest.FixtureRequest, games: Path) -> Path:
    out = games.parent / request.param
    result = train(str(games), variant=request.param, out=out, **TINY)
    assert result.model_folder is not None
    return Path(result.model_folder)
