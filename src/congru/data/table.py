"""Long tables `unique_id, ds, y`: read, checked, laid on a regular grid, and written back as the kind that came in.

The rules, all reported and none silent:

* Further columns are known covariates: numbers that are also given for the future.
* A row that cannot be used (unparsable date, NaN or infinity, a timestamp given twice) is an error with its
  row number; `bad_rows="skip"` leaves such rows out and counts them. Of two rows with one timestamp the first
  stays.
* The step of the time column is the most common one, or `freq`. A timestamp between two steps moves to the
  nearest; the last of several on one step stays.
* A missing step takes the value before it, as a live system would see it, and is marked as not observed: it
  is read as input and never scored or trained on as a target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from congru.data.frequency import Frequency, infer_frequency, parse_frequency
from congru.data.rows import Columns, Rows, read_rows
from congru.errors import DataError, SettingsError, require

__all__ = ["Columns", "LongTable", "Series", "TableReport", "make_table", "read_table"]

BadRows = Literal["error", "skip"]
SINGLE = "y"  # the name of the only series of a table without a column unique_id


@dataclass(frozen=True)
class Series:
    """One series on its grid; T steps, K known covariates."""

    name: Any
    ds: NDArray[Any]
    """[T] datetime64[us] or int64, evenly spaced by the table's frequency."""
    y: NDArray[np.float64]
    """[T]"""
    known: NDArray[np.float64]
    """[T, K]"""
    observed: NDArray[np.bool_]
    """[T] False where the step was missing and y is the value before it."""

    def __len__(self) -> int:
        return len(self.y)

    def part(self, start: int, stop: int) -> Series:
        """Steps `start` to `stop - 1`."""
        cut = slice(start, stop)
        return Series(self.name, self.ds[cut], self.y[cut], self.known[cut], self.observed[cut])


@dataclass
class TableReport:
    """What was found while reading; `lines` says it in words."""

    rows: int = 0
    series: int = 0
    frequency: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    """Finding -> how often: skipped rows, missing steps, timestamps off the grid, constant series."""
    first: dict[str, str] = field(default_factory=dict)
    """Finding -> where it was met first."""

    def add(self, finding: str, count: int, where: str) -> None:
        """Count a finding; the first place is kept."""
        if count:
            self.counts[finding] = self.counts.get(finding, 0) + count
            self.first.setdefault(finding, where)

    def lines(self) -> list[str]:
        """One line per finding.

        >>> report = TableReport(rows=9, series=1, frequency="1d")
        >>> report.add("missing steps", 2, "series 'a' at 2024-01-03")
        >>> report.lines()
        ['9 rows, 1 series, one step is 1d', "missing steps: 2, first: series 'a' at 2024-01-03"]
        """
        head = f"{self.rows} rows, {self.series} series, one step is {self.frequency}"
        return [head, *(f"{name}: {count}, first: {self.first[name]}" for name, count in self.counts.items())]


@dataclass(frozen=True)
class LongTable:
    """Series on one grid, and how the table they came from looked."""

    series: list[Series]
    frequency: Frequency
    known: list[str]
    kind: str
    columns: Columns
    single: bool
    """True where the table had no column unique_id."""
    report: TableReport


def read_table(
    source: Any,
    *,
    columns: Columns | None = None,
    freq: str | Frequency | None = None,
    bad_rows: BadRows = "error",
    target: bool = True,
) -> LongTable:
    """Read a long table from a CSV path or a pandas, polars or pyarrow table.

    `columns` names its columns, `freq` the step ("1h", see :mod:`congru.data.frequency`). `target` False reads
    a table of future known covariates, whose y is not there (it is then NaN). Raises :class:`DataError` with the
    row at fault.

    >>> import pandas
    >>> days = ["2024-01-01", "2024-01-02", "2024-01-04"]
    >>> table = read_table(pandas.DataFrame({"ds": days, "y": [1.0, 2.0, 4.0]}))
    >>> table.series[0].y.tolist(), table.report.lines()[1]
    ([1.0, 2.0, 2.0, 4.0], "missing steps: 1, first: series 'y' at 2024-01-03")
    """
    if bad_rows not in ("error", "skip"):
        raise SettingsError(f"bad_rows is {bad_rows!r}, expected 'error' or 'skip': choose one")
    columns = columns or Columns()
    rows = read_rows(source, columns, target=target)
    report = TableReport(rows=len(rows.numbers))
    keep = _check_rows(rows, columns, bad_rows, report, target)
    names, groups = _group(rows, keep)
    for position, group in enumerate(groups):
        groups[position] = _drop_duplicates(rows, group, names[position], bad_rows, report)
    frequency = parse_frequency(freq) if isinstance(freq, str) else freq
    if frequency is None:
        frequency = infer_frequency([rows.ds[group] for group in groups], rows.source)
    _check_units(frequency, rows)
    series = [_lay(rows, group, name, frequency, report) for name, group in zip(names, groups)]
    report.series, report.frequency = len(series), str(frequency)
    known = list(rows.known)
    return LongTable(series, frequency, known, rows.kind, columns, rows.unique_id is None, report)


def make_table(columns: Mapping[str, Any], kind: str) -> Any:
    """A table of the given kind from named columns; "csv" gives a pandas table."""
    nw = require("narwhals", "forecast")
    backend = "pandas" if kind == "csv" else kind
    require(backend, "forecast")
    return nw.from_dict(dict(columns), backend=backend).to_native()


def _check_units(frequency: Frequency, rows: Rows) -> None:
    counted = rows.ds.dtype.kind != "M"
    if counted != (frequency.unit == "step"):
        want = "a whole number such as 1" if counted else "a length of time such as 1h"
        raise SettingsError(
            f"freq is '{frequency}', expected {want} for such times in {rows.source}: change --freq"
        )


def _check_rows(
    rows: Rows, columns: Columns, bad_rows: BadRows, report: TableReport, target: bool
) -> NDArray[np.bool_]:
    """Which rows [R] can be used; the first that cannot is an error unless bad rows are skipped."""
    wrong_time = np.isnat(rows.ds) if rows.ds.dtype.kind == "M" else np.zeros(len(rows.ds), bool)
    faults = [(columns.ds, wrong_time, "YYYY-MM-DD or YYYY-MM-DD HH:MM:SS", "a date")]
    numeric = {columns.y: rows.y} if target and rows.y is not None else {}
    for name, values in {**numeric, **rows.known}.items():
        assert values is not None
        faults.append((name, ~np.isfinite(values), "a finite number", "a number"))
    keep = np.ones(len(rows.numbers), bool)
    for name, wrong, expected, what in faults:
        for row in np.flatnonzero(wrong)[:1]:
            fix = "fix the row or pass --bad-rows skip"
            if name not in (columns.ds, columns.y) and wrong.all():
                fix = "drop the column"
            text = rows.text[name][row]
            shown = repr(text) if isinstance(text, str) else str(text)
            place = f"{rows.source} row {rows.numbers[row]}"
            line = f"{place}: {name} {shown} is not {what}, expected {expected}: {fix}"
            if bad_rows == "error" or wrong.all():
                raise DataError(line)
            report.add(
                f"rows without {what} in {name} left out", int(wrong.sum()), f"row {rows.numbers[row]}"
            )
        keep &= ~wrong
    if not keep.any():
        raise DataError(f"{rows.source} has no row that can be used, expected at least 2: fix the rows")
    return keep


def _group(rows: Rows, keep: NDArray[np.bool_]) -> tuple[list[Any], list[NDArray[np.int64]]]:
    """The series' names in order of appearance, and the row indices of each, sorted by time."""
    kept = np.flatnonzero(keep)
    if rows.unique_id is None:
        members: dict[Any, list[int]] = {SINGLE: kept.tolist()}
    else:
        members = {}
        for row in kept.tolist():
            members.setdefault(rows.unique_id[row], []).append(row)
    groups = [np.array(m, np.int64) for m in members.values()]
    return list(members), [g[np.argsort(rows.ds[g], kind="stable")] for g in groups]


def _drop_duplicates(
    rows: Rows, group: NDArray[np.int64], name: Any, bad_rows: BadRows, report: TableReport
) -> NDArray[np.int64]:
    times = rows.ds[group]
    again = np.r_[False, times[1:] == times[:-1]]
    if again.any():
        row = rows.numbers[group[int(np.argmax(again))]]
        stamp = show_time(times[int(np.argmax(again))])
        if bad_rows == "error":
            raise DataError(
                f"{rows.source} row {row}: ds {stamp} is there twice for series {name!r}, expected once:"
                " remove one or pass --bad-rows skip"
            )
        report.add("rows with a time given before left out", int(again.sum()), f"row {row}")
    return np.asarray(group[~again])


def _lay(
    rows: Rows, group: NDArray[np.int64], name: Any, frequency: Frequency, report: TableReport
) -> Series:
    """Put the rows of one series on the grid through its first timestamp."""
    times = rows.ds[group]
    origin = times[0]
    steps, exact = frequency.position(times, origin)
    if not exact.all():
        at = show_time(times[int(np.argmin(exact))])
        report.add(
            "times between two steps moved to the nearest", int((~exact).sum()), f"series {name!r} at {at}"
        )
    length = int(steps[-1]) + 1
    if length > 50 * len(group) + 1000:
        raise DataError(
            f"{rows.source} has {len(group)} rows for series {name!r} over {length} steps of {frequency},"
            " expected at least one row in 50 steps: pass the real step with --freq"
        )
    source = np.full(length, -1, np.int64)
    source[steps] = group
    observed = source >= 0
    ds = frequency.at(origin, np.arange(length))
    if not observed.all():
        at = show_time(ds[int(np.argmin(observed))])
        report.add("missing steps", int((~observed).sum()), f"series {name!r} at {at}")
    filled = source[np.maximum.accumulate(np.where(observed, np.arange(length), 0))]
    y = rows.y[filled] if rows.y is not None else np.full(length, np.nan)
    known = (
        np.stack([values[filled] for values in rows.known.values()], -1)
        if rows.known
        else np.zeros((length, 0))
    )
    if observed.sum() > 1 and rows.y is not None and bool((y == y[0]).all()):
        report.add("constant series", 1, f"series {name!r} is {y[0]:g} throughout")
    return Series(name, ds, y, known, observed)


def show_time(stamp: Any) -> str:
    """A timestamp as short as it can be said: a date where the time of day is midnight.

    >>> show_time(np.datetime64("2024-01-03", "us"))
    '2024-01-03'
    >>> show_time(np.datetime64("2024-01-03T05:00", "us"))
    '2024-01-03 05:00:00'
    """
    if not isinstance(stamp, np.datetime64):
        return str(stamp)
    if stamp == stamp.astype("datetime64[D]"):
        return str(stamp.astype("datetime64[D]"))
    return str(stamp.astype("datetime64[s]")).replace("T", " ")
