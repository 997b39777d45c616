"""The archive of a model: how the games began of the players whom it knows, and when; compact, a file of the model folder.

A game is its first 40 plies, the numbers of its players (0: one without a vector), and its month. Games stand in the order
of their moves, and each is stored as how many plies it shares with the one before and the rest; the whole is compressed. Games
of the same players that agree in these plies and the month are one game.

Legend: G games, P plies of all of them, D = 40.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from congru.errors import ModelFolderError
from congru.runtime.tensors import format_arrays, parse_tensors
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.games import Games
from congru.tasks.chess.moves import MOVE_INDEX

ARCHIVE = "earlier.bin"
PLIES = 40  # of 20 to 60, the fewest that keep nearly all of the gain on validation games of pgnmentor20
_NOTHING = np.uint16(0xFFFF)  # after the end of a game; no move has this code
_MOST_BYTES = 1 << 30
_MOST_GAMES = 1 << 24
_DTYPES = {"shared": np.uint8, "length": np.uint8, "rest": np.uint8} | dict.fromkeys(
    ("white", "black", "date"), np.int32
)


@dataclass(frozen=True)
class Archive:
    """`moves` uint16 [G, D], codes, 0xFFFF after the end; `white`, `black` int32 [G], the players' numbers, 0 for others;
    `date` int32 [G], yyyymm00, unknown parts 0. The games are in the order of their moves, then of the dates."""

    moves: NDArray[np.uint16]
    white: NDArray[np.int32]
    black: NDArray[np.int32]
    date: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.moves)

    @classmethod
    def empty(cls) -> Archive:
        """Without games."""
        none = np.zeros(0, np.int32)
        return cls(np.zeros((0, PLIES), np.uint16), none, none, none)

    @classmethod
    def of(cls, games: Games, wanted: Ints, numbers: Ints) -> Archive:
        """The beginnings of those of the games `wanted` that have a player with a number.

        `numbers` [players of the games], 0 for a player without one. Games from another first position are left out.
        """
        wanted = np.asarray(wanted, np.int64)
        white, black = (
            np.asarray(numbers)[side[wanted]].astype(np.int32) for side in (games.white, games.black)
        )
        kept = ((white > 0) | (black > 0)) & (games.start[wanted] < 0) & (games.lengths[wanted] > 0)
        return _ordered(
            first_plies(games, wanted[kept]), white[kept], black[kept], months(games)[wanted[kept]]
        )

    def merged(self, other: Archive) -> Archive:
        """With the games of another one of the same numbers; a game of both counts once, with the players that either knows."""
        pair = (self, other)
        moves, white, black, date = (
            np.concatenate([getattr(one, name) for one in pair])
            for name in ("moves", "white", "black", "date")
        )
        return _ordered(moves, white, black, date)

    def played(self, game: int) -> list[int]:
        """The codes of the first plies of a game."""
        return [code for code in self.moves[game].tolist() if code != _NOTHING]

    def games_of(self, number: int, side: int) -> Ints:
        """The games in which a player had White (0) or Black (1)."""
        return np.flatnonzero((self.white, self.black)[side] == number) if number else np.zeros(0, np.int64)

    def to_bytes(self) -> bytes:
        """The file."""
        inside = self.moves != _NOTHING
        shared = np.zeros(len(self), np.uint8)
        shared[1:] = np.cumprod((self.moves[1:] == self.moves[:-1]) & inside[1:], axis=1).sum(axis=1)
        own = inside & (np.arange(PLIES) >= shared[:, None])
        arrays = {
            "shared": shared,
            "length": inside.sum(axis=1).astype(np.uint8),
            "rest": self.moves[own].astype("<u2").view(np.uint8),
            "white": self.white,
            "black": self.black,
            "date": self.date,
        }
        return zlib.compress(format_arrays(arrays), 9)

    @classmethod
    def parse(cls, content: bytes, num_players: int, name: str = ARCHIVE) -> Archive:
        """Read what :meth:`to_bytes` wrote, for players 1 .. num_players.

        Raises :class:`ModelFolderError` with `name` for anything else.
        """
        try:
            return _decoded(content, num_players)
        except (ValueError, KeyError, zlib.error, SafetensorError) as error:
            raise ModelFolderError(
                f"{name} is no archive of games ({error}), expected what congru saved: copy the folder again or train anew"
            ) from None


def _decoded(content: bytes, num_players: int) -> Archive:
    """The archive of a file. Raises ValueError, KeyError, zlib.error or SafetensorError."""
    unpacking = zlib.decompressobj()
    arrays = parse_tensors(unpacking.decompress(content, _MOST_BYTES))
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("its end is not where it should be")
    count = len(arrays["shared"])
    for name, dtype in _DTYPES.items():
        if (
            arrays[name].dtype != dtype
            or arrays[name].ndim != 1
            or (name != "rest" and len(arrays[name]) != count)
        ):
            raise ValueError(f"{name} has shape {arrays[name].shape} of {arrays[name].dtype}")
    shared, length = (arrays[name].astype(np.int64) for name in ("shared", "length"))
    most = int(length.max(initial=0))
    if count > _MOST_GAMES or most > PLIES or (shared > length).any() or shared[:1].any():
        raise ValueError(f"{count} games of up to {most} plies")
    players = np.concatenate([arrays["white"], arrays["black"]])
    if count and not 0 <= players.min() <= players.max() <= num_players:
        raise ValueError(f"players {players.min()} to {players.max()} of {num_players}")
    column = np.arange(PLIES)
    inside, own = column < length[:, None], column >= shared[:, None]
    moves = np.full((count, PLIES), _NOTHING, np.uint16)
    moves[inside & own] = arrays["rest"].view("<u2")
    for ply in range(most):  # what is shared comes from the last game above that wrote this ply itself
        source = np.maximum.accumulate(np.where(own[:, ply], np.arange(count), 0))
        moves[:, ply] = np.where(inside[:, ply], moves[source, ply], _NOTHING)
    codes = moves[inside]
    if (codes >= len(MOVE_INDEX)).any() or (MOVE_INDEX[codes] < 0).any():
        raise ValueError("a move from nowhere")
    return Archive(moves, arrays["white"], arrays["black"], arrays["date"])


def first_plies(games: Games, wanted: Ints) -> NDArray[np.uint16]:
    """The codes [G, D] of the first plies of some games, 0xFFFF after their ends."""
    column, lengths = np.arange(PLIES), games.lengths[wanted]
    inside = column < lengths[:, None]
    moves = np.full(inside.shape, _NOTHING, np.uint16)
    moves[inside] = games.moves[(games.offsets[wanted][:, None] + column)[inside]]
    return moves


def months(games: Games) -> NDArray[np.int32]:
    """The dates [G] without days."""
    return (np.asarray(games.date) // 100 * 100).astype(np.int32)


def beginning(moves: NDArray[np.uint16]) -> bytes:
    """What tells a game from others: its first 40 plies."""
    known = np.asarray(moves[:PLIES], np.uint16)
    return bytes(known[known != _NOTHING].tobytes())


def _ordered(
    moves: NDArray[np.uint16], white: NDArray[np.int32], black: NDArray[np.int32], date: NDArray[np.int32]
) -> Archive:
    """In the order of moves, dates and players; each game once."""
    order = np.lexsort((black, white, date, *moves.T[::-1]))
    moves, white, black, date = moves[order], white[order], black[order], date[order]
    new = np.ones(len(moves), np.bool_)
    new[1:] = (moves[1:] != moves[:-1]).any(axis=1) | (date[1:] != date[:-1])
    begins = np.append(np.flatnonzero(new), len(moves))
    for group in np.flatnonzero(np.diff(begins) > 1).tolist():
        rows = np.arange(begins[group], begins[group + 1])
        pairs = _pairs(list(zip(white[rows].tolist(), black[rows].tolist())))
        new[rows] = np.arange(len(rows)) < len(pairs)
        white[rows[: len(pairs)]], black[rows[: len(pairs)]] = np.array(pairs, np.int32).T
    return Archive(moves[new], white[new], black[new], date[new])


def _pairs(known: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The players of games that are alike: 0 may be anybody, other numbers tell games apart.

    >>> _pairs([(0, 2), (1, 0), (1, 2), (3, 0)])
    [(1, 2), (3, 0)]
    """
    pairs: list[tuple[int, int]] = []
    for white, black in sorted(set(known), key=lambda pair: (pair.count(0), pair)):
        for number, (one, two) in enumerate(pairs):
            if not (white and one and white != one) and not (black and two and black != two):
                pairs[number] = max(white, one), max(black, two)
                break
        else:
            pairs.append((white, black))
    return sorted(pairs)
