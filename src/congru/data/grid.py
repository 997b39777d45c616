"""Rows laid on a regular grid of time: which clock it counts in, where each row lies, what stands in missing steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.frequency import Frequency
from congru.data.holidays import holiday_counts
from congru.data.long_table import Series, TableReport
from congru.data.row_checks import BadRows
from congru.data.rows import Rows
from congru.data.times import TimeFormat, is_nat
from congru.data.zones import local_of, utc_of
from congru.errors import DataError

_LONGEST_GAP = 1000  # steps between two rows that need no explanation


@dataclass
class Grid:
    """The times [R] that the grid counts in, and how to show them."""

    times: NDArray[Any]
    format: TimeFormat


def grid_of(rows: Rows, frequency: Frequency | None, like: TimeFormat | None) -> Grid:
    """Wall-clock times where steps follow the calendar, else UTC; both the same without a zone."""
    moments, form = rows.moments, rows.moments.format
    if like is not None:
        # Of a table that shows an offset and no zone the later offset is the one to go on with.
        told = form.zone if like.zone[:1] in ("+", "-") and form.zone else like.zone
        return Grid(_times_like(rows, like), replace(like, zone=told))
    if moments.utc is None:
        return Grid(moments.local, form.for_dates(moments.local[~is_nat(moments.local)]))
    local = frequency.by_calendar if frequency is not None else _longest_days(moments.utc)
    form = TimeFormat(form.pattern, form.zone, form.colon, local)
    return Grid(moments.local if local else moments.utc, form)


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


def _longest_days(utc: NDArray[Any]) -> bool:
    """Whether most times lie about a day or more from the nearest other one."""
    known = np.unique(utc[~np.isnat(utc)])
    return len(known) > 1 and bool(np.median(np.diff(known)) >= np.timedelta64(20, "h"))


@dataclass
class Laying:
    """Puts the rows of one series after another on a grid of one frequency."""

    rows: Rows
    grid: Grid
    frequency: Frequency
    bad_rows: BadRows
    target: bool
    """Whether the rows have values of y."""
    report: TableReport
    """What is filled, moved or left out is counted here."""

    def lay(self, group: NDArray[np.int64], name: Any) -> Series | None:
        """Put the rows of one series on the grid through its first timestamp; None where it has no value."""
        rows, show, frequency = self.rows, self.grid.format.show, self.frequency
        group = self._valued(group, name)
        if not len(group):
            return None
        times = self.grid.times[group]
        origin = times[0]
        steps, exact = frequency.position(times, origin)
        if not exact.all():
            at = show(times[int(np.argmin(exact))])
            self.report.add(
                "times between two steps moved to the nearest",
                int((~exact).sum()),
                f"series {name!r} at {at}",
            )
        group, steps, exact = self._without_far_rows(group, name, steps, exact)
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
        known = [column[there] for column in rows.covariates["known"].values()]
        known += [
            holiday_counts(country, self.grid.format.wall(ds), frequency) for country in rows.columns.holidays
        ]
        return Series(
            name,
            ds,
            y,
            _stack(known, length),
            observed,
            _stack([_carried(column[there]) for column in rows.covariates["past"].values()], length),
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
        at = self.grid.format.show
        self.report.add(
            "rows before the first value left out",
            first,
            f"series {name!r} up to {at(self.grid.times[group[first - 1]])}",
        )
        if last + 1 < len(group):
            self.report.add(
                "rows after the last value left out",
                len(group) - last - 1,
                f"series {name!r} from {at(self.grid.times[group[last + 1]])}",
            )
        return np.asarray(group[first : last + 1])

    def _without_far_rows(
        self,
        group: NDArray[np.int64],
        name: Any,
        steps: NDArray[np.int64],
        exact: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Refuse a row that lies far from the one before: a wrong date must not become a thousand years of filled steps."""
        gaps = np.diff(steps)
        longest = int(gaps.max()) if len(gaps) else 0
        if longest <= _LONGEST_GAP or (longest <= 3 * len(group) and longest <= 50 * _LONGEST_GAP):
            return group, steps, exact
        at = int(np.argmax(gaps)) + 1
        row = self.rows.numbers[group[at if at > len(group) / 2 else at - 1]]
        before, stamp = (self.grid.format.show(self.grid.times[group[index]]) for index in (at - 1, at))
        line = (
            f"{self.rows.source} row {row}: ds {stamp} of series {name!r} lies {longest} steps"
            f" of {self.frequency} after {before}, expected no such gap:"
        )
        few = min(at, len(group) - at)
        most = max(1, len(group) // 20)
        if self.bad_rows == "error" or few > most:
            fix = "fix the row or pass --bad-rows skip" if few <= most else "pass the real step with --freq"
            raise DataError(f"{line} {fix}")
        self.report.add("rows far from all others left out", few, f"row {row}")
        kept = slice(at, None) if at <= len(group) / 2 else slice(None, at)
        return self._without_far_rows(group[kept], name, steps[kept] - steps[kept][0], exact[kept])


def _stack(columns: list[NDArray[np.float64]], length: int) -> NDArray[np.float64]:
    return np.stack(columns, -1) if columns else np.zeros((length, 0))


def _carried(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with the one before where one is missing; before the first known value that one."""
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values))
    at = np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))
    return np.asarray(np.where(known[at], values[at], values[int(np.argmax(known))]))
