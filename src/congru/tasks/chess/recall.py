"""What two players chose before: the moves of their earlier games, remembered by position, beside a model's probabilities.

    p(move) = (n(move) + WEIGHT * p_model(move)) / (N + WEIGHT),    n(move) = sum over the earlier games of w
    w = 1 / (1 + years / FADES)^2

n(move): how often the player to move played it in this position, N their sum; by whatever moves the position was reached. A game
counts the less the more years lie between it and the one that is followed; one without a date counts in full. The model counts
as WEIGHT games. Where the position was never met, p = p_model. Earlier games are those of the model's archive, and others that
are given. A game that began with the same 40 plies as the one that is followed is taken for that game, and never counts.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.chess.archive import Archive, beginning
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.games import Games
from congru.tasks.chess.players import matches
from congru.tasks.chess.rules import Position

Floats = NDArray[np.floating]
WEIGHT = 1.0  # the best of 1/4, 1/2, 1, 2, 4 and 8 for players with few games and with many
FADES = 4.0  # years; both on validation games of pgnmentor20, in hits and in bits
NO_GAME = -1  # the mark of no game


class Chosen(NamedTuple):
    """What was played in a position, one entry for each game: the codes, the years as numbers, NaN unknown, and the games."""

    code: Ints
    year: NDArray[np.float64]
    game: Ints


_NEVER = Chosen(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


class Choices:
    """What one player chose with one colour, by position, in some games of an archive."""

    def __init__(self, archive: Archive, games: Ints, side: int, without: Choices | None = None) -> None:
        self.games = np.array([mark_of(archive.moves[game]) for game in games.tolist()], np.int64)
        rows, codes, keys = list[int](), list[int](), list[int]()
        for row, game in enumerate(games.tolist()):
            if without is not None and self.games[row] in without.games:
                continue
            position = Position()
            for ply, code in enumerate(archive.played(game)):
                if ply % 2 == side:
                    rows.append(row)
                    codes.append(code)
                    keys.append(position.key)
                position.play(code)
        order = np.argsort(np.array(keys, np.uint64), kind="stable")
        ordered = np.array(keys, np.uint64)[order]
        begins = (
            np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(keys) else np.zeros(0, int)
        )
        self._begin = dict(zip(ordered[begins].tolist(), begins.tolist()))
        self._end = dict(zip(ordered[begins].tolist(), [*begins[1:].tolist(), len(keys)]))
        row_of = np.array(rows, np.int64)[order]
        self._all = Chosen(
            np.array(codes, np.int64)[order], years(archive.date)[games][row_of], self.games[row_of]
        )

    @cached_property
    def newest(self) -> float:
        """The year of the last game; NaN where none has a date."""
        dated = self._all.year[~np.isnan(self._all.year)]
        return float(dated.max()) if len(dated) else float("nan")

    def at(self, key: int) -> Chosen:
        """What was played in the position of that key."""
        begin = self._begin.get(key)
        if begin is None:
            return _NEVER
        part = slice(begin, self._end[key])
        return Chosen(self._all.code[part], self._all.year[part], self._all.game[part])


class Recall:
    """The choices of White and Black of a game in their earlier ones: `white` and `black`, from one source or from several.

    `year`: when the game is played; NaN, unknown, stands for the player's newest earlier game. `itself`: the mark of the game
    (:func:`mark_of`), where it is known. `only_before`: count no game of that month or later.
    """

    def __init__(
        self,
        white: Sequence[Choices],
        black: Sequence[Choices],
        *,
        year: float = math.nan,
        itself: int = NO_GAME,
        only_before: bool = False,
    ) -> None:
        self._sides = (tuple(white), tuple(black))
        self._itself, self._only_before = itself, only_before
        newest = [
            max((one.newest for one in side if not math.isnan(one.newest)), default=math.nan)
            for side in self._sides
        ]
        self._years = newest if math.isnan(year) else [year, year]

    def _entries(self, position: Position) -> tuple[Ints, NDArray[np.float64]]:
        """The codes played in a position, one for each game that counts, and how much each counts."""
        key, side = position.key, position.turn
        parts = [chosen for one in self._sides[side] if (chosen := one.at(key)) is not _NEVER]
        if not parts:
            return _NEVER.code, _NEVER.year
        code, year, game = (np.concatenate(columns) for columns in zip(*parts))
        counts = game != self._itself
        if self._only_before:
            counts &= year < self._years[side] - 1 / 24  # half a month: dates have no days
        ago = np.nan_to_num(np.abs(year - self._years[side]))
        return code[counts], (1 / (1 + ago / FADES) ** 2)[counts]

    def chosen(self, position: Position) -> Counter[int]:
        """How often the player to move chose each move in a position; empty where it was never met."""
        counts = Counter(self._entries(position)[0].tolist())
        return Counter({code: count for code, count in counts.items() if position.is_legal(code)})

    def mixed(self, position: Position, code: Ints, log_p: Floats) -> Floats:
        """log p [C] of the legal moves `code` [C] of a position, the model's `log_p` [C] and what was chosen there together."""
        played, weight = self._entries(position)
        if not len(played):
            return log_p
        chosen = ((played[None] == code[:, None]) * weight).sum(axis=1)
        mixed: Floats = np.log(chosen + WEIGHT * np.exp(log_p)) - np.log(chosen.sum() + WEIGHT)
        return mixed

    def over(self, moves: NDArray[np.integer], row: Ints, code: Ints, log_p: Floats) -> Floats:
        """As :meth:`mixed`, for all positions of a game `moves` [T] from the usual first one; `row` [C] the ply of each move."""
        position, out = Position(), log_p.astype(np.float64)
        ends = np.searchsorted(row, np.arange(len(moves) + 1))
        for ply, move in enumerate(moves.tolist()):
            at = slice(int(ends[ply]), int(ends[ply + 1]))
            out[at] = self.mixed(position, code[at], log_p[at])
            position.play(move)
        return out


def of_named(
    games: Games, names: tuple[str | None, str | None], known: Sequence[Choices | None] = (None, None)
) -> tuple[Choices, Choices]:
    """What White and Black, by their names, chose in some games, less the games that are in `known`.

    A game counts for a player where a player of that name had the same colour; all games count for one who is not named.
    """
    archive = Archive.of(games, np.arange(len(games)), np.arange(1, len(games.players) + 1))
    sides = []
    for side, (name, players) in enumerate(zip(names, (archive.white, archive.black))):
        counted = np.isin(players, _numbers(games, name)) if name else np.ones(len(archive), np.bool_)
        sides.append(Choices(archive, np.flatnonzero(counted), side, known[side]))
    return sides[0], sides[1]


def _numbers(games: Games, name: str) -> list[int]:
    """The numbers, from 1, of the players of that name."""
    try:
        return [1 + games.players.index(spelling) for spelling in matches(name, games.players)]
    except DataError:  # nobody is called so
        return []


def mark_of(moves: NDArray[np.uint16]) -> int:
    """A number that tells a game from others, by its first 40 plies."""
    return zlib.crc32(beginning(moves))


def years(date: NDArray[np.integer] | int) -> NDArray[np.float64]:
    """Dates yyyymmdd as years, the middle of the month or of the year; NaN where unknown.

    >>> years(np.array([20240600, 20240000, 0])).round(3).tolist()
    [2024.458, 2024.5, nan]
    """
    whole, month = np.asarray(date) // 10000, np.asarray(date) // 100 % 100
    return np.where(whole > 0, whole + np.where(month > 0, (month - 0.5) / 12, 0.5), np.nan)
