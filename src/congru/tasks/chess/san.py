"""Standard algebraic notation: reading a move as people write it, and writing it with the fewest letters.

Read are also what files hold instead of it: 0-0, dashes of other kinds, ``e.p.``, moves of two squares (g1f3).
"""

from __future__ import annotations

import re

from congru.errors import DataError
from congru.tasks.chess.moves import SQUARES, origin, promotion, target
from congru.tasks.chess.rules import KING, Position

NULL_MOVES = frozenset({"--", "Z0", "0000", "@@@@", "null", "pass"})
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
_SAN = re.compile(r"([NBRQK])?([a-h])?([1-8])?[x:-]?([a-h][1-8])(?:=?\(?([NBRQ])\)?)?(?:e\.?p\.?)?$")
_CASTLING = re.compile(r"[O0o]-?[O0o](-?[O0o])?$")
_UCI = re.compile(r"[a-h][1-8][a-h][1-8][nbrq]?$")
_LETTERS = " NBRQK"
_SQUARE = {name: number for number, name in enumerate(SQUARES)}


class NullMove(DataError):
    """A move that is no move: ``--``, ``Z0``."""


def read_san(position: Position, text: str) -> int:
    """The code of the move that a text means in a position.

    >>> Position().uci(read_san(Position(), "Nf3"))
    'g1f3'

    Raises :class:`NullMove` for a null move, and :class:`DataError` for a text that is no move, one that is not legal, or one
    that several pieces can make.
    """
    word = text.translate(_DASHES).rstrip("+#!?")
    if word in NULL_MOVES:
        raise NullMove(f"move '{text}' is a null move, which is no move of chess")
    castling = _CASTLING.match(word)
    if castling:
        long = castling[1] is not None
        codes = [code for code in _castlings(position) if (target(code) < origin(code)) == long]
    else:
        match = _SAN.match(word)
        if match is None or (match[1] is None and match[2] and match[3]):
            return _read_uci(position, text, word)
        letter, file, rank, square, piece = match.groups()
        kind = _LETTERS.index(letter) + 1 if letter else 1
        wanted = _LETTERS.index(piece) if piece else 0
        codes = [
            code
            for code in position.legal_from(kind, _SQUARE[square])
            if promotion(code) == wanted
            and (file is None or SQUARES[origin(code)][0] == file)
            and (rank is None or SQUARES[origin(code)][1] == rank)
        ]
        if kind == KING:
            codes = [code for code in codes if not position.castles(code)]
    if len(codes) != 1:
        reason = "not legal" if not codes else "ambiguous: " + ", ".join(map(position.uci, codes))
        raise DataError(f"move '{text}' is {reason} in {position.fen}")
    return codes[0]


def write_san(position: Position, code: int) -> str:
    """A legal move in standard algebraic notation, with + and #.

    >>> write_san(Position(), Position().read_uci("g1f3"))
    'Nf3'
    """
    after = position.copy()
    after.play(code)
    end = "#" if after.outcome() == "checkmate" else "+" if after.in_check else ""
    if position.castles(code):
        return ("O-O" if target(code) > origin(code) else "O-O-O") + end
    board = position.pieces()
    kind = int(board[origin(code)]) - 6 * position.turn
    start, to = SQUARES[origin(code)], SQUARES[target(code)]
    takes = "x" if board[target(code)] or (kind == 1 and start[0] != to[0]) else ""
    piece = "=" + _LETTERS[promotion(code)] if promotion(code) else ""
    if kind == 1:
        return (start[0] if takes else "") + takes + to + piece + end
    others = [SQUARES[origin(other)] for other in position.legal_from(kind, target(code)) if other != code]
    if kind == KING or not others:
        which = ""
    elif all(other[0] != start[0] for other in others):
        which = start[0]
    elif all(other[1] != start[1] for other in others):
        which = start[1]
    else:
        which = start
    return _LETTERS[kind - 1] + which + takes + to + end


def read_move(position: Position, text: str) -> int:
    """The code of a move typed by a person, in SAN or UCI. Raises as :func:`read_san`."""
    return read_san(position, text.strip())


def _castlings(position: Position) -> list[int]:
    """The legal castlings."""
    return [code for code in position.legal_with(KING) if position.castles(code)]


def _read_uci(position: Position, text: str, word: str) -> int:
    if not _UCI.match(word.lower().replace("-", "")):
        raise DataError(f"move '{text}' is no move, expected one such as Nf3, exd5, O-O or g1f3")
    try:
        return position.read_uci(word.lower().replace("-", ""))
    except DataError:
        raise DataError(f"move '{text}' is not legal in {position.fen}") from None
