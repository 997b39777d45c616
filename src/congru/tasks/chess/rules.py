"""The rules of chess: positions, their legal moves, what a move does. The only file that imports the rules library.

The rules are those of ``cozy-chess-py``; Chess960 included. Moves are the codes of :mod:`congru.tasks.chess.moves`: castling is
"king takes own rook" here, and e1g1 for programs and people (:meth:`Position.uci`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, require
from congru.tasks.chess.moves import SQUARES, code_of, name_of, origin, target

START = "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1"
PIECES = " PNBRQKpnbrqk"  # the pieces 0 .. 12 of `Position.pieces`
KING = 6


@cache
def _rules() -> Any:
    """The library; it is imported when the first position is made."""
    return require("cozy_chess", "chess")


@cache
def _move(code: int) -> Any:
    return _rules().Move.from_str(name_of(code))


class Position:
    """A position: whose turn it is, what is legal, what was played before; changed by :meth:`play`.

    >>> position = Position()
    >>> position.play(code_of("e2e4")); position.turn, len(position.legal())
    (1, 20)
    """

    __slots__ = ("_board", "_hashes", "chess960")

    def __init__(self, fen: str | None = None, chess960: bool = False) -> None:
        rules = _rules()
        self.chess960 = chess960
        try:
            self._board = rules.Board.startpos() if fen is None else _read_fen(rules, fen)
        except ValueError:
            raise DataError(
                f"fen is '{fen}', which is no legal position, expected six fields such as '{START}'"
            ) from None
        self._hashes: list[int] = []

    @property
    def turn(self) -> int:
        """0 where White is to move, 1 where Black is."""
        return int(self._board.side_to_move() == _rules().Color.Black)

    @property
    def fen(self) -> str:
        """The position in Forsyth-Edwards notation."""
        return str(self._board.shredder_fen() if self.chess960 else self._board.fen())

    @property
    def key(self) -> int:
        """The same number for the same pieces, side to move and castling rights, whatever moves led there."""
        return int(self._board.hash_without_ep())

    @property
    def in_check(self) -> bool:
        """Whether the king of the side to move is attacked."""
        return not self._board.checkers().is_empty()

    def legal(self) -> list[int]:
        """The codes of all legal moves, in the order of the library."""
        return [code_of(str(move)) for move in self._board.generate_moves()]

    def legal_with(self, piece: int) -> list[int]:
        """The codes of the legal moves of the side to move with a piece 1 .. 6 (pawn .. king)."""
        rules, board = _rules(), self._board
        mask = board.colors(board.side_to_move()) & board.pieces(_kinds(rules)[piece - 1])
        return [code_of(str(move)) for move in board.generate_moves_for(mask)]

    def legal_from(self, piece: int, to: int) -> list[int]:
        """Those of :meth:`legal_with` that go to a square."""
        return [code for code in self.legal_with(piece) if code >> 6 & 63 == to]

    def is_legal(self, code: int) -> bool:
        """Whether a move may be played."""
        return bool(self._board.is_legal(_move(code)))

    def play(self, code: int) -> None:
        """Play a move. Raises :class:`DataError` where it is not legal."""
        before = self._board.hash()
        try:
            self._board.play(_move(code))
        except ValueError:
            raise DataError(f"move is {name_of(code)}, which is not legal in {self.fen}") from None
        self._hashes.append(before)

    def copy(self) -> Position:
        """An independent position."""
        twin = Position.__new__(Position)
        twin.chess960, twin._board, twin._hashes = self.chess960, self._board.__copy__(), list(self._hashes)
        return twin

    def pieces(self) -> NDArray[np.uint8]:
        """The pieces on the 64 squares, a1 b1 .. h8.

        0 for nothing, 1 .. 6 for White's pawn, knight, bishop, rook, queen, king, 7 .. 12 for Black's.
        """
        board = np.zeros(64, np.uint8)
        square = 56
        for letter in str(self._board.fen()).split(" ", 1)[0]:
            if letter == "/":
                square -= 16
            elif letter.isdigit():
                square += int(letter)
            else:
                board[square] = PIECES.index(letter)
                square += 1
        return board

    def castles(self, code: int) -> bool:
        """Whether a legal move castles."""
        board = self.pieces()
        king = KING + 6 * self.turn
        taken = board[target(code)]
        return bool(board[origin(code)] == king and taken and (taken > KING) == bool(self.turn))

    def outcome(self) -> str | None:
        """ "checkmate", "stalemate", "fifty moves", "threefold repetition", or None while the game goes on."""
        rules, status = _rules(), self._board.status()
        if status == rules.GameStatus.Won:
            return "checkmate"
        if status == rules.GameStatus.Drawn:
            return "fifty moves" if self._board.generate_moves() else "stalemate"
        return "threefold repetition" if self._hashes.count(self._board.hash()) >= 2 else None

    def uci(self, code: int) -> str:
        """A legal move as programs write it: e1g1 for castling, except in Chess960 (e1h1)."""
        if self.chess960 or not self.castles(code):
            return name_of(code)
        start, to = origin(code), target(code)
        return SQUARES[start] + SQUARES[(start & 56) + (6 if to > start else 2)]

    def read_uci(self, text: str) -> int:
        """The code of a legal move written e2e4, e7e8q, e1g1 or e1h1. Raises :class:`DataError` for any other text."""
        try:
            code = code_of(text.lower())
        except KeyError:
            raise DataError(f"move is '{text}', expected UCI such as e2e4 or e7e8q") from None
        if self.is_legal(code):
            return code
        start, to = origin(code), target(code)
        if self.pieces()[start] in (KING, KING + 6) and abs((to & 7) - (start & 7)) >= 2:
            for move in self.legal_from(KING, (start & 56) + 7) + self.legal_from(KING, start & 56):
                if self.castles(move) and self.uci_square(move) == to:
                    return move
        raise DataError(f"move is '{text}', which is not legal in {self.fen}")

    @staticmethod
    def uci_square(code: int) -> int:
        """Where the king lands that castles."""
        start, to = origin(code), target(code)
        return (start & 56) + (6 if to > start else 2)


def _kinds(rules: Any) -> tuple[Any, ...]:
    piece = rules.Piece
    return piece.Pawn, piece.Knight, piece.Bishop, piece.Rook, piece.Queen, piece.King


def _read_fen(rules: Any, fen: str) -> Any:
    """A board of a FEN whose castling rights are KQkq, those of Chess960 (the outermost rooks), or files such as HAha."""
    fields = [*fen.split(), *("w", "-", "-", "0", "1")[len(fen.split()) - 1 :]]
    if len(fields) != 6 or fields[0].count("/") != 7:
        raise ValueError(fen)
    fields[2] = "".join(_rook_file(fields[0], right) for right in fields[2]) or "-"
    return rules.Board.from_fen(" ".join(fields), shredder=True)


def _rook_file(placement: str, right: str) -> str:
    """The file of the rook that KQkq means: the outermost on that side of the king; other letters stay."""
    if right not in "KQkq":
        return right
    row = placement.split("/")[7 if right.isupper() else 0]
    row = "".join(" " * int(letter) if letter.isdigit() else letter for letter in row)
    king, rook = ("K", "R") if right.isupper() else ("k", "r")
    at, rooks = row.find(king), [k for k, letter in enumerate(row) if letter == rook]
    side = [k for k in rooks if (k > at) == (right in "Kk")]
    if at < 0 or not side:
        return ""
    letter = "abcdefgh"[max(side) if right in "Kk" else min(side)]
    return letter.upper() if right.isupper() else letter
