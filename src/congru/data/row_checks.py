"""Which rows of a table can be used: values checked, times that are there twice.

A row that cannot be used is an error with its row number, or is left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from congru.data.long_table import TableReport
from congru.data.rows import Rows
from congru.data.times import TimeFormat, is_clock, is_nat
from congru.errors import DataError

BadRows = Literal["error", "skip"]
_HOUR = np.timedelta64(1, "h")


@dataclass
class RowChecks:
    """The checks of R rows at their times on the grid."""

    rows: Rows
    times: NDArray[Any]
    """[R]"""
    format: TimeFormat
    bad_rows: BadRows
    target: bool
    """Whether the rows must have a value of y."""
    report: TableReport
    """What is left out is counted here."""

    def usable(self) -> NDArray[np.bool_]:
        """Which rows [R] can be used; the first that cannot is an error unless bad rows are skipped."""
        rows, columns = self.rows, self.rows.columns
        faults = [(columns.ds, is_nat(self.times), "YYYY-MM-DD or YYYY-MM-DD HH:MM:SS", "a date")]
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
        faults += [
            (name, ~np.isfinite(v), "a finite number", "a number")
            for name, v in rows.covariates["known"].items()
        ]
        faults += [
            (name, np.isinf(v), "a finite number", "a number") for name, v in rows.covariates["past"].items()
        ]
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

    def without_duplicates(self, group: NDArray[np.int64], name: Any) -> NDArray[np.int64]:
        """The rows of one series, sorted by time, with one row for each time."""
        times = self.times[group]
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
            pairs = {(str(self.rows.text[name][row]), self.times[row]) for row in group.tolist()}
            if len(pairs) == len(group):
                clock = all(is_clock(self.rows.text[name][row]) for row in group[:50].tolist())
                return (
                    f"pass --time-column {self.rows.columns.ds},{name}"
                    if clock
                    else f"pass --id-column {name}"
                )
        return ""


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
