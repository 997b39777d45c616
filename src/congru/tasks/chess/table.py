"""Games as a table: tab-separated rows with the columns of a data set, the moves in SAN.

split  wkey  bkey  white  black  result  date  white_elo  black_elo  eco  moves
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from congru.errors import DataError
from congru.tasks.chess.games import RESULTS, SPLITS, UNKNOWN, Game
from congru.tasks.chess.replay import Skipped, as_codes, read_date, read_elo

NEEDED = ("white", "black", "moves")


def is_table(first: bytes) -> bool:
    """Whether the first line of a file is the header of such a table."""
    return set(NEEDED) <= set(first.decode("utf-8", "replace").rstrip("\r\n").split("\t"))


def read_rows(lines: Iterable[bytes], name: str) -> Iterator[dict[str, str]]:
    """The rows by column. Raises :class:`DataError` for a row with another number of columns."""
    iterator = iter(lines)
    header = next(iterator).decode("utf-8").rstrip("\r\n").split("\t")
    for number, line in enumerate(iterator, 2):
        values = line.decode("utf-8").rstrip("\r\n").split("\t")
        if len(values) == len(header):
            yield dict(zip(header, values))
        elif values != [""]:
            raise DataError(
                f"{name} line {number} has {len(values)} columns, expected {len(header)}: mend the line"
            )


def replay_row(row: dict[str, str]) -> Game | Skipped:
    """A game of a row; its players are known by the keys where there are columns of them."""
    codes = as_codes(row["moves"].split())
    if isinstance(codes, Skipped):
        return codes
    split = row.get("split", "")
    return Game(
        moves=codes,
        white=row["white"],
        black=row["black"],
        keys=(row.get("wkey", ""), row.get("bkey", "")),
        elo=(read_elo(row.get("white_elo", "")), read_elo(row.get("black_elo", ""))),
        result=RESULTS.get(row.get("result", ""), UNKNOWN),
        date=read_date(row.get("date", "")),
        split=SPLITS.index(split) if split in SPLITS else -1,
        eco=row.get("eco", ""),
    )
