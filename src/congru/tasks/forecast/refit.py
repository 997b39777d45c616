"""Cross-validation: forecasts from past moments, by this forecaster or by ones that are trained on the rows before.

A forecaster here is a :class:`congru.tasks.forecast.Forecaster`, whose file imports this one.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.long_table import LongTable
from congru.data.table import make_table
from congru.errors import SettingsError
from congru.tasks.forecast import rolling
from congru.tasks.forecast.history import numbers_of
from congru.tasks.forecast.rolling import Rolling
from congru.tasks.forecast.window import Array

Index = NDArray[np.int64]


def cross_validate(forecaster: Any, data: Any, windows: int, step_size: int | None, refit: bool) -> Any:
    """The table of :meth:`Forecaster.cross_validation`."""
    horizon, store = forecaster.window.horizon, forecaster.store
    step = horizon if step_size is None else step_size
    if windows < 1 or step < 1:
        raise SettingsError(f"windows is {windows} and step_size {step}, expected at least 1: raise them")
    own = forecaster.rolling(data)
    series, cutoff = rolling.cutoffs(own.panel.lengths, horizon, windows, step)
    first = rolling.first_cutoffs(store, own.table, own.numbers)
    if refit:
        forecast = _trained_anew(forecaster, own, series, cutoff)
    elif (cutoff >= first[series]).all():
        forecast = forecaster.windows(own.panel, series, cutoff)
    else:
        other = train_before(forecaster, own.table, series, cutoff)
        forecast = _windows_of(other, own.table, series, cutoff)
    return _table(forecaster, own, series, cutoff, forecast)


def _trained_anew(forecaster: Any, own: Rolling, series: Index, cutoff: Index) -> Array:
    """Forecasts of windows, each by a forecaster trained on the rows before all windows of its rank from the end."""
    rank = np.concatenate([np.arange((series == s).sum())[::-1] for s in np.unique(series)])
    forecast = np.zeros((len(series), forecaster.window.horizon, len(forecaster.columns)))
    for number in np.unique(rank)[::-1]:
        now = rank == number
        other = train_before(forecaster, own.table, series[now], cutoff[now])
        forecast[now] = _windows_of(other, own.table, series[now], cutoff[now])
    return forecast


def train_before(forecaster: Any, table: LongTable, series: Index, cutoff: Index) -> Any:
    """A forecaster with the same settings, trained on the rows before the first of some windows of each series.

    Raises :class:`SettingsError` or DataError where these rows are too few.
    """
    from congru.tasks.registry import TASKS

    first = {int(s): int(cutoff[series == s].min()) for s in np.unique(series)}
    before = replace(table, series=[table.series[s].part(0, end) for s, end in first.items()])
    settings = {
        "horizon": forecaster.window.horizon,
        "levels": list(forecaster.window.levels),
        **forecaster.store.settings,
        "test_size": 0,
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        settings.update(out=f"{folder}/run", quiet=True)
        return type(forecaster).load(TASKS["forecast"].train(before, settings=settings))


def _windows_of(other: Any, table: LongTable, series: Index, cutoff: Index) -> Array:
    forecast: Array = other.windows(
        Rolling.of(other.store, table, numbers_of(other.store, table)).panel, series, cutoff
    )
    return forecast


def _table(forecaster: Any, own: Rolling, series: Index, cutoff: Index, forecast: Array) -> Any:
    """Series, time, cutoff, y and forecasts as a table."""
    store, horizon = forecaster.store, forecaster.window.horizon
    table = own.table
    steps = cutoff[:, None] + np.arange(horizon)
    times = np.concatenate([table.series[s].ds[at] for s, at in zip(series, steps)])
    last = np.concatenate([np.repeat(table.series[s].ds[c - 1], horizon) for s, c in zip(series, cutoff)])
    names = [table.series[s].name for s in series for _ in range(horizon)]
    columns: dict[str, Any] = {}
    if not store.single:
        columns[store.columns.unique_id] = store.id_column(names)
    columns[store.columns.ds] = store.time_column(times)
    columns["cutoff"] = store.time_column(last)
    columns[store.columns.y] = own.panel.actual(series, cutoff).ravel()
    columns.update(zip(forecaster.columns, forecast.reshape(-1, forecast.shape[-1]).T))
    return make_table(columns, store.kind)
