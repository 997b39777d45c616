"""Games with clocks: the time that a move takes is learnt, stored with the model, scored, and shown while a game is followed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chess_cases import write_games
from congru.tasks.chess import train
from congru.tasks.chess.data import time_baseline
from congru.tasks.chess.evaluation import score, summary
from congru.tasks.chess.games import Games
from congru.tasks.chess.plies import time_class
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.reading import Reader
from congru.tasks.chess.sources import read_games
from congru.tasks.chess.use import run

THINKS = (10, 100)  # seconds of White and Black: classes 3 and 6
PLIES = 12
SIZES = {"hidden_size": 16, "move_size": 8, "player_size": 4, "min_games": 5, "batch_size": 4, "chunk": 12}
SHORT = {"steps": 150, "evaluations": 1, "learning_rate": 0.02, "ema": 0.8, "workers": 0, "threads": 1}


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timed") / "games.pgn"
    write_games(path, 40, PLIES, thinks=THINKS)
    return path


@pytest.fixture(scope="module", params=["b", "m"])
def predictor(request: pytest.FixtureRequest, timed: Path) -> Predictor:
    how = {**SIZES, **SHORT, "time_weight": 1.0, "precision": "float32", "quiet": True}
    result = train(str(timed), variant=request.param, out=timed.parent / request.param, **how)
    return Predictor.load(result.folder)  # replays the stored answer, times included


def reader_of(games: Games) -> Reader:
    return Reader(games, np.zeros(len(games.players), np.int64))


def test_the_time_of_a_move_is_the_difference_of_the_own_clock(timed: Path) -> None:
    games = read_games(timed)[0]
    expected = np.where(np.arange(PLIES) < 2, -1, np.where(np.arange(PLIES) % 2 == 0, 3, 6))
    np.testing.assert_array_equal(reader_of(games).times(np.arange(PLIES)), expected)
    np.testing.assert_array_equal(reader_of(games).times(PLIES + np.arange(PLIES)), expected)
    assert time_class(np.array(THINKS, float)).tolist() == [3, 6]


def test_it_is_learnt_and_scored(predictor: Predictor, timed: Path) -> None:
    games = read_games(timed)[0]
    scored = score(predictor, games, np.arange(len(games)))
    known = reader_of(games).times(np.arange(len(games.moves))) >= 0
    np.testing.assert_array_equal(~np.isnan(scored.time_nats), known)
    assert summary(scored)["time_bits"] < 0.5
    frequencies = time_baseline(games, np.arange(20), np.arange(20, len(games)))
    assert frequencies == pytest.approx(1, abs=0.2)  # two classes, equally often


def test_a_followed_game_reads_the_clocks_and_says_how_long(
    predictor: Predictor, timed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(predictor.model.folder, timed, recall=False, as_json=True, top=1, sources=0)
    views = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [view["seconds"] for view in views[2:6]] == [11, 95, 11, 95]
    games = read_games(timed)[0]
    whole = next(predictor.predict(games.select(np.array([0]))))
    begins = np.searchsorted(whole.row, np.arange(PLIES))
    best = np.maximum.reduceat(np.exp(whole.log_p), begins)
    np.testing.assert_allclose([view["choices"][0]["probability"] for view in views[:PLIES]], best, rtol=1e-4)
    run(predictor.model.folder, timed, top=1, sources=0)
    assert "  and to think about 95 s\n" in capsys.readouterr().out


def test_games_without_clocks_have_no_such_head(model: Path) -> None:
    predictor = Predictor.load(model)
    assert "time" not in predictor.main.graph.outputs
    assert predictor.follow().prediction().time is None
