"""Moves as numbers: a code of 16 bits, the 1,968 moves that UCI can write, and the view from the other side.

    code = from + 64 * to + 4096 * promotion        squares a1 = 0, b1 = 1, .. h8 = 63; promotion 0 none, 1 N, 2 B, 3 R, 4 Q

Castling is "king takes own rook" (e1h1), which Chess960 needs. The vocabulary holds every move of a queen or a knight on an
empty board, and the four promotions of each pawn move to the last row, for both sides: 1,792 + 176.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SQUARES = tuple(f"{file}{rank}" for rank in range(1, 9) for file in "abcdefgh")
PROMOTIONS = ("", "n", "b", "r", "q")
NUM_CODES = 1 << 15
NUM_MOVES = 1968
MIRROR = 56 | 56 << 6  # code ^ MIRROR: the same move seen from the other side, rows 1 .. 8 become 8 .. 1

_CODES = {
    a + b + p: i | j << 6 | k << 12
    for i, a in enumerate(SQUARES)
    for j, b in enumerate(SQUARES)
    for k, p in enumerate(PROMOTIONS)
}
_NAMES = {code: name for name, code in _CODES.items()}


def code_of(name: str) -> int:
    """The code of a move written as two squares and a piece to promote to. Raises KeyError for any other text.

    >>> code_of("e7e8q") == 52 + 64 * 60 + 4096 * 4
    True
    """
    return _CODES[name]


def name_of(code: int) -> str:
    """The squares of a move, as :func:`code_of` reads them.

    >>> name_of(code_of("e7e8q"))
    'e7e8q'
    """
    return _NAMES[int(code)]


def origin(code: int) -> int:
    """The square that a move leaves."""
    return int(code) & 63


def target(code: int) -> int:
    """The square that a move goes to; of castling, the rook's."""
    return int(code) >> 6 & 63


def promotion(code: int) -> int:
    """0, or 1 .. 4 for knight, bishop, rook, queen."""
    return int(code) >> 12


def _vocabulary() -> list[int]:
    codes = []
    for start in range(64):
        for to in range(64):
            files, ranks = abs((start & 7) - (to & 7)), abs((start >> 3) - (to >> 3))
            straight = start != to and (files == 0 or ranks == 0 or files == ranks)
            if straight or {files, ranks} == {1, 2}:
                codes.append(start | to << 6)
    for first, last in ((48, 56), (8, 0)):
        for start in range(8):
            for to in range(max(0, start - 1), min(8, start + 2)):
                codes += [first + start | (last + to) << 6 | piece << 12 for piece in (1, 2, 3, 4)]
    return codes


MOVE_CODES: NDArray[np.uint16] = np.array(_vocabulary(), np.uint16)
"""[1968]: the code of every move of the vocabulary."""
MOVE_INDEX: NDArray[np.int64] = np.full(NUM_CODES, -1, np.int64)
"""[2^15]: the number of a code in the vocabulary, -1 for others."""
MOVE_INDEX[MOVE_CODES] = np.arange(len(MOVE_CODES))
