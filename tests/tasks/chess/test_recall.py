"""What players chose in earlier games: counted by position, player and colour, and mixed into a model's probabilities."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from congru.tasks.chess.evaluation import score
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.recall import WEIGHT, Recall
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import read_san
from congru.tasks.chess.sources import read_games

PGN = """[White "Father, The"]
[Black "Son, The"]

1. e4 c5 2. Nf3 d6 *

[White "Son, The"]
[Black "Father, The"]

1. d4 d5 *

[White "FATHER, T"]
[Black "Aunt, The"]

1. Nf3 c5 2. e4 e6 *

[White "Father, The"]
[Black "Son, The"]
[SetUp "1"]
[FEN "7k/8/8/8/8/8/8/K6R w - - 0 1"]

1. Rg1 *
"""


@pytest.fixture
def family(tmp_path: Path) -> object:
    path = tmp_path / "family.pgn"
    path.write_text(PGN)
    return read_games(path)[0]


def at(moves: str) -> Position:
    position = Position()
    for san in moves.split():
        position.play(read_san(position, san))
    return position


def said(position: Position, counts: Counter[int]) -> dict[str, int]:
    return {position.uci(code): count for code, count in counts.items()}


def test_choices_are_those_of_the_player_with_the_colour_by_whatever_order_of_moves(family) -> None:
    recall = Recall(family, "Father", "Son, The")
    start, sicilian, after_nf3 = Position(), at("e4 c5"), at("Nf3 c5 e4")
    assert said(start, recall.chosen(start)) == {"e2e4": 1, "g1f3": 1}
    assert said(sicilian, recall.chosen(sicilian)) == {"g1f3": 1}
    assert said(after_nf3, recall.chosen(after_nf3)) == {"d7d6": 1}, "the son's, not the aunt's"
    assert recall.chosen(at("d4")) == Counter(), "with Black it was the father"
    everybody = Recall(family)
    assert said(after_nf3, everybody.chosen(after_nf3)) == {"d7d6": 1, "e7e6": 1}
    assert Recall(family, "Nobody").books[0] == {}


def test_probabilities_sum_to_one_and_unknown_positions_keep_the_models(family) -> None:
    recall, position = Recall(family), Position()
    code = np.array(position.legal(), np.int64)
    log_p = np.log(np.random.default_rng(0).dirichlet(np.ones(len(code))))
    mixed = recall.mixed(position, code, log_p)
    counts = np.array([recall.chosen(position).get(move, 0) for move in code.tolist()])
    assert counts.sum() == 3
    np.testing.assert_allclose(np.exp(mixed), (counts + WEIGHT * np.exp(log_p)) / (3 + WEIGHT))
    assert np.exp(mixed).sum() == pytest.approx(1)
    assert recall.mixed(at("a3"), code, log_p) is log_p


def test_whole_games_are_scored_as_they_are_followed(model: Path, family) -> None:
    predictor, recall = Predictor.load(model), Recall(family)
    wanted = np.flatnonzero(family.start < 0)
    scored = score(predictor, family, wanted, dict.fromkeys(wanted.tolist(), recall))
    for number in wanted.tolist():
        live = predictor.follow(recall=recall)
        for ply, move in enumerate(family.of(number).tolist()):
            predicted = live.prediction()
            nats = -float(predicted.log_p[predicted.code == move][0])
            row = (scored.game == number) & (scored.ply == ply)
            assert float(scored.nats[row][0]) == pytest.approx(nats, rel=1e-4)
            live.play(move)
