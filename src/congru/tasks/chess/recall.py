"""What two players chose before: the moves of their earlier games, remembered by position, beside a model's probabilities.

p(move) = (n(move) + WEIGHT * p_model(move)) / (N + WEIGHT)

n(move): how often the player to move played it in this position, N their sum; by whatever moves the position was reached. The
model counts as WEIGHT games. Where the position was never met, p = p_model.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.chess.beginnings import Beginnings, Book
from congru.tasks.chess.games import Games
from congru.tasks.chess.players import matches
from congru.tasks.chess.rules import Position

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
WEIGHT = 4.0  # the best of 1, 2, 4, 8, 16 and 32 on validation games of pgnmentor20, in hits and in bits


class Recall:
    """The choices of White and Black of a game in their earlier ones.

    A game counts for a player where a player of that name had the same colour; all games count for one who is not named.
    """

    def __init__(self, games: Games, white: str | None = None, black: str | None = None) -> None:
        played = Beginnings(games, int(games.lengths.max(initial=0)))
        self.books: tuple[Book, Book] = (
            played.book(_games_of(games, games.white, white), 0),
            played.book(_games_of(games, games.black, black), 1),
        )

    def chosen(self, position: Position) -> Counter[int]:
        """How often the player to move chose each move in a position; empty where it was never met."""
        return self.books[position.turn].get(position.key, Counter())

    def mixed(self, position: Position, code: Ints, log_p: Floats) -> Floats:
        """log p [C] of the legal moves `code` [C] of a position, the model's `log_p` [C] and what was chosen there together."""
        counts = self.chosen(position)
        if not counts:
            return log_p
        chosen = np.array([counts.get(move, 0) for move in code.tolist()], np.float64)
        mixed: Floats = np.log(chosen + WEIGHT * np.exp(log_p)) - np.log(chosen.sum() + WEIGHT)
        return mixed

    def over(self, moves: Ints, row: Ints, code: Ints, log_p: Floats) -> Floats:
        """As :meth:`mixed`, for all positions of a game `moves` [T] from the usual first one; `row` [C] the ply of each move."""
        position, out = Position(), log_p.astype(np.float64)
        ends = np.searchsorted(row, np.arange(len(moves) + 1))
        for ply, move in enumerate(moves.tolist()):
            at = slice(int(ends[ply]), int(ends[ply + 1]))
            out[at] = self.mixed(position, code[at], log_p[at])
            position.play(move)
        return out


def _games_of(games: Games, players: Ints, name: str | None) -> NDArray[np.int64]:
    """The games in which a player of that name had the colour; all where none is given."""
    if not name:
        return np.arange(len(games))
    try:
        spellings = matches(name, games.players)
    except DataError:  # nobody is called so
        spellings = []
    return np.flatnonzero(np.isin(players, [games.players.index(spelling) for spelling in spellings]))
