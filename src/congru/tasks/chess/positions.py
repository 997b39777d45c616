"""The positions of a stretch of a game with their legal moves, replayed by the rules, as the side to move sees them.

A move is a code: from | to << 6 | promotion << 12, castling written king takes rook. A relative code is the same seen by
the player who makes it: for black every square is mirrored at the middle of the board.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.attacks import KING, PAWN, Bytes, Ints
from congru.tasks.chess.features import NO_SQUARE, Past
from congru.tasks.chess.moves import MIRROR
from congru.tasks.chess.rules import Position

_FLIP = np.arange(64) ^ 56
_SWAP = np.array([0, 7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6], np.uint8)
_START = bytes([4, 2, 3, 5, 6, 3, 2, 4, *[1] * 8, *[0] * 32, *[7] * 8, 10, 8, 9, 11, 12, 9, 8, 10])
_ALL_RIGHTS = 0b1111  # to castle: white short, long, black short, long
_LOST = {
    4: 0b1100,
    7: 0b1000,
    0: 0b0100,
    60: 0b0011,
    63: 0b0010,
    56: 0b0001,
}  # rights lost by a move from or to
NO_MOVE = (-1, 0, 0)


class Segment(NamedTuple):
    """Plies ``begin .. end - 1`` of a game whose moves are the codes [L], L >= end - 1, from the usual position or a FEN."""

    moves: NDArray[np.uint16]
    begin: int
    end: int
    fen: str | None = None


class Positions(NamedTuple):
    """N positions before a move, and all their legal moves.

    `board` [N, 64], as in `congru.tasks.chess.attacks`; `rights` [N, 4] to castle: own short, long, theirs short, long;
    `side` [N]: 0 white, 1 black; `past`; `last` [N, 3]: the code of the last move, -1 where there is none, the class of
    its piece, what it took (6: castled); `row` [C] and relative `code` [C] of the legal moves, in the rules' order.
    """

    board: Bytes
    rights: NDArray[np.bool_]
    side: Ints
    past: Past
    last: Ints
    row: Ints
    code: Ints

    @property
    def counts(self) -> Ints:
        """How many legal moves each position has, [N]."""
        return np.bincount(self.row, minlength=len(self.side))


def relative(code: NDArray[np.integer] | int, side: NDArray[np.integer] | int) -> Ints:
    """A code as the player of `side` sees it, and back.

    >>> int(relative(52 | 36 << 6, 1)) == 12 | 28 << 6
    True
    """
    return np.asarray(np.asarray(code, np.int64) ^ np.where(np.asarray(side) == 1, MIRROR, 0), np.int64)


class Board:
    """A game that is being played: the rules, and beside them the pieces 1 .. 12 on squares, white's below.

    Asking the rules for the pieces of every position takes longer than keeping them. `fen`: another first position.
    """

    def __init__(self, fen: str | None = None, chess960: bool = False) -> None:
        self.rules = Position(fen, chess960)
        self.last = self.before = NO_MOVE
        self.side = self.rules.turn
        if fen is None:
            self.squares, self.rights, self._lost = bytearray(_START), _ALL_RIGHTS, _LOST
        else:
            self.squares = bytearray(self.rules.pieces().tobytes())
            self.rights, self._lost = _rights_of(
                self.squares, str(Position(self.rules.fen, True).fen).split()[2]
            )

    def copy(self) -> Board:
        """An independent copy."""
        twin = object.__new__(Board)
        twin.__dict__.update(self.__dict__)
        twin.rules, twin.squares = self.rules.copy(), bytearray(self.squares)
        return twin

    def play(self, code: int) -> None:
        """Make a move. Raises :class:`DataError` where it is not legal."""
        self.rules.play(code)
        self.side = 1 - self.side
        self.before, self.last = self.last, (code, *self._move(code))

    def _move(self, code: int) -> tuple[int, int]:
        """Move the pieces; the class of the moved one, and of what it took (KING: it castled)."""
        squares = self.squares
        origin, target, promotion = code & 63, code >> 6 & 63, code >> 12
        piece, there = squares[origin], squares[target]
        color = 6 if piece > KING else 0
        self.rights &= ~(self._lost.get(origin, 0) | self._lost.get(target, 0))
        squares[origin] = 0
        if there and (there > KING) == (color == 6):  # castling: the king takes the own rook
            squares[target] = 0
            rank = origin & 56
            short = target > origin
            squares[rank + (6 if short else 2)], squares[rank + (5 if short else 3)] = piece, there
            return KING, KING
        if piece == PAWN + color and not there and (origin ^ target) & 7:
            squares[origin & 56 | target & 7] = 0  # en passant
            there = PAWN
        squares[target] = promotion + 1 + color if promotion else piece
        return piece - color, (there - 1) % 6 + 1 if there else 0


def _rights_of(squares: bytearray, files: str) -> tuple[int, dict[int, int]]:
    """The rights to castle of a position whose FEN names the files of the rooks (HAha), and where moves lose them."""
    rights, lost = 0, dict[int, int]()
    for letter in files.replace("-", ""):
        black = letter.islower()
        king = squares.index(KING + 6 * black)
        rook = "abcdefgh".index(letter.lower()) + 56 * black
        right = (0b1000 if rook > king else 0b0100) >> 2 * black
        rights |= right
        lost[rook] = right
        lost[king] = lost.get(king, 0) | right
    return rights, lost


class _Notes:
    """What is collected of position after position."""

    def __init__(self) -> None:
        self.boards: list[bytes] = []
        self.codes: list[int] = []
        self.rest: list[tuple[int, ...]] = []

    def add(self, game: Board) -> None:
        """Note a position and its legal moves."""
        legal = game.rules.legal()
        self.boards.append(bytes(game.squares))
        self.codes += legal
        self.rest.append((game.side, game.rights, len(legal), *game.last, game.before[0]))

    def positions(self) -> Positions:
        """All of them, seen by the side to move."""
        side, rights, counts, *last, own = np.array(self.rest, np.int64).reshape(-1, 7).T
        board = np.frombuffer(b"".join(self.boards), np.uint8).reshape(-1, 64)
        bits = np.where(side == 1, (rights & 3) << 2 | rights >> 2, rights)
        row = np.repeat(np.arange(len(side)), counts)
        return Positions(
            absolute(board, side),
            (bits[:, None] >> np.array([3, 2, 1, 0]) & 1).astype(np.bool_),
            side,
            Past(_square(last[0] >> 6, last[0], side), _square(own, own, side), _square(own >> 6, own, side)),
            np.stack(last, axis=1),
            row,
            relative(np.array(self.codes, np.int64), side[row]),
        )


def _square(bits: Ints, code: Ints, side: Ints) -> Ints:
    """The square in the lowest six bits as the side to move sees it; NO_SQUARE where there is no move."""
    return np.where(code >= 0, (bits & 63) ^ np.where(side == 1, 56, 0), NO_SQUARE)


def absolute(board: Bytes, side: Ints) -> Bytes:
    """Boards [N, 64] as white sees them, 1 .. 6 white and 7 .. 12 black pieces; and back."""
    turned = board.copy()
    black = side == 1
    turned[black] = _SWAP[board[black]][:, _FLIP]
    return turned


def positions_of(segments: Iterable[Segment]) -> Positions:
    """The positions of all segments, one after the other."""
    notes = _Notes()
    for moves, begin, end, fen in segments:
        game, played = Board(fen), moves[: max(end - 1, 0)].tolist()
        for ply in range(end):
            if ply:
                game.play(played[ply - 1])
            if ply >= begin:
                notes.add(game)
    return notes.positions()


def position_of(game: Board) -> Positions:
    """The one position of a game that is being played, N = 1."""
    notes = _Notes()
    notes.add(game)
    return notes.positions()
