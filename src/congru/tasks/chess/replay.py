"""From words to moves: plays the main line of a game and says where, and why, it cannot be followed.

A game is used whole or not at all: a model must not learn from half of one as if it ended there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.chess.games import RESULTS, UNKNOWN, Game
from congru.tasks.chess.pgn import Pgn
from congru.tasks.chess.rules import START, Position
from congru.tasks.chess.san import NullMove, read_san

_STANDARD = frozenset({"", "standard", "chess", "normal", "from position", "classical"})
_CHESS960 = frozenset({"chess960", "fischerandom", "fischerrandom", "freestyle", "chess 960", "960"})
_DATE = re.compile(r"(\d{4})\D(\d\d|\?\?)\D(\d\d|\?\?)|(\d{4})")


class Skipped(NamedTuple):
    """A game that is left out: `reason` counts it, `detail` says where in the game, and what stands there."""

    reason: str
    detail: str


def replay(pgn: Pgn, chess960: bool = False) -> Game | Skipped:
    """A game of standard chess from the usual or another first position; Chess960 only where it is asked for."""
    tags = pgn.tags
    variant = tags.get("Variant", "").lower()
    if variant not in _STANDARD and not (chess960 and variant in _CHESS960):
        return Skipped("another variant", f"Variant is {tags['Variant']!r}, expected standard chess")
    fen = tags.get("FEN", "")
    codes = as_codes(pgn.moves, fen, variant in _CHESS960)
    if isinstance(codes, Skipped):
        return codes
    if pgn.broken_off:
        return Skipped(
            "broken off", f"the moves end after ply {len(codes)}, the tag Result is {tags['Result']!r}"
        )
    return Game(
        moves=codes,
        white=tags.get("White", "?"),
        black=tags.get("Black", "?"),
        elo=(read_elo(tags.get("WhiteElo", "")), read_elo(tags.get("BlackElo", ""))),
        result=RESULTS.get(pgn.result, UNKNOWN),
        date=read_date(
            tags.get("Date", "") if "?" not in tags.get("Date", "?")[:4] else tags.get("UTCDate", "")
        ),
        fen="" if fen == START else fen,
        eco=tags.get("ECO", ""),
        clocks=_clocks(pgn, len(codes)),
    )


def read_elo(text: str) -> int:
    """An Elo rating; 0 where it is unknown or impossible.

    >>> read_elo("2785"), read_elo("?"), read_elo("99999")
    (2785, 0, 0)
    """
    return int(text) if text.isascii() and text.isdigit() and 100 <= int(text) <= 4000 else 0


def read_date(text: str) -> int:
    """A date as the number yyyymmdd; unknown parts are 0.

    >>> read_date("1972.07.??")
    19720700
    """
    match = _DATE.search(text)
    if match is None:
        return 0
    year, month, day, alone = match.groups()
    if alone:
        return int(alone) * 10000
    return int(year) * 10000 + int(month.replace("?", "0")) * 100 + int(day.replace("?", "0"))


def as_codes(moves: Sequence[str], fen: str = "", chess960: bool = False) -> NDArray[np.uint16] | Skipped:
    """The codes of moves in SAN, or in UCI; a game without moves is skipped too."""
    if not moves:
        return Skipped("no moves", "a game without moves")
    try:
        position = Position(fen or None, chess960)
    except DataError as error:
        return Skipped("impossible start", str(error))
    codes = []
    for ply, text in enumerate(moves, 1):
        try:
            code = read_san(position, text)
        except NullMove:
            return Skipped("null move", f"ply {ply} is the null move {text!r}")
        except DataError as error:
            return Skipped("illegal move", f"ply {ply}: {error}")
        position.play(code)
        codes.append(code)
    return np.array(codes, np.uint16)


def _clocks(pgn: Pgn, count: int) -> NDArray[np.float32] | None:
    if not pgn.clocks:
        return None
    clocks = np.full(count, np.nan, np.float32)
    for ply, seconds in pgn.clocks.items():
        clocks[ply] = seconds
    return clocks
