"""Patterns of strftime, as people write dates: texts read by one, times written in one, and which one a column follows.

Beside strftime's own: %-d and the like without a leading zero, %q the quarter, %f up to nine digits.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence

import numpy as np

from congru.errors import SettingsError

_FIRST_YEAR, _LAST_YEAR = 1800, 2200
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_FIELDS = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>\d{1,2})",
    "d": r"(?P<d>\d{1,2})",
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<I>\d{1,2})",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,9})",
    "p": r"(?P<p>[AaPp]\.?[Mm]\.?)",
    "b": r"(?P<b>[A-Za-z]{3})",
    "B": r"(?P<B>[A-Za-z]{3,9})",
    "q": r"(?P<q>[1-4])",
    "z": r"(?P<z>Z|[+-]\d\d:?\d\d)",
}


def reader(pattern: str, padded: bool = False) -> Callable[[str], tuple[np.datetime64, int | None]]:
    """A function from a text to its time (NaT where it does not fit) and its offset in minutes.

    `padded`: every number has all its digits. Raises :class:`SettingsError` for a pattern that is none.
    """
    pieces, position = [], 0
    for match in re.finditer(r"%-?(.)", pattern):
        if match[1] not in _FIELDS:
            raise SettingsError(
                f"date_format holds {match[0]!r}, expected %Y %m %d %H %M %S and the like: for example '%d.%m.%Y %H:%M'"
            )
        pieces += [re.escape(pattern[position : match.start()]), _FIELDS[match[1]]]
        position = match.end()
    if not pieces:
        raise SettingsError(f"date_format is {pattern!r}, expected a pattern such as '%d.%m.%Y': change it")
    expression = "".join(pieces) + re.escape(pattern[position:])
    try:
        compiled = re.compile(expression.replace("{1,2}", "{2}") if padded else expression)
    except re.error:
        raise SettingsError(
            f"date_format is {pattern!r}, expected each part once: for example '%d.%m.%Y'"
        ) from None
    return lambda word: _fields_stamp(compiled.fullmatch(word))


def _fields_stamp(match: re.Match[str] | None) -> tuple[np.datetime64, int | None]:
    if match is None:
        return np.datetime64("NaT"), None
    part = match.groupdict()
    year = int(part["Y"]) if part.get("Y") else _long_year(int(part.get("y") or 70))
    month = int(part.get("m") or 1)
    if part.get("b") or part.get("B"):
        month = _month_number(part.get("b") or part.get("B") or "")
    if part.get("q"):
        month = 3 * int(part["q"]) - 2
    hour = int(part.get("H") or part.get("I") or 0)
    if part.get("p"):
        hour = hour % 12 + (12 if part["p"][0] in "pP" else 0)
    fields = [year, month, int(part.get("d") or 1), hour, int(part.get("M") or 0), int(part.get("S") or 0)]
    return stamp_of(fields, int((part.get("f") or "0")[:6].ljust(6, "0"))), offset_minutes(part.get("z"))


def stamp_of(fields: Sequence[int], microsecond: int = 0) -> np.datetime64:
    """Year, month, day, hour, minute, second as a timestamp; NaT for a day or hour that does not exist."""
    year, month, day, hour, minute, second = fields
    extra = np.timedelta64(0, "D")
    if (hour, minute, second) == (24, 0, 0):
        hour, extra = 0, np.timedelta64(1, "D")
    try:
        moment = datetime.datetime(year, month, day, hour, minute, second, microsecond)
    except ValueError:
        return np.datetime64("NaT")
    return np.datetime64(moment, "us") + extra


def offset_minutes(text: str | None) -> int | None:
    """Minutes of an offset such as +02:00 or Z; None where there is none."""
    if not text:
        return None
    digits = text[1:].replace(":", "").ljust(4, "0")
    return 0 if text == "Z" else (-1 if text[0] == "-" else 1) * (int(digits[:2]) * 60 + int(digits[2:4]))


def _long_year(short: int) -> int:
    """Two digits of a year as strptime reads them: 69 to 99 are of the last century."""
    return short + (1900 if short >= 69 else 2000)


def _month_number(name: str) -> int:
    """1 to 12, 0 for what is no month."""
    return next(
        (
            k
            for k, month in enumerate(_MONTHS, 1)
            if month.lower() in (name.lower(), "") or month[:3].lower() == name.lower()
        ),
        0,
    )


def reads_most(pattern: str, words: Sequence[str], share: float = 1.0, padded: bool = False) -> bool:
    """Whether so many of the words are dates of a pattern, in years that people keep tables of."""
    read = reader(pattern, padded)
    stamps = np.array([read(word)[0] for word in words], "datetime64[us]")
    years = stamps.astype("datetime64[Y]").astype(np.int64) + 1970
    good = ~np.isnat(stamps) & (years >= _FIRST_YEAR) & (years <= _LAST_YEAR)
    return len(words) > 0 and float(good.mean()) >= share


def settled(pattern: str, words: Sequence[str]) -> str:
    """The pattern as the words are really written, with or without leading zeros."""
    hours = re.sub(r"%([HI])", r"%-\1", pattern)
    days = re.sub(r"%([md])", r"%-\1", pattern)
    for variant in (pattern, hours, days, re.sub(r"%([md])", r"%-\1", hours)):
        read = reader(variant)
        stamps = [read(word)[0] for word in words]
        if all(
            np.isnat(stamp) or write_stamp(stamp.astype("datetime64[us]").item(), variant) == word
            for stamp, word in zip(stamps, words)
        ):
            return variant
    return pattern


def write_stamp(stamp: datetime.datetime, pattern: str) -> str:
    """A time in a pattern; %-d and the like have no leading zero.

    >>> write_stamp(datetime.datetime(2024, 1, 5, 7), "%-d.%m.%Y %H:%M")
    '5.01.2024 07:00'
    """
    numbers = {"m": stamp.month, "d": stamp.day, "H": stamp.hour, "I": (stamp.hour + 11) % 12 + 1}
    numbers.update(M=stamp.minute, S=stamp.second, y=stamp.year % 100)
    words = {
        "Y": f"{stamp.year:04d}",
        "f": f"{stamp.microsecond:06d}",
        "p": "PM" if stamp.hour >= 12 else "AM",
    }
    words.update(
        b=_MONTHS[stamp.month - 1][:3], B=_MONTHS[stamp.month - 1], q=str((stamp.month + 2) // 3), z=""
    )

    def write(match: re.Match[str]) -> str:
        if match[2] in words:
            return words[match[2]]
        return str(numbers[match[2]]) if match[1] else f"{numbers[match[2]]:02d}"

    return re.sub(r"%(-?)(.)", write, pattern)
