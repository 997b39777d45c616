"""What the network reads at every ply beside the board: the last move, whose turn it is, both ratings, the clock.

The move is seen by the player who made it. At the first ply of a game there is none: START.

Legend: N plies of any games, each before a move of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.moves import MOVE_INDEX, NUM_MOVES
from congru.tasks.chess.positions import relative

START = NUM_MOVES
START_TOKEN = 2 * NUM_MOVES
"""Of the tokens that hold the move with its colour: white's are 0 .. 1967, black's follow, as white sees them all."""
NOTHING_MOVED = 2 * 6 * 64
MOVED_TOKENS = (NOTHING_MOVED + 1,) * 3
"""Colour, piece and square: where the last move put it, took it from, and removed one (castling: the rook)."""
_RATINGS, _CLOCKS = 21, 14
NUM_TIMES = _CLOCKS - 1
"""How many classes of the time that a move took: see :func:`time_class`."""
PLY_TOKENS = (NUM_MOVES + 1, 7, 7, 5, 2, _RATINGS, _RATINGS, _CLOCKS)
"""Last move, its piece, what it took (6: castled), promotion, side to move, own and their rating, own clock."""


_RATING_TOKENS = np.concatenate([[0], np.clip(1 + (np.arange(1, 3001) - 900) // 100, 1, _RATINGS - 1)])


def rating_token(elo: NDArray[np.integer]) -> Ints:
    """0 for an unknown rating (0 or less), else 1 .. 20 in steps of 100 from 900 on.

    >>> rating_token(np.array([0, 850, 2500, 2850, 3200])).tolist()
    [0, 1, 17, 20, 20]
    """
    token: Ints = _RATING_TOKENS[np.minimum(np.maximum(elo, 0), len(_RATING_TOKENS) - 1)]
    return token


def clock_token(seconds: NDArray[np.floating]) -> Ints:
    """0 for an unknown clock (NaN), else 1 + log2(1 + seconds), at most 13.

    >>> clock_token(np.array([np.nan, 0.0, 3.0, 600.0, 90000.0])).tolist()
    [0, 1, 3, 10, 13]
    """
    unknown = np.isnan(seconds)
    if unknown.all():
        return np.zeros(np.shape(seconds), np.int64)
    known = np.where(unknown, 0.0, np.maximum(seconds, 0))
    bins = 1 + np.log2(1 + known.astype(np.float64)).astype(np.int64)
    return np.where(unknown, 0, np.minimum(bins, _CLOCKS - 1))


def time_class(seconds: NDArray[np.floating]) -> Ints:
    """The class 0 .. 12 of the time that a move took, floor(log2(1 + seconds)); -1 where it is not known (NaN).

    What an increment gives back is not known: a time below zero counts as zero.

    >>> time_class(np.array([np.nan, -1.0, 0.0, 3.0, 600.0])).tolist()
    [-1, 0, 0, 2, 9]
    """
    return clock_token(seconds) - 1


def seconds_of(log_p: NDArray[np.floating]) -> float:
    """The middle, in seconds, of the class that holds the median of a distribution log p [13] of :func:`time_class`.

    >>> seconds_of(np.log(np.eye(13)[3] + 1e-9))  # 7 to 15 seconds
    11.0
    """
    half = int(np.searchsorted(np.cumsum(np.exp(np.asarray(log_p, np.float64))), 0.5))
    return 1.5 * 2.0 ** min(half, NUM_TIMES - 1) - 1


def ply_tokens(side: Ints, last: Ints, own_elo: Ints, their_elo: Ints, clock: NDArray[np.floating]) -> Ints:
    """The tokens [N, 8] of :data:`PLY_TOKENS`.

    `last` [N, 3] as in :class:`Positions`; `own_elo`, `their_elo` [N]; `clock` [N] of the side to move, in seconds, NaN
    where unknown.
    """
    code = last[:, 0]
    known = code >= 0
    number = MOVE_INDEX[np.where(known, relative(code, 1 - side), 0)]
    tokens = np.empty((len(code), len(PLY_TOKENS)), np.int64)
    tokens[:, 0] = np.where(known, number, START)
    tokens[:, 1:3] = last[:, 1:]
    tokens[:, 3] = np.where(known, code >> 12, 0)
    tokens[:, 4] = side
    tokens[:, 5], tokens[:, 6] = rating_token(own_elo), rating_token(their_elo)
    tokens[:, 7] = clock_token(clock)
    return tokens


def moved_tokens(last: Ints, side: Ints) -> Ints:
    """Which piece of which colour the last move put where, took from where, and removed there: [N, 3] of MOVED_TOKENS.

    A network without the board must keep it up to date: this says what changes, each as one symbol.
    """
    code, piece, taken = last.T
    colour = 1 - side  # of the player who moved
    squares = (code >> 6 & 63, code & 63, code >> 6 & 63)
    pieces = (np.where(code >> 12 > 0, (code >> 12) + 1, piece), piece, taken)
    colours = (colour, colour, np.where(taken == 6, colour, side))
    columns = [
        np.where((code >= 0) & (kind > 0), ((own * 6 + kind - 1) << 6) + square, NOTHING_MOVED)
        for kind, own, square in zip(pieces, colours, squares)
    ]
    return np.stack(columns, axis=1).astype(np.int64)


def move_token(last: Ints, side: Ints) -> Ints:
    """The last move and its colour as one token [N]; `side` is to move after it.

    The vocabulary holds both colours' moves, so that the same square is the same number for both.
    """
    known = last >= 0
    number = MOVE_INDEX[np.where(known, last, 0)].astype(np.int64)
    return np.where(known, number + NUM_MOVES * (1 - side), START_TOKEN)
