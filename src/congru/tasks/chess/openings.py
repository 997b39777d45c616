"""Names of openings by position: the same position has the same name, whatever order of moves led to it.

The names are the public set `openings` of :mod:`congru.data.registry` (lichess-org/chess-openings, CC0): rows of an ECO code, a
name, and the moves that lead to the position.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from congru.data.registry import is_here, read
from congru.errors import DataError
from congru.tasks.chess.beginnings import Beginnings
from congru.tasks.chess.games import Games
from congru.tasks.chess.replay import Skipped, as_codes
from congru.tasks.chess.rules import Position

FILES = tuple(f"{letter}.tsv" for letter in "abcde")
COLUMNS = ["eco", "name", "pgn"]
NO_NAMES = (
    "the names of openings are not on this machine, expected the set 'openings': congru data get openings"
)


class Opening(NamedTuple):
    """An ECO code such as B90, and a name such as "Sicilian Defense: Najdorf Variation"."""

    eco: str
    name: str

    @property
    def family(self) -> str:
        """The name before the colon.

        >>> Opening("B90", "Sicilian Defense: Najdorf Variation").family
        'Sicilian Defense'
        """
        return self.name.split(":")[0]


class Openings:
    """The named positions. Of two names of one position the one with fewer moves counts.

    Args:
        rows: (eco, name, moves in SAN, numbered or not).

    >>> openings = Openings([("C20", "King's Pawn Game", "1. e4 e5")])
    >>> position = Position()
    >>> for move in ("e2e4", "e7e5"): position.play(position.read_uci(move))
    >>> openings.at(position)
    Opening(eco='C20', name="King's Pawn Game")

    Raises :class:`DataError` for moves that are not legal.
    """

    def __init__(self, rows: Iterable[tuple[str, str, str]]) -> None:
        self._at: dict[int, tuple[int, Opening]] = {}
        for eco, name, pgn in rows:
            words = [word for word in pgn.split() if not word[0].isdigit()]
            codes = as_codes(words)
            if isinstance(codes, Skipped):
                raise DataError(f"opening '{name}': {codes.detail}: mend the row or fetch the set again")
            position = Position()
            for code in codes.tolist():
                position.play(code)
            known = self._at.get(position.key)
            if known is None or len(codes) < known[0]:
                self._at[position.key] = len(codes), Opening(eco, name)
        self.longest = max((plies for plies, _ in self._at.values()), default=0)

    def __len__(self) -> int:
        return len(self._at)

    def at(self, position: Position) -> Opening | None:
        """The opening of a position, None where it has no name of its own."""
        known = self._at.get(position.key)
        return known and known[1]

    def name(self, position: Position) -> str | None:
        """The name alone, as a game that is followed asks for it."""
        opening = self.at(position)
        return opening and opening.name

    def of(self, games: Games) -> list[Opening | None]:
        """The opening of each game: of its last position that has a name. None where no position has, as of a set-up board.

        A beginning that several games share is played once.
        """
        tree = Beginnings(games, self.longest)
        names: list[Opening | None] = []
        for key, parent in zip(tree.keys.tolist(), tree.parents.tolist()):
            known = self._at.get(key)
            names.append(known[1] if known else names[parent] if parent >= 0 else None)
        last = tree.at.max(
            axis=1, initial=-1
        )  # a longer beginning has a higher number; -1 where the board was set up
        return [names[node] if node >= 0 else None for node in last.tolist()]


def read_openings() -> Openings:
    """The public set, from the folder CONGRU_DATA names or from the cache; nothing is downloaded.

    Raises :class:`DataError` where it is in neither, and for a row that is no opening.
    """
    if not is_here("openings"):
        raise DataError(NO_NAMES)
    return Openings(row for file in FILES for row in _rows(file, read("openings", file).decode("utf-8")))


def openings_or_none() -> Openings | None:
    """The same, or None where the set is not here: for what works without names as well."""
    return read_openings() if is_here("openings") else None


def _rows(file: str, text: str) -> Iterator[tuple[str, str, str]]:
    lines = text.splitlines()
    if not lines or lines[0].split("\t") != COLUMNS:
        raise DataError(
            f"openings {file} begins with {lines[:1]}, expected the columns {', '.join(COLUMNS)}: fetch the set again"
        )
    for number, line in enumerate(lines[1:], 2):
        values = line.split("\t")
        if len(values) != 3 or not all(values):
            raise DataError(f"openings {file} line {number} is '{line}', expected {', '.join(COLUMNS)}")
        yield values[0], values[1], values[2]
