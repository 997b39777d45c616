"""Forecast models: the window of a series in the explorer, and the fan from any moment of a series or of a pasted table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from congru.errors import DataError, SettingsError
from congru.runtime.model import Model
from congru.serve.edits import Edited
from congru.serve.explorer import Explored
from congru.serve.library import Shelf
from congru.serve.protocol import ForecastBody, WhatIfBody
from congru.serve.source import Source
from congru.tasks.forecast.forecaster import Forecaster
from congru.tasks.forecast.inspection import inspect_reading
from congru.tasks.forecast.wording import name_step

PAST = 400  # values shown before the cut-off


class ForecastSubject:
    """The network's steps over the look-back of one series."""

    def source(self, shelf: Shelf, text: str | None) -> Source:
        """The last window of a series by name; without one of the first."""
        forecaster, number = find_series(shelf, text)
        store, window = forecaster.store, forecaster.window
        reading = inspect_reading(shelf.model(), str(store.names[number]))
        ends = store.length[number] - 1 - window.segment * np.arange(window.num_steps - 1, -1, -1)
        return Source(reading.x, store.format.texts(store.times(number, ends)), reading=reading)

    def outcome(self, explored: Explored, edited: Edited, body: WhatIfBody) -> dict[str, Any]:
        """The forecast with its intervals, in the user's units."""
        forecaster, number = find_series(explored.shelf, body.source)
        panel, series = forecaster.store.panel(), np.array([number])
        cutoff = np.array([forecaster.store.history.shape[1]])
        output = next(iter(edited.outputs.values()))
        last = output[-1:] if forecaster.window.streaming else np.reshape(output, (1, -1))
        values = forecaster.forecasts_of(panel, series, cutoff, np.asarray(last, np.float32))[0]
        times = forecaster.store.times(number, forecaster.store.length[number] + np.arange(len(values)))
        return {"kind": "curve", **_fan(forecaster, values), "times": forecaster.store.format.texts(times)}


def forecaster_of(shelf: Shelf) -> Forecaster:
    """The forecaster of a model, made once; nobody changes it."""
    return shelf.made("forecast", _make)


def _make(model: Model) -> Forecaster:
    forecaster = Forecaster.of(model)
    if forecaster.window.num_known:
        raise SettingsError("model has known covariates, expected one without: its future is not at hand")
    return forecaster


def find_series(shelf: Shelf, name: str | None) -> tuple[Forecaster, int]:
    """The forecaster and the number of a series. Raises :class:`DataError` for an unknown name."""
    forecaster = forecaster_of(shelf)
    names = [str(one) for one in forecaster.store.names]
    if not name:
        return forecaster, 0
    if name not in names:
        raise DataError(
            f"series is {name!r:.60}, expected one of {len(names)} ({', '.join(names[:3])}): choose one"
        )
    return forecaster, names.index(name)


def ask(shelf: Shelf, body: ForecastBody) -> dict[str, Any]:
    """Past, fan and, behind the cut-off, the truth: of a series as the model last saw it, or of a table that was pasted.

    Raises:
        DataError: a table that cannot be read, or a cut-off outside it.
    """
    forecaster, number = find_series(shelf, body.series if body.csv is None else None)
    store, horizon = forecaster.store, forecaster.window.horizon
    names = [str(one) for one in store.names]
    if body.csv is None:
        values = forecaster.values()[number]
        past = store.history[number, -PAST:]
        times = store.times(number, store.length[number] + np.arange(-len(past), horizon))
        truth = np.zeros(0)
        reach = None
        chosen = names[number]
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pasted.csv"
            path.write_text(body.csv, encoding="utf-8")
            panel, table = forecaster.panel_of(path)
        rows = [str(series.name) for series in table.series]
        row = rows.index(body.series) if body.series in rows else 0
        series = table.series[row]
        least, most = min(len(series), forecaster.window.memory), len(series)
        cutoff = min(max(body.cutoff if body.cutoff is not None else most - horizon, least), most)
        values = forecaster.windows(panel, np.array([row]), np.array([cutoff]))[0]
        past, truth = series.y[max(0, cutoff - PAST) : cutoff], series.y[cutoff : cutoff + horizon]
        steps = np.arange(cutoff - len(past), cutoff + horizon)
        if series.name in store.names:
            number = int(forecaster.numbers(table)[row])
            behind, _ = store.frequency.position(series.ds[:1], store.start(number))
            times = store.times(number, int(behind[0]) + steps)
        else:  # one that training has not seen counts from its own first row
            times = store.frequency.at(
                series.ds[0] if store.counted else series.ds[0].astype("datetime64[us]"), steps
            )
        reach, names, chosen = {"least": least, "most": most, "cutoff": cutoff}, rows, rows[row]
    season = store.season
    naive = [
        float(past[-season + (k % season)]) if season <= len(past) else float(past[-1])
        for k in range(horizon)
    ]
    return {
        "series": names[:500],
        "chosen": chosen,
        "horizon": horizon,
        "steps": name_step(str(store.frequency), 1)[int(horizon != 1)],
        "times": store.format.texts(times),
        "past": _plain(past),
        "truth": _plain(truth),
        "naive": naive,
        "reach": reach,
        "name": forecaster.name,
        **_fan(forecaster, values),
    }


def _fan(forecaster: Forecaster, values: Any) -> dict[str, Any]:
    """Median [h] and the ends of each interval."""
    levels = forecaster.window.levels
    bands = [
        {"level": level, "low": _plain(values[:, 1 + 2 * k]), "high": _plain(values[:, 2 + 2 * k])}
        for k, level in enumerate(levels)
    ]
    return {"median": _plain(values[:, 0]), "bands": bands}


def _plain(values: Any) -> list[float | None]:
    return [None if not np.isfinite(value) else float(f"{value:.7g}") for value in values]
