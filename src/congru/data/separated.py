"""Rows of separated values (CSV), with the faults that its reader meets told as lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from congru.errors import DataError

_MOST_COLUMNS = 10_000


def read_separated(text: str, name: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The rows of a text, each with the number of the line it begins on; empty ones too.

    Raises :class:`DataError` for a value of more than 131,072 characters, as after a forgotten quote, and for more than
    10,000 columns.

    >>> list(read_separated('a,b\\n"1\\n2",3\\n4,5', "t.csv"))
    [(1, ['a', 'b']), (2, ['1\\n2', '3']), (4, ['4', '5'])]
    """
    reader, line = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1
    try:
        for row in reader:
            if len(row) > _MOST_COLUMNS:
                raise DataError(
                    f"{name} line {line} has {len(row):,} columns, expected at most {_MOST_COLUMNS:,}: choose some,"
                    " or turn the table"
                )
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{name} line {line}: {error}, expected CSV: close the quote that is open from there on, or fix the value"
        ) from None
