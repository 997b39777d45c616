"""The values of a long table: times, names of series, numbers, and text columns as categories."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.column_types import describe_column
from congru.data.columns import ROLES, Categories, Columns
from congru.data.csv_file import numbers_of
from congru.data.row_table import RowTable, is_missing
from congru.data.times import Moments, TimeFormat, read_numbers, read_texts
from congru.errors import DataError, require

_MOST_CATEGORIES = 50


def times_of(table: RowTable, columns: Columns, date_format: str) -> Moments:
    """The times of the rows [R], by the type of their column or the pattern of its texts."""
    name = columns.ds
    if name not in table.native:
        return read_texts([word or "" for word in table.text[name]], table.source, name, date_format)
    nw = require("narwhals", "forecast")
    column = nw.from_native(table.native[name], series_only=True)
    kind = column.dtype
    if kind.is_numeric():
        values = [np.nan if is_missing(value) else value for value in table.text[name]]
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
    words = ["" if is_missing(value) else _iso_text(value) for value in table.text[name]]
    return read_texts(words, table.source, name, date_format)


def _plain_format(zone: str = "") -> TimeFormat:
    return TimeFormat(zone=zone)


def _zone_name(zone: str) -> str:
    """The name of a zone, or its offset, as zones.py takes it."""
    return zone.removeprefix("UTC") if zone.startswith("UTC") and len(zone) > 3 else zone


def _iso_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, (datetime.date, datetime.datetime)) else str(value).strip()


def time_type(table: RowTable, columns: Columns, moments: Moments) -> str:
    """The type of the time column; that of a file as pandas would read it."""
    if columns.ds in table.native:
        return describe_column(table.native[columns.ds], table.kind)
    if moments.format.numeric:
        return "float64" if any("." in word for word in table.text[columns.ds][:1]) else "int64"
    return ""


def ids_of(table: RowTable, columns: Columns) -> tuple[list[Any] | None, str]:
    """The name of each row's series (None where it is missing), and the type of the column."""
    if columns.unique_id not in table.names:
        return None, ""
    values = [None if _is_missing_id(value) else value for value in table.text[columns.unique_id]]
    told = [value for value in dict.fromkeys(_hashable(values, table, columns)) if value is not None]
    if not table.native:
        if told and all(_is_plain_whole(value) for value in told):
            return [None if value is None else int(value) for value in values], "int64"
        return values, ""
    own = columns.unique_id in table.native
    return values, describe_column(table.native[columns.unique_id], table.kind) if own else ""


def _is_missing_id(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return is_missing(value)


def _hashable(values: list[Any], table: RowTable, columns: Columns) -> list[Any]:
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


def values_of(table: RowTable, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers [R] of a column, NaN where there is none, and where it is empty [R]."""
    texts = table.text[name]
    missing = np.array([is_missing(value) for value in texts], bool)
    if table.native and not all(isinstance(value, str) for value in texts[:20]):
        return np.array([np.nan if gone else _float(v) for v, gone in zip(texts, missing)]), missing
    words = ["nan" if gone else str(value).strip() for value, gone in zip(texts, missing)]
    return numbers_of(words, table.source, name, table.separator, table.notes), missing


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def covariates_of(
    table: RowTable, columns: Columns, categories: Categories | None
) -> tuple[dict[str, dict[str, NDArray[np.float64]]], dict[str, list[str]]]:
    """The further columns with a role as numbers, and the categories of those that are text."""
    text_categories: dict[str, list[str]] = {}
    covariates: dict[str, dict[str, NDArray[np.float64]]] = {role: {} for role in ROLES}
    for role in ROLES:
        for name in columns.of_role(role):
            if name not in table.names:  # only in a table of the steps ahead, see real_names
                continue
            earlier = None if categories is None else categories.get(name)
            if earlier is None and (categories is not None or _is_number_column(table, name)):
                covariates[role][name] = values_of(table, name)[0]
                continue
            text_categories[name] = list(earlier) if earlier is not None else _categories(table, name)
            words = np.array(["" if _is_missing_id(v) else str(v) for v in table.text[name]])
            unknown = sorted({*words.tolist()} - {"", *text_categories[name]})
            if unknown:
                table.notes.append(f"categories not seen in training: {name} {', '.join(unknown[:5])}")
            for category in text_categories[name]:
                covariates[role][f"{name}={category}"] = (words == category).astype(np.float64)
            if role == "past" or role == "known":
                gone = np.array([_is_missing_id(v) for v in table.text[name]])
                for category in text_categories[name]:
                    covariates[role][f"{name}={category}"][gone] = np.nan
    return covariates, text_categories


def _is_number_column(table: RowTable, name: str) -> bool:
    values, missing = values_of(table, name)
    empty = all(_is_missing_id(value) for value in table.text[name])
    return empty or bool(np.isfinite(values[~missing]).any())


def _categories(table: RowTable, name: str) -> list[str]:
    words = sorted({str(value) for value in table.text[name] if not _is_missing_id(value)})
    if len(words) > _MOST_CATEGORIES:
        raise DataError(
            f"{table.source} has {len(words)} different texts in {name}, expected at most {_MOST_CATEGORIES} categories:"
            " group them, or --ignore it"
        )
    return words
