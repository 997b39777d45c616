"""Times as a column writes them: read into datetime64, and written back in the one format the column has.

A column holds dates as text in one format, numbers that are dates (20240131, 202401, 2024, seconds since 1970) or
counted steps, or a table's own date types. Times with a zone have two readings: the local wall clock, which days and
longer steps follow, and UTC, which shorter steps follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.time_patterns import offset_minutes, reader, reads_most, settled, stamp_of, write_stamp
from congru.data.zones import local_of, offset_text, utc_of, zone_of_offsets
from congru.errors import DataError

Times = NDArray[Any]  # datetime64[us] or int64

COUNTED = "counted"
EPOCHS = {
    "s": 1_000_000,
    "ms": 1000,
    "us": 1,
    "ns": -1000,
}  # microseconds a unit; negative: units a microsecond
_ISO = re.compile(
    r"(\d{4})([-/.])(\d{1,2})(?:\2(\d{1,2}))?(?:([T ])(\d{1,2})(?::(\d\d)(?::(\d\d)(\.\d{1,9})?)?)?)?"
    r" ?(Z|[+-]\d\d(?::?\d\d)?)?"
)
_QUARTER = re.compile(r"(\d{4})([- ]?Q0?)([1-4])")
_CLOCK = re.compile(r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?")
_NUMBER = re.compile(r"[+-]?\d{1,19}(\.\d*)?")
_ENOUGH = 0.9  # share of numbers that must be dates for all to be read as dates
_SAMPLE = 500  # distinct texts that decide about the format
# Dates as numbers, and the digits they have; checked in this order.
_NUMBER_DATES = {"%Y%m%d%H%M%S": 14, "%Y%m%d%H%M": 12, "%Y%m%d%H": 10, "%Y%m%d": 8, "%Y%m": 6, "%Y": 4}
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M", "T%H:%M:%S")
_DATES = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y", "%b-%d-%Y", "%d %B %Y", "%B %d, %Y"),
    *("%b %Y", "%B %Y", "%Y %b", "%Y %B", "%m/%Y"),
)


@dataclass(frozen=True)
class TimeFormat:
    """How a column writes its times.

    `pattern`: a strftime pattern, "counted", or the unit of seconds since 1970 ("s", "ms", "us", "ns"). `zone`: a
    zone's name or offset, "" for times without one. `colon`: how an offset is written, with ":", without, or "Z".
    `local`: whether the grid holds wall-clock times (else UTC), where there is a zone.
    """

    pattern: str = "%Y-%m-%d %H:%M:%S"
    zone: str = ""
    colon: str = ":"
    local: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return asdict(self)

    @property
    def counted(self) -> bool:
        """Whether times are whole numbers that are counted."""
        return self.pattern == COUNTED

    @property
    def numeric(self) -> bool:
        """Whether the column holds numbers."""
        return self.counted or self.pattern in EPOCHS or self.pattern in _NUMBER_DATES

    def utc(self, times: Times) -> Times:
        """Times of the grid as UTC; the same where there is no zone."""
        return utc_of(times, self.zone) if self.zone and self.local else times

    def wall(self, times: Times) -> Times:
        """Times of the grid as the local wall clock."""
        return local_of(times, self.zone) if self.zone and not self.local else times

    def numbers(self, times: Times) -> NDArray[np.int64]:
        """Times of the grid as the numbers that the column writes."""
        if self.counted:
            return times.astype(np.int64)
        if self.pattern in EPOCHS:
            whole, size = self.utc(times).astype("datetime64[us]").astype(np.int64), EPOCHS[self.pattern]
            return whole // size if size > 0 else whole * -size
        return np.array([int(word) for word in self.texts(times)], np.int64)

    def texts(self, times: Times) -> list[str]:
        """Times of the grid in the one format of the column."""
        if self.counted or self.pattern in EPOCHS:
            return [str(number) for number in self.numbers(times).tolist()]
        wall = self.wall(times)
        offsets = ["" for _ in range(len(times))]
        if self.zone and not self.numeric:
            offsets = [offset_text(step, self.colon) for step in (wall - self.utc(times)).tolist()]
        written: dict[Any, str] = {}
        texts = []
        for stamp, offset in zip(wall.astype("datetime64[us]").tolist(), offsets):
            if stamp not in written:
                written[stamp] = write_stamp(stamp, self.pattern)
            texts.append(written[stamp] + offset)
        return texts

    def show(self, stamp: Any) -> str:
        """One time of the grid, for people."""
        return self.texts(np.array([stamp]))[0]

    def for_dates(self, times: Times) -> TimeFormat:
        """This format without a time of day where all of `times` are midnights and it is no text's own format."""
        midnight = self.pattern == TimeFormat.pattern and bool((times.astype("datetime64[D]") == times).all())
        return replace(self, pattern="%Y-%m-%d") if midnight else self


@dataclass(frozen=True)
class Moments:
    """The times of R rows: `local` wall-clock times [R] (NaT where one is none) or whole numbers; `utc` [R] with a zone."""

    local: Times
    utc: Times | None
    format: TimeFormat
    hint: str = ""
    """What to do about times that could not be read."""


def read_texts(words: Sequence[str], source: str, column: str, wanted: str = "") -> Moments:
    """The times that texts tell; `wanted` is their strftime pattern, or a name of :data:`EPOCHS` or "counted".

    Raises :class:`DataError` for a column whose format is not plain, with the pattern to pass.
    """
    distinct = list(dict.fromkeys(words))
    filled = [word for word in distinct if word]
    if wanted and wanted not in EPOCHS and wanted != COUNTED:
        return _by_pattern(words, distinct, wanted)
    if filled and all(_NUMBER.fullmatch(word) for word in filled):
        numbers = np.array([float(word or "nan") if "." in word or not word else int(word) for word in words])
        return read_numbers(numbers, source, column, wanted)
    parts = {word: _ISO.fullmatch(word) for word in distinct}
    if any(parts.values()):
        _check_zones([part for part in parts.values() if part], source, column)
        return _iso(words, parts)
    quarter = _QUARTER.fullmatch(filled[0]) if filled else None
    if quarter and all(map(_QUARTER.fullmatch, filled)):
        return _by_pattern(words, distinct, f"%Y{quarter[2]}%q")
    fitting = [pattern for pattern in _patterns() if reads_most(pattern, filled[:_SAMPLE])]
    if fitting and (fitting[0][:5] in ("%d.%m", "%Y%m%") or "%b" in fitting[0].lower()):
        return _by_pattern(words, distinct, fitting[0])
    if fitting:
        first = next(word for word in words if word)
        choice = " or ".join(f"--date-format '{pattern}'" for pattern in fitting[:2])
        raise DataError(
            f"{source} has {first!r} in {column}, expected YYYY-MM-DD or a named format: pass {choice}"
        )
    missing = np.full(len(words), np.datetime64("NaT"), "datetime64[us]")
    return Moments(missing, None, TimeFormat())


def read_numbers(values: NDArray[Any], source: str, column: str, wanted: str = "") -> Moments:
    """Dates written as numbers, seconds since 1970 and their parts, or counted steps, told apart by their size.

    Raises :class:`DataError` for numbers that are neither whole nor seconds since 1970.
    """
    missing = ~np.isfinite(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    known = values[~missing]
    pattern = wanted or _number_pattern(known)
    if pattern in EPOCHS:
        size = EPOCHS[pattern]
        scaled = (
            known.astype(np.float64) * size
            if known.dtype.kind == "f"
            else known.astype(np.int64) * max(size, 1)
        )
        if size < 0:
            scaled = known.astype(np.int64) // -size
        stamps = np.full(len(values), np.datetime64("NaT"), "datetime64[us]")
        stamps[~missing] = np.round(scaled).astype(np.int64).astype("datetime64[us]")
        return Moments(stamps, None, TimeFormat(pattern))
    if bool((known != np.floor(known)).any()):
        raise DataError(
            f"{source} has {known[known != np.floor(known)][0]} in {column}, expected dates, seconds since 1970 or whole"
            " numbers: write dates as YYYY-MM-DD"
        )
    if pattern == COUNTED:
        if missing.any():
            raise DataError(
                f"{source} has a row without a number in {column}, expected counted steps: remove the row"
            )
        return Moments(values.astype(np.int64), None, TimeFormat(COUNTED))
    words = ["" if gone else str(int(value)) for value, gone in zip(values.tolist(), missing.tolist())]
    return _by_pattern(words, list(dict.fromkeys(words)), pattern, padded=True)


def _number_pattern(numbers: NDArray[Any]) -> str:
    """What numbers in a time column are.

    >>> [_number_pattern(np.array(n)) for n in ([202312, 202401], [20240131], [1999, 2000], [1699999200], [0, 1])]
    ['%Y%m', '%Y%m%d', '%Y', 's', 'counted']
    """
    if not len(numbers) or not np.isfinite(numbers).all():
        return COUNTED
    low, high = float(numbers.min()), float(numbers.max())
    if bool((numbers == np.floor(numbers)).all()):
        words = [str(number) for number in np.unique(numbers.astype(np.int64))[:_SAMPLE].tolist()]
        for pattern, digits in _NUMBER_DATES.items():
            if all(len(word) == digits for word in words) and reads_most(
                pattern, words, _ENOUGH, padded=True
            ):
                return pattern
    for unit, size in EPOCHS.items():
        per_second = 1_000_000 / size if size > 0 else 1_000_000 * -size
        if 1e8 * per_second <= low and high < 5e9 * per_second:
            return unit
    return COUNTED


def _iso(words: Sequence[str], parts: dict[str, re.Match[str] | None]) -> Moments:
    """Year-first dates, with or without a time and an offset, in the richest format that the column has."""
    local: dict[str, np.datetime64] = {}
    offsets: dict[str, int | None] = {}
    for word, part in parts.items():
        local[word], offsets[word] = _iso_stamp(part)
    stamps = np.array([local[word] for word in words], "datetime64[us]")
    known = [part for part in parts.values() if part]
    pattern = settled(
        _iso_pattern(known), [part[0].removesuffix(part[10] or "").rstrip() for part in known[:_SAMPLE]]
    )
    told = {offset for offset in offsets.values() if offset is not None}
    if not told:
        return Moments(stamps, None, TimeFormat(pattern))
    shift = np.array([(offsets[word] or 0) * 60_000_000 for word in words]).astype("timedelta64[us]")
    signs = {part[10] for part in known if part[10]}
    colon = "Z" if signs == {"Z"} else ":" if any(":" in sign for sign in signs) or signs <= {"Z"} else ""
    utc = stamps - shift
    zone = zone_of_offsets(utc, stamps)
    return Moments(stamps, utc, TimeFormat(pattern, zone, colon))


def _check_zones(known: Sequence[re.Match[str]], source: str, column: str) -> None:
    """Refuse times of which some have a zone: one without could be that of any place."""
    bare, told = (
        next((part[0] for part in known if bool(part[10]) is zoned), None) for zoned in (False, True)
    )
    if bare is not None and told is not None:
        raise DataError(
            f"{source} has {bare!r} without a zone in {column} and {told!r} with one, expected all of one kind: add the zone"
            " that is meant, or leave all of them out"
        )


def _iso_pattern(parts: Sequence[re.Match[str]]) -> str:
    separator = parts[0][2]
    pattern = separator.join(("%Y", "%m", "%d") if any(part[4] for part in parts) else ("%Y", "%m"))
    if any(part[6] for part in parts):
        pattern += next(part[5] for part in parts if part[5]) + "%H"
        pattern += ":%M" if any(part[7] for part in parts) else ""
        pattern += ":%S" if any(part[8] for part in parts) else ""
        pattern += ".%f" if any(part[9] for part in parts) else ""
    return pattern


def _iso_stamp(part: re.Match[str] | None) -> tuple[np.datetime64, int | None]:
    """The wall-clock time and the offset in minutes of a year-first date; NaT for what is none."""
    if part is None:
        return np.datetime64("NaT"), None
    fraction = int((part[9] or ".0")[1:7].ljust(6, "0"))
    fields = [int(part[k] or default) for k, default in ((1, 1), (3, 1), (4, 1), (6, 0), (7, 0), (8, 0))]
    return stamp_of(fields, fraction), offset_minutes(part[10])


def _by_pattern(words: Sequence[str], distinct: Sequence[str], pattern: str, padded: bool = False) -> Moments:
    """Texts of a strftime pattern."""
    read = reader(pattern, padded)
    pairs = {word: read(word) for word in distinct}
    local = np.array([pairs[word][0] for word in words], "datetime64[us]")
    told = [pairs[word][1] for word in words]
    plain = pattern.replace("%z", "")
    if all(offset is None for offset in told):
        good = [word for word in distinct if not np.isnat(pairs[word][0])]
        return Moments(local, None, TimeFormat(plain if padded else settled(plain, good[:_SAMPLE])))
    shift = np.array([(offset or 0) * 60_000_000 for offset in told]).astype("timedelta64[us]")
    return Moments(local, local - shift, TimeFormat(plain.rstrip(), zone_of_offsets(local - shift, local)))


def _patterns() -> Sequence[str]:
    return ("%Y%m%dT%H%M%S", *(date + clock for date in _DATES for clock in _CLOCKS))


def is_clock(value: Any) -> bool:
    """Whether a value is a time of day without a date.

    >>> is_clock("18:00:00"), is_clock("6:30 pm"), is_clock("2024-01-01 18:00"), is_clock("18")
    (True, True, False, False)
    """
    return _CLOCK.fullmatch(str(value).strip()) is not None


def is_nat(times: NDArray[Any]) -> NDArray[np.bool_]:
    """Which times [R] could not be read; counted ones always could."""
    return np.isnat(times) if times.dtype.kind == "M" else np.zeros(len(times), bool)
