"""The step of a time column: found from the data or from a name such as "1h", and what follows from it.

A frequency lays a grid through a first timestamp; `position` says where timestamps lie on it, `at` gives the timestamps of
grid positions. Units: whole numbers, microseconds (fixed length), months (variable length), open days of the week (Monday to
Friday, or others).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
DAY = _MICROSECONDS["d"]
_MONTHS = {"mo": 1, "q": 3, "y": 12}
# Other spellings, mostly pandas' and polars'.
_SPELLINGS = {
    "t": "min",
    "m": "min",
    "D": "d",
    "H": "h",
    "W": "w",
    "S": "s",
    "L": "ms",
    "T": "min",
    **dict.fromkeys(("M", "MS", "ME", "BM", "BMS", "BME"), "mo"),
    **dict.fromkeys(("Q", "QS", "QE", "BQ", "BQS", "BQE"), "q"),
    **dict.fromkeys(("Y", "YS", "YE", "A", "AS", "AE", "BY", "BYS", "BYE", "BA", "BAS"), "y"),
}
_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MONDAY_TO_FRIDAY = "1111100"
KNOWN = "1h, 15min, 1d, B, Mon-Sat, 1w, W-MON, 1mo, MS, ME, 1q, QS-OCT, 1y, or a whole number"
_YEAR = 365.2425 * DAY
_CLOSED = 0.1  # a day of the week that is there less often than this is no day of the series
_SHORT_GAP = 14  # days; what lies in a longer gap says nothing about the week
_NICE = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30]


@dataclass(frozen=True)
class Frequency:
    """`count` units from one step to the next. `unit`: "step" (whole numbers), "us", "month" or "business".

    `month_end`: months end with their last day; None where the timestamps say it, see :meth:`settle`. `business`:
    the first or last day of a month is its first or last from Monday to Friday. `weekmask`: the open days of unit
    "business", Monday first. `anchor`: the day of the week or the month that every step must fall on.

    >>> parse_frequency("15min")
    Frequency(unit='us', count=900000000, month_end=False, business=False, weekmask='1111100', anchor='')
    >>> str(parse_frequency("15min")), parse_frequency("15min").season
    ('15min', 96)
    """

    unit: str
    count: int
    month_end: bool | None = False
    business: bool = False
    weekmask: str = MONDAY_TO_FRIDAY
    anchor: str = ""

    def __str__(self) -> str:
        if self.unit == "step":
            return str(self.count)
        if self.unit == "business":
            return "B" if self.weekmask == MONDAY_TO_FRIDAY else _days_of(self.weekmask)
        sizes = _MONTHS if self.unit == "month" else _MICROSECONDS
        name = max(
            (name for name in sizes if self.count % sizes[name] == 0), key=lambda n: sizes[n], default="us"
        )
        return f"{self.count // sizes.get(name, 1)}{name}"

    @property
    def by_calendar(self) -> bool:
        """Whether steps follow the local calendar: a day is a day, also where it has 23 hours."""
        return self.unit in ("month", "business") or (self.unit == "us" and self.count % DAY == 0)

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
            week = self.weekmask.count("1")
            return [cycle for cycle in (week, round(week * _YEAR / DAY / 7)) if cycle >= 4]
        if self.unit == "month":
            return [12 // self.count] if self.count <= 3 else []
        lengths = (DAY, _MICROSECONDS["w"], _YEAR)
        return [round(length / self.count) for length in lengths if length / self.count >= 4]

    def settle(self, times: Times) -> Frequency:
        """This frequency with `month_end` decided: True where every one of `times` is the last day of its month."""
        if self.month_end is not None:
            return self
        at_end = self.unit == "month" and times.dtype.kind == "M" and bool(_is_month_end(times).all())
        return replace(self, month_end=at_end)

    def misfit(self, times: Times) -> str:
        """Why `times` do not fall where the frequency's name says (W-MON, QS-OCT); "" where they do."""
        if not self.anchor or not len(times):
            return ""
        if self.anchor in _DAYS:
            wrong = (times.astype("datetime64[D]").astype(np.int64) + 3) % 7 != _DAYS.index(self.anchor)
            what = f"a day of the week other than {self.anchor}"
        else:
            months = times.astype("datetime64[M]").astype(np.int64)
            wrong = (months - _MONTH_NAMES.index(self.anchor)) % self.count != 0
            what = f"a month that {self.anchor} does not lead to"
        first = times[int(np.argmax(wrong))]
        return f"{first.astype('datetime64[D]')} is on {what}" if bool(wrong.any()) else ""

    def position(self, times: Times, origin: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The grid position nearest to each of `times` [T], counted from `origin`, and whether it lies exactly there."""
        if self.unit == "business":
            mask = self.weekmask
            first, days = np.datetime64(origin, "D"), times.astype("datetime64[D]")
            start = np.busday_offset(first, 0, roll="backward", weekmask=mask)
            counts = np.busday_count(
                start, np.busday_offset(days, 0, roll="backward", weekmask=mask), weekmask=mask
            )
            return counts.astype(np.int64), np.is_busday(days, weekmask=mask) & (
                self.at(origin, counts) == times
            )
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
            return int(np.busday_count("1970-01-01", np.datetime64(origin, "D"), weekmask=self.weekmask))
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
            moved_days = np.busday_offset(day, steps, roll="backward", weekmask=self.weekmask)
            return np.asarray(moved_days.astype("datetime64[us]") + clock)
        if self.unit == "month":
            origin = np.datetime64(origin, "us")
            return _add_months(origin, steps * self.count, bool(self.month_end), self.business)
        moved: Times = origin + (steps * self.count).astype(
            "timedelta64[us]" if self.unit == "us" else np.int64
        )
        return moved


def _days_of(weekmask: str) -> str:
    """Open days as their names: a range where they follow one another.

    >>> _days_of("1111110"), _days_of("1010100")
    ('Mon-Sat', 'Mon,Wed,Fri')
    """
    names = [day.title() for day, is_open in zip(_DAYS, weekmask) if is_open == "1"]
    together = "1" * len(names) in weekmask and len(names) > 2
    return f"{names[0]}-{names[-1]}" if together else ",".join(names)


def _weekmask(text: str) -> str:
    """The weekmask of names such as Mon-Sat or Mon,Wed,Fri; "" for anything else."""
    parts = text.upper().split(",")
    spans = [part.split("-") for part in parts]
    if not all(len(span) <= 2 and all(day in _DAYS for day in span) for span in spans):
        return ""
    is_open = [False] * 7
    for span in spans:
        first, last = _DAYS.index(span[0]), _DAYS.index(span[-1])
        for day in range(first, (last if last >= first else last + 7) + 1):
            is_open[day % 7] = True
    return "".join("1" if day else "0" for day in is_open)


def _add_months(origin: np.datetime64, months: NDArray[np.int64], month_end: bool, business: bool) -> Times:
    """`origin` moved by whole months; a day the month lacks becomes its last, `month_end` means always the last."""
    first = origin.astype("datetime64[M]")
    offset = origin - first.astype("datetime64[us]")
    target = first + months
    last_day = (target + 1).astype("datetime64[D]") - np.timedelta64(1, "D")
    clock = offset % np.timedelta64(1, "D")
    if business:
        first_day = np.busday_offset(target.astype("datetime64[D]"), 0, roll="forward")
        day = np.busday_offset(last_day, 0, roll="backward") if month_end else first_day
        return np.asarray(day.astype("datetime64[us]") + clock)
    moved = np.minimum(target.astype("datetime64[us]") + offset, last_day.astype("datetime64[us]") + clock)
    return np.asarray(last_day.astype("datetime64[us]") + clock if month_end else moved)


def _is_month_end(times: Times) -> NDArray[np.bool_]:
    next_day = times.astype("datetime64[D]") + 1
    return np.asarray(next_day.astype("datetime64[M]") > times.astype("datetime64[M]"))


def parse_frequency(text: str) -> Frequency:
    """Read a frequency's name as pandas, polars or a person spells it: a count and a unit ("15min", "1h", "D", "2w",
    "1mo", "QS-OCT", "W-MON", "BME"), days of the week ("B", "Mon-Sat"), or a whole number for counted steps.

    Raises :class:`SettingsError` for an unknown name.

    >>> str(parse_frequency("7d")), str(parse_frequency("60min")), str(parse_frequency("QS-OCT"))
    ('1w', '1h', '1q')
    """
    name = text.strip()
    mask = _weekmask(name) if name else ""
    if mask:
        return Frequency("business", 1, weekmask=mask)
    match = re.fullmatch(r"(\d*)([A-Za-z]*)(?:-([A-Za-z]{3}))?", name)
    count, unit, anchor = (
        (int(match[1] or 1), match[2], (match[3] or "").upper()) if match and name else (0, "?", "")
    )
    frequency = _frequency_of(count, unit, anchor) if count > 0 else None
    if frequency is None:
        raise SettingsError(f"freq is {text!r}, expected {KNOWN}: give the step of the time column")
    return frequency


def _frequency_of(count: int, unit: str, anchor: str) -> Frequency | None:
    """The frequency of a count, a unit and an anchor; None where they name none."""
    if not unit:
        return None if anchor else Frequency("step", count)
    if unit == "B" and count == 1 and not anchor:
        return Frequency("business", 1)
    name = _SPELLINGS.get(unit, unit.lower())
    if name in _MICROSECONDS:
        if anchor and not (name == "w" and anchor in _DAYS):
            return None
        return Frequency("us", count * _MICROSECONDS[name], anchor=anchor)
    if name not in _MONTHS or (anchor and (anchor not in _MONTH_NAMES or name == "mo")):
        return None
    month_end = None
    if unit.endswith("S"):
        month_end = False
    elif unit.endswith("E") or unit.startswith("B"):
        month_end = True
    return Frequency("month", count * _MONTHS[name], month_end, unit.startswith("B"), anchor=anchor)


def infer_frequency(times: Sequence[Times], source: str) -> Frequency:
    """The frequency of sorted, distinct timestamps (one array per series): the most common step of all series.

    Months where every timestamp lies on the same day of its month (or on its last); days of the week where daily stamps leave
    out some. Raises :class:`DataError` where no step exists or under half of the steps are whole multiples of the most common
    one.
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
        near = nearest_frequency(float(np.median(steps))) if whole.dtype.kind == "M" else str(common)
        raise DataError(
            f"{source} has no regular step: the most common one explains {fitting:.0%} of the rows,"
            f" expected half: resample it or pass --freq {near}"
        )
    if whole.dtype.kind != "M":
        return Frequency("step", common)
    mask = _open_days(whole) if common == DAY else None
    return Frequency("us", common) if mask is None else Frequency("business", 1, weekmask=mask)


def nearest_frequency(microseconds: float) -> str:
    """The name of the round step nearest to a length of time.

    >>> nearest_frequency(61e6), nearest_frequency(86000e6), nearest_frequency(890e6)
    ('1min', '1d', '15min')
    """
    sizes = [(f"{count}{unit}", count * _MICROSECONDS[unit]) for unit in ("s", "min", "h") for count in _NICE]
    sizes += [("1d", DAY), ("1w", 7 * DAY)]
    return min(sizes, key=lambda item: abs(np.log(item[1] / max(microseconds, 1.0))))[0]


def _open_days(times: Times) -> str | None:
    """The weekmask of daily timestamps that leave out days of the week; None where they leave out none.

    A day of the week is closed where it is there less often than one time in ten: one Saturday among many weeks
    is an exception, not a day of the series.
    """
    days = np.unique(times.astype("datetime64[D]").astype(np.int64))
    if len(days) <= 7:
        return None
    there = np.bincount((days + 3) % 7, minlength=7)
    spans = [np.arange(a, b) for a, b in zip(days, np.r_[days[1:], days[-1] + 1]) if b - a <= _SHORT_GAP]
    possible = np.bincount((np.concatenate(spans) + 3) % 7, minlength=7)
    share = there / np.maximum(possible, 1)
    is_open = share >= _CLOSED
    if is_open.all() or not is_open.any() or share[is_open].min() < 0.5:
        return None
    return "".join("1" if day else "0" for day in is_open)


def _months(times: Sequence[Times], steps: NDArray[np.int64]) -> Frequency | None:
    """The monthly, quarterly or yearly frequency of the timestamps, or None."""
    if steps.min() < 25 * DAY:
        return None
    whole = np.concatenate(times)
    day = (whole - whole.astype("datetime64[M]").astype("datetime64[us]")).astype(np.int64)
    months = np.concatenate([np.diff(t.astype("datetime64[M]").astype(np.int64)) for t in times])
    values, counts = np.unique(months, return_counts=True)
    common = int(values[np.argmax(counts)])
    if bool(_is_month_end(whole).all()):
        return Frequency("month", common, month_end=True) if common else None
    if len(np.unique(day)) == 1:
        return Frequency("month", common) if steps.min() >= 28 * DAY else None
    return _business_months(whole, common)


def _business_months(times: Times, count: int) -> Frequency | None:
    """Months whose timestamps are all the first or all the last of Monday to Friday, or None."""
    months = times.astype("datetime64[M]")
    clock = times - times.astype("datetime64[D]").astype("datetime64[us]")
    if count < 1 or len(np.unique(clock.astype(np.int64))) > 1:
        return None
    for month_end in (True, False):
        day = _add_months(
            months[0].astype("datetime64[us]"), (months - months[0]).astype(np.int64), month_end, True
        )
        if bool((day + clock[0] == times).all()):
            return Frequency("month", count, month_end, business=True)
    return None
