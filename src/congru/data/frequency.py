"""The step of a time column: found from the data or from a name such as "1h", and what follows from it.

A frequency lays a grid through a first timestamp; `position` says where timestamps lie on it, `at` gives
the timestamps of grid positions. Units: whole numbers, microseconds (fixed length), months
(variable length), business days (Monday to Friday).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError

Times = NDArray[Any]  # datetime64[us] or int64

_SECOND = 1_000_000
_MICROSECONDS = {
    "ms": 1000,
    "s": _SECOND,
    "min": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86400 * _SECOND,
    "w": 7 * 86400 * _SECOND,
}
_MONTHS = {"mo": 1, "q": 3, "y": 12}
# Other spellings, mostly pandas' and polars'.
_SPELLINGS = {
    "t": "min",
    "m": "min",
    "D": "d",
    "H": "h",
    "W": "w",
    "S": "s",
    "M": "mo",
    "MS": "mo",
    "ME": "mo",
    "Q": "q",
    "QS": "q",
    "QE": "q",
    "Y": "y",
    "YS": "y",
    "YE": "y",
    "A": "y",
    "T": "min",
}
KNOWN = "1h, 15min, 1d, B, 1w, 1mo, 1q, 1y, or a whole number"
_YEAR = 365.2425 * 86400 * _SECOND


@dataclass(frozen=True)
class Frequency:
    """`count` units from one step to the next. `unit`: "step" (whole numbers), "us", "month" or "business".

    >>> parse_frequency("15min")
    Frequency(unit='us', count=900000000, month_end=False)
    >>> str(parse_frequency("15min")), parse_frequency("15min").season
    ('15min', 96)
    """

    unit: str
    count: int
    month_end: bool = False

    def __str__(self) -> str:
        if self.unit == "step":
            return str(self.count)
        if self.unit == "business":
            return "B"
        sizes = _MONTHS if self.unit == "month" else _MICROSECONDS
        name = max(
            (name for name in sizes if self.count % sizes[name] == 0), key=lambda n: sizes[n], default="us"
        )
        return f"{self.count // sizes.get(name, 1)}{name}"

    @property
    def season(self) -> int | None:
        """Steps in the shortest natural cycle longer than one step; None where the unit has none.

        Below an hour and hourly: a day; daily: a week; business days: 5; weekly and monthly: a year.
        """
        return self.cycles[0] if self.cycles else None

    @property
    def cycles(self) -> list[int]:
        """Natural cycles (day, week, year) in steps, rounded, shortest first; only those of at least four steps.

        >>> parse_frequency("1h").cycles, parse_frequency("1d").cycles, parse_frequency("1mo").cycles
        ([24, 168, 8766], [7, 365], [12])
        """
        if self.unit == "step":
            return []
        if self.unit == "business":
            return [5, 261]
        if self.unit == "month":
            return [12 // self.count] if self.count <= 3 else []
        lengths = (_MICROSECONDS["d"], _MICROSECONDS["w"], _YEAR)
        return [round(length / self.count) for length in lengths if length / self.count >= 4]

    def position(self, times: Times, origin: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The grid position nearest to each of `times` [T], counted from `origin`, and whether it lies exactly there."""
        if self.unit == "business":
            first, days = np.datetime64(origin, "D"), times.astype("datetime64[D]")
            start = np.busday_offset(first, 0, roll="backward")
            counts = np.busday_count(start, np.busday_offset(days, 0, roll="backward"))
            return counts.astype(np.int64), np.is_busday(days) & (self.at(origin, counts) == times)
        if self.unit == "month":
            months = times.astype("datetime64[M]").astype(np.int64) - np.datetime64(origin, "M").astype(
                np.int64
            )
            steps = np.round(months / self.count).astype(np.int64)
        else:
            distance = (times - origin).astype(np.int64)
            steps = np.floor_divide(2 * distance + self.count, 2 * self.count)
        return steps, np.asarray(self.at(origin, steps) == times)

    def phase(self, origin: Any) -> int:
        """The place of a timestamp in the calendar: whole steps since 1970 (for counted steps: the number itself).

        >>> parse_frequency("1h").phase(np.datetime64("1970-01-02T05", "us"))
        29
        """
        if self.unit == "step":
            return int(origin) // self.count
        if self.unit == "business":
            return int(np.busday_count("1970-01-01", np.datetime64(origin, "D")))
        unit = "M" if self.unit == "month" else "us"
        return int(origin.astype(f"datetime64[{unit}]").astype(np.int64)) // self.count

    def at(self, origin: Any, steps: NDArray[Any]) -> Times:
        """The timestamps at grid positions `steps` counted from `origin`.

        >>> times = parse_frequency("1mo").at(np.datetime64("2024-01-31", "us"), np.array([1, 2]))
        >>> times.astype("datetime64[D]").tolist()
        [datetime.date(2024, 2, 29), datetime.date(2024, 3, 31)]
        """
        steps = np.asarray(steps, np.int64)
        if self.unit == "business":
            day = np.datetime64(origin, "D")
            clock = np.datetime64(origin, "us") - day
            return np.asarray(np.busday_offset(day, steps, roll="backward").astype("datetime64[us]") + clock)
        if self.unit == "month":
            return _add_months(np.datetime64(origin, "us"), steps * self.count, self.month_end)
        moved: Times = origin + (steps * self.count).astype(
            "timedelta64[us]" if self.unit == "us" else np.int64
        )
        return moved


def _add_months(origin: np.datetime64, months: NDArray[np.int64], month_end: bool) -> Times:
    """`origin` moved by whole months; a day the month lacks becomes its last, `month_end` means always the last."""
    first = origin.astype("datetime64[M]")
    offset = origin - first.astype("datetime64[us]")
    target = first + months
    last_day = (target + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
    clock = offset % np.timedelta64(1, "D")
    moved = np.minimum(target.astype("datetime64[us]") + offset, last_day.astype("datetime64[us]") + clock)
    return np.asarray(last_day.astype("datetime64[us]") + clock if month_end else moved)


def _is_month_end(times: Times) -> NDArray[np.bool_]:
    next_day = times.astype("datetime64[D]") + 1
    return np.asarray(next_day.astype("datetime64[M]") > times.astype("datetime64[M]"))


def parse_frequency(text: str) -> Frequency:
    """Read a frequency's name: a count and a unit, "15min", "1h", "D", "B", "2w", "1mo", or a whole number
    for counted steps.

    Raises :class:`SettingsError` for an unknown name.

    >>> str(parse_frequency("7d")), str(parse_frequency("60min"))
    ('1w', '1h')
    """
    match = re.fullmatch(r"(\d*)([A-Za-z]*)", text.strip())
    count, unit = (int(match[1] or 1), match[2]) if match and text.strip() else (0, "?")
    if count > 0:
        if not unit:
            return Frequency("step", count)
        if unit == "B" and count == 1:
            return Frequency("business", 1)
        name = _SPELLINGS.get(unit, unit.lower())
        if name in _MICROSECONDS:
            return Frequency("us", count * _MICROSECONDS[name])
        if name in _MONTHS:
            return Frequency("month", count * _MONTHS[name], month_end=unit in ("ME", "QE", "YE"))
    raise SettingsError(f"freq is {text!r}, expected {KNOWN}: give the step of the time column")


def infer_frequency(times: Sequence[Times], source: str) -> Frequency:
    """The frequency of sorted, distinct timestamps (one array per series): the most common step of all series.

    Months where every timestamp lies on the same day of its month (or on its last); business days where
    daily stamps never fall on a weekend. Raises :class:`DataError` where no step exists or under half of
    the steps are whole multiples of the most common one.
    """
    steps = np.concatenate([np.diff(t).astype(np.int64) for t in times])
    if not len(steps):
        raise DataError(
            f"{source} has one row per series, expected at least 2 to see the step:"
            " add rows or pass --freq 1d"
        )
    whole = np.concatenate(times)
    if whole.dtype.kind == "M":
        months = _months(times, steps)
        if months is not None:
            return months
    values, counts = np.unique(steps, return_counts=True)
    common = int(values[np.argmax(counts)])
    fitting = float((steps % common == 0).mean())
    if fitting < 0.5:
        raise DataError(
            f"{source} has no regular step: the most common one explains {fitting:.0%} of the rows,"
            " expected half: resample it or pass --freq 1h"
        )
    if whole.dtype.kind != "M":
        return Frequency("step", common)
    daily = common == _MICROSECONDS["d"]
    if daily and len(whole) > 7 and bool(np.is_busday(whole.astype("datetime64[D]")).all()):
        return Frequency("business", 1)
    return Frequency("us", common)


def _months(times: Sequence[Times], steps: NDArray[np.int64]) -> Frequency | None:
    """The monthly, quarterly or yearly frequency of the timestamps, or None."""
    if steps.min() < 28 * _MICROSECONDS["d"]:
        return None
    whole = np.concatenate(times)
    day = (whole - whole.astype("datetime64[M]").astype("datetime64[us]")).astype(np.int64)
    at_end = bool(_is_month_end(whole).all())
    if not at_end and len(np.unique(day)) > 1:
        return None
    months = np.concatenate([np.diff(t.astype("datetime64[M]").astype(np.int64)) for t in times])
    values, counts = np.unique(months, return_counts=True)
    return Frequency("month", int(values[np.argmax(counts)]), month_end=at_end)
