"""Which rows belong to a shard, the same on every machine: whole series by a hash of their key, other rows by block.

shard of a series = blake2b(key) mod n        shard of a block = its number mod n
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from congru.batch.files import blocks, pa
from congru.errors import DataError, SettingsError, require

Table = Any  # pyarrow.Table
ROWS_OF_A_CALL = 100_000  # of whole series, or one series where it is longer
SERIES_OF_A_CALL = 1000


@dataclass(frozen=True)
class Shard:
    """The number ``index`` of ``count`` shards."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``3/16``.

        >>> Shard.parse("3/16")
        Shard(index=3, count=16)
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None or not int(match[1]) < int(match[2]):
            raise SettingsError(
                f"shard is {text!r}, expected I/N with I from 0 to N - 1: give for example 0/16"
            )
        return cls(int(match[1]), int(match[2]))

    @property
    def name(self) -> str:
        """As a part of a file's name.

        >>> Shard(3, 16).name
        'part-00003-of-00016'
        """
        return f"part-{self.index:05d}-of-{self.count:05d}"


def hash_of(key: object) -> int:
    """A number of 64 bits, the same for a key on every machine and in every year.

    >>> hash_of("H1") % 16
    4
    """
    return int.from_bytes(hashlib.blake2b(str(key).encode(), digest_size=8).digest(), "little")


def tables_of(files: Sequence[Path], shard: Shard, key: str | None) -> Iterator[Table]:
    """The rows of a shard in tables of a size to be answered at once; without a key one for each block.

    Raises:
        DataError: no column ``key``, or a series whose rows do not stand together.
    """
    if key is None:
        for number, read in blocks(files):
            if number % shard.count == shard.index:
                yield read()
        return
    yield from _whole_series(files, shard, key)


def _whole_series(files: Sequence[Path], shard: Shard, key: str) -> Iterator[Table]:
    """Tables of whole series; a series ends where the next one of the shard begins."""
    compute = require("pyarrow.compute", "forecast")
    seen: set[int] = set()
    waiting: list[Table] = []  # slices of series, in order; the last series may go on
    rows = series = 0
    current: int | None = None
    for _, read in blocks(files, as_text=(key,)):
        table = read()
        if key not in table.column_names:
            raise DataError(
                f"the data has columns {', '.join(table.column_names)}, expected {key!r} among them: rename one"
            )
        runs = compute.run_end_encode(table.column(key).combine_chunks())
        begin = 0
        for name, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist()):
            own, number = table.slice(begin, end - begin), hash_of(name)
            begin = end
            if number % shard.count != shard.index:
                continue
            if number != current:
                if number in seen:
                    raise DataError(
                        f"series {name!r} comes back after others, expected the rows of a series together: sort the file by {key}"
                    )
                seen.add(number)
                if rows >= ROWS_OF_A_CALL or series >= SERIES_OF_A_CALL:
                    yield pa.concat_tables(waiting, promote_options="permissive")
                    waiting, rows, series = [], 0, 0
                current, series = number, series + 1
            waiting.append(own)
            rows += own.num_rows
    if waiting:
        yield pa.concat_tables(waiting, promote_options="permissive")
