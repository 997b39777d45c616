"""A forecaster beside a stream: forecast, see the actual value, go on; the errors beside simple forecasts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.long_table import LongTable
from congru.errors import SettingsError
from congru.tasks.forecast.forecaster import Forecaster
from congru.tasks.forecast.history import steps_of
from congru.tasks.forecast.quantiles import quantile_at
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
    anomaly: bool = False
    """Whether the value lies outside the interval asked for."""


def stream(
    forecaster: Forecaster, new_rows: Any, *, future: Any = None, anomalies: float | None = None
) -> Iterator[Moment]:
    """Give the forecaster the rows of a table one by one, in order of time; a :class:`Moment` for each.

    `new_rows` is a table as for `update`; the forecaster goes on with each row and is at its end afterwards. Columns
    known ahead are read from the rows that follow, then from `future`; behind the last known row they are taken as it
    says. `anomalies`: a share such as 0.99; a value outside the interval that held so many of the validation errors one
    step ahead is marked.

        errors = [abs(moment.y - moment.forecast[0]) for moment in stream(f, last_month)]
    """
    limits = _limits(forecaster, anomalies)
    store = forecaster.store
    table = forecaster.read_rows(new_rows)
    numbers, report = forecaster.numbers(table), forecaster.report
    ahead = _KnownAhead(forecaster, table, future)
    order = sorted(
        (
            (series.ds[step], row, step)
            for row, series in enumerate(table.series)
            for step in np.flatnonzero(_is_new(forecaster, int(numbers[row]), series)).tolist()
        ),
        key=lambda row: (row[0], row[1]),
    )
    skipped = sum(len(series) for series in table.series) - len(order)
    report.add("rows already known or missing left out", skipped, "of the stream")
    path = ahead.values()
    for ds, row, step in order:
        series, number = table.series[row], int(numbers[row])
        forecast, naive = path[number, 0], store.history[number, [-1, -store.season]]
        start = time.perf_counter()
        forecaster.take(number, series.part(step, step + 1), ahead.after(number))
        path = ahead.values()
        seconds = time.perf_counter() - start
        actual, last, seasonal = float(series.y[step]), float(naive[0]), float(naive[1])
        odd = limits is not None and abs(actual - float(forecast[0])) > limits[number]
        yield Moment(series.name, ds, actual, forecast, path[number], last, seasonal, seconds, odd)


def _is_new(forecaster: Forecaster, number: int, series: Any) -> NDArray[np.bool_]:
    steps, _ = steps_of(forecaster.store, number, series)
    return np.asarray(series.observed & (steps >= forecaster.store.length[number]))


def _limits(forecaster: Forecaster, anomalies: float | None) -> Array | None:
    """How far a value of each series [N] may lie from its forecast one step ahead."""
    if anomalies is None:
        return None
    if not 0 < anomalies < 1:
        raise SettingsError(
            f"anomalies is {anomalies}, expected more than 0 and less than 1: 0.99 marks one in a hundred"
        )
    store = forecaster.store
    if store.errors is None:
        raise SettingsError(
            "anomalies is given, but the model was saved by an earlier version without its usual errors: train it anew"
        )
    unit = np.where(store.units.flat, 0.0, store.units.unit)
    return np.asarray(unit * quantile_at(store.errors[:1], 100 * anomalies)[0])


class _KnownAhead:
    """What a table, and a further one, say about the columns that are known ahead."""

    def __init__(self, forecaster: Forecaster, table: LongTable, future: Any) -> None:
        self.forecaster = forecaster
        self.rows: dict[int, dict[int, Array]] = {}
        self.named = len(forecaster.store.known) - len(forecaster.store.columns.holidays)
        if not self.named:
            if future is not None:
                raise SettingsError("future is a table, expected None: the model has no columns known ahead")
            return
        tables = [table] if future is None else [table, forecaster.read_rows(future, target=False)]
        for part in tables:
            for number, series in zip(forecaster.numbers(part), part.series):
                steps, _ = steps_of(forecaster.store, int(number), series)
                own = self.rows.setdefault(int(number), {})
                own.update(zip(steps.tolist(), series.known))

    def values(self) -> Array:
        """The forecasts of every series from where it stands."""
        if not self.named:
            return self.forecaster.values()
        everyone = range(len(self.forecaster.store.names))
        return self.forecaster.values_with(np.stack([self._rows(number, 0) for number in everyone]))

    def after(self, number: int) -> Array | None:
        """The known columns [h, K] behind the next row of a series; None where the model has none."""
        return self._rows(number, 1) if self.named else None

    def _rows(self, number: int, skipped: int) -> Array:
        """The known columns [h, K] of a series, from so many steps after where it stands."""
        store, own = self.forecaster.store, self.rows.get(number, {})
        last, rows = store.known_history[number, -1], []
        for step in range(skipped + self.forecaster.window.horizon):
            last = own.get(int(store.length[number]) + step, last)
            rows.append(last)
        return np.stack(rows[skipped:])


def errors_of(moments: list[Moment]) -> dict[str, float]:
    """Mean absolute one-step errors of the forecasts and of the simple ones."""
    y = np.array([moment.y for moment in moments])
    forecasts = {
        "forecast": np.array([moment.forecast[0] for moment in moments]),
        "last value": np.array([moment.last_value for moment in moments]),
        "seasonal naive": np.array([moment.seasonal_naive for moment in moments]),
    }
    return {name: float(np.abs(y - values).mean()) for name, values in forecasts.items()}
