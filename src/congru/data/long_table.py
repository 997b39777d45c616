"""Series on one regular grid of time, and findings about the rows that were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.columns import Categories, Columns
from congru.data.frequency import Frequency
from congru.data.times import TimeFormat


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
    """Findings about the rows that were read; `lines` gives them in words."""

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
        """Count a finding; its first location is kept."""
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
