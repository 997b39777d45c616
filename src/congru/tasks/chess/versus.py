"""Two players against each other: their meetings, and the games that are likely between them.

What a player chooses in a position is estimated from the player's games there, n of them, y with the move, and from
what all others chose there, in the share q:  p = (y + A q) / (n + A),  so that few games count little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.beginnings import Book, after
from congru.tasks.chess.games import Game, collect
from congru.tasks.chess.openings import Openings
from congru.tasks.chess.rules import Position
from congru.tasks.chess.surprise import Predicts
from congru.tasks.chess.tendencies import Player

PRIOR = 5.0  # A
PLIES = 10
MOST = 8
_WIDTH = 100  # lines followed from ply to ply
Path = tuple[float, tuple[int, ...], Position]  # probability, moves, the position after them


class Line(NamedTuple):
    """A likely beginning: its moves, its probability, the last opening on the way."""

    moves: tuple[int, ...]
    p: float
    name: str | None


def meetings(white: Player, black: Player) -> NDArray[np.int64]:
    """The games of two players with these colours."""
    return np.intersect1d(white.white, black.black)


def chances(key: int, own: Book, others: Book, prior: float = PRIOR) -> dict[int, float]:
    """What a player is likely to choose in a position; empty where nobody stood there."""
    mine, theirs = own.get(key), others.get(key)
    if mine is None and theirs is None:
        return {}
    n, m = (mine.total() if mine else 0), (theirs.total() if theirs else 0)
    strength = prior if m else 0.0
    codes = {*(mine or ()), *(theirs or ())}
    return {
        code: ((mine[code] if mine else 0) + (strength * theirs[code] / m if theirs else 0.0))
        / (n + strength)
        for code in codes
    }


def likely_lines(
    books: tuple[Book, Book],
    others: tuple[Book, Book],
    *,
    plies: int = PLIES,
    most: int = MOST,
    names: Openings | None = None,
) -> list[Line]:
    """The most probable beginnings of a game by counting, the likeliest first.

    Args:
        books: what White's player chose with White, and Black's with Black, by position.
        others: what all others chose with White, and with Black.
        plies: how long the beginnings are; shorter ones end where nobody has been.
        most: how many are given.
        names: names of openings.
    """

    def choose(paths: Sequence[Path]) -> list[dict[int, float]]:
        return [
            chances(position.key, books[position.turn], others[position.turn]) for _, _, position in paths
        ]

    return _search(choose, plies, most, names)


def model_lines(
    model: Predicts,
    white: str,
    black: str,
    *,
    plies: int = PLIES,
    most: int = MOST,
    names: Openings | None = None,
) -> list[Line]:
    """The beginnings of a game of two players, by their names, that a model finds most probable."""

    def choose(paths: Sequence[Path]) -> list[dict[int, float]]:
        open_paths = [(moves, legal[0]) for _, moves, position in paths if (legal := position.legal())]
        games = collect(
            [Game(np.array([*moves, last], np.uint16), white, black) for moves, last in open_paths]
        )
        chances: dict[tuple[int, ...], dict[int, float]] = {}
        for predicted in model.predict(games, np.arange(len(games))):
            moves = open_paths[predicted.game][0]
            last = predicted.row == len(moves)  # what is predicted before a ply does not depend on it
            chances[moves] = dict(zip(predicted.code[last].tolist(), np.exp(predicted.log_p[last]).tolist()))
        return [chances.get(moves, {}) for _, moves, _ in paths]

    return _search(choose, plies, most, names)


def _search(
    choose: Callable[[Sequence[Path]], list[dict[int, float]]], plies: int, most: int, names: Openings | None
) -> list[Line]:
    """The most probable lines, ply by ply, of which the `_WIDTH` best are followed; ended ones stay."""
    paths: list[Path] = [(1.0, (), Position())]
    ended: list[Path] = []
    for _ in range(plies):
        longer: list[Path] = []
        for (p, moves, position), chances in zip(paths, choose(paths)):
            longer += [(p * chance, (*moves, code), position) for code, chance in chances.items() if chance]
            if not chances and moves:
                ended.append((p, moves, position))
        longer.sort(key=lambda path: (-path[0], path[1]))
        paths = [(p, moves, _played(position, moves[-1])) for p, moves, position in longer[:_WIDTH]]
        if not paths:
            break
    best = sorted(paths + ended, key=lambda path: (-path[0], path[1]))[:most]
    return [Line(moves, p, _name(names, moves)) for p, moves, _ in best if moves]


def _played(position: Position, code: int) -> Position:
    position = position.copy()
    position.play(code)
    return position


def _name(names: Openings | None, moves: Sequence[int]) -> str | None:
    """The last name on the way."""
    if names is None:
        return None
    opening: str | None = None
    for ply in range(1, len(moves) + 1):
        opening = names.name(after(list(moves[:ply]))) or opening
    return opening
