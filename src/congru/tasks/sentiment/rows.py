"""Labelled rows from a table: CSV, TSV, JSON or JSON lines, also gzipped; with or without a header.

Columns are found by known names, by the names or numbers given, or, without a header, by what they hold: the text is the
longest column, the label the one with the fewest values. Nothing is left out here.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from congru.data.files import decode, read_unpacked
from congru.errors import DataError

TEXT_NAMES = (
    "text",
    "sentence",
    "review",
    "comment",
    "document",
    "content",
    "tweet",
    "message",
    "body",
    "phrase",
)
LABEL_NAMES = ("label", "sentiment", "stars", "rating", "class", "polarity", "category", "score", "target")
JSON_SUFFIXES, LINE_SUFFIXES = (".json",), (".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", *JSON_SUFFIXES, *LINE_SUFFIXES)


@dataclass(frozen=True)
class Rows:
    """N rows as they stand in a file: `locations` says where each is ("line 3", "row 2", or a file's name)."""

    source: str
    locations: list[str]
    texts: list[str]
    labels: list[str]
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Table:
    """The cells of a file before columns are chosen; `header` is None where the first row may be data."""

    source: str
    header: list[str] | None
    cells: list[list[str]]
    locations: list[str]
    remarks: tuple[str, ...] = ()


def read_rows(path: Path, text_column: str | None = None, label_column: str | None = None) -> Rows:
    """The rows of a table.

    Raises:
        DataError: no such file, another format, no such column, a row with too few cells.
    """
    table = read_table(path)
    table, text, label = choose_columns(table, text_column, label_column)
    rows = Rows(table.source, [], [], [], table.remarks)
    for location, cells in zip(table.locations, table.cells):
        if len(cells) <= max(text, label):
            raise DataError(
                f"{table.source} {location} has {len(cells)} cells, expected at least {max(text, label) + 1}:"
                " fix the row, or name other columns with --text-column and --label-column"
            )
        rows.locations.append(location)
        rows.texts.append(cells[text])
        rows.labels.append(cells[label].strip())
    return rows


def read_table(path: Path) -> Table:
    """The cells of a file, by its suffix (before .gz)."""
    suffix = path.with_suffix("").suffix.lower() if path.suffix == ".gz" else path.suffix.lower()
    content, remark = decode(read_bytes(path), path.name)
    remarks = (remark,) if remark else ()
    if not content.strip():
        raise DataError(f"{path} is empty, expected rows with a text and a label: choose another file")
    if suffix in JSON_SUFFIXES + LINE_SUFFIXES:
        return _from_json(path.name, content, suffix in LINE_SUFFIXES, remarks)
    if suffix == ".csv" or (suffix not in TABLE_SUFFIXES and "\t" not in content):
        return _from_csv(path.name, content, remarks)
    return _from_tabs(path.name, content, remarks)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file of labelled texts, unpacked."""
    return read_unpacked(path, "a table or folder of labelled texts")


def _from_csv(name: str, content: str, remarks: tuple[str, ...]) -> Table:
    """Cells by the csv module; the separator is the most frequent of , ; and tab in the first line."""
    first = content.lstrip("\r\n").partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator)
    cells, locations, line = [], [], 1
    try:
        for row in reader:
            if row:
                cells.append(row)
                locations.append(f"line {line}")
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{name} line {reader.line_num}: {error}, expected CSV: fix the line") from None
    return Table(name, None, cells, locations, remarks)


def _from_tabs(name: str, content: str, remarks: tuple[str, ...]) -> Table:
    """Cells between tabs; a quote is an ordinary character unless it encloses a cell whose quotes are doubled."""
    cells, locations = [], []
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip("\r \t"):
            cells.append([_unquoted(cell) for cell in line.rstrip("\r").split("\t")])
            locations.append(f"line {number}")
    return Table(name, None, cells, locations, remarks)


def _unquoted(cell: str) -> str:
    inner = cell[1:-1]
    enclosed = len(cell) >= 2 and cell[0] == cell[-1] == '"'
    return inner.replace('""', '"') if enclosed and '"' not in inner.replace('""', "") else cell


def _from_json(name: str, content: str, lines: bool, remarks: tuple[str, ...]) -> Table:
    """Objects of a list, or one on every line; their keys are the columns."""
    entries: list[tuple[str, Any]] = []
    if lines:
        for number, line in enumerate(content.split("\n"), 1):
            if line.strip():
                entries.append((f"line {number}", _parsed(name, line, number)))
    else:
        whole = _parsed(name, content, 1)
        if isinstance(whole, dict):
            lists = [value for value in whole.values() if isinstance(value, list)]
            whole = lists[0] if len(lists) == 1 else None
        if not isinstance(whole, list):
            raise DataError(f"{name} holds no list of objects, expected one: write [{{...}}, ...]")
        entries = [(f"row {number}", entry) for number, entry in enumerate(whole, 1)]
    for location, entry in entries:
        if not isinstance(entry, dict):
            raise DataError(f"{name} {location} is no object, expected one with a text and a label: fix it")
    header = list(dict.fromkeys(key for _, entry in entries for key in entry))
    cells = [[_cell(entry.get(key)) for key in header] for _, entry in entries]
    return Table(name, header, cells, [location for location, _ in entries], remarks)


def _parsed(name: str, text: str, first_line: int) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        line = first_line + getattr(error, "lineno", 1) - 1
        raise DataError(f"{name} line {line}: not JSON ({error}), expected it: fix the line") from None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def choose_columns(table: Table, text: str | None, label: str | None) -> tuple[Table, int, int]:
    """The table without its header, and the numbers of its text and label column.

    Raises:
        DataError: a column that is not there, or none that can be told.
    """
    first = table.header if table.header is not None else table.cells[0]
    names = [name.strip().lower() for name in first]
    header = table.header is not None or _is_header(names, table, text, label)
    if header and table.header is None:
        table = Table(table.source, list(first), table.cells[1:], table.locations[1:], table.remarks)
    if not table.cells:
        raise DataError(f"{table.source} has a header but no rows, expected texts with labels: add rows")
    shown = ", ".join(first) if header else ", ".join(str(k) for k in range(1, len(first) + 1))
    chosen = list[int]()
    for column, known, what in ((text, TEXT_NAMES, "text"), (label, LABEL_NAMES, "label")):
        index = _find(column, known, names if header else [], len(first))
        if index is None and column is None and not header:
            index = _guess(table, chosen)
        if index is None:
            wanted = repr(column) if column is not None else f"a {what} ({', '.join(known[:3])}, ...)"
            raise DataError(
                f"{table.source} has the columns {shown}, expected {wanted}: pass --{what}-column NAME"
                " (or its number)"
            )
        chosen.append(index)
    if chosen[0] == chosen[1]:
        raise DataError(
            f"{table.source} has {shown!r} as both text and label, expected two columns:"
            " pass --text-column and --label-column"
        )
    return table, chosen[0], chosen[1]


def _is_header(names: Sequence[str], table: Table, text: str | None, label: str | None) -> bool:
    """True for column names that the caller or the task knows, or a first row none of whose cells stands below it again."""
    named = [name.lower() for name in (text, label) if name is not None and not name.isdigit()]
    if named:
        return True
    if any(name in TEXT_NAMES for name in names) and len(names) < 12:
        return any(name in LABEL_NAMES for name in names) or label is not None
    if any(name in LABEL_NAMES for name in names):
        return True
    below = [{row[k].strip().lower() for row in table.cells[1:] if k < len(row)} for k in range(len(names))]
    return not any(name in column for name, column in zip(names, below))


def _find(column: str | None, known: Sequence[str], names: Sequence[str], count: int) -> int | None:
    if column is not None:
        if column.strip().lower() in names:
            return names.index(column.strip().lower())
        return int(column) - 1 if column.isdigit() and 1 <= int(column) <= count else None
    return next((names.index(name) for name in known if name in names), None)


def _guess(table: Table, taken: Sequence[int]) -> int | None:
    """Without a header: the longest column, then the one with the fewest values among the others."""
    width = min(len(row) for row in table.cells)
    free = [k for k in range(width) if k not in taken]
    if not free:
        return None
    if not taken:
        return max(free, key=lambda k: sum(len(row[k]) for row in table.cells))
    return min(free, key=lambda k: len({row[k] for row in table.cells}))
