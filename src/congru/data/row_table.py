"""A long table as it lies in a file or a table object, before its columns have a meaning; and which column is which.

Table objects (pandas, polars, pyarrow) come through narwhals; their rows are counted from 0. A file is a CSV file (see
csv_file.py) or Parquet.
"""

from __future__ import annotations

import datetime
import difflib
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.columns import ROLES, Columns
from congru.data.composed import compose
from congru.data.csv_file import MISSING, read_csv
from congru.data.times import is_clock, read_texts
from congru.errors import DataError, require

_MONTH = re.compile(r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*")
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass
class RowTable:
    """Columns of one source before they have a meaning."""

    source: str
    kind: str
    names: list[str]
    numbers: NDArray[np.int64]
    text: dict[str, list[Any]]
    native: dict[str, Any]
    """Native columns of a table object; {} for a file."""
    separator: str = ","
    notes: list[str] = field(default_factory=list)


def open_table(source: Any, columns: Columns) -> RowTable:
    """The columns of a CSV or Parquet file, or of a table object; raises DataError where there are none."""
    table = _opened(source, columns)
    table.names = compose(table.names, table.text, columns, is_missing)
    return table


def _opened(source: Any, columns: Columns) -> RowTable:
    if not isinstance(source, (str, os.PathLike)):
        return _of_frame(source, "table", columns)
    if "://" in str(source):
        raise DataError(f"data is the address {source}, expected a file: download it first")
    path = Path(source)
    if path.suffix.lower() in (".parquet", ".pq"):
        pandas = require("pandas", "forecast")
        require("pyarrow", "forecast")
        try:
            return _of_frame(pandas.read_parquet(path), path.name, columns)
        except FileNotFoundError:
            raise DataError(f"{path} does not exist, expected a Parquet file: check the path") from None
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{path} is no Parquet file ({reason}), expected one: write it again") from None
    file = read_csv(path, ",".join((columns.unique_id, columns.ds, columns.y)))
    return RowTable(
        file.name, "csv", file.header, file.numbers, dict(file.columns), {}, file.separator, file.notes
    )


def _of_frame(table: Any, source: str, columns: Columns) -> RowTable:
    nw = require("narwhals", "forecast")
    if hasattr(table, "column_names"):
        _check_frame_names(source, list(table.column_names))
    elif hasattr(table, "iloc") and hasattr(table, "columns"):
        _check_frame_names(source, list(table.columns))
        if any(_in_index(table, name) for name in (columns.ds, columns.unique_id)):
            table = table.reset_index()
    try:
        frame = nw.from_native(table, eager_only=True)
    except TypeError:
        raise DataError(
            f"data is {type(table).__name__}, expected a CSV path or a pandas, polars or pyarrow table:"
            " convert it (a lazy frame: call collect())"
        ) from None
    except nw.exceptions.DuplicateError:
        raise DataError(f"{source} has a column twice, expected distinct names: rename one") from None
    if not len(frame):
        wanted = ",".join((columns.unique_id, columns.ds, columns.y))
        raise DataError(f"{source} has no rows, expected {wanted}: add rows")
    kind = str(frame.implementation.value)
    native = {name: nw.to_native(frame[name]) for name in frame.columns}
    text = {name: frame[name].to_list() for name in frame.columns}
    return RowTable(source, kind, list(frame.columns), np.arange(len(frame)), text, native)


def _in_index(table: Any, name: str) -> bool:
    """Whether a pandas table has a column of that name in its index."""
    index = getattr(table, "index", None)
    return index is not None and not callable(index) and name in (getattr(index, "names", None) or ())


def _check_frame_names(source: str, names: list[Any]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise DataError(
                f"{source} has the column {name!r} ({type(name).__name__}), expected names of text: rename it"
            )
        if names.count(name) > 1:
            raise DataError(f"{source} has the column {name!r} twice, expected distinct names: rename one")


def real_names(table: RowTable, columns: Columns, target: bool) -> Columns:
    """The columns by the names that the table has: the default ones also in another case."""
    plain = Columns()
    column_names: dict[str, str] = {}
    for part in ("unique_id", "ds", "y"):
        wanted = getattr(columns, part)
        column_names[part] = wanted
        if wanted not in table.names and wanted == getattr(plain, part):
            alike = [name for name in table.names if name.lower() == wanted]
            column_names[part] = alike[0] if len(alike) == 1 else wanted
    values = {f.name: getattr(columns, f.name) for f in fields(columns)}
    columns = Columns(**{**values, **column_names})
    missing = [part for part in ("ds", *(["y"] if target else [])) if column_names[part] not in table.names]
    if missing:
        raise DataError(_missing_line(table, columns, missing))
    if columns.unique_id != plain.unique_id and columns.unique_id not in table.names:
        raise DataError(_missing_line(table, columns, ["unique_id"]))
    for role in (*ROLES, "ignore"):
        for name in getattr(columns, role):
            if name not in table.names:
                close = difflib.get_close_matches(name, table.names, 1)
                fix = f"did you mean {close[0]}?" if close else "add it, or leave it out"
                if not target and role != "known":
                    continue
                raise DataError(
                    f"{table.source} has the columns {_shown(table.names)}, expected {name!r} ({role}): {fix}"
                )
    roles = [name for role in (*ROLES, "ignore") for name in getattr(columns, role)]
    for name in roles:
        if roles.count(name) > 1 or name in column_names.values():
            raise DataError(f"column {name!r} has two roles, expected one: name it once")
    return columns


def _shown(names: Sequence[str]) -> str:
    shown = [name if name else "'' (nameless)" for name in names[:12]]
    return ", ".join(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _missing_line(table: RowTable, columns: Columns, missing: Sequence[str]) -> str:
    """The line for columns that are not there, with flags that name those that could be meant."""
    wide = _wide_line(table) if "ds" in missing else ""
    if wide:
        return wide
    flags = {"ds": "--time-column", "y": "--target-column", "unique_id": "--id-column"}
    expected = " and ".join(repr(getattr(columns, part)) for part in missing)
    free = [name for name in table.names if name not in (columns.ds, columns.y)]
    fixes, numeric = [], [name for name in free if name and _looks(table, name) == "number"]
    clocks = [name for name in free if name and _looks(table, name) == "clock"]
    for part in missing:
        fits = [name for name in free if name and _looks(table, name) == "time"] if part == "ds" else numeric
        guess = fits[0] if part != "unique_id" and fits else "NAME"
        if part == "ds" and fits and len(clocks) == 1:
            guess = f"{guess},{clocks[0]}"
        fixes.append(f"{flags[part]} {guess!r}" if " " in guess else f"{flags[part]} {guess}")
    texts = [name for name in free if name and _looks(table, name) == "text"]
    if columns.unique_id not in table.names and "unique_id" not in missing and len(texts) == 1:
        fixes.append(f"--id-column {texts[0]}")
    return (
        f"{table.source} has the columns {_shown(table.names)}, expected {expected}:"
        f" rename one or pass {' '.join(fixes)}"
    )


def _wide_line(table: RowTable) -> str:
    """The line for a table with a column for every month or year; "" for another."""
    for what, reads in (("month", _MONTH), ("year", _YEAR)):
        wide = [name for name in table.names if reads.fullmatch(name)]
        others = [name for name in table.names if name not in wide]
        if len(wide) < 2 or len(wide) < len(others):
            continue
        year = next((name for name in others if what == "month" and _looks(table, name) == "time"), None)
        ids = ",".join(name for name in others if name != year)
        flags = f" --time-column {year + ',' if year else ''}{what}" + (f" --id-column {ids}" if ids else "")
        return (
            f"{table.source} has a column for every {what} ({', '.join(wide[:3])}), expected a row for every step: turn it"
            f" by pandas.melt(table, {others}, var_name={what!r}, value_name='y') and pass{flags}"
        )
    return ""


def _looks(table: RowTable, name: str) -> str:
    """What the first values of a column look like: "time", "clock" (a time of day), "number" or "text"."""
    values = [value for value in table.text[name][:50] if not is_missing(value)]
    if not values:
        return "text"
    if all(isinstance(value, (datetime.date, np.datetime64)) for value in values):
        return "time"
    words = [str(value) for value in values]
    if all(map(is_clock, words)):
        return "clock"
    if all(map(_YEAR.fullmatch, words)) and words == sorted(set(words)):
        return "time"
    marks = [word.strip("+-").replace(".", "").replace(",", "") for word in words]
    if all(mark.isdigit() for mark in marks):
        whole = [
            word for word in words if word.isdigit() and len(word) in (6, 8) and word[:2] in ("19", "20")
        ]
        dotted = all(word.count(".") == 2 for word in words)
        return "time" if len(whole) == len(words) or dotted else "number"
    try:
        moments = read_texts(words, table.source, name)
    except DataError as error:
        return "time" if "--date-format" in str(error) else "text"
    return "time" if not np.isnat(moments.local).any() else "text"


def is_missing(value: Any) -> bool:
    """Whether a value says that there is none: None, NaN, or one of the words for it."""
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    if isinstance(value, float):
        return math.isnan(value)
    return str(value) in ("<NA>", "NaT", "nan")
