"""Covariates that are known ahead, from a table of the next steps and from the calendars of holidays.

A forecaster here is a :class:`congru.tasks.forecast.Forecaster`, whose file imports this one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.data.holidays import holiday_counts
from congru.errors import DataError, SettingsError
from congru.tasks.forecast import history
from congru.tasks.forecast.store import SeriesStore
from congru.tasks.forecast.window import Array


def known_ahead(forecaster: Any, future: Any) -> Array | None:
    """Known covariates [N, h, K] after the last step of every series, or None where the model has none.

    Raises :class:`SettingsError` for a table that is missing or too much, :class:`DataError` for one that lacks a step.
    """
    store: SeriesStore = forecaster.store
    horizon, numbers = store.window.horizon, range(len(store.names))
    named = len(store.known) - len(store.columns.holidays)
    if not named and future is not None:
        raise SettingsError("future is a table, expected None: the model has no columns known ahead")
    if not store.window.num_known:
        return None
    result = np.full((len(numbers), horizon, store.window.num_known), np.nan)
    if not named:
        result[...] = 0.0
    elif future is None:
        raise SettingsError(
            f"future is None, expected a table with {', '.join(store.known[:named])}: the model was trained with"
            " them, pass their next values (--future FILE)"
        )
    else:
        _fill(forecaster, future, result, named)
    for number in numbers:
        times = store.format.wall(store.times(number, store.length[number] + np.arange(horizon)))
        for column, country in enumerate(store.columns.holidays, start=named):
            result[number, :, column] = holiday_counts(country, times, store.frequency)
    return result


def _fill(forecaster: Any, future: Any, result: Array, named: int) -> None:
    """Put the known columns of a table of the next steps where they belong."""
    store: SeriesStore = forecaster.store
    horizon = store.window.horizon
    table = forecaster.read_rows(future, target=False)
    for number, series in zip(forecaster.numbers(table), table.series):
        steps, _ = history.steps_of(store, int(number), series)
        ahead = steps - store.length[number]
        inside = (ahead >= 0) & (ahead < horizon) & series.observed
        result[number, ahead[inside]] = series.known[inside]
    missing = np.argwhere(np.isnan(result[..., :named]).any(-1))
    if len(missing):
        number, step = missing[0]
        first = store.show(store.times(number, store.length[number : number + 1] + step)[0])
        raise DataError(
            f"future lacks {', '.join(store.known[:named])} of series {store.names[number]!r} at {first}, expected all"
            f" {horizon} steps: add the rows"
        )
