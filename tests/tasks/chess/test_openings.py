"""Names of openings by position: transpositions, the opening of a game, and a machine without the set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from congru.errors import DataError
from congru.tasks.chess import openings
from congru.tasks.chess.games import Game, Games, collect
from congru.tasks.chess.openings import Opening, Openings, openings_or_none, read_openings
from congru.tasks.chess.replay import Skipped, as_codes
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import read_san

COPIES = os.environ.get("CONGRU_DATA")
real = pytest.mark.skipif(
    COPIES is None or not (Path(COPIES) / "chess" / "openings").is_dir(),
    reason="CONGRU_DATA names no copy of the set openings",
)
ROWS = [
    ("D06", "Queen's Gambit", "1. d4 d5 2. c4"),
    ("D30", "Queen's Gambit Declined", "1. d4 d5 2. c4 e6"),
    ("A40", "Queen's Pawn Game", "1. d4"),
    ("A00", "A longer way to the same", "1. c4 e6 2. d4 d5"),
    ("C20", "King's Pawn Game", "1. e4 e5"),
]


def games_of(*texts: str, fen: str = "") -> Games:
    out = []
    for text in texts:
        codes = as_codes(text.split(), fen)
        assert not isinstance(codes, Skipped)
        out.append(Game(codes, "Ann", "Bob", fen=fen))
    return collect(out)


def after(text: str) -> Position:
    position = Position()
    for word in text.split():
        position.play(read_san(position, word))
    return position


def test_a_position_has_one_name_by_whatever_moves() -> None:
    names = Openings(ROWS)
    assert len(names) == 4
    assert names.longest == 4
    assert names.at(after("c4 e6 d4 d5")) == names.at(after("d4 e6 c4 d5")) == names.at(after("d4 d5 c4 e6"))
    assert names.name(after("d4 d5 c4 e6")) == "Queen's Gambit Declined"
    assert names.name(after("d4 e6")) is None
    assert names.name(Position()) is None


def test_the_side_to_move_belongs_to_the_position() -> None:
    names = Openings([("A00", "Saragossa Opening", "1. c3")])
    assert names.name(after("c3")) == "Saragossa Opening"
    lost_a_move = Position("rnbqkbnr/pppppppp/8/8/8/2P5/PP1PPPPP/RNBQKBNR w KQkq - 0 2")
    assert names.name(lost_a_move) is None


def test_the_shorter_of_two_ways_gives_the_name_in_any_order_of_rows() -> None:
    rows = [("B00", "long", "1. e3 e6 2. e4"), ("C00", "short", "1. e4 e6")]
    moved = [("A00", "three", "1. Nf3 Nf6 2. Ng1 Ng8"), *rows]
    for order in (moved, moved[::-1]):
        names = Openings(order)
        assert names.name(after("e4 e6")) == "short"
        assert names.name(after("e3 e6 e4")) == "long"
    twice = [
        ("A01", "first", "1. d3 d6 2. e3 e6"),
        ("A02", "shorter", "1. d3 d6"),
        ("A03", "other", "1. e3 e6 2. d3 d6"),
    ]
    assert Openings(twice).name(after("e3 e6 d3 d6")) == "first"


def test_the_opening_of_a_game_is_its_last_named_position() -> None:
    games = games_of("d4 d5 c4 e6 Nc3", "d4 d5 c4 c6", "d4", "c4 e6 d4 d5", "e4 e6", "d4 d5 c4 e6 Nf3")
    openings = Openings(ROWS).of(games)
    assert [opening and opening.eco for opening in openings] == ["D30", "D06", "A40", "D30", None, "D30"]
    one_by_one = [Openings(ROWS).of(games.select([k]))[0] for k in range(len(games))]  # type: ignore[arg-type]
    assert openings == one_by_one


def test_a_game_from_another_position_has_no_opening() -> None:
    assert Openings(ROWS).of(games_of("e4 e5", fen="4k3/4p3/8/8/8/8/4P3/4K3 w - - 0 1")) == [None]


def test_a_row_with_an_illegal_move_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"opening 'Odd': ply 2: move 'e6e4' .* mend the row or fetch the set again"
    ):
        Openings([("A00", "Odd", "1. d4 e6e4")])


def test_without_the_set_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONGRU_DATA", str(tmp_path))
    assert openings_or_none() is None
    with pytest.raises(
        DataError, match=r"names of openings are not on this machine.*congru data get openings"
    ):
        read_openings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\tpgn\n", "openings a.tsv begins with .*expected the columns eco, name, pgn"),
        ("", "openings a.tsv begins with"),
        ("eco\tname\tpgn\nA00\tOdd\n", "openings a.tsv line 2 is 'A00 Odd', expected eco, name, pgn"),
    ],
)
def test_a_damaged_file_is_named(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "chess" / "openings"
    folder.mkdir(parents=True)
    for file in openings.FILES:
        (folder / file).write_text(text)
    monkeypatch.setenv("CONGRU_DATA", str(tmp_path))
    with pytest.raises(DataError, match=message):
        read_openings()


@real
def test_the_public_set() -> None:
    names = read_openings()
    assert len(names) >= 3800
    assert names.at(after("e4 c5 Nf3 d6 d4 cxd4 Nxd4 Nf6 Nc3 a6")) == Opening(
        "B90", "Sicilian Defense: Najdorf Variation"
    )
    assert names.name(after("Nf3 c5 e4 d6 d4 cxd4 Nxd4 Nf6 Nc3 a6")) == "Sicilian Defense: Najdorf Variation"
    assert names.name(after("e4 e5 Nf3 Nc6 Bb5")) == "Ruy Lopez"
