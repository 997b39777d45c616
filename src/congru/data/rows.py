"""Rows of a long table, from a CSV file or a table object, as plain columns; nothing is dropped or repaired here.

A CSV is read with the standard library, so that a fault is told with its line number (the header is line
1). Table objects (pandas, polars, pyarrow) come through narwhals; their rows are counted from 0.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, require

_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:\d\d(:\d\d(\.\d{1,6})?)?)?)?|\d{4}-\d\d")
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


@dataclass(frozen=True)
class Columns:
    """What the columns are called."""

    unique_id: str = "unique_id"
    ds: str = "ds"
    y: str = "y"


@dataclass(frozen=True)
class Rows:
    """R rows as they were read. A value that could not be read is NaT or NaN; `text` tells what stood there."""

    source: str
    """What messages call the table: the file's name or "table"."""
    kind: str
    """Where it came from: "csv", "pandas", "polars" or "pyarrow"."""
    numbers: NDArray[np.int64]
    """[R] line number in the file, or position in the table."""
    unique_id: list[Any] | None
    """[R] series names; None where the table has no such column: one series."""
    ds: NDArray[Any]
    """[R] datetime64[us] (time zones turned into UTC) or int64."""
    y: NDArray[np.float64] | None
    """[R]; None where the table has no such column."""
    known: dict[str, NDArray[np.float64]]
    """Every further column: [R] numbers."""
    text: dict[str, list[Any]]
    """Column -> what stood in each row, for messages."""


def read_rows(source: Any, columns: Columns, *, target: bool = True) -> Rows:
    """The rows of a CSV path (also `.gz`) or of a pandas, polars or pyarrow table.

    `target` False: the column `y` may be absent. Raises :class:`DataError` for a file that is missing,
    empty or not UTF-8, and for a missing column.
    """
    if isinstance(source, (str, os.PathLike)):
        return _from_csv(Path(source), columns, target)
    return _from_frame(source, columns, target)


def _check_header(source: str, header: list[str], columns: Columns, target: bool) -> None:
    wanted = [("ds", columns.ds), *([("y", columns.y)] if target else [])]
    for role, name in wanted:
        if name not in header:
            flag = {"ds": "--time-column", "y": "--target-column"}[role]
            raise DataError(
                f"{source} has the columns {', '.join(header)}, expected {name!r}:"
                f" rename one or pass {flag} NAME"
            )
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{source} has the column {twice!r} twice, expected distinct names: rename one")


def _from_csv(path: Path, columns: Columns, target: bool) -> Rows:
    lines = list(csv.reader(io.StringIO(_read_text(path), newline="")))
    if not lines:
        raise DataError(f"{path} is empty, expected a header and rows: {_header_of(columns)}")
    header = [name.strip() for name in lines[0]]
    _check_header(path.name, header, columns, target)
    numbered = [(number, line) for number, line in enumerate(lines[1:], start=2) if line]
    for number, line in numbered:
        if len(line) != len(header):
            raise DataError(
                f"{path.name} row {number}: has {len(line)} values, expected {len(header)} as in the header:"
                " fix the row"
            )
    if not numbered:
        raise DataError(f"{path.name} has a header but no rows, expected {_header_of(columns)}: add rows")
    text: dict[str, list[Any]] = {
        name: [line[k].strip() for _, line in numbered] for k, name in enumerate(header)
    }
    values = {name: _numbers(text[name]) for name in header if name not in (columns.unique_id, columns.ds)}
    return _assemble(
        path.name,
        "csv",
        np.array([n for n, _ in numbered]),
        _times(path.name, text[columns.ds]),
        values,
        text,
        columns,
    )


def _header_of(columns: Columns) -> str:
    return f"{columns.unique_id},{columns.ds},{columns.y}"


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise DataError(f"{path} is a folder, expected a CSV file: name the file in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist, expected a CSV file: check the path") from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}), expected a CSV file: check its permissions"
        ) from None
    try:
        raw = gzip.decompress(content) if path.suffix == ".gz" else content
    except (gzip.BadGzipFile, EOFError):
        raise DataError(
            f"{path} is not a whole gzip file, expected compressed CSV: compress it again"
        ) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path.name} row {line}: byte 0x{raw[error.start]:02x} is not UTF-8, expected UTF-8 text:"
            " convert the file"
        ) from None


def _assemble(
    source: str,
    kind: str,
    numbers: NDArray[np.int64],
    ds: NDArray[Any],
    values: dict[str, NDArray[np.float64]],
    text: dict[str, list[Any]],
    columns: Columns,
) -> Rows:
    names = text.get(columns.unique_id)
    y = values.pop(columns.y, None)
    return Rows(source, kind, numbers, names, ds, y, values, text)


def _numbers(text: list[str]) -> NDArray[np.float64]:
    """The texts as numbers, NaN where one is none."""
    try:
        return np.array(text, np.float64)
    except ValueError:
        return np.array([_number(value) for value in text])


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("nan")


def _times(source: str, text: list[Any]) -> NDArray[Any]:
    """Dates as datetime64[us], NaT where one is none; whole numbers, if all are, as int64."""
    words = [str(value) for value in text]
    if all(_WHOLE.fullmatch(word) for word in words):
        if all(len(word) == 8 and word[:2] in ("19", "20") for word in words):
            raise DataError(
                f"{source} has {words[0]!r} as a time, expected YYYY-MM-DD or counted steps:"
                " write dates with dashes"
            )
        return np.array([int(word) for word in words], np.int64)
    return np.array([_time(word) for word in words], "datetime64[us]")


def _time(word: str) -> np.datetime64:
    zone = _ZONE.search(word) if len(word) > 10 else None
    stamp = word[: zone.start()] if zone else word
    if not _DATE.fullmatch(stamp):
        return np.datetime64("NaT")
    try:
        time = np.datetime64(stamp.replace(" ", "T"), "us")
    except ValueError:  # a day or hour that does not exist
        return np.datetime64("NaT")
    if zone is None or zone[0] == "Z":
        return time
    digits = zone[0][1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return time - np.timedelta64(minutes if zone[0][0] == "+" else -minutes, "m")


def _from_frame(table: Any, columns: Columns, target: bool) -> Rows:
    nw = require("narwhals", "forecast")
    try:
        frame = nw.from_native(table, eager_only=True)
    except TypeError:
        raise DataError(
            f"data is {type(table).__name__}, expected a CSV path or a pandas, polars or pyarrow table:"
            " convert it (a lazy frame: call collect())"
        ) from None
    kind = str(frame.implementation.value)
    _check_header("table", frame.columns, columns, target)
    if not len(frame):
        raise DataError(f"table has no rows, expected {_header_of(columns)}: add rows")
    text = {name: frame[name].to_list() for name in frame.columns}
    values = {}
    for name in frame.columns:
        if name in (columns.unique_id, columns.ds):
            continue
        if not frame[name].dtype.is_numeric() and frame[name].dtype != nw.Boolean:
            values[name] = np.array([_number(str(value)) for value in text[name]])
        else:
            values[name] = np.array([np.nan if v is None else v for v in text[name]], np.float64)
    ds = _frame_times(nw, frame[columns.ds], text[columns.ds])
    return _assemble("table", kind, np.arange(len(frame)), ds, values, text, columns)


def _frame_times(nw: Any, column: Any, text: list[Any]) -> NDArray[Any]:
    if column.dtype.is_integer():
        return np.asarray(column.to_numpy(), np.int64)
    if column.dtype == nw.Date:
        return np.array(text, "datetime64[D]").astype("datetime64[us]")
    if column.dtype == nw.Datetime:
        if column.dtype.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return np.asarray(column.to_numpy()).astype("datetime64[us]")
    return _times("table", text)
