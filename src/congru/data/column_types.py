"""The type of a table's column as one line of text, and values made into a column of that type again.

So a forecast carries the types of the table that was trained on, also after saving and loading: dates stay dates,
categories categories, zones zones. pandas, polars and pyarrow are imported only for tables of their own.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.times import TimeFormat
from congru.errors import require

_PLAIN = "object:"  # Python objects in a pandas column, then what they are
_POLARS_ENUM = "Enum:"
_CATEGORY = "category:"


def describe_column(column: Any, kind: str) -> str:
    """The type of a native column (pandas Series, polars Series, pyarrow array) as text.

    >>> import pandas
    >>> describe_column(pandas.Series(["a"], dtype="category"), "pandas")
    'category:["a"]'
    """
    if kind == "pandas":
        return _describe_pandas(column)
    if kind == "polars":
        name = str(column.dtype)
        if name.startswith("Enum"):
            return _POLARS_ENUM + json.dumps(column.dtype.categories.to_list())
        return "Categorical" if name.startswith("Categorical") else name
    return str(column.type)


def _describe_pandas(column: Any) -> str:
    name = str(column.dtype)
    if name == "category":
        categories = column.cat.categories.tolist()
        if all(isinstance(value, (str, int, float)) for value in categories):
            return _CATEGORY + json.dumps(categories)
    if name == "object":
        value = next((v for v in column if v is not None), None)
        if isinstance(value, datetime.datetime):
            return _PLAIN + "timestamp"
        return _PLAIN + ("date" if isinstance(value, datetime.date) else "plain")
    return name


def id_column(names: Sequence[Any], kind: str, dtype: str) -> Any:
    """The names of series as a column of the type it had; as they are where there is none to restore."""
    if not dtype:
        return list(names)
    if kind in ("pandas", "csv"):
        return _pandas_ids(list(names), dtype)
    if kind == "polars":
        return _polars_ids(list(names), dtype)
    if kind == "pyarrow":
        return _arrow_array(list(names), dtype)
    return list(names)


def _pandas_ids(names: list[Any], dtype: str) -> Any:
    pandas = require("pandas", "forecast")
    if dtype.startswith(_CATEGORY):
        categories = json.loads(dtype.removeprefix(_CATEGORY))
        more = [name for name in dict.fromkeys(names) if name not in categories]
        return pandas.Series(pandas.Categorical(names, categories=[*categories, *more]))
    if dtype.startswith(_PLAIN):
        return pandas.Series(names, dtype=object)
    return _cast_pandas(pandas.Series(names), dtype)


def _cast_pandas(column: Any, dtype: str) -> Any:
    """The column in a type; as it is where the values do not fit it, such as a text among numbers."""
    try:
        return column.astype(_pandas_dtype(dtype))
    except (TypeError, ValueError):
        return column


def _pandas_dtype(dtype: str) -> Any:
    """A pandas type from its text; those of pyarrow in pandas are spelled in a way that pandas does not read back."""
    if not dtype.endswith("[pyarrow]") or dtype == "string[pyarrow]":
        return dtype
    pandas = require("pandas", "forecast")
    return pandas.ArrowDtype(_arrow_type(dtype.removesuffix("[pyarrow]")))


def _polars_ids(names: list[Any], dtype: str) -> Any:
    polars = require("polars", "forecast")
    column = polars.Series(names, strict=False)
    try:
        return column.cast(_polars_dtype(dtype, column))
    except polars.exceptions.PolarsError:
        return column


def _polars_dtype(dtype: str, column: Any = None) -> Any:
    polars = require("polars", "forecast")
    if dtype.startswith(_POLARS_ENUM):
        known = json.loads(dtype.removeprefix(_POLARS_ENUM))
        more = (
            []
            if column is None
            else [name for name in column.unique(maintain_order=True) if name not in known]
        )
        return polars.Enum([*known, *more])
    match = re.fullmatch(r"Datetime\(time_unit='(\w+)', time_zone=(?:None|'([^']*)')\)", dtype)
    if match:
        return polars.Datetime(match[1], match[2])
    decimal = re.fullmatch(r"Decimal\(.*\)", dtype)
    return polars.Float64 if decimal else getattr(polars, dtype, polars.String)


def _arrow_array(values: Any, dtype: str) -> Any:
    arrow = require("pyarrow", "forecast")
    dictionary = re.match(r"dictionary<values=([\w\[\], =/]+), indices=(\w+)", dtype)
    try:
        if dictionary:
            plain = arrow.array(values, _arrow_type(dictionary[1]))
            return plain.dictionary_encode().cast(
                arrow.dictionary(_arrow_type(dictionary[2]), _arrow_type(dictionary[1]))
            )
        return arrow.array(values, _arrow_type(dtype))
    except (arrow.ArrowInvalid, arrow.ArrowTypeError, arrow.ArrowNotImplementedError):
        return arrow.array(values)


def _arrow_type(name: str) -> Any:
    arrow = require("pyarrow", "forecast")
    match = re.fullmatch(r"timestamp\[(\w+)(?:, tz=([^\]]+))?\]", name)
    if match:
        return arrow.timestamp(match[1], match[2])
    special = {
        "date32[day]": "date32",
        "date64[ms]": "date64",
        "halffloat": "float16",
        "float": "float32",
        "double": "float64",
    }
    return arrow.type_for_alias(special.get(name, name))


def time_column(times: NDArray[Any], form: TimeFormat, kind: str, dtype: str) -> Any:
    """Times of a grid as a column of the type it had."""
    if form.counted and not dtype:
        return times
    if kind in ("pandas", "csv"):
        return _pandas_times(times, form, dtype)
    if kind == "polars":
        return _polars_times(times, form, dtype)
    if kind == "pyarrow":
        return _arrow_times(times, form, dtype)
    return times


def _is_text(dtype: str) -> bool:
    lowered = dtype.lower()
    return lowered in ("str", "string", "large_string", "string_view", "object:plain") or lowered.startswith(
        "string["
    )


def _is_time(dtype: str) -> bool:
    return dtype.lower().startswith(("date", "timestamp", "period"))


def _pandas_times(times: NDArray[Any], form: TimeFormat, dtype: str) -> Any:
    pandas = require("pandas", "forecast")
    if _is_text(dtype):
        return pandas.Series(form.texts(times), dtype=object if dtype.startswith(_PLAIN) else dtype)
    if dtype and not _is_time(dtype) and not dtype.startswith(_PLAIN):
        return _cast_pandas(pandas.Series(form.numbers(times)), dtype)
    if form.zone:
        stamps = pandas.Series(
            pandas.DatetimeIndex(form.utc(times)).tz_localize("UTC").tz_convert(_named(form.zone))
        )
    else:
        stamps = pandas.Series(times)
    if dtype == _PLAIN + "date":
        return pandas.Series([stamp.date() for stamp in stamps], dtype=object)
    if dtype == _PLAIN + "timestamp":
        return pandas.Series(list(stamps), dtype=object)
    if dtype.startswith("period["):
        return pandas.Series(pandas.PeriodIndex(stamps, freq=dtype[7:-1]))
    return _cast_pandas(stamps, dtype) if dtype else stamps


def _named(zone: str) -> Any:
    """A zone as the table packages take it: a name, or a fixed offset."""
    if zone[0] not in "+-":
        return zone
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return datetime.timezone(datetime.timedelta(minutes=-minutes if zone[0] == "-" else minutes))


def _polars_times(times: NDArray[Any], form: TimeFormat, dtype: str) -> Any:
    polars = require("polars", "forecast")
    if dtype == "String":
        return polars.Series(form.texts(times))
    if dtype and not _is_time(dtype):
        return polars.Series(form.numbers(times)).cast(_polars_dtype(dtype))
    column = polars.Series(form.utc(times) if form.zone else times)
    if form.zone and dtype.startswith("Datetime"):
        return column.dt.replace_time_zone("UTC").cast(_polars_dtype(dtype))
    return column.cast(_polars_dtype(dtype)) if dtype else column


def _arrow_times(times: NDArray[Any], form: TimeFormat, dtype: str) -> Any:
    arrow = require("pyarrow", "forecast")
    if _is_text(dtype):
        return arrow.array(form.texts(times), _arrow_type(dtype))
    if dtype and not _is_time(dtype):
        return arrow.array(form.numbers(times)).cast(_arrow_type(dtype))
    column = arrow.array(np.asarray(form.utc(times) if form.zone else times, "datetime64[us]"))
    return column.cast(_arrow_type(dtype)) if dtype else column
