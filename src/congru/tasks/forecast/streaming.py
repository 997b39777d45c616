"""A forecaster beside a stream: forecast, see the actual value, go on; the errors beside simple forecasts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from congru.errors import SettingsError
from congru.tasks.forecast.forecaster import Forecaster
from congru.tasks.forecast.window import Array


@dataclass(frozen=True)
class Moment:
    """One new value, and what had been forecast for it."""

    series: Any
    ds: Any
    y: float
    forecast: Array
    """[1 + 2 levels] the forecast one step ahead, made just before the value was known."""
    path: Array
    """[h, 1 + 2 levels] the forecast made just after."""
    last_value: float
    seasonal_naive: float
    update_seconds: float
    """Time that taking in the value and forecasting anew took."""


def stream(forecaster: Forecaster, new_rows: Any) -> Iterator[Moment]:
    """Give the forecaster the rows of a table one by one, in order of time; a :class:`Moment` for each.

    `new_rows` is a table as for `update`, without known covariates; the forecaster goes on with each row and is
    at its end afterwards.

        errors = [abs(moment.y - moment.forecast[0]) for moment in stream(f, last_month)]
    """
    if forecaster.window.num_known:
        raise SettingsError(
            "stream() has a model with known covariates, expected one without: call update and predict"
        )
    store = forecaster.store
    table = forecaster.read_rows(new_rows)
    numbers = forecaster.numbers(table)
    order = sorted(
        (
            (series.ds[step], row, step)
            for row, series in enumerate(table.series)
            for step in range(len(series))
        ),
        key=lambda row: (row[0], row[1]),
    )
    path = forecaster.values()
    for ds, row, step in order:
        series, number = table.series[row], int(numbers[row])
        forecast, naive = path[number, 0], store.history[number, [-1, -store.season]]
        start = time.perf_counter()
        forecaster.take(number, series.part(step, step + 1))
        path = forecaster.values()
        seconds = time.perf_counter() - start
        actual, last, seasonal = float(series.y[step]), float(naive[0]), float(naive[1])
        yield Moment(series.name, ds, actual, forecast, path[number], last, seasonal, seconds)


def errors_of(moments: list[Moment]) -> dict[str, float]:
    """Mean absolute one-step errors of the forecasts and of the simple ones."""
    y = np.array([moment.y for moment in moments])
    forecasts = {
        "forecast": np.array([moment.forecast[0] for moment in moments]),
        "last value": np.array([moment.last_value for moment in moments]),
        "seasonal naive": np.array([moment.seasonal_naive for moment in moments]),
    }
    return {name: float(np.abs(y - values).mean()) for name, values in forecasts.items()}
