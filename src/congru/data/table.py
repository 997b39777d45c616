"""Long tables `unique_id, ds, y`: read, checked, laid on a regular grid, and written back as the kind that came in.

The rules, all reported and none silent:

* Further columns have a role (known ahead, past only, static) or are named and not used.
* A value of y that is missing (empty, NaN, NA) is a missing step. A row that cannot be used (an unparsable date, a
  text for a number, a timestamp given twice) is an error with its row number; `bad_rows="skip"` leaves such rows out
  and counts them. Of two rows with one timestamp the first stays; an hour that is there twice because clocks went
  back is no error.
* The step of the time column is the most common one, or `freq`. Days and longer steps follow the local calendar, shorter
  ones UTC, where times have a zone. A timestamp between two steps moves to the nearest; the last of several on one
  step stays, one that lies exactly on it before others.
* A missing step takes the value before it, as a live system would see it, and is marked as not observed: it
  is read as input and never scored or trained on as a target. Missing steps before the first value are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.column_types import id_column, time_column
from congru.data.columns import Categories, Columns
from congru.data.frequency import Frequency, infer_frequency, parse_frequency
from congru.data.grid import Grid, Laying, grid_of
from congru.data.long_table import LongTable, TableReport
from congru.data.row_checks import BadRows, RowChecks
from congru.data.row_values import series_key
from congru.data.rows import Rows, read_rows
from congru.data.times import TimeFormat
from congru.errors import DataError, SettingsError, require

SINGLE = "y"  # the name of the only series of a table without a column unique_id


def read_table(
    source: Any,
    *,
    columns: Columns | None = None,
    freq: str | Frequency | None = None,
    bad_rows: BadRows = "error",
    target: bool = True,
    date_format: str = "",
    like: TimeFormat | None = None,
    categories: Categories | None = None,
) -> LongTable:
    """Read a long table from a CSV or Parquet path or a pandas, polars or pyarrow table.

    `columns` names its columns and their roles, `freq` the step ("1h", see :mod:`congru.data.frequency`),
    `date_format` the strftime pattern of the times. `target` False reads a table of future known covariates, whose y
    is not there (it is then NaN). `like` and `categories` are those of an earlier table, which this one goes on. Raises
    :class:`DataError` with the row at fault.

    >>> import pandas
    >>> days = ["2024-01-01", "2024-01-02", "2024-01-04"]
    >>> table = read_table(pandas.DataFrame({"ds": days, "y": [1.0, 2.0, 4.0]}))
    >>> table.series[0].y.tolist(), table.report.lines()[1]
    ([1.0, 2.0, 2.0, 4.0], "missing steps: 1, first: series 'y' at 2024-01-03")
    """
    if bad_rows not in ("error", "skip"):
        raise SettingsError(f"bad_rows is {bad_rows!r}, expected 'error' or 'skip': choose one")
    frequency = parse_frequency(freq) if isinstance(freq, str) else freq
    if not date_format and like is not None and like.numeric:
        date_format = like.pattern
    rows = read_rows(
        source, columns or Columns(), target=target, date_format=date_format, categories=categories
    )
    return _lay_out(rows, grid_of(rows, frequency, like), frequency, bad_rows, target)


def make_table(columns: Mapping[str, Any], kind: str, types: Mapping[str, Any] | None = None) -> Any:
    """A table of the given kind from named columns; "csv" gives a pandas table."""
    nw = require("narwhals", "forecast")
    backend = "pandas" if kind == "csv" else kind
    package = require(backend, "forecast")
    if backend == "pandas":
        return package.DataFrame(dict(columns))
    if backend == "polars":
        return package.DataFrame(dict(columns))
    if backend == "pyarrow":
        return package.table(dict(columns))
    return nw.from_dict(dict(columns), backend=backend).to_native()


def write_ids(names: list[Any], kind: str, types: Mapping[str, str]) -> Any:
    """Names of series as a column of the type it had."""
    return id_column(names, kind, types.get("unique_id", ""))


def write_times(times: NDArray[Any], form: TimeFormat, kind: str, types: Mapping[str, str]) -> Any:
    """Times of a grid as a column of the type it had."""
    return time_column(times, form, kind, types.get("ds", ""))


def _lay_out(
    rows: Rows, grid: Grid, frequency: Frequency | None, bad_rows: BadRows, target: bool
) -> LongTable:
    """Rows checked, grouped by series and laid on the grid; `frequency` None is found from the times."""
    report = TableReport(rows=len(rows.numbers), notes=list(rows.notes))
    checks = RowChecks(rows, grid.times, grid.format, bad_rows, target, report)
    names, groups = _groups(rows, grid.times, checks.usable())
    if frequency is not None and frequency.unit == "step" and grid.times.dtype.kind != "M":
        frequency = Frequency("step", frequency.count)
    groups = [checks.without_duplicates(group, name) for group, name in zip(groups, names)]
    if frequency is None:
        frequency = infer_frequency([grid.times[group] for group in groups], rows.source)
    frequency = _settled(frequency, rows, np.concatenate([grid.times[group] for group in groups]))
    laying = Laying(rows, grid, frequency, bad_rows, target, report)
    laid = [laying.lay(group, name) for name, group in zip(names, groups)]
    series = [one for one in laid if one is not None]
    if not series:
        raise DataError(f"{rows.source} has no value of {rows.columns.y}, expected some: fix the rows")
    report.series, report.frequency = len(series), str(frequency)
    if rows.unused:
        listed = ", ".join(name if name else "'' (nameless)" for name in rows.unused)
        report.notes.append(
            f"columns not used: {listed} (--known, --past or --static gives one a role, --ignore none)"
        )
    return LongTable(
        series=series,
        frequency=frequency,
        known=[*rows.covariates["known"], *(f"holidays {country}" for country in rows.columns.holidays)],
        past=list(rows.covariates["past"]),
        static=list(rows.covariates["static"]),
        kind=rows.kind,
        columns=rows.columns,
        single=rows.unique_id is None,
        report=report,
        format=grid.format,
        types=rows.types,
        categories=rows.categories,
    )


def _settled(frequency: Frequency, rows: Rows, times: NDArray[Any]) -> Frequency:
    """The frequency with its place in the calendar, where the times of all rows fit it."""
    counted = times.dtype.kind != "M"
    if counted != (frequency.unit == "step"):
        want = "a whole number such as 1" if counted else "a length of time such as 1h"
        raise SettingsError(
            f"freq is '{frequency}', expected {want} for such times in {rows.source}: change --freq"
        )
    misfit = frequency.misfit(times)
    if misfit:
        raise DataError(
            f"freq is '{frequency}' from {frequency.anchor}, but {rows.source} does not fit: {misfit}; pass another"
            " --freq, or leave it out"
        )
    return frequency.settle(times)


def _groups(
    rows: Rows, times: NDArray[Any], keep: NDArray[np.bool_]
) -> tuple[list[Any], list[NDArray[np.int64]]]:
    """The series' names in order of appearance, and the row indices of each, sorted by time."""
    kept = np.flatnonzero(keep)
    if rows.unique_id is None:
        return [SINGLE], [kept[np.argsort(times[kept], kind="stable")]]
    members: dict[str, list[int]] = {}
    names: dict[str, Any] = {}
    keys: dict[Any, str] = {}
    for row in kept.tolist():
        name = rows.unique_id[row]
        if name not in keys:
            keys[name] = series_key(name)
            names.setdefault(keys[name], name)
        members.setdefault(keys[name], []).append(row)
    groups = [np.array(m, np.int64) for m in members.values()]
    return [names[key] for key in members], [g[np.argsort(times[g], kind="stable")] for g in groups]
