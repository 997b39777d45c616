"""A few games of made-up players, and a model that is easy to check, for the tests of the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from congru.tasks.chess.games import Games
from congru.tasks.chess.openings import Openings
from congru.tasks.chess.rules import Position
from congru.tasks.chess.sources import read_games

# White, Black, result, year, moves
ROWS = [
    ("Ann", "Bob", "1-0", 1990, "e4 c5 Nf3 d6 Bb5+ Bd7 O-O"),
    ("Ann", "Bob", "1-0", 1990, "e4 c5 Nf3 Nc6 Bb5 g6 O-O Bg7 c3 Nf6 Re1 O-O"),
    ("Ann", "Cid", "1/2-1/2", 1991, "e4 e5 Nf3 Nc6 Bb5"),
    ("Ann", "Cid", "0-1", 1992, "d4 d5 Nc3 Nf6 Bf4 e6 Qd3 c5 O-O-O"),
    ("Bob", "Ann", "1-0", 1990, "e4 e5 Nf3 Nf6"),
    ("Cid", "Ann", "0-1", 1991, "e4 e5 Nf3 Nc6 Bc4"),
    ("Cid", "Ann", "0-1", 1991, "e4 c5 Nf3"),
    ("Bob", "Ann", "1/2-1/2", 1992, "d4 Nf6 c4 g6 Nc3 Bg7 e4 O-O"),
    ("Bob", "Cid", "1-0", 1992, "e4 c5"),
    ("Cid", "Bob", "0-1", 1992, "c4 c5"),
    ("Cid", "Bob", "0-1", 1992, "d4 d5"),
]
NAMES = [
    ("B20", "Sicilian Defense", "1. e4 c5"),
    ("B50", "Sicilian Defense: Modern Variations", "1. e4 c5 2. Nf3 d6"),
    ("C20", "King's Pawn Game", "1. e4 e5"),
    ("C60", "Ruy Lopez", "1. e4 e5 2. Nf3 Nc6 3. Bb5"),
    ("A40", "Queen's Pawn Game", "1. d4"),
]


def write_pgn(folder: Path, rows: list[tuple[str, str, str, int, str]] = ROWS) -> Path:
    path = folder / "games.pgn"
    path.write_text(
        "\n".join(
            f'[White "{white}"]\n[Black "{black}"]\n[Result "{result}"]\n[Date "{year}.01.02"]\n\n{moves} {result}\n'
            for white, black, result, year, moves in rows
        )
    )
    return path


def few_games(folder: Path) -> Games:
    return read_games(write_pgn(folder))[0]


def few_names() -> Openings:
    return Openings(NAMES)


class Predicted(NamedTuple):
    game: int
    row: np.ndarray[Any, Any]
    code: np.ndarray[Any, Any]
    log_p: np.ndarray[Any, Any]


class LastOfLegal:
    """Gives half of the probability to the legal move with the greatest code, the rest equally to the others."""

    asked = 0

    def predict(self, games: Games, chosen: Any, /) -> Iterator[Predicted]:
        for game in reversed(np.asarray(chosen).tolist()):  # in any order
            self.asked += 1
            position = Position(games.fens[games.start[game]] if games.start[game] >= 0 else None)
            row, code, log_p = [], [], []
            for ply, move in enumerate(games.of(game).tolist()):
                legal = position.legal()
                row += [ply] * len(legal)
                code += legal
                log_p += [chance_of(legal, c) for c in legal]
                position.play(move)
            yield Predicted(game, np.array(row), np.array(code), np.log(log_p))


def chance_of(legal: list[int], code: int) -> float:
    if len(legal) == 1:
        return 1.0
    return 0.5 if code == max(legal) else 0.5 / (len(legal) - 1)
