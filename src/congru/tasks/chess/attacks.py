"""Which piece attacks which square, for many positions at once: sets of squares as 64-bit numbers, lines from a table.

Positions are seen by the side to move: `board` [N, 64] holds 0 for an empty square, 1 .. 6 for its own pawn, knight,
bishop, rook, queen, king, 7 .. 12 for the opponent's; square 0 is a1, 63 is h8, and its own pawns walk upwards. In a set
of squares bit s is square s.

A line through a square (its rank, file and two diagonals) holds at most one square of each file, or of each rank. Its
occupied squares are gathered into a byte, and LINES[line, square, byte] is the set that a slider reaches on it.

Legend: N positions, P pieces on all of them, M pieces of one side on a position.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Bits = NDArray[np.uint64]
Ints = NDArray[np.int64]

NUM_KINDS = 13
PAWN, KNIGHT, BISHOP, ROOK, QUEEN, KING = range(1, 7)
CLASS = np.array([0, *range(1, 7), *range(1, 7)], np.int64)
"""A piece of either side -> 1 .. 6."""
BIT: Bits = np.uint64(1) << np.arange(64, dtype=np.uint64)
NONE, ALL = np.uint64(0), ~np.uint64(0)

_STEPS = {BISHOP: [(1, 1), (1, -1), (-1, 1), (-1, -1)], ROOK: [(1, 0), (-1, 0), (0, 1), (0, -1)]}
_STEPS[QUEEN] = _STEPS[BISHOP] + _STEPS[ROOK]
_LEAPS = {
    KNIGHT: [(a, b) for a in (-2, -1, 1, 2) for b in (-2, -1, 1, 2) if abs(a) != abs(b)],
    KING: _STEPS[QUEEN],
}
_LINE_STEPS = (
    (0, 1),
    (1, 0),
    (1, 1),
    (-1, 1),
)  # rank, file, diagonals: of rising file, the file of rising rank
_FILE = np.uint64(0x0101010101010101)
_TURN = np.uint64(0x0102040810204080)  # times a set on the a file: rank r becomes bit 56 + r


def _walk(square: int, step: tuple[int, int], length: int = 7) -> list[int]:
    """The squares from one on, without it, in one direction to the edge."""
    rank, file = divmod(square, 8)
    squares = []
    for _ in range(length):
        rank, file = rank + step[0], file + step[1]
        if not (0 <= rank < 8 and 0 <= file < 8):
            break
        squares.append(8 * rank + file)
    return squares


def _set_of(squares: list[int]) -> int:
    return sum(1 << square for square in squares)


def _open_board() -> tuple[Bits, Bits, Bits]:
    """What a piece attacks on an empty board [13, 64]; squares strictly between two [64, 64]; the line through both."""
    reach = np.zeros((NUM_KINDS, 64), np.uint64)
    between, line = np.zeros((64, 64), np.uint64), np.zeros((64, 64), np.uint64)
    for square in range(64):
        for kind, steps in _STEPS.items():
            reach[kind, square] = _set_of([s for step in steps for s in _walk(square, step)])
        for kind, steps in _LEAPS.items():
            reach[kind, square] = _set_of([s for step in steps for s in _walk(square, step, 1)])
        for kind, up in ((PAWN, 1), (PAWN + 6, -1)):
            reach[kind, square] = _set_of([s for side in (-1, 1) for s in _walk(square, (up, side), 1)])
        for step in _STEPS[QUEEN]:
            path, back = _walk(square, step), _walk(square, (-step[0], -step[1]))
            for reached, target in enumerate(path):
                between[square, target] = _set_of(path[:reached])
                line[square, target] = _set_of([*back, square, *path])
    reach[KNIGHT + 6 :] = reach[KNIGHT : KING + 1]
    return reach, between, line


def _line_tables() -> tuple[Bits, Bits]:
    """LINES [4, 64, 256], and the whole line through every square [4, 64]."""
    occupied = np.arange(256)
    reached = np.zeros((8, 256, 8), np.bool_)  # [slider's place on a line, occupied places, attacked places]
    for place in range(8):
        for way in (1, -1):
            free = np.ones(256, np.bool_)
            other = place + way
            while 0 <= other < 8:
                reached[place, :, other] = free
                free = free & ((occupied >> other) & 1 == 0)
                other += way
    lines, masks = np.zeros((4, 64, 256), np.uint64), np.zeros((4, 64), np.uint64)
    for index, step in enumerate(_LINE_STEPS):
        for square in range(64):
            back = _walk(square, (-step[0], -step[1]))
            whole = [*reversed(back), square, *_walk(square, step)]
            masks[index, square] = _set_of(whole)
            places = [other // 8 if index == 1 else other % 8 for other in whole]
            bits = np.zeros(8, np.uint64)
            bits[places] = BIT[whole]
            own = places[len(back)]
            lines[index, square] = np.where(reached[own], bits, NONE).sum(axis=1, dtype=np.uint64)
    return lines, masks


REACH, BETWEEN, THROUGH = _open_board()
LINES, _MASKS = _line_tables()
_DIAGONAL = np.where(np.isin(CLASS, (BISHOP, QUEEN)), ALL, NONE)
_STRAIGHT = np.where(np.isin(CLASS, (ROOK, QUEEN)), ALL, NONE)
_LEAPER = np.where(np.isin(CLASS, (PAWN, KNIGHT, KING)), ALL, NONE)[:, None] & REACH
_UP, _LAST = np.arange(0, 64, dtype=np.uint64) & np.uint64(56), np.uint64(56)
_ACROSS = np.arange(0, 64, dtype=np.uint64) & np.uint64(7)


def reached_from(kind: NDArray[np.integer], square: Ints, occupied: Bits) -> Bits:
    """The set of squares that each piece `kind` on `square` attacks (all [P]), where `occupied` [P] are in the way."""
    rank = (occupied >> _UP[square]) & np.uint64(255)
    file = (((occupied >> _ACROSS[square]) & _FILE) * _TURN) >> _LAST
    up = ((occupied & _MASKS[2, square]) * _FILE) >> _LAST
    down = ((occupied & _MASKS[3, square]) * _FILE) >> _LAST
    straight = LINES[0, square, rank] | LINES[1, square, file]
    diagonal = LINES[2, square, up] | LINES[3, square, down]
    sets: Bits = _LEAPER[kind, square] | (straight & _STRAIGHT[kind]) | (diagonal & _DIAGONAL[kind])
    return sets


class Attacks(NamedTuple):
    """Who attacks what, as sets of squares, for the own side (0) and the opponent's (1).

    `by_class` [2, 7, N]: what pieces of class 1 .. 6 attack, at least once; `once`, `twice` [2, N]: by one, two pieces or
    more; `occupied` [N]; `uncovers` [N]: pieces that alone stand between an own slider and their king; `king` [N]: where
    their king is; `their` [7, N]: their pieces by class.
    """

    by_class: Bits
    once: Bits
    twice: Bits
    occupied: Bits
    uncovers: Bits
    king: Ints
    their: Bits


def attacks_of(board: Bytes) -> Attacks:
    """The attacks in every position of `board` [N, 64]; both kings stand on each."""
    count = len(board)
    row, square = np.nonzero(board)
    kind = board[row, square]
    begins = np.searchsorted(row, np.arange(count))
    bits = BIT[square]
    occupied = np.bitwise_or.reduceat(bits, begins)
    sets = reached_from(kind, square, occupied[row])
    class_, side = CLASS[kind], (kind > KING).astype(np.int64)
    by_class, their = np.zeros((2, 7, count), np.uint64), np.zeros((7, count), np.uint64)
    np.bitwise_or.at(by_class, (side, class_, row), sets)
    np.bitwise_or.at(their, (class_[side == 1], row[side == 1]), bits[side == 1])
    once, twice = _counted(sets, side, row, count)
    king = square[kind == KING + 6]
    sliders = np.flatnonzero((kind >= BISHOP) & (kind <= QUEEN))
    target = king[row[sliders]]
    between = BETWEEN[square[sliders], target] & occupied[row[sliders]]
    aligned = (REACH[kind[sliders], square[sliders]] & BIT[target]) != 0
    alone = aligned & (between != 0) & ((between & (between - np.uint64(1))) == 0)
    uncovers = np.zeros(count, np.uint64)
    np.bitwise_or.at(uncovers, row[sliders[alone]], between[alone])
    return Attacks(by_class, once, twice, occupied, uncovers, king, their)


def _counted(sets: Bits, side: Ints, row: Ints, count: int) -> tuple[Bits, Bits]:
    """What each side [2, N] attacks with one piece or more, and with two or more."""
    group = 2 * row + side
    order = np.argsort(group, kind="stable")
    group = group[order]
    index_in_group = np.arange(len(group)) - np.searchsorted(group, group)
    padded = np.zeros((int(index_in_group.max()) + 1, 2 * count), np.uint64)
    padded[index_in_group, group] = sets[order]
    once, twice = np.zeros(2 * count, np.uint64), np.zeros(2 * count, np.uint64)
    for one in padded:
        twice |= once & one
        once |= one
    return once.reshape(count, 2).T, twice.reshape(count, 2).T
