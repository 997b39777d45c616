"""A trained forecaster: predict, update, cross-validate, save. NumPy only; `Forecaster.train` alone loads torch.

`update` costs the same whether a series has a hundred steps or a million: only its last values are kept. A
network that streams (segment 1, no known covariates) carries its recurrent state and takes one step per new
row; every other one reads its look-back again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from congru.data.table import BadRows, LongTable, Series, make_table, read_table, show_time
from congru.errors import DataError, ModelFolderError, SettingsError
from congru.runtime.answer import ANSWER, Answer, Arrays
from congru.runtime.folder import save_again
from congru.runtime.model import Model
from congru.runtime.session import Session
from congru.tasks.forecast import plot, rolling
from congru.tasks.forecast.panel import Panel
from congru.tasks.forecast.quantiles import calibrate
from congru.tasks.forecast.store import NUM_ANSWERS, SeriesStore
from congru.tasks.forecast.window import Array, Window, decode
from congru.tasks.loading import check_task, load_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from congru.train.summary import RunResult

Index = NDArray[np.int64]

_CHUNK = 2048  # windows per pass
_NAMES = {"gru": "GRU", "lstm": "LSTM", "rnn": "RNN", "mingru": "MinGRU"}


class Forecaster:
    """Forecasts N series; made by :meth:`load` or :meth:`train`.

        f = Forecaster.load("runs/forecast-1/model")
        f.predict()                       # unique_id, ds, GRU, GRU-lo-80, GRU-hi-80
        f.update(new_rows).predict()      # goes on from the new rows, without training

    `table` is the table it was trained on and `result` what training came to, where they are at hand.
    """

    def __init__(self, model: Model, store: SeriesStore, table: LongTable | None = None) -> None:
        self.model, self.store, self.table = model, store, table
        self.result: RunResult | None = None
        self.name = _NAMES[model.cell]
        self.calibration: list[float] = [float(f) for f in model.task_config["calibration"]]
        self._sessions: list[Session] = []
        self._out: NDArray[np.float32] | None = None
        if self.window.streaming and not self.window.num_known:
            self._start_sessions()

    @classmethod
    def train(cls, data: Any, *, bad_rows: BadRows = "error", **settings: object) -> Forecaster:
        """Train on a long table, as `congru.tasks.forecast.train`, and stand after its last row.

        `forecaster.result` is what training came to. Raises :class:`SettingsError` with ``dry_run``, which leaves no
        model.
        """
        from congru.tasks.registry import TASKS

        result = TASKS["forecast"].train(data, settings={"bad_rows": bad_rows, **settings})
        if result.folder is None:
            raise SettingsError(
                "dry_run is True, expected False: a forecaster is asked for; use congru train --dry-run"
            )
        forecaster = cls.load(result)
        forecaster.result, forecaster.table = result, forecaster.read_rows(data, bad_rows)
        return forecaster

    @classmethod
    def load(cls, path: str | os.PathLike[str], weight_dtype: str = "float32") -> Forecaster:
        """Load a model folder, or the run folder or result that holds one; `weight_dtype` as in `congru.load`.

        Raises :class:`ModelFolderError` for a folder that is not whole, a model of another task, or one that does not
        forecast what it did in training.
        """
        return cls.of(load_model(path, "forecast", reply, weight_dtype))

    @classmethod
    def of(cls, model: Model, table: LongTable | None = None) -> Forecaster:
        """The forecaster of a loaded model."""
        check_task(model, "forecast")
        return cls(model, SeriesStore.read(model.task_config, model.files, str(model.folder)), table)

    @property
    def window(self) -> Window:
        """The sizes of its windows."""
        return self.store.window

    @property
    def columns(self) -> list[str]:
        """The names of its forecast columns, as :meth:`values` orders them."""
        ends = [f"-{side}-{level}" for level in self.window.levels for side in ("lo", "hi")]
        return [self.name, *(self.name + end for end in ends)]

    # Forecasting

    def predict(self, future: Any = None) -> Any:
        """The next `horizon` steps of every series, as a table of the kind it was trained on.

        Columns: those of the training table that name series and time, then the forecast and its intervals,
        for example `GRU, GRU-lo-80, GRU-hi-80`. `future`: where the training table had further columns, a
        table with series, time and these columns for the next `horizon` steps. Raises :class:`DataError`
        where it lacks a step.
        """
        return make_table(self.predict_columns(future), self.store.kind)

    def predict_columns(self, future: Any = None) -> dict[str, Any]:
        """The columns of :meth:`predict` by name, without a table package."""
        values = self.values(future)
        times = [
            self.store.times(n, self.store.length[n] + np.arange(self.window.horizon)) for n in self._all
        ]
        names = np.repeat(self._all, self.window.horizon)
        forecasts = values.reshape(-1, values.shape[-1])
        return self._columns(names, np.concatenate(times), dict(zip(self.columns, forecasts.T)))

    def values(self, future: Any = None) -> Array:
        """The forecasts [N, h, 1 + 2 levels] as an array: median, then lo and hi of each level."""
        known = self._future(future)
        panel = self.store.panel(known)
        cutoff = np.full(len(self._all), self.store.history.shape[1])
        return self._forecast(panel, self._all, cutoff, self._out)

    def _forecast(
        self, panel: Panel, series: Index, cutoff: Index, out: NDArray[np.float32] | None = None
    ) -> Array:
        if out is None:
            answer, _ = self.model.run(panel.inputs(series, cutoff))
            out = answer[:, -1] if self.window.streaming else answer
        return self.forecasts_of(panel, series, cutoff, out)

    def forecasts_of(self, panel: Panel, series: Index, cutoff: Index, out: NDArray[np.float32]) -> Array:
        """Forecasts [B, h, 1 + 2 levels] from what the network said [B, O] at these cutoffs."""
        forecast = decode(out, panel.bases(series, cutoff), self.window)
        return panel.absolute(calibrate(forecast, self.calibration), series, cutoff)

    def windows(self, panel: Panel, series: Index, cutoff: Index) -> Array:
        """Forecasts [B, h, 1 + 2 levels] of any windows of a panel."""
        parts = [
            self._forecast(panel, series[k : k + _CHUNK], cutoff[k : k + _CHUNK])
            for k in range(0, len(series), _CHUNK)
        ]
        return np.concatenate(parts)

    def cross_validation(self, data: Any = None, *, windows: int = 1, step_size: int | None = None) -> Any:
        """Forecasts from `windows` past moments, `step_size` apart (default: the horizon), the last one
        ending with the data.

        The model is not refitted: a window must lie behind the rows that training used. `data` is a table
        as for training; default: the training table itself, where the forecaster comes from training.
        Columns: series, time, `cutoff` (the last step known), `y`, then the forecasts.
        """
        panel, table = self.panel_of(data)
        step = self.window.horizon if step_size is None else step_size
        if windows < 1 or step < 1:
            raise SettingsError(f"windows is {windows} and step_size {step}, expected at least 1: raise them")
        series, cutoff = rolling.cutoffs(self.store, table, self.numbers(table), windows, step)
        forecast = self.windows(panel, series, cutoff)
        actual = panel.actual(series, cutoff)
        steps = cutoff[:, None] + np.arange(self.window.horizon)
        times = np.concatenate([table.series[s].ds[at] for s, at in zip(series, steps)])
        last_known = np.concatenate(
            [np.repeat(table.series[s].ds[c - 1], len(steps[0])) for s, c in zip(series, cutoff)]
        )
        values = {"cutoff": last_known, self.store.columns.y: actual.ravel()}
        values.update(zip(self.columns, forecast.reshape(-1, forecast.shape[-1]).T))
        names = np.repeat(self.numbers(table)[series], self.window.horizon)
        return make_table(self._columns(names, times, values), self.store.kind)

    def panel_of(self, data: Any = None) -> tuple[Panel, LongTable]:
        """The windows over a table of known series, in the units of training; and the table as read."""
        if data is None and self.table is None:
            raise SettingsError(
                "data is None, expected a table: the forecaster was loaded without its training rows"
            )
        table = self.table if data is None else self.read_rows(data)
        assert table is not None
        return rolling.panel_of(self.store, table, self.numbers(table)), table

    # Going on with new rows

    def update(self, new_rows: Any, *, bad_rows: BadRows = "error") -> Forecaster:
        """Go on from new rows of known series (a table as for training); returns itself.

        Rows must lie after the last one of their series; steps between that are missing take the value
        before them. The cost depends on the number of new rows only. Raises :class:`DataError` for a series
        it does not know and for rows that are not new.
        """
        table = self.read_rows(new_rows, bad_rows)
        for number, series in zip(self.numbers(table), table.series):
            self._check_new(int(number), series)
        for number, series in zip(self.numbers(table), table.series):
            self.take(int(number), series)
        return self

    def take(self, number: int, series: Series) -> None:
        """Go on from new steps of series `number`; :meth:`update` without the reading of a table."""
        y, known = self._after(number, series)
        for value, inputs in zip(y, known):
            self.store.push(number, float(value), inputs)
            self._step(number)

    def _check_new(self, number: int, series: Series) -> int:
        """How many steps are missing before the first new row; an error where it is not new."""
        store = self.store
        steps, exact = store.frequency.position(series.ds[:1], store.start(number))
        first = int(steps[0]) - int(store.length[number])
        if first < 0 or not exact[0]:
            last = store.times(number, store.length[number : number + 1] - 1)[0]
            expected = "a later time" if first < 0 else f"whole steps of {store.frequency}"
            raise DataError(
                f"new row of series {series.name!r} is at {show_time(series.ds[0])}, expected {expected} after {show_time(last)}:"
                " pass only rows that are new"
            )
        return first

    def _after(self, number: int, series: Series) -> tuple[Array, Array]:
        """y [T] and known covariates [T, K] of every step since the last one, gaps filled."""
        store, first = self.store, self._check_new(number, series)
        y = np.r_[np.full(first, store.history[number, -1]), series.y]
        known = np.concatenate([np.repeat(store.known_history[number, -1:], first, 0), series.known])
        return y, known

    def _start_sessions(self) -> None:
        """A session per series: its look-back read once, or the state that was saved."""
        cutoff = np.full(len(self._all), self.store.history.shape[1])
        state = {name: value for name, value in self.store.state.items() if name != "out"}
        if state:
            self._out = self.store.state["out"].copy()
        else:
            answer, state = self.model.run(self.store.panel().inputs(self._all, cutoff))
            self._out = answer[:, -1].copy()
        for number in self._all:
            session = self.model.session()
            session.state = {name: value[:, number : number + 1] for name, value in state.items()}
            self._sessions.append(session)

    def _step(self, number: int) -> None:
        """One step of the network for a series that has a new value."""
        if self._out is not None:
            self._out[number] = self._sessions[number].step(self.step_features(number))

    def step_features(self, number: int) -> NDArray[np.float32]:
        """What a streaming network reads for the last step of a series, [F]."""
        cutoff = np.array([self.store.history.shape[1]])
        features: NDArray[np.float32] = self.store.last_step(number).inputs(np.array([0]), cutoff)[0, 0]
        return features

    # Folder and pictures

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write a model folder that goes on from here: weights, units and the last values of every series."""
        model = self.model
        if self._out is not None:
            states = [session.state for session in self._sessions]
            joined = {name: np.concatenate([state[name] for state in states], 1) for name in states[0]}
            self.store.state = {**joined, "out": self._out}
        if not (model.folder / "golden.safetensors").exists():
            raise ModelFolderError(
                f"{model.folder} is gone, expected the folder the model came from: keep it until saved"
            )
        answered = Answer({}, answer(model, self.store)).to_bytes()
        save_again(model, folder, {**model.files, **self.store.files(), ANSWER: answered})
        return Path(folder)

    def plot(
        self, path: str | os.PathLike[str] | None = None, *, series: Sequence[Any] | None = None
    ) -> Figure:
        """The last values and the forecast with its intervals, up to six series; written to `path` where given.

        `series` by name; default: the first six. Raises :class:`SettingsError` for an unknown series.
        """
        store, horizon = self.store, self.window.horizon
        chosen = list(series) if series is not None else store.names[: plot.MOST]
        for name in chosen:
            if name not in store.names:
                raise SettingsError(
                    f"series holds {name!r}, expected one of {len(store.names)} known: see store.names"
                )
        values = self.values()
        shown = min(store.history.shape[1], max(3 * horizon, 30))
        curves = []
        for number in map(store.names.index, chosen):
            curves.append(
                plot.Curve(
                    title=str(store.names[number]),
                    past_times=store.times(number, store.length[number] + np.arange(-shown, 0)),
                    past=store.history[number, -shown:],
                    times=store.times(number, store.length[number] + np.arange(horizon)),
                    forecast=values[number],
                )
            )
        figure = plot.draw(curves, self.name, self.window.levels)
        if path is not None:
            figure.savefig(path)
        return figure

    # Tables in and out

    @property
    def _all(self) -> Index:
        return np.arange(len(self.store.names))

    def read_rows(self, data: Any, bad_rows: BadRows = "error", *, target: bool = True) -> LongTable:
        """A table with the columns and the step of training."""
        freq = self.store.frequency
        table = read_table(data, columns=self.store.columns, freq=freq, bad_rows=bad_rows, target=target)
        if table.known != self.store.known:
            wanted = ", ".join(self.store.known) or "none"
            raise DataError(
                f"table has the known covariates {', '.join(table.known) or 'none'}, expected {wanted} as in"
                " training: pass the same columns"
            )
        return table

    def numbers(self, table: LongTable) -> Index:
        """The number of each series of a table among those it knows."""
        if table is self.table or self.store.single:
            return np.arange(len(table.series))
        known = {name: number for number, name in enumerate(self.store.names)}
        for series in table.series:
            if series.name not in known:
                raise DataError(
                    f"series {series.name!r} is unknown to the model, expected one of its {len(known)}"
                    f" ({', '.join(map(str, self.store.names[:3]))}, ...): leave it out or train anew"
                )
        return np.array([known[series.name] for series in table.series])

    def _future(self, future: Any) -> Array | None:
        """Known covariates [N, h, K] after the last step, or None where the model has none."""
        if not self.window.num_known:
            if future is not None:
                raise SettingsError("future is a table, expected None: the model has no known covariates")
            return None
        names = ", ".join(self.store.known)
        if future is None:
            raise SettingsError(
                f"future is None, expected a table with {names}: the model was trained with them"
            )
        table = self.read_rows(future, target=False)
        horizon = self.window.horizon
        result = np.full((len(self._all), horizon, self.window.num_known), np.nan)
        for number, series in zip(self.numbers(table), table.series):
            steps, _ = self.store.frequency.position(series.ds, self.store.start(number))
            ahead = steps - self.store.length[number]
            inside = (ahead >= 0) & (ahead < horizon) & series.observed
            result[number, ahead[inside]] = series.known[inside]
        missing = np.argwhere(np.isnan(result).any(-1))
        if len(missing):
            number, step = missing[0]
            first = show_time(self.store.times(number, self.store.length[number : number + 1] + step)[0])
            raise DataError(
                f"future lacks {names} of series {self.store.names[number]!r} at {first}, expected all"
                f" {horizon} steps: add the rows"
            )
        return result

    def _columns(self, numbers: Index, times: NDArray[Any], values: Mapping[str, Any]) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        if not self.store.single:
            columns[self.store.columns.unique_id] = [self.store.names[n] for n in numbers]
        columns[self.store.columns.ds] = times
        return {**columns, **values}


def answer(model: Model, store: SeriesStore) -> Arrays:
    """The calibrated forecasts of the first series of a store, from their last windows: what a model must repeat."""
    panel, series, cutoff = store.last_windows(NUM_ANSWERS)
    out, _ = model.run(panel.inputs(series, cutoff))
    last = out[:, -1] if store.window.streaming else out
    forecast = panel.absolute(decode(last, panel.bases(series, cutoff), store.window), series, cutoff)
    return {"forecast": calibrate(forecast, [float(factor) for factor in model.task_config["calibration"]])}


def reply(model: Model, inputs: Arrays) -> Arrays:
    """What a loaded model answers to the stored input, which is its own store."""
    return answer(model, SeriesStore.read(model.task_config, model.files, str(model.folder)))
