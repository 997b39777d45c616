"""What the networks read of a position and of its legal moves, as the side to move sees them.

A position is features [N, 1221] of zeros and ones: pieces on squares, attacked and hanging squares, the opponent's last
square, castling rights, check. A legal move is seven tokens: what moves, from and to where, what it takes, who attacks
and defends both squares, whether it gives check, what it attacks next, what it has to do with the moves before.

Legend: N positions, C legal moves of all of them, `row` [C] the position of each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.attacks import (
    BIT,
    CLASS,
    KING,
    PAWN,
    THROUGH,
    Attacks,
    Bits,
    Bytes,
    Ints,
    reached_from,
)
from congru.tasks.chess.moves import NUM_MOVES

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

NO_SQUARE = 64
_PLANES = 12 * 64  # where the planes of attacks begin
_LAST_SQUARE = _PLANES + 6 * 64
_RIGHTS = _LAST_SQUARE + 64
BOARD_FEATURES = _RIGHTS + 4 + 1
MOVE_TOKENS = (NUM_MOVES, 6 * 64, 6 * 64, 6 * 7 * 7 * 2, 6 * 7 * 2, 6 * 6 * 4 * 2, 16 * 5)
"""How many symbols each column of :func:`move_tokens` has."""


class Past(NamedTuple):
    """The squares [N] of the moves before, as the side to move sees them; NO_SQUARE where there is none.

    `last_to`: where the opponent's last move went; `own_from`, `own_to`: the own move before it.
    """

    last_to: Ints
    own_from: Ints
    own_to: Ints


def board_features(board: Bytes, rights: NDArray[Any], past: Past, attacks: Attacks) -> Floats:
    """[N, 1221] zeros and ones.

    768 piece 1 .. 12 on square; 64 each: attacked by us, twice, by them, twice, hanging of ours, of theirs, last_to;
    `rights` [N, 4] to castle: short, long, theirs short, long; in check.
    """
    count = len(board)
    out = np.zeros((count, BOARD_FEATURES), np.float32)
    row, square = np.nonzero(board)
    out[row, (board[row, square].astype(np.int64) - 1) * 64 + square] = 1
    ours, theirs = _hanging(board, attacks)
    sets = np.stack(
        [attacks.once[0], attacks.twice[0], attacks.once[1], attacks.twice[1], ours, theirs], axis=1
    )
    out[:, _PLANES:_LAST_SQUARE] = np.unpackbits(sets.view(np.uint8), axis=1, bitorder="little")
    known = np.flatnonzero(past.last_to != NO_SQUARE)
    out[known, _LAST_SQUARE + past.last_to[known]] = 1
    out[:, _RIGHTS:-1] = rights
    own_king = np.nonzero(board == KING)[1]
    out[:, -1] = (attacks.once[1] & BIT[own_king]) != 0
    return out


def _hanging(board: Bytes, attacks: Attacks) -> tuple[Bits, Bits]:
    """Pieces of ours, and of theirs, that a cheaper piece attacks, or any piece while none defends them: sets [N]."""
    sets = []
    for side in (0, 1):
        pieces = board - 6 * side  # as unsigned: pieces of another side are far above KING
        cheaper = np.zeros(len(board), np.uint64)
        hanging = np.zeros(len(board), np.uint64)
        for class_ in range(PAWN, KING):
            own = np.packbits(pieces == class_, axis=1, bitorder="little").view(np.uint64)[:, 0]
            hanging |= own & (cheaper | (attacks.once[1 - side] & ~attacks.once[side]))
            cheaper |= attacks.by_class[1 - side, class_]
        sets.append(hanging)
    return sets[0], sets[1]


def move_tokens(
    board: Bytes,
    past: Past,
    attacks: Attacks,
    row: Ints,
    origin: Ints,
    target: Ints,
    promotion: Ints,
    move: Ints,
) -> Ints:
    """The tokens [C, 7] of legal moves, in the order of MOVE_TOKENS.

    The move; its piece and target; its piece and origin; what it takes, who attacks the target, whether it is defended; who
    attacks the origin, whether it is defended; what it then attacks, check, whether the target is attacked; what it has to
    do with the moves before, and its promotion.

    `origin`, `target` [C]: squares (castling: the own rook's, as if the king went there); `promotion` [C]: 0, or 1 .. 4 for
    knight .. queen; `move` [C]: the number in the vocabulary.
    """
    kind, there = CLASS[board[row, origin]], board[row, target].astype(np.int64)
    castles = (there >= PAWN) & (there <= KING)
    taken = np.where(castles, 6, CLASS[there])
    sideways = (origin ^ target) & 7 != 0
    taken[(kind == PAWN) & sideways & (there == 0)] = PAWN
    covers = ((kind != PAWN) | sideways) & ~castles
    target_bit = BIT[target]
    defended = ((attacks.once[0][row] & target_bit) != 0) & ~covers | (
        (attacks.twice[0][row] & target_bit) != 0
    )
    least = _least_attacker(attacks, row, target_bit)
    from_least = _least_attacker(attacks, row, BIT[origin])
    from_defended = (attacks.once[0][row] & BIT[origin]) != 0
    after = np.where(promotion > 0, promotion + 1, kind)
    reached = reached_from(after, target, attacks.occupied[row] & ~BIT[origin])
    check = _checks(attacks, row, origin, target, reached)
    threat = _threat(attacks, row, after, reached)
    piece = kind - 1
    attacked = least > 0
    return np.stack(
        [
            move,
            piece * 64 + target,
            piece * 64 + origin,
            ((piece * 7 + taken) * 7 + least) * 2 + defended,
            (piece * 7 + from_least) * 2 + from_defended,
            ((piece * 6 + threat) * 4 + check) * 2 + attacked,
            _relation(board, past, attacks, row, origin, target) * 5 + promotion,
        ],
        axis=1,
    )


def _least_attacker(attacks: Attacks, row: Ints, squares: Bits) -> Ints:
    """The class 1 .. 6 of their least valuable attacker of squares [C], one bit each; 0 where nobody attacks."""
    least = np.zeros(len(row), np.int64)
    for class_ in range(KING, 0, -1):
        least[(attacks.by_class[1, class_][row] & squares) != 0] = class_
    return least


def _checks(attacks: Attacks, row: Ints, origin: Ints, target: Ints, reached: Bits) -> Ints:
    """0 no check, 1 by the moved piece, 2 by another one, 3 by both."""
    king = attacks.king[row]
    moved_away = ((attacks.uncovers[row] & BIT[origin]) != 0) & ((THROUGH[origin, king] & BIT[target]) == 0)
    check: Ints = ((reached & BIT[king]) != 0) + 2 * moved_away.astype(np.int64)
    return check


def _threat(attacks: Attacks, row: Ints, kind: Ints, reached: Bits) -> Ints:
    """The highest class 1 .. 5 the moved piece then attacks that is worth more than it or undefended; 0 none."""
    threat = np.zeros(len(row), np.int64)
    open_ = ~attacks.once[1][row]
    for class_ in range(PAWN, KING):
        hit = reached & attacks.their[class_][row]
        threat[(hit != 0) & ((class_ > kind) | ((hit & open_) != 0))] = class_
    return threat


def _relation(board: Bytes, past: Past, attacks: Attacks, row: Ints, origin: Ints, target: Ints) -> Ints:
    """Bits: 1 goes where the opponent just went, 2 leaves its attack, 4 moves the same piece again, 8 takes that move back."""
    known = past.last_to != NO_SQUARE
    at = np.where(known, past.last_to, 0)
    hit = np.where(known, reached_from(board[np.arange(len(board)), at], at, attacks.occupied), np.uint64(0))
    again = origin == past.own_to[row]
    back = again & (target == past.own_from[row])
    bits: Ints = (target == past.last_to[row]) + 2 * ((hit[row] & BIT[origin]) != 0) + 4 * again + 8 * back
    return bits
