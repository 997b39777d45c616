"""What is counted about a player, and the figures of three masters."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from chess_report_cases import few_games, write_pgn
from congru.errors import DataError
from congru.tasks.chess.games import Games, collect
from congru.tasks.chess.moves import code_of
from congru.tasks.chess.sources import read_games
from congru.tasks.chess.tendencies import (
    BLACK,
    D4,
    E4,
    NOT_CASTLED,
    WHITE,
    Castling,
    Player,
    Score,
    by_year,
    castling,
    find_player,
    first_moves,
    replies,
    usual,
    wilson,
)
from shared_files import DATA, needs

MASTERS = DATA / "chess" / "pgnmentor20" / "games.tsv.gz"


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Games:
    return few_games(tmp_path_factory.mktemp("games"))


@pytest.fixture(scope="module")
def ann(games: Games) -> Player:
    return find_player(games, "ann")


def test_first_moves_and_replies_are_counts(games: Games, ann: Player) -> None:
    assert (len(ann), len(ann.white), len(ann.black)) == (8, 4, 4)
    assert first_moves(games, ann.white) == Counter({E4: 3, D4: 1})
    assert replies(games, ann.black, E4) == Counter({code_of("e7e5"): 2, code_of("c7c5"): 1})
    assert replies(games, ann.black, D4) == Counter({code_of("g8f6"): 1})
    assert ann.sides == {0: WHITE, 1: WHITE, 2: WHITE, 3: WHITE, 4: BLACK, 5: BLACK, 6: BLACK, 7: BLACK}


def test_results_are_seen_from_the_player(games: Games, ann: Player) -> None:
    assert ann.score(ann.white.tolist()) == Score(2, 1, 1)
    assert ann.score(ann.black.tolist()) == Score(2, 1, 1)
    assert ann.score(ann.all.tolist()).share == pytest.approx(5 / 8)
    assert np.isnan(Score().share)


def test_the_interval_of_a_share_holds_it() -> None:
    low, high = wilson(87, 100)
    assert (round(low, 4), round(high, 4)) == (
        0.7902,
        0.9224,
    )  # statsmodels proportion_confint, method="wilson"
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == 1.0


def test_castling_is_read_from_the_moves(games: Games) -> None:
    assert castling(games, 0, WHITE) == Castling("O-O", 4)
    assert castling(games, 1, BLACK) == Castling("O-O", 6)
    assert castling(games, 3, WHITE) == Castling("O-O-O", 5)
    assert castling(games, 3, BLACK) == Castling(NOT_CASTLED, 0)


def test_a_rook_on_the_square_of_the_king_does_not_castle(tmp_path: Path) -> None:
    moves = "e4 e5 Ke2 Ke7 Nf3 Nf6 Ng5 Ng4 Kf3 Kf6 Be2 Be7 Rg1 Rg8 Rf1 Rf8 Re1 Re8 Rh1 Rh8"
    games = read_games(write_pgn(tmp_path, [("A", "B", "1-0", 1990, moves)]))[0]
    assert castling(games, 0, WHITE) == castling(games, 0, BLACK) == Castling(NOT_CASTLED, 0)


def test_years_are_joined_where_there_are_many(games: Games, ann: Player) -> None:
    years = by_year(games, ann.all)
    assert {span: len(numbers) for span, numbers in years.items()} == {"1990": 3, "1991": 3, "1992": 2}
    joined = by_year(games, ann.all, most=2)
    assert {span: len(numbers) for span, numbers in joined.items()} == {"1990-1991": 6, "1992-1993": 2}
    assert by_year(collect([]), np.zeros(0, np.int64)) == {}


def test_a_name_of_several_people_offers_them(tmp_path: Path) -> None:
    rows = [("Polgar, Judit", "Polgar, Sofia", "1-0", 1990, "e4"), ("Polgar, Judit", "X", "1-0", 1990, "d4")]
    games = read_games(write_pgn(tmp_path, rows))[0]
    message = (
        r"player 'Polgar' is the name of 2 people, expected one: Polgar, Judit \(2 games\); Polgar, Sofia"
    )
    with pytest.raises(DataError, match=message):
        find_player(games, "Polgar")
    assert len(find_player(games, "Polgar, Judit")) == 2


def test_a_namesake_with_far_fewer_games_is_passed_over_and_named(tmp_path: Path) -> None:
    rows = [
        ("Fischer, Robert", "X", "1-0", 1990, f"e4 e5 {move}") for move in ("a3", "b3", "c3", "d3", "f3")
    ] * 2
    games = read_games(write_pgn(tmp_path, [*rows, ("Fischer, Gert", "X", "0-1", 1991, "e4")]))[0]
    lines: list[str] = []
    assert find_player(games, "Fischer", lines.append).name == "Fischer, Robert"
    assert lines == [
        "player 'Fischer' is taken as Fischer, Robert (10 games); of the same name: Fischer, Gert"
    ]


def test_spellings_of_one_person_are_taken_together(tmp_path: Path) -> None:
    rows = [("Kasparov, Garry", "X", "1-0", 1990, "e4"), ("X", "KASPAROV,G", "0-1", 1990, "d4")]
    lines: list[str] = []
    player = find_player(read_games(write_pgn(tmp_path, rows))[0], "kasparov", lines.append)
    assert player.score(player.all.tolist()) == Score(2, 0, 0)
    assert lines == ["Kasparov, Garry: taken together with KASPAROV,G"]


def test_a_game_from_another_position_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "set_up.pgn"
    path.write_text('[White "A"]\n[Black "B"]\n[FEN "4k3/8/8/8/8/8/4P3/4K3 w - - 0 1"]\n\n1. e4 Kd7 *\n')
    games = read_games(path)[0]
    assert usual(games, np.arange(1)).tolist() == []
    assert first_moves(games, np.arange(1)) == Counter()


@needs(MASTERS)
def test_three_masters_as_they_were_counted_elsewhere(tmp_path: Path) -> None:
    header, *lines = gzip.decompress(MASTERS.read_bytes()).decode().splitlines(keepends=True)
    names = re.compile("fischer|karpov|polgar", re.IGNORECASE)
    (tmp_path / "games.tsv").write_text(header + "".join(line for line in lines if names.search(line)))
    games, _ = read_games(tmp_path / "games.tsv")

    def share(counts: Counter[int], name: str) -> int:
        return round(100 * counts[code_of(name)] / counts.total())

    fischer = find_player(games, "Fischer")
    assert fischer.name == "Fischer, Robert James"
    assert share(first_moves(games, fischer.white), "e2e4") == 92
    assert share(replies(games, fischer.black, E4), "c7c5") == 87
    assert share(first_moves(games, find_player(games, "Karpov").white), "d2d4") == 58
    assert share(first_moves(games, find_player(games, "Polgar, Judit").white), "e2e4") == 97
