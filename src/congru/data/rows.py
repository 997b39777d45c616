"""Rows of a long table, from a file or a table object, as plain columns with their roles; nothing is dropped or repaired here.

Table objects (pandas, polars, pyarrow) come through narwhals; their rows are counted from 0. A file is a CSV file (see
csv_file.py) or Parquet.
"""

from __future__ import annotations

import datetime
import difflib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.column_types import describe_column
from congru.data.csv_file import MISSING, numbers_of, read_csv
from congru.data.times import Moments, TimeFormat, read_numbers, read_texts
from congru.errors import DataError, require

ROLES = ("known", "past", "static")
_MOST_CATEGORIES = 50


@dataclass(frozen=True)
class Columns:
    """What the columns are called, and what the further ones are for; a column without a role is not used."""

    unique_id: str = "unique_id"
    ds: str = "ds"
    y: str = "y"
    known: tuple[str, ...] = ()
    """Known for the steps ahead too, such as a price list."""
    past: tuple[str, ...] = ()
    """Known up to now only, such as a temperature."""
    static: tuple[str, ...] = ()
    """The same at every step of a series, such as a region."""
    ignore: tuple[str, ...] = ()
    """Not used, and not told."""
    holidays: tuple[str, ...] = ()
    """Countries whose holidays are known ahead: DE, US, DE-BY for a part of a country."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for config.json."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Columns:
        """What :meth:`to_json` gave."""
        plain: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        return cls(**plain)

    def of_role(self, role: str) -> tuple[str, ...]:
        """The columns of "known", "past" or "static"."""
        columns: tuple[str, ...] = getattr(self, role)
        return columns


Categories = Mapping[str, Sequence[str]]
"""Text column -> its categories, in the order of their indicator columns."""


@dataclass(frozen=True)
class Rows:
    """R rows as they were read. A value that could not be read is NaT or NaN; `text` tells what stood there."""

    source: str
    """What messages call the table: the file's name or "table"."""
    kind: str
    """Where it came from: "csv", "pandas", "polars" or "pyarrow"."""
    columns: Columns
    """The columns by their real names."""
    numbers: NDArray[np.int64]
    """[R] line number in the file, or position in the table."""
    unique_id: list[Any] | None
    """[R] series names, None where one is missing; None where the table has no such column: one series."""
    moments: Moments
    """[R]"""
    y: NDArray[np.float64] | None
    """[R]; None where the table has no such column."""
    missing: NDArray[np.bool_]
    """[R] True where y is empty, not wrong."""
    covariates: dict[str, dict[str, NDArray[np.float64]]]
    """Role -> name -> [R] numbers; a text column has one indicator per category, named column=category."""
    categories: dict[str, list[str]]
    types: dict[str, str]
    """"unique_id" and "ds" -> the type of the column."""
    text: dict[str, list[Any]]
    """Column -> what stood in each row, for messages."""
    unused: list[str]
    """Columns without a role."""
    notes: list[str] = field(default_factory=list)
    """What was recognised, in words."""


@dataclass
class _Table:
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


def read_rows(
    source: Any,
    columns: Columns,
    *,
    target: bool = True,
    date_format: str = "",
    categories: Categories | None = None,
) -> Rows:
    """The rows of a file or of a pandas, polars or pyarrow table.

    `target` False: the column `y` may be absent. `categories`: those of an earlier table, where text columns are to
    be read the same way. Raises :class:`DataError` for a file that is missing, empty or not UTF-8, for a missing
    column and for a column that cannot have its role.
    """
    table = _open(source, columns)
    columns = _real_names(table, columns, target)
    moments = _times(table, columns, date_format)
    names, id_type = _ids(table, columns)
    y = missing = None
    if columns.y in table.names:
        y, missing = _values(table, columns.y)
    covariates, found = _covariates(table, columns, categories)
    used = {columns.unique_id, columns.ds, columns.y, *columns.ignore}
    used.update(name for role in ROLES for name in columns.of_role(role))
    return Rows(
        source=table.source,
        kind=table.kind,
        columns=columns,
        numbers=table.numbers,
        unique_id=names,
        moments=moments,
        y=y,
        missing=missing if missing is not None else np.zeros(len(table.numbers), bool),
        covariates=covariates,
        categories=found,
        types={"unique_id": id_type, "ds": _time_type(table, columns, moments)},
        text=table.text,
        unused=[name for name in table.names if name not in used],
        notes=table.notes,
    )


def _open(source: Any, columns: Columns) -> _Table:
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
    return _Table(
        file.name, "csv", file.header, file.numbers, dict(file.columns), {}, file.separator, file.notes
    )


def _of_frame(table: Any, source: str, columns: Columns) -> _Table:
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
    return _Table(source, kind, list(frame.columns), np.arange(len(frame)), text, native)


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


def _real_names(table: _Table, columns: Columns, target: bool) -> Columns:
    """The columns by the names that the table has: the default ones also in another case."""
    plain = Columns()
    found: dict[str, str] = {}
    for part in ("unique_id", "ds", "y"):
        wanted = getattr(columns, part)
        found[part] = wanted
        if wanted not in table.names and wanted == getattr(plain, part):
            alike = [name for name in table.names if name.lower() == wanted]
            found[part] = alike[0] if len(alike) == 1 else wanted
    values = {f.name: getattr(columns, f.name) for f in fields(columns)}
    columns = Columns(**{**values, **found})
    missing = [part for part in ("ds", *(["y"] if target else [])) if found[part] not in table.names]
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
        if roles.count(name) > 1 or name in found.values():
            raise DataError(f"column {name!r} has two roles, expected one: name it once")
    return columns


def _shown(names: Sequence[str]) -> str:
    shown = [name if name else "'' (nameless)" for name in names[:12]]
    return ", ".join(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _missing_line(table: _Table, columns: Columns, missing: Sequence[str]) -> str:
    """The line for columns that are not there, with flags that name those that could be meant."""
    flags = {"ds": "--time-column", "y": "--target-column", "unique_id": "--id-column"}
    expected = " and ".join(repr(getattr(columns, part)) for part in missing)
    free = [name for name in table.names if name not in (columns.ds, columns.y)]
    fixes, numeric = [], [name for name in free if name and _looks(table, name) == "number"]
    for part in missing:
        fits = [name for name in free if name and _looks(table, name) == "time"] if part == "ds" else numeric
        guess = fits[0] if part != "unique_id" and fits else "NAME"
        fixes.append(f"{flags[part]} {guess!r}" if " " in guess else f"{flags[part]} {guess}")
    texts = [name for name in free if name and _looks(table, name) == "text"]
    if columns.unique_id not in table.names and "unique_id" not in missing and len(texts) == 1:
        fixes.append(f"--id-column {texts[0]}")
    return (
        f"{table.source} has the columns {_shown(table.names)}, expected {expected}:"
        f" rename one or pass {' '.join(fixes)}"
    )


def _looks(table: _Table, name: str) -> str:
    """What the first values of a column look like: "time", "number" or "text"."""
    values = [value for value in table.text[name][:50] if not _is_missing(value)]
    if not values:
        return "text"
    if all(isinstance(value, (datetime.date, np.datetime64)) for value in values):
        return "time"
    words = [str(value) for value in values]
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


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    if isinstance(value, float):
        return math.isnan(value)
    return str(value) in ("<NA>", "NaT", "nan")


def _times(table: _Table, columns: Columns, date_format: str) -> Moments:
    name = columns.ds
    if not table.native:
        return read_texts(table.text[name], table.source, name, date_format)
    nw = require("narwhals", "forecast")
    column = nw.from_native(table.native[name], series_only=True)
    kind = column.dtype
    if kind.is_numeric():
        values = [np.nan if _is_missing(value) else value for value in table.text[name]]
        whole = kind.is_integer() and not any(value is np.nan for value in values)
        return read_numbers(
            np.array(values, np.int64 if whole else np.float64), table.source, name, date_format
        )
    if kind == nw.Date:
        days = np.array([None if v is None else v for v in table.text[name]], "datetime64[D]")
        return Moments(days.astype("datetime64[us]"), None, _plain_format())
    if kind == nw.Datetime:
        zone = kind.time_zone
        if zone is None:
            return Moments(np.asarray(column.to_numpy()).astype("datetime64[us]"), None, _plain_format())
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        local = column.dt.replace_time_zone(None)
        return Moments(
            np.asarray(local.to_numpy()).astype("datetime64[us]"),
            np.asarray(utc.to_numpy()).astype("datetime64[us]"),
            _plain_format(_zone_name(zone)),
        )
    if str(getattr(table.native[name], "dtype", "")).startswith("period"):
        starts = table.native[name].dt.start_time
        return Moments(np.asarray(starts).astype("datetime64[us]"), None, _plain_format())
    words = ["" if _is_missing(value) else _iso_text(value) for value in table.text[name]]
    return read_texts(words, table.source, name, date_format)


def _plain_format(zone: str = "") -> TimeFormat:
    return TimeFormat(zone=zone)


def _zone_name(zone: str) -> str:
    """The name of a zone, or its offset, as zones.py takes it."""
    return zone.removeprefix("UTC") if zone.startswith("UTC") and len(zone) > 3 else zone


def _iso_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, (datetime.date, datetime.datetime)) else str(value).strip()


def _time_type(table: _Table, columns: Columns, moments: Moments) -> str:
    """The type of the time column; that of a file as pandas would read it."""
    if table.native:
        return describe_column(table.native[columns.ds], table.kind)
    if moments.format.numeric:
        return "float64" if any("." in word for word in table.text[columns.ds][:1]) else "int64"
    return ""


def _ids(table: _Table, columns: Columns) -> tuple[list[Any] | None, str]:
    """The name of each row's series (None where it is missing), and the type of the column."""
    if columns.unique_id not in table.names:
        return None, ""
    values = [None if _is_missing_id(value) else value for value in table.text[columns.unique_id]]
    told = [value for value in dict.fromkeys(_hashable(values, table, columns)) if value is not None]
    if not table.native:
        if told and all(_is_plain_whole(value) for value in told):
            return [None if value is None else int(value) for value in values], "int64"
        return values, ""
    return values, describe_column(table.native[columns.unique_id], table.kind)


def _is_missing_id(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return _is_missing(value)


def _hashable(values: list[Any], table: _Table, columns: Columns) -> list[Any]:
    for number, value in zip(table.numbers, values):
        if value is not None and not isinstance(value, (str, int, float, datetime.date, np.generic)):
            raise DataError(
                f"{table.source} row {number}: {columns.unique_id} {value!r} is a {type(value).__name__}, expected text or a"
                " number: join its parts to one text"
            )
    return values


def _is_plain_whole(word: str) -> bool:
    """Whether a text is a whole number as it would be written: without leading zeros."""
    return len(word) < 19 and word.lstrip("-").isdigit() and str(int(word)) == word


def series_key(name: Any) -> str:
    """What names of series are compared by, so that 1, 1.0 and "1" are one.

    >>> series_key(1.0), series_key("007")
    ('1', '007')
    """
    if isinstance(name, (float, np.floating)) and float(name).is_integer():
        return str(int(name))
    return str(name)


def _values(table: _Table, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers [R] of a column, NaN where there is none, and where it is empty [R]."""
    texts = table.text[name]
    missing = np.array([_is_missing(value) for value in texts], bool)
    if table.native and not all(isinstance(value, str) for value in texts[:20]):
        return np.array([np.nan if gone else _float(v) for v, gone in zip(texts, missing)]), missing
    words = ["nan" if gone else str(value).strip() for value, gone in zip(texts, missing)]
    return numbers_of(words, table.source, name, table.separator, table.notes), missing


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _covariates(
    table: _Table, columns: Columns, categories: Categories | None
) -> tuple[dict[str, dict[str, NDArray[np.float64]]], dict[str, list[str]]]:
    """The further columns with a role as numbers, and the categories of those that are text."""
    found: dict[str, list[str]] = {}
    covariates: dict[str, dict[str, NDArray[np.float64]]] = {role: {} for role in ROLES}
    for role in ROLES:
        for name in columns.of_role(role):
            if name not in table.names:  # only in a table of the steps ahead, see _real_names
                continue
            earlier = None if categories is None else categories.get(name)
            if earlier is None and (categories is not None or _is_number_column(table, name)):
                covariates[role][name] = _values(table, name)[0]
                continue
            found[name] = list(earlier) if earlier is not None else _categories(table, name)
            words = np.array(["" if _is_missing_id(v) else str(v) for v in table.text[name]])
            unknown = sorted({*words.tolist()} - {"", *found[name]})
            if unknown:
                table.notes.append(f"categories not seen in training: {name} {', '.join(unknown[:5])}")
            for category in found[name]:
                covariates[role][f"{name}={category}"] = (words == category).astype(np.float64)
            if role == "past" or role == "known":
                gone = np.array([_is_missing_id(v) for v in table.text[name]])
                for category in found[name]:
                    covariates[role][f"{name}={category}"][gone] = np.nan
    return covariates, found


def _is_number_column(table: _Table, name: str) -> bool:
    values, missing = _values(table, name)
    empty = all(_is_missing_id(value) for value in table.text[name])
    return empty or bool(np.isfinite(values[~missing]).any())


def _categories(table: _Table, name: str) -> list[str]:
    words = sorted({str(value) for value in table.text[name] if not _is_missing_id(value)})
    if len(words) > _MOST_CATEGORIES:
        raise DataError(
            f"{table.source} has {len(words)} different texts in {name}, expected at most {_MOST_CATEGORIES} categories:"
            " group them, or --ignore it"
        )
    return words
