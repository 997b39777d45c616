"""What players chose in earlier games: counted by position, player, colour and time, and mixed into a model's probabilities."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from congru.tasks.chess.archive import Archive
from congru.tasks.chess.evaluation import score
from congru.tasks.chess.games import Games
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.recall import FADES, WEIGHT, Choices, Recall, mark_of, of_named, years
from congru.tasks.chess.recalls import Recalling, recall_of, recalls_of
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import read_san
from congru.tasks.chess.sources import read_games

PGN = """[White "Father, The"]
[Black "Son, The"]
[Date "2010.05.01"]

1. e4 c5 2. Nf3 d6 *

[White "Son, The"]
[Black "Father, The"]
[Date "2018.05.01"]

1. d4 d5 *

[White "FATHER, T"]
[Black "Aunt, The"]
[Date "2014.05.01"]

1. Nf3 c5 2. e4 e6 *

[White "Father, The"]
[Black "Son, The"]
[SetUp "1"]
[FEN "7k/8/8/8/8/8/8/K6R w - - 0 1"]

1. Rg1 *
"""


@pytest.fixture
def family(tmp_path: Path) -> Games:
    path = tmp_path / "family.pgn"
    path.write_text(PGN)
    return read_games(path)[0]


def recall(games: Games, *names: str | None, **how: float) -> Recall:
    white, black = of_named(games, (*names, None, None)[:2])
    return Recall([white], [black], **how)


def at(moves: str) -> Position:
    position = Position()
    for san in moves.split():
        position.play(read_san(position, san))
    return position


def said(position: Position, counts: Counter[int]) -> dict[str, int]:
    return {position.uci(code): count for code, count in counts.items()}


def test_choices_are_those_of_the_player_with_the_colour_by_whatever_order_of_moves(family: Games) -> None:
    both = recall(family, "Father", "Son, The")
    start, sicilian, after_nf3 = Position(), at("e4 c5"), at("Nf3 c5 e4")
    assert said(start, both.chosen(start)) == {"e2e4": 1, "g1f3": 1}
    assert said(sicilian, both.chosen(sicilian)) == {"g1f3": 1}
    assert said(after_nf3, both.chosen(after_nf3)) == {"d7d6": 1}, "the son's, not the aunt's"
    assert both.chosen(at("d4")) == Counter(), "with Black it was the father"
    everybody = recall(family)
    assert said(after_nf3, everybody.chosen(after_nf3)) == {"d7d6": 1, "e7e6": 1}
    assert recall(family, "Nobody").chosen(start) == Counter()


def test_probabilities_sum_to_one_and_unknown_positions_keep_the_models(family: Games) -> None:
    undated = replace(family, date=np.zeros(len(family), np.int32))
    everybody, position = recall(undated), Position()
    code = np.array(position.legal(), np.int64)
    log_p = np.log(np.random.default_rng(0).dirichlet(np.ones(len(code))))
    mixed = everybody.mixed(position, code, log_p)
    counts = np.array([everybody.chosen(position).get(move, 0) for move in code.tolist()])
    assert counts.sum() == 3
    np.testing.assert_allclose(np.exp(mixed), (counts + WEIGHT * np.exp(log_p)) / (3 + WEIGHT))
    assert np.exp(mixed).sum() == pytest.approx(1)
    assert everybody.mixed(at("a3"), code, log_p) is log_p


def test_a_game_counts_the_less_the_more_years_lie_between(family: Games) -> None:
    position = Position()
    code = np.array(position.legal(), np.int64)
    log_p = np.full(len(code), -np.log(len(code)))
    for how, ages in (({}, (4, 0)), ({"year": years(np.array(20160500)).item()}, (6, 2))):
        p = np.exp(recall(family, "Father", "Son", **how).mixed(position, code, log_p))
        e4, nf3 = (1 / (1 + age / FADES) ** 2 for age in ages)
        total = e4 + nf3 + WEIGHT
        for uci, n in (("e2e4", e4), ("g1f3", nf3), ("a2a3", 0)):
            expected = (n + WEIGHT / len(code)) / total
            assert p[code == position.read_uci(uci)][0] == pytest.approx(expected), (uci, how)
    year = years(np.array(20140500)).item()
    before = recall(family, "Father", "Son", year=year, only_before=True)
    assert said(position, before.chosen(position)) == {"e2e4": 1}, "not the game of the same month"


def test_the_game_itself_is_no_earlier_one(family: Games) -> None:
    position = Position()
    own = recall(family, "Father", "Son", itself=mark_of(family.of(0)))
    assert said(position, own.chosen(position)) == {"g1f3": 1}


def test_whole_games_are_scored_as_they_are_followed(model: Path, family: Games) -> None:
    predictor, everybody = Predictor.load(model), recall(family)
    wanted = np.flatnonzero(family.start < 0)
    scored = score(predictor, family, wanted, dict.fromkeys(wanted.tolist(), everybody))
    for number in wanted.tolist():
        live = predictor.follow(recall=everybody)
        for ply, move in enumerate(family.of(number).tolist()):
            predicted = live.prediction()
            nats = -float(predicted.log_p[predicted.code == move][0])
            row = (scored.game == number) & (scored.ply == ply)
            assert float(scored.nats[row][0]) == pytest.approx(nats, rel=1e-4)
            live.play(move)


def test_a_game_of_the_archive_and_of_the_earlier_ones_counts_once(model: Path, games: Path) -> None:
    predictor, read = Predictor.load(model), read_games(games)[0]
    name = read.players[0]
    pair, start = (name, None), Position()
    remembered = recall_of(predictor, pair)
    assert remembered is not None
    count = remembered.chosen(start).total()
    own = np.flatnonzero(read.white == 0)
    assert 0 < count < len(own), "training games alone"
    together = recall_of(predictor, pair, earlier=read, names=pair)
    assert together is not None
    assert together.chosen(start).total() == len(own)
    alone = recall_of(predictor, pair, earlier=read, names=pair, archive=False)
    assert alone is not None
    assert alone.chosen(start).total() == len(own)
    assert recall_of(predictor, ("Nobody", None)) is None
    assert recall_of(predictor, pair, archive=False) is None


def test_no_game_is_recalled_when_it_is_scored_itself(model: Path, games: Path) -> None:
    predictor, read = Predictor.load(model), read_games(games)[0]
    remembered = [mark_of(moves) for moves in predictor.archive.moves]
    wanted = np.array([k for k in range(len(read)) if mark_of(read.of(k)) in remembered])[:3]
    assert len(wanted) == 3, "training games"
    recalls = recalls_of(predictor, read, wanted)
    for number in wanted.tolist():
        white, black = (predictor.number_of(read.players[one[number]]) for one in (read.white, read.black))
        others = np.array([mark != mark_of(read.of(number)) for mark in remembered])
        archive = predictor.archive
        without = Archive(*(column[others] for column in vars(archive).values()))
        expected = Recall(
            [Choices(without, without.games_of(white, 0), 0)],
            [Choices(without, without.games_of(black, 1), 1)],
            year=years(read.date[number : number + 1]).item(),
        )
        position, missed = Position(), 0
        for code in read.of(number).tolist():
            assert recalls[number].chosen(position) == expected.chosen(position)
            missed += not expected.chosen(position)
            position.play(code)
        assert missed > 0, "random games soon leave what was met before"
    plain, recalled = (one.predict(read, wanted) for one in (predictor, Recalling(predictor)))
    for one, other in zip(plain, recalled):
        rows = np.bincount(other.row, weights=np.exp(other.log_p))
        np.testing.assert_allclose(rows, 1, atol=1e-6)
        assert np.abs(one.log_p - other.log_p)[other.row == 0].max() > 0.01
