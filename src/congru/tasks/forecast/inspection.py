"""How a series is shown in the report about the gates: its days with their values, and the forecast after each of them.

The shares are those of what the network adds to the simple forecast it starts from (`congru.tasks.forecast.window`), in the
unit of the series; with several lags the part of their mixture is counted as a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.gates.parts import has_parts, parts_of_steps
from congru.gates.predictions import MOST_STEPS
from congru.gates.reading import Choice, Prediction, Reading
from congru.gates.record import Record
from congru.runtime.model import Model
from congru.tasks.forecast.forecaster import Forecaster
from congru.tasks.forecast.use import series_of
from congru.tasks.forecast.wording import name_step, say, say_times, times_in_words

MOST_AHEAD = 7


def inspect_reading(model: Model, source: str | None = None, *, unit: str = "") -> Reading:
    """The last window of a series and its forecast, `unit` behind every value; see `inspect_inputs` for `source`."""
    forecaster = Forecaster.of(model)
    number = series_of(forecaster, source or "")
    store, window = forecaster.store, forecaster.window
    cutoff = np.array([store.history.shape[1]])
    x = store.panel(store.held_known()).inputs(np.array([number]), cutoff)
    values = store.history[number, -window.input_size :].reshape(window.num_steps, -1).mean(axis=1)
    step, plural = name_step(str(store.frequency), window.segment)
    per_day = window.num_outputs // window.horizon
    scale = np.ones(window.num_outputs)
    scale[::per_day] = store.units.unit[number]
    read, names = times_in_words(store, number)
    forecast = forecaster.values_with(store.held_known())[number, :, 0]
    shift = np.zeros(window.num_outputs)
    record_at_end = _StepForecasts(
        forecaster, number, unit, names, [float(value) for value in store.history[number]]
    )
    shift[::per_day] = forecast - record_at_end.added(x)
    return Reading(
        x,
        read,
        step=step,
        plural=plural,
        values=[say(value, unit) for value in values],
        outputs=_names(names, per_day, window.num_widths),
        scale=scale,
        shift=shift,
        predicts="The forecast",
        of=unit or "the value",
        target=0,
        about=(("series", str(store.names[number])),),
        predict=record_at_end.predict,
    )


class _StepForecasts:
    """The forecasts after every step of a record, in words."""

    def __init__(
        self, forecaster: Forecaster, number: int, unit: str, names: list[str], history: list[float]
    ) -> None:
        self.forecaster, self.number, self.unit = forecaster, number, unit
        self.names, self.history = names, history

    def added(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """What the network adds to the simple forecast of every step ahead at the end, [h]."""
        forecaster = self.forecaster
        out: Any = next(iter(forecaster.model.networks.values())).run(x)[0]
        last = np.asarray(out[0, -1] if forecaster.window.streaming else out[0], np.float64)
        part: NDArray[np.float64] = last.reshape(forecaster.window.horizon, -1)[:, 0]
        return part * float(forecaster.store.units.unit[self.number])

    def predict(self, record: Record) -> Sequence[Prediction]:
        """After each step the forecasts ahead, each with what every step gives to it."""
        forecaster, window, store = self.forecaster, self.forecaster.window, self.forecaster.store
        out = np.asarray(record.output)[0] if window.streaming else np.asarray(record.output)
        length = store.history.shape[1]
        cutoffs = np.arange(length - len(out) + 1, length + 1) if window.streaming else np.array([length])
        panel, series = store.panel(store.held_known()), np.full(len(out), self.number)
        values = forecaster.forecasts_of(panel, series, cutoffs, out.astype(np.float32))
        ahead = min(window.horizon, MOST_AHEAD)
        low, high = float(values[:, :ahead].min()), float(values[:, :ahead].max())
        shares = self._shares(record, ahead)
        predictions = []
        for k in range(max(0, len(out) - MOST_STEPS), len(out)):
            ends = store.length[self.number] - (len(out) - 1 - k) + np.arange(ahead)
            names = say_times(store.format.wall(store.times(self.number, ends)))
            choices = [
                Choice(
                    names[day],
                    self._value(values[k, day], int(cutoffs[k]) + day),
                    (float(values[k, day, 0]) - low) / max(high - low, 1e-9),
                    None if shares is None else shares[k][day],
                )
                for day in range(ahead)
            ]
            predictions.append(Prediction(int(record.lengths[0]) - len(out) + k, tuple(choices)))
        return predictions

    def _shares(self, record: Record, ahead: int) -> list[list[NDArray[np.float64]]] | None:
        """Shares [days ahead][steps so far] of each prediction; the read-out is in the unit of the series."""
        if record.readout is None or not has_parts(record):
            return None
        per_day = self.forecaster.window.num_outputs // self.forecaster.window.horizon
        rows = record.readout.weight[: ahead * per_day : per_day].astype(np.float64)
        every = [list((parts @ rows.T).T) for parts in parts_of_steps(record)]
        return every if self.forecaster.window.streaming else every[-1:]

    def _value(self, forecast: NDArray[np.float64], at: int) -> str:
        """The middle, the interval, and what came, where it is known."""
        text = say(forecast[0], self.unit)
        if len(forecast) > 2:
            text += f" ({say(forecast[1])} to {say(forecast[2])})"
        return f"{text}; it was {say(self.history[at])}" if at < len(self.history) else text


def _names(days: list[str], per_day: int, num_widths: int) -> list[str]:
    """The network's numbers in words: the middle of each day, its widths, and how it mixes the simple forecasts."""
    kinds = ["", *(f", width {k + 1} of its interval" for k in range(num_widths))]
    kinds += [f", weight of simple forecast {k + 1}" for k in range(per_day - 1 - num_widths)]
    return [f"{day}{kind}" for day in days for kind in kinds]
