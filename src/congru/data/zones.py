"""Time zones: the wall clock of UTC times and back, and the zone that explains the offsets a file is written with."""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError

Times = NDArray[Any]  # datetime64[us]

# Tried first, so that of zones with the same clock a well-known one is named.
_WELL_KNOWN = (
    *("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Chicago", "America/Denver"),
    *(
        "America/Los_Angeles",
        "Europe/Helsinki",
        "Asia/Kolkata",
        "Asia/Shanghai",
        "Asia/Tokyo",
        "Australia/Sydney",
    ),
    *("Pacific/Auckland", "America/Sao_Paulo", "America/Halifax", "Africa/Cairo", "America/Santiago"),
)
_SAMPLE = 200


@lru_cache(maxsize=64)
def zone(name: str) -> datetime.tzinfo:
    """The zone of a name (Europe/Berlin) or of an offset (+02:00); raises :class:`DataError` for an unknown one.

    >>> zone("+02:00").utcoffset(None)
    datetime.timedelta(seconds=7200)
    """
    if name[:1] in "+-" and name[1:3].isdigit():
        minutes = int(name[1:3]) * 60 + int(name[4:6] or 0)
        return datetime.timezone(datetime.timedelta(minutes=-minutes if name[0] == "-" else minutes))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise DataError(
            f"time zone is {name!r}, expected a name such as Europe/Berlin: pip install tzdata, or convert the times"
        ) from None


def utc_of(local: Times, name: str) -> Times:
    """Wall-clock times as UTC; of an hour that is there twice the first, one that is skipped as if the clock had not changed.

    >>> utc_of(np.array(["2024-07-01T02:00"], "datetime64[us]"), "Europe/Berlin").tolist()
    [datetime.datetime(2024, 7, 1, 0, 0)]
    """
    own = zone(name)
    return _each(local, lambda stamp: stamp - (stamp.replace(tzinfo=own).utcoffset() or datetime.timedelta()))


def local_of(utc: Times, name: str) -> Times:
    """UTC times as the wall clock of a zone.

    >>> local_of(np.array(["2024-07-01T00:00"], "datetime64[us]"), "Europe/Berlin").tolist()
    [datetime.datetime(2024, 7, 1, 2, 0)]
    """
    own = zone(name)
    return _each(
        utc, lambda stamp: stamp.replace(tzinfo=datetime.timezone.utc).astimezone(own).replace(tzinfo=None)
    )


def _each(times: Times, change: Any) -> Times:
    """`change` applied to each distinct time; NaT stays."""
    distinct, back = np.unique(times.astype("datetime64[us]"), return_inverse=True)
    changed = [None if stamp is None else change(stamp) for stamp in distinct.tolist()]
    return np.asarray(np.array(changed, "datetime64[us]")[back.reshape(-1)])


def zone_of_offsets(utc: Times, local: Times) -> str:
    """The zone whose clock shows `local` at `utc`: the offset itself where there is one, else a zone's name.

    The last offset stands for itself where no zone explains all of them.
    """
    known = ~np.isnat(utc)
    shifts = (local - utc)[known]
    if not len(shifts):
        return ""
    distinct = np.unique(shifts)
    fixed = offset_text(shifts[-1].item(), ":")
    if len(distinct) == 1:
        return "UTC" if fixed == "+00:00" else fixed
    # The moments around each change of the offset decide; the others only confirm.
    order = np.argsort(utc[known])
    at, by = utc[known][order], shifts[order]
    edges = np.flatnonzero(by[1:] != by[:-1])
    chosen = np.unique(
        np.r_[edges, edges + 1, np.linspace(0, len(at) - 1, min(_SAMPLE, len(at))).astype(int)]
    )
    for name in (*_WELL_KNOWN, *sorted(available_timezones())):
        try:
            if bool((local_of(at[chosen], name) == at[chosen] + by[chosen]).all()):
                return name
        except (DataError, OverflowError):
            continue
    return fixed


def offset_text(shift: datetime.timedelta, colon: str) -> str:
    """An offset as it is written.

    >>> offset_text(datetime.timedelta(hours=-5), ":"), offset_text(datetime.timedelta(0), "Z")
    ('-05:00', 'Z')
    """
    minutes = round(shift.total_seconds() / 60)
    if colon == "Z" and minutes == 0:
        return "Z"
    return (
        f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{':' if colon else ''}{abs(minutes) % 60:02d}"
    )
