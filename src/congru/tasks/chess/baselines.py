"""What a person would try first: the move most often played from the same opening, else after the same few moves.

    book      the most frequent next move among the training games that began with the same moves
    4-gram    where no game did: the most frequent next move after the same three moves, else two, one, none

Moves that are not legal are passed over.

Legend: P plies of all games, K moves offered for a ply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.games import Games
from congru.tasks.chess.rules import Position

Keys = NDArray[np.uint64]
NO_MOVE = 0xFFFF  # no code of a move
LOOK_BACK = 3  # moves that a context looks back at most
_OFFERED = 24  # moves kept of a context, of which some are not legal
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_START = np.uint64(0xD1B54A32D192ED03)


@dataclass(frozen=True)
class MoveTable:
    """Of each context the K moves that followed it most often: `keys` [C] ascending, `moves` [C, K], NO_MOVE where fewer did."""

    keys: Keys
    moves: NDArray[np.uint16]

    @classmethod
    def count(cls, contexts: Keys, moves: NDArray[np.uint16], most: int) -> MoveTable:
        """Count the moves [P] that follow contexts [P]."""
        order = np.lexsort((moves, contexts))
        contexts, moves = contexts[order], moves[order]
        first = np.flatnonzero(
            np.concatenate([[True], (contexts[1:] != contexts[:-1]) | (moves[1:] != moves[:-1])])
        )
        counts = np.diff(np.append(first, len(moves)))
        keys, following = contexts[first], moves[first]
        order = np.lexsort((-counts, keys))
        keys, following = keys[order], following[order]
        begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        rank = np.arange(len(keys)) - np.repeat(begins, np.diff(np.append(begins, len(keys))))
        best = np.full((len(begins), most), NO_MOVE, np.uint16)
        kept = rank < most
        best[np.cumsum(rank == 0)[kept] - 1, rank[kept]] = following[kept]
        return cls(keys[begins], best)

    def look_up(self, contexts: Keys) -> NDArray[np.uint16]:
        """The moves [P, K] of contexts [P]."""
        index = np.minimum(np.searchsorted(self.keys, contexts), len(self.keys) - 1)
        return np.where((self.keys[index] == contexts)[:, None], self.moves[index], np.uint16(NO_MOVE))


class BookAndNgrams:
    """An opening book with an n-gram behind it, counted on training games.

    >>> games = read_games("games.pgn")[0]; BookAndNgrams(games).top(games.select([0]))   # doctest: +SKIP
    """

    def __init__(self, games: Games) -> None:
        self._tables = [MoveTable.count(keys, games.moves, _OFFERED) for keys in _contexts(games)]

    def top(self, games: Games, most: int = 5) -> NDArray[np.uint16]:
        """The legal moves [P, most] offered for every ply, the likeliest first; those of shorter contexts follow."""
        out = np.full((len(games.moves), most), NO_MOVE, np.uint16)
        for first, last in _blocks(games):
            part = games.select(np.arange(first, last))
            offered = [table.look_up(keys) for table, keys in zip(self._tables, _contexts(part))]
            begin = games.offsets[first]
            for ply, position in enumerate(_positions(part)):
                out[begin + ply] = _legal(position, (moves[ply] for moves in offered), most)
        return out


def _legal(position: Position, offers: Iterable[NDArray[np.uint16]], most: int) -> list[int]:
    """The first different legal moves of several rows."""
    chosen: list[int] = []
    for moves in offers:
        for code in moves.tolist():
            if code == NO_MOVE:
                break
            if code not in chosen and position.is_legal(code):
                chosen.append(code)
                if len(chosen) == most:
                    return chosen
    return chosen + [NO_MOVE] * (most - len(chosen))


def _blocks(games: Games, size: int = 2000) -> Iterator[tuple[int, int]]:
    """Ranges of games, so that what is offered fits in memory."""
    for first in range(0, len(games), size):
        yield first, min(first + size, len(games))


def share_of_hits(offered: NDArray[np.uint16], played: NDArray[np.uint16], most: int) -> NDArray[np.bool_]:
    """Whether the move played [P] is among the first `most` of those offered [P, K]."""
    hits: NDArray[np.bool_] = (offered[:, :most] == played[:, None]).any(axis=1)
    return hits


def _positions(games: Games) -> Iterator[Position]:
    """The position before every ply."""
    for game in range(len(games)):
        position = Position(games.fens[games.start[game]] if games.start[game] >= 0 else None)
        for code in games.of(game).tolist():
            yield position
            position.play(code)


def _contexts(games: Games) -> list[Keys]:
    """The keys [P] of what stands before every ply: all moves of its game, then the last 3, 2, 1, 0 with the side to move."""
    moves = games.moves.astype(np.uint64) + np.uint64(1)
    starts = games.offsets[:-1]
    game = np.repeat(np.arange(len(games)), games.lengths)
    ply = np.arange(len(moves)) - starts[game]
    return [_whole(moves, games, ply), *reversed(list(_last(moves, ply)))]


def _whole(moves: Keys, games: Games, ply: NDArray[np.int64]) -> Keys:
    """A key of the first position and all moves before a ply: a polynomial, one ply of all games at a time."""
    keys = np.empty(len(moves), np.uint64)
    longest = int(games.lengths.max()) if len(games) else 0
    alive = np.flatnonzero(games.lengths > 0)
    at = games.offsets[alive]
    value = _START + (games.start[alive] + 1).astype(np.uint64)
    for step in range(longest):
        keys[at] = value
        more = games.lengths[alive] > step + 1
        value = _mix(value[more] * _FACTOR + moves[at[more]])
        alive, at = alive[more], at[more] + 1
    return keys


def _last(moves: Keys, ply: NDArray[np.int64]) -> Iterator[Keys]:
    """A key of the side to move, then with the last move, the last two, .. LOOK_BACK, of fewer at the beginning of a game."""
    value = np.full(len(moves), _START, np.uint64) + (ply % 2).astype(np.uint64)
    yield value
    for back in range(1, LOOK_BACK + 1):
        before = np.zeros(len(moves), np.uint64)
        before[back:] = moves[:-back]
        value = _mix(value * _FACTOR + np.where(ply >= back, before, np.uint64(0)))
        yield value


def _mix(value: Keys) -> Keys:
    """Spread the bits, so that keys of different pasts differ."""
    value = (value ^ (value >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed: Keys = value ^ (value >> np.uint64(32))
    return mixed
