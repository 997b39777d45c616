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
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from congru.data.column_types import id_column, time_column
from congru.data.frequency import Frequency, infer_frequency, parse_frequency
from congru.data.holidays import holiday_counts
from congru.data.rows import Categories, Columns, Rows, read_rows, series_key
from congru.data.times import TimeFormat
from congru.data.zones import local_of, utc_of
from congru.errors import DataError, SettingsError, require

__all__ = ["Columns", "LongTable", "Series", "TableReport", "make_table", "read_table", "series_key"]

BadRows = Literal["error", "skip"]
SINGLE = "y"  # the name of the only series of a table without a column unique_id
_LONGEST_GAP = 1000  # steps between two rows that need no explanation
_DAY = np.timedelta64(1, "D")
_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True)
class Series:
    """One series on its grid; T steps, K known, P past-only and S static covariates."""

    name: Any
    ds: NDArray[Any]
    """[T] datetime64[us] or int64, evenly spaced by the table's frequency."""
    y: NDArray[np.float64]
    """[T]"""
    known: NDArray[np.float64]
    """[T, K]"""
    observed: NDArray[np.bool_]
    """[T] False where the step was missing and y is the value before it."""
    past: NDArray[np.float64]
    """[T, P]"""
    static: NDArray[np.float64]
    """[S]"""

    def __len__(self) -> int:
        return len(self.y)

    def part(self, start: int, stop: int) -> Series:
        """Steps `start` to `stop - 1`."""
        cut = slice(start, stop)
        return Series(
            self.name,
            self.ds[cut],
            self.y[cut],
            self.known[cut],
            self.observed[cut],
            self.past[cut],
            self.static,
        )


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
    notes: list[str] = field(default_factory=list)
    """What was recognised or not used, in words."""

    def add(self, finding: str, count: int, where: str) -> None:
        """Count a finding; the first place is kept."""
        if count:
            self.counts[finding] = self.counts.get(finding, 0) + count
            self.first.setdefault(finding, where)

    def findings(self) -> list[str]:
        """One line per finding and note.

        >>> report = TableReport()
        >>> report.add("missing steps", 2, "series 'a' at 2024-01-03")
        >>> report.findings()
        ["missing steps: 2, first: series 'a' at 2024-01-03"]
        """
        return [
            *(f"{name}: {count}, first: {self.first[name]}" for name, count in self.counts.items()),
            *self.notes,
        ]

    def lines(self) -> list[str]:
        """The size of the table, then :meth:`findings`.

        >>> TableReport(rows=9, series=1, frequency="1d").lines()
        ['9 rows, 1 series, one step is 1d']
        """
        return [f"{self.rows} rows, {self.series} series, one step is {self.frequency}", *self.findings()]


@dataclass(frozen=True)
class LongTable:
    """Series on one grid, and how the table they came from looked."""

    series: list[Series]
    frequency: Frequency
    known: list[str]
    past: list[str]
    static: list[str]
    kind: str
    columns: Columns
    single: bool
    """True where the table had no column unique_id."""
    report: TableReport
    format: TimeFormat = field(default_factory=TimeFormat)
    """How it writes times."""
    types: Mapping[str, str] = field(default_factory=dict)
    """"unique_id" and "ds" -> the type of the column."""
    categories: Categories = field(default_factory=dict)


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
    grid = _grid_times(rows, frequency, like)
    return _Reader(rows, grid, bad_rows, target).read(frequency)


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


@dataclass
class _Grid:
    """The times [R] that the grid counts in, and how to show them."""

    times: NDArray[Any]
    format: TimeFormat


def _grid_times(rows: Rows, frequency: Frequency | None, like: TimeFormat | None) -> _Grid:
    """Wall-clock times where steps follow the calendar, else UTC; both the same without a zone."""
    moments, form = rows.moments, rows.moments.format
    if like is not None:
        # Of a table that shows an offset and no zone the later offset is the one to go on with.
        told = form.zone if like.zone[:1] in ("+", "-") and form.zone else like.zone
        return _Grid(_times_like(rows, like), replace(like, zone=told))
    if moments.utc is None:
        return _Grid(moments.local, form.for_dates(moments.local[~_is_nat(moments.local)]))
    local = frequency.by_calendar if frequency is not None else _longest_days(moments.utc)
    form = TimeFormat(form.pattern, form.zone, form.colon, local)
    return _Grid(moments.local if local else moments.utc, form)


def _times_like(rows: Rows, like: TimeFormat) -> NDArray[Any]:
    """The times of rows that go on an earlier table, as that table's grid counts them."""
    local, utc = rows.moments.local, rows.moments.utc
    if like.counted or local.dtype.kind != "M":
        return local
    if not like.zone:
        return local
    if utc is None:
        return local if like.local else utc_of(local, like.zone)
    if not like.local:
        return utc
    return local if like.zone[0] in "+-" else local_of(utc, like.zone)


def _is_nat(times: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnat(times) if times.dtype.kind == "M" else np.zeros(len(times), bool)


def _longest_days(utc: NDArray[Any]) -> bool:
    """Whether most times lie about a day or more from the nearest other one."""
    known = np.unique(utc[~np.isnat(utc)])
    return len(known) > 1 and bool(np.median(np.diff(known)) >= np.timedelta64(20, "h"))


class _Reader:
    """One reading of a table: rows checked, grouped and laid on the grid."""

    def __init__(self, rows: Rows, grid: _Grid, bad_rows: BadRows, target: bool) -> None:
        self.rows, self.grid, self.bad_rows, self.target = rows, grid, bad_rows, target
        self.ds, self.format = grid.times, grid.format
        self.report = TableReport(rows=len(rows.numbers), notes=list(rows.notes))
        self.known = dict(rows.covariates["known"])
        self.past = dict(rows.covariates["past"])

    def read(self, frequency: Frequency | None) -> LongTable:
        """The table; `frequency` None is found from the times."""
        rows = self.rows
        keep = self._usable_rows()
        names, groups = self._groups(keep)
        if frequency is not None and frequency.unit == "step" and self.ds.dtype.kind != "M":
            frequency = Frequency("step", frequency.count)
        for position, group in enumerate(groups):
            groups[position] = self._without_duplicates(group, names[position])
        if frequency is None:
            frequency = infer_frequency([self.ds[group] for group in groups], rows.source)
        self._check_units(frequency)
        times = np.concatenate([self.ds[group] for group in groups])
        misfit = frequency.misfit(times)
        if misfit:
            raise DataError(
                f"freq is '{frequency}' from {frequency.anchor}, but {rows.source} does not fit: {misfit}; pass another"
                " --freq, or leave it out"
            )
        frequency = frequency.settle(times)
        series = [self._lay(group, name, frequency) for name, group in zip(names, groups)]
        series = [one for one in series if one is not None]
        if not series:
            raise DataError(f"{rows.source} has no value of {rows.columns.y}, expected some: fix the rows")
        self.report.series, self.report.frequency = len(series), str(frequency)
        if rows.unused:
            listed = ", ".join(name if name else "'' (nameless)" for name in rows.unused)
            self.report.notes.append(
                f"columns not used: {listed} (--known, --past or --static gives one a role, --ignore none)"
            )
        return LongTable(
            series=[one for one in series if one is not None],
            frequency=frequency,
            known=[*self.known, *(f"holidays {country}" for country in rows.columns.holidays)],
            past=list(self.past),
            static=list(rows.covariates["static"]),
            kind=rows.kind,
            columns=rows.columns,
            single=rows.unique_id is None,
            report=self.report,
            format=self.format,
            types=rows.types,
            categories=rows.categories,
        )

    def _check_units(self, frequency: Frequency) -> None:
        counted = self.ds.dtype.kind != "M"
        if counted != (frequency.unit == "step"):
            want = "a whole number such as 1" if counted else "a length of time such as 1h"
            raise SettingsError(
                f"freq is '{frequency}', expected {want} for such times in {self.rows.source}: change --freq"
            )

    def _usable_rows(self) -> NDArray[np.bool_]:
        """Which rows [R] can be used; the first that cannot is an error unless bad rows are skipped."""
        rows, columns = self.rows, self.rows.columns
        faults = [(columns.ds, _is_nat(self.ds), "YYYY-MM-DD or YYYY-MM-DD HH:MM:SS", "a date")]
        if rows.unique_id is not None:
            nameless = np.array([name is None for name in rows.unique_id], bool)
            faults.append((columns.unique_id, nameless, "the name of a series", "a name"))
        if self.target and rows.y is not None:
            wrong = ~np.isfinite(rows.y) & ~rows.missing
            faults.append((columns.y, wrong, "a finite number", "a number"))
        if self.target and rows.y is not None and bool(rows.missing.all()):
            raise DataError(
                f"{rows.source} has no value of {columns.y} that is a number, expected some: fix the rows"
            )
        faults += [(name, ~np.isfinite(v), "a finite number", "a number") for name, v in self.known.items()]
        faults += [(name, np.isinf(v), "a finite number", "a number") for name, v in self.past.items()]
        static = rows.covariates["static"]
        faults += [(name, ~np.isfinite(v), "a finite number", "a number") for name, v in static.items()]
        keep = np.ones(len(rows.numbers), bool)
        for name, wrong, expected, what in faults:
            if wrong.any():
                self._fault(name, wrong, expected, what)
            keep &= ~wrong
        if not keep.any():
            raise DataError(f"{rows.source} has no row that can be used, expected at least 2: fix the rows")
        return keep

    def _fault(self, name: str, wrong: NDArray[np.bool_], expected: str, what: str) -> None:
        """Raise for the first row that is wrong, or count those that are."""
        rows, row = self.rows, int(np.argmax(wrong))
        fix = "fix the row or pass --bad-rows skip"
        if name == rows.columns.ds and wrong.sum() > len(wrong) / 2:
            fix = "pass its pattern, such as --date-format '%d/%m/%Y %H:%M'"
        elif name not in (rows.columns.ds, rows.columns.y, rows.columns.unique_id) and wrong.all():
            fix = "drop the column"
        text = rows.text[name.split("=")[0]][row]
        shown = repr(text) if isinstance(text, str) else str(text)
        line = (
            f"{rows.source} row {rows.numbers[row]}: {name} {shown} is not {what}, expected {expected}: {fix}"
        )
        if (
            self.bad_rows == "error"
            or wrong.all()
            or (name == rows.columns.ds and wrong.sum() > len(wrong) / 2)
        ):
            raise DataError(line)
        shown_rows = ", ".join(str(number) for number in rows.numbers[wrong][:5])
        self.report.add(f"rows without {what} in {name} left out", int(wrong.sum()), f"row {shown_rows}")

    def _groups(self, keep: NDArray[np.bool_]) -> tuple[list[Any], list[NDArray[np.int64]]]:
        """The series' names in order of appearance, and the row indices of each, sorted by time."""
        kept = np.flatnonzero(keep)
        if self.rows.unique_id is None:
            return [SINGLE], [kept[np.argsort(self.ds[kept], kind="stable")]]
        members: dict[str, list[int]] = {}
        names: dict[str, Any] = {}
        keys: dict[Any, str] = {}
        for row in kept.tolist():
            name = self.rows.unique_id[row]
            if name not in keys:
                keys[name] = series_key(name)
                names.setdefault(keys[name], name)
            members.setdefault(keys[name], []).append(row)
        groups = [np.array(m, np.int64) for m in members.values()]
        return [names[key] for key in members], [g[np.argsort(self.ds[g], kind="stable")] for g in groups]

    def _without_duplicates(self, group: NDArray[np.int64], name: Any) -> NDArray[np.int64]:
        times = self.ds[group]
        again = np.r_[False, times[1:] == times[:-1]]
        if not again.any():
            return group
        row, stamp = self.rows.numbers[group[int(np.argmax(again))]], times[int(np.argmax(again))]
        if _is_doubled_hour(times, again) and not self.format.zone:
            self.report.add(
                "times given twice in one hour, as clocks went back: the first stays",
                int(again.sum()),
                f"series {name!r} at {self.format.show(stamp)}, row {row}",
            )
            return np.asarray(group[~again])
        other = self._column_that_tells_apart(group)
        if self.bad_rows == "error" or other:
            fix = other or "remove one or pass --bad-rows skip"
            raise DataError(
                f"{self.rows.source} row {row}: ds {self.format.show(stamp)} is there twice for series {name!r}, expected"
                f" once: {fix}"
            )
        self.report.add("rows with a time given before left out", int(again.sum()), f"row {row}")
        return np.asarray(group[~again])

    def _column_that_tells_apart(self, group: NDArray[np.int64]) -> str:
        """The flag that names series, where an unused column makes every time of a table without names its own."""
        if self.rows.unique_id is not None:
            return ""
        for name in self.rows.unused:
            pairs = {(str(self.rows.text[name][row]), self.ds[row]) for row in group.tolist()}
            if len(pairs) == len(group):
                return f"pass --id-column {name}"
        return ""

    def _lay(self, group: NDArray[np.int64], name: Any, frequency: Frequency) -> Series | None:
        """Put the rows of one series on the grid through its first timestamp; None where it has no value."""
        rows, show = self.rows, self.format.show
        group = self._valued(group, name)
        if not len(group):
            return None
        times = self.ds[group]
        origin = times[0]
        steps, exact = frequency.position(times, origin)
        if not exact.all():
            at = show(times[int(np.argmin(exact))])
            self.report.add(
                "times between two steps moved to the nearest",
                int((~exact).sum()),
                f"series {name!r} at {at}",
            )
        group, steps, exact = self._without_far_rows(group, name, steps, exact, frequency)
        length = int(steps[-1]) + 1
        source = np.full(length, -1, np.int64)
        source[steps[~exact]] = group[~exact]
        source[steps[exact]] = group[exact]
        valued = ~rows.missing if self.target else np.ones(len(rows.numbers), bool)
        observed = (source >= 0) & valued[source]
        ds = frequency.at(origin, np.arange(length))
        if not observed.all():
            at = show(ds[int(np.argmin(observed))])
            self.report.add("missing steps", int((~observed).sum()), f"series {name!r} at {at}")
        filled = source[np.maximum.accumulate(np.where(observed, np.arange(length), 0))]
        there = source[np.maximum.accumulate(np.where(source >= 0, np.arange(length), 0))]
        y = rows.y[filled] if rows.y is not None else np.full(length, np.nan)
        values = y[observed]
        if len(values) > 1 and rows.y is not None and bool((values == values[0]).all()):
            self.report.add("constant series", 1, f"series {name!r} is {values[0]:g} throughout")
        known = [column[there] for column in self.known.values()]
        known += [
            holiday_counts(country, self.format.wall(ds), frequency) for country in rows.columns.holidays
        ]
        return Series(
            name,
            ds,
            y,
            _stack(known, length),
            observed,
            _stack([_carried(column[there]) for column in self.past.values()], length),
            np.array([column[group[0]] for column in rows.covariates["static"].values()], np.float64),
        )

    def _valued(self, group: NDArray[np.int64], name: Any) -> NDArray[np.int64]:
        """The rows of a series from its first to its last value; what is empty before and after is left out."""
        if not self.target or self.rows.y is None:
            return group
        known = np.flatnonzero(~self.rows.missing[group])
        if not len(known):
            self.report.add("series without a value left out", 1, f"series {name!r}")
            return group[:0]
        first, last = int(known[0]), int(known[-1])
        at = self.format.show
        self.report.add(
            "rows before the first value left out",
            first,
            f"series {name!r} up to {at(self.ds[group[first - 1]])}",
        )
        if last + 1 < len(group):
            self.report.add(
                "rows after the last value left out",
                len(group) - last - 1,
                f"series {name!r} from {at(self.ds[group[last + 1]])}",
            )
        return np.asarray(group[first : last + 1])

    def _without_far_rows(
        self,
        group: NDArray[np.int64],
        name: Any,
        steps: NDArray[np.int64],
        exact: NDArray[np.bool_],
        frequency: Frequency,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Refuse a row that lies far from the one before: a wrong date must not become a thousand years of filled steps."""
        gaps = np.diff(steps)
        longest = int(gaps.max()) if len(gaps) else 0
        if longest <= _LONGEST_GAP or (longest <= 3 * len(group) and longest <= 50 * _LONGEST_GAP):
            return group, steps, exact
        at = int(np.argmax(gaps)) + 1
        row = self.rows.numbers[group[at if at > len(group) / 2 else at - 1]]
        line = (
            f"{self.rows.source} row {row}: ds {self.format.show(self.ds[group[at]])} of series {name!r} lies {longest} steps"
            f" of {frequency} after {self.format.show(self.ds[group[at - 1]])}, expected no such gap:"
        )
        few = min(at, len(group) - at)
        most = max(1, len(group) // 20)
        if self.bad_rows == "error" or few > most:
            fix = "fix the row or pass --bad-rows skip" if few <= most else "pass the real step with --freq"
            raise DataError(f"{line} {fix}")
        self.report.add("rows far from all others left out", few, f"row {row}")
        kept = slice(at, None) if at <= len(group) / 2 else slice(None, at)
        return self._without_far_rows(group[kept], name, steps[kept] - steps[kept][0], exact[kept], frequency)


def _is_doubled_hour(times: NDArray[Any], again: NDArray[np.bool_]) -> bool:
    """Whether times given twice are one hour of a day on which clocks go back: a Sunday, two in a year at most."""
    if times.dtype.kind != "M":
        return False
    twice = np.unique(times[again])
    days, per_year = np.unique(twice.astype("datetime64[D]")), dict[int, int]()
    for day in days:
        hours = np.unique(twice[twice.astype("datetime64[D]") == day].astype("datetime64[h]"))
        if len(hours) != 1 or (day.astype(np.int64) + 3) % 7 != 6 or int(hours[0].astype(np.int64) % 24) > 3:
            return False
        year = int(day.astype("datetime64[Y]").astype(np.int64))
        per_year[year] = per_year.get(year, 0) + 1
    short = np.unique(np.diff(np.unique(times)))
    return (
        len(short) > 0
        and bool(short.min() <= _HOUR)
        and max(per_year.values()) <= 1
        and len(twice) == again.sum()
    )


def _stack(columns: list[NDArray[np.float64]], length: int) -> NDArray[np.float64]:
    return np.stack(columns, -1) if columns else np.zeros((length, 0))


def _carried(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with the one before where one is missing; before the first known value that one."""
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    at = np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))
    return np.asarray(np.where(known[at], values[at], values[int(np.argmax(known))]))


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
