"""Public holidays by country, as a covariate that is known ahead; needs the package `holidays`."""

from __future__ import annotations

import datetime
import difflib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.frequency import Frequency
from congru.errors import SettingsError, require

_DAY = np.timedelta64(1, "D")


def holiday_counts(country: str, times: NDArray[Any], frequency: Frequency) -> NDArray[np.float64]:
    """How many holidays begin within each step that starts at wall-clock `times` [T]; 0 or 1 for a day or less.

    `country` is its code, with a part of it after a dash: DE, US, DE-BY. Raises :class:`SettingsError` for an unknown
    one and for counted steps.
    """
    if times.dtype.kind != "M":
        raise SettingsError(
            f"holidays is {country}, expected dates: the table counts its steps, leave it out"
        )
    starts = times.astype("datetime64[D]")
    after = frequency.at(times[-1], np.array([1])).astype("datetime64[D]") if len(times) else starts
    ends = np.maximum(np.r_[starts[1:], after][: len(starts)], starts + _DAY)
    if frequency.unit != "month" and not (frequency.unit == "us" and frequency.count > 86_400_000_000):
        ends = starts + _DAY
    if not len(starts):
        return np.zeros(0)
    days = _dates(
        country,
        int(starts[0].astype("datetime64[Y]").astype(int)) + 1970,
        int(ends[-1].astype("datetime64[Y]").astype(int)) + 1970,
    )
    return np.asarray(np.searchsorted(days, ends) - np.searchsorted(days, starts), np.float64)


@lru_cache(maxsize=256)
def _dates(country: str, first: int, last: int) -> NDArray[Any]:
    """The holidays [D] of a country in years `first` to `last`, in order."""
    holidays = require("holidays", "holidays")
    code, _, part = country.partition("-")
    try:
        calendar = holidays.country_holidays(code, subdiv=part or None, years=range(first, last + 1))
    except NotImplementedError:
        known = sorted(holidays.list_supported_countries())
        close = difflib.get_close_matches(code, known, 3) or known[:3]
        raise SettingsError(
            f"holidays is {country!r}, expected a country's code such as DE, US or DE-BY: did you mean {' or '.join(close)}?"
        ) from None
    dates: list[datetime.date] = sorted(calendar)
    return np.array(dates, "datetime64[D]")
