"""Tables read block by block and written row group by row group: Parquet, CSV, JSON lines, texts (one a line), PGN (one a game).

A block is a row group of a Parquet file, or so many lines or games of any other; no file is held whole.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from congru.errors import DataError, require
from congru.runtime.atomic import folder_beside, sync_to_disk

pa = require("pyarrow", "forecast")
pq = require("pyarrow.parquet", "forecast")
pa_csv = require("pyarrow.csv", "forecast")

LINES = 1024  # of a block of a file that has no row groups
Format = Literal["parquet", "csv", "jsonl"]
KINDS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
    ".pgn": "pgn",
}
Table = Any  # pyarrow.Table


def files_of(paths: Sequence[Path]) -> list[Path]:
    """The files named, those of folders in the order of their names. Raises DataError."""
    files: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.iterdir() if p.suffix in KINDS) if path.is_dir() else [path]
        if not inside or not all(file.is_file() for file in inside):
            raise DataError(f"data is '{path}', expected a file or a folder with some: check the path")
        files += inside
    for file in files:
        if file.suffix not in KINDS:
            raise DataError(f"data is '{file}', expected one of {', '.join(KINDS)}: convert the file")
    return files


def blocks(files: Sequence[Path], as_text: Sequence[str] = ()) -> Iterator[tuple[int, Any]]:
    """Every block as its number and a call that reads it: what is not called is not read, where the file allows it.

    Args:
        files: as :func:`files_of` gives them.
        as_text: columns of CSV files that stay text: 007 is a name.
    """
    number = itertools.count()
    for file in files:
        kind = KINDS[file.suffix]
        if kind == "parquet":
            with _parquet(file) as source:
                for group in range(source.num_row_groups):
                    yield next(number), lambda source=source, group=group: source.read_row_group(group)
        else:
            for table in _tables(file, kind, as_text):
                yield next(number), lambda table=table: table


def _parquet(file: Path) -> Any:
    try:
        return pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{file} cannot be read ({_first_line(error)}), expected a Parquet file: write it again"
        ) from None


def _tables(file: Path, kind: str, as_text: Sequence[str]) -> Iterator[Table]:
    if kind == "csv":
        yield from _csv_tables(file, as_text)
        return
    with open(file, encoding="utf-8", errors="strict") as lines:
        items = _games(lines) if kind == "pgn" else ((number, line) for number, line in enumerate(lines, 1))
        try:
            while chunk := list(itertools.islice(items, LINES)):
                yield _table_of(chunk, kind, file)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{file} is not UTF-8 ({error.reason}), expected UTF-8: convert the file"
            ) from None


def _csv_tables(file: Path, as_text: Sequence[str]) -> Iterator[Table]:
    kinds = {name: pa.string() for name in as_text}
    try:
        with pa_csv.open_csv(file, convert_options=pa_csv.ConvertOptions(column_types=kinds)) as source:
            for batch in source:
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: {_first_line(error)}, expected a CSV table: correct the file") from None


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:200]


def _games(lines: Iterator[str]) -> Iterator[tuple[int, str]]:
    """The text of each game of a PGN: it ends where the next tags begin."""
    begin, game, moves = 1, list[str](), False
    for number, line in enumerate(lines, 1):
        if line.startswith("[") and moves:
            yield begin, "".join(game)
            begin, game, moves = number, [], False
        moves = moves or bool(line.strip() and not line.startswith("["))
        game.append(line)
    if moves:
        yield begin, "".join(game)


def _table_of(chunk: list[tuple[int, str]], kind: str, file: Path) -> Table:
    if kind == "pgn":
        return pa.table({"pgn": [text for _, text in chunk]})
    if kind == "txt":
        return pa.table({"text": [line.rstrip("\r\n") for _, line in chunk]})
    rows = []
    for number, line in chunk:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{file} row {number}: not JSON ({error}), expected one object a line: correct the row"
            ) from None
        if not isinstance(row, dict):
            raise DataError(
                f"{file} row {number}: a {type(row).__name__}, expected one object a line: correct the row"
            )
        rows.append(row)
    return pa.Table.from_pylist(rows)


class Output:
    """A file that appears whole when it is closed: ``with Output(path, "parquet") as output: output.write(table)``."""

    def __init__(self, path: Path, form: Format) -> None:
        self.path, self._form = path, form
        self._writer: Any = None
        self.rows = 0

    def __enter__(self) -> Output:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._workshop = folder_beside(self.path)
        self._fresh = self._workshop.__enter__() / "part"
        return self

    def write(self, table: Table) -> None:
        """Append rows: a row group of a Parquet file."""
        if not table.num_rows:
            return
        self.rows += table.num_rows
        if self._writer is None:
            self._writer = self._open(table.schema)
        if self._form == "jsonl":
            self._writer.writelines(
                json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in table.to_pylist()
            )
            return
        self._writer.write_table(table.cast(self._writer.schema) if self._form == "parquet" else table)

    def _open(self, schema: Any) -> Any:
        if self._form == "parquet":
            return pq.ParquetWriter(self._fresh, schema)
        if self._form == "csv":
            return pa_csv.CSVWriter(self._fresh, schema)
        return open(self._fresh, "w", encoding="utf-8")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        try:
            if self._writer is not None:
                self._writer.close()
                if kind is None:
                    sync_to_disk(self._fresh)
                    self._fresh.replace(self.path)
        finally:
            self._workshop.__exit__(None, None, None)
