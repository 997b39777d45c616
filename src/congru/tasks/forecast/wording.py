"""Values, times and steps of a series as one says them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from congru.tasks.forecast.store import SeriesStore

_UNITS = {
    "d": "day",
    "h": "hour",
    "min": "minute",
    "s": "second",
    "w": "week",
    "mo": "month",
    "q": "quarter",
    "y": "year",
}
_UNITS |= {"B": "working day", "ms": "millisecond", "us": "microsecond"}


def say(value: float, unit: str = "") -> str:
    """A value with as many digits as one reads.

    >>> say(14.25, "°C"), say(1234567.0), say(0.00123)
    ('14.2 °C', '1,234,567', '0.00123')
    """
    size = abs(float(value))
    text = f"{value:,.0f}" if size >= 1000 else f"{value:.1f}" if size >= 10 or size == 0 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def times_in_words(store: SeriesStore, number: int) -> tuple[list[str], list[str]]:
    """When the network's steps over the last window of a series end, oldest first; and the steps ahead."""
    window, now = store.window, store.length[number]
    ends = now - 1 - window.segment * np.arange(window.num_steps - 1, -1, -1)
    read, ahead = (
        say_times(store.format.wall(store.times(number, steps)))
        for steps in (ends, now + np.arange(window.horizon))
    )
    return read, ahead


def say_times(times: NDArray[Any]) -> list[str]:
    """Times as short as they can be told apart: days by weekday and date, hours with the date, numbers as they are.

    >>> say_times(np.array(["2015-12-24", "2015-12-25"], "datetime64[us]"))
    ['Thu 24 Dec', 'Fri 25 Dec']
    """
    if not np.issubdtype(np.asarray(times).dtype, np.datetime64):
        return [_show_time(time) for time in times]
    stamps = [time.astype("datetime64[s]").item() for time in times]
    gaps = np.diff(np.asarray(times).astype("datetime64[s]").astype(np.int64))
    if len(gaps) and gaps.min() >= 27 * 86400:
        return [f"{time:%b %Y}" for time in stamps]
    if any((time.hour, time.minute, time.second) != (0, 0, 0) for time in stamps) or (
        len(gaps) and gaps.min() < 86400
    ):
        return [f"{time.day} {time:%b %H:%M}" for time in stamps]
    return [f"{time:%a} {time.day} {time:%b}" for time in stamps]


_WHOLE = {(60, "minute"): "hour", (24, "hour"): "day", (1440, "minute"): "day", (7, "day"): "week"}


def name_step(frequency: str, segment: int) -> tuple[str, str]:
    """What one step of the network is called, and several, at a frequency and so many steps of the series in one.

    >>> name_step("1d", 1), name_step("1h", 24), name_step("15min", 8)
    (('day', 'days'), ('day', 'days'), ('stretch of 120 minutes', 'stretches of 120 minutes'))
    """
    count, unit = "".join(filter(str.isdigit, frequency)), frequency.lstrip("0123456789")
    size = int(count or 1) * segment
    name = _UNITS.get(unit, "value")
    if (whole := _WHOLE.get((size, name))) is not None:
        size, name = 1, whole
    if size == 1:
        return name, f"{name}s"
    return f"stretch of {size} {name}s", f"stretches of {size} {name}s"


def _show_time(stamp: Any) -> str:
    """A timestamp as short as it can be said: a date where the time of day is midnight.

    >>> _show_time(np.datetime64("2024-01-03", "us"))
    '2024-01-03'
    >>> _show_time(np.datetime64("2024-01-03T05:00", "us"))
    '2024-01-03 05:00:00'
    """
    if not isinstance(stamp, np.datetime64):
        return str(stamp)
    if stamp == stamp.astype("datetime64[D]"):
        return str(stamp.astype("datetime64[D]"))
    return str(stamp.astype("datetime64[s]")).replace("T", " ")
