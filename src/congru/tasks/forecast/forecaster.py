"""The forecaster: train, load, predict, cross-validate, explain, draw, save. NumPy only; training alone loads torch.

What it holds stands in trained.py, how it goes on from new rows in updating.py, the habits of scikit-learn in estimator.py.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from congru.data.long_table import LongTable
from congru.data.table import make_table
from congru.errors import ModelFolderError, SettingsError
from congru.runtime.answer import ANSWER, Answer
from congru.runtime.folder import save_again
from congru.runtime.model import Model
from congru.tasks.forecast import plot
from congru.tasks.forecast.outputs import answer, reply
from congru.tasks.forecast.quantiles import bounded, quantile_at
from congru.tasks.forecast.refit import cross_validate
from congru.tasks.forecast.settings import Settings
from congru.tasks.forecast.updating import Updating
from congru.tasks.forecast.window import Array
from congru.tasks.loading import Number, fitting, load_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from typing_extensions import Unpack

    from congru.tasks.forecast.explanation import Explanation
    from congru.tasks.keywords import ForecastKeywords

Index = NDArray[np.int64]


class Forecaster(Updating):
    """Forecasts N series; made with settings and :meth:`fit`, or by :meth:`load` or :meth:`train`.

        f = Forecaster(horizon=24, levels=[80, 95]).fit(df)
        f.predict()                       # unique_id, ds, GRU, GRU-lo-80, GRU-hi-80, ...
        f.update(new_rows).predict()      # goes on from the new rows, without training
        Forecaster.load(f.save("model"))  # the same, anywhere, without torch

    Its settings are those of `congru train forecast`. `table` is the table it was trained on and `result` what training
    came to, where they are at hand; `report` holds the findings about the rows it read last.
    """

    @classmethod
    def train(cls, data: Any, **settings: Unpack[ForecastKeywords]) -> Forecaster:
        """Train on a long table, as `congru.tasks.forecast.train`, and stand after its last row.

        `forecaster.result` is what training came to. Raises :class:`SettingsError` with ``dry_run``, which leaves no
        model.
        """
        from congru.tasks.registry import TASKS

        result = TASKS["forecast"].train(data, settings=settings)
        if result.folder is None:
            raise SettingsError(
                "dry_run is True, expected False: a forecaster is asked for; use congru train --dry-run"
            )
        forecaster = cls.load(result)
        forecaster.result = result
        forecaster.table = forecaster.read_rows(data)
        return forecaster

    @classmethod
    def load(cls, path: str | os.PathLike[str], weight_dtype: str = "float32") -> Forecaster:
        """Load a model folder, or the run folder or result that holds one; `weight_dtype` as in `congru.load`.

        Raises :class:`ModelFolderError` for a folder that is not whole, a model of another task, or one that does not
        forecast what it did in training.
        """
        return cls.of(load_model(path, "forecast", reply, weight_dtype))

    @classmethod
    @fitting(calibration=list, season=Number(1, 1e6, whole=True))
    def of(cls, model: Model, table: LongTable | None = None) -> Forecaster:
        """The forecaster of a loaded model."""
        forecaster = cls()
        forecaster._take_over(model)
        known = {
            name: value for name, value in forecaster.store.settings.items() if name in Settings.model_fields
        }
        forecaster.params, forecaster.table = known, table
        return forecaster

    # Forecasting

    def predict(
        self,
        future: Any = None,
        *,
        data: Any = None,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
    ) -> Any:
        """The next `horizon` steps of every series, as a table of the kind and types it was trained on.

        Columns: those of the training table that name series and time, then the forecast and its intervals,
        for example `GRU, GRU-lo-80, GRU-hi-80`. `future`: where the training table had columns known ahead, a
        table with series, time and these columns for the next steps. `data`: forecast the series of this table after
        its last rows instead, series that training has not seen among them; the forecaster stays as it is. `horizon`:
        fewer steps than it was trained for. `levels`: these intervals instead of those it was trained with; where it
        was not trained with one, from the errors on the validation part. Raises :class:`DataError` where `future`
        lacks a step.
        """
        names, times, values = self.predict_arrays(future, data=data, horizon=horizon, levels=levels)
        forecasts = values.reshape(-1, values.shape[-1])
        columns = dict(zip(self.columns_of(self._levels(levels)), forecasts.T))
        return make_table(self._columns(names, times, columns), self.store.kind)

    def predict_arrays(
        self,
        future: Any = None,
        *,
        data: Any = None,
        horizon: int | None = None,
        levels: Sequence[float] | None = None,
    ) -> tuple[list[Any], NDArray[Any], Array]:
        """The name of the series and the time of each forecast step [N h], and the forecasts [N, h, 1 + 2 levels]."""
        wanted = self._levels(levels)
        steps = self.window.horizon if horizon is None else horizon
        if not 1 <= steps <= self.window.horizon:
            raise SettingsError(
                f"horizon is {horizon}, expected 1 to {self.window.horizon}: train with a longer --horizon"
            )
        source = self if data is None else self.after(data)
        chosen = source._all if data is None else source._numbers(source.read_rows(data))
        values = source.with_levels(source.values(future), wanted)[chosen, :steps]
        store = source.store
        times = [store.times(n, store.length[n] + np.arange(steps)) for n in chosen]
        return [store.names[n] for n in chosen for _ in range(steps)], np.concatenate(times), values

    def _levels(self, levels: Sequence[float] | None) -> list[float]:
        """The levels in force, checked."""
        wanted: list[float] = sorted(set(self.window.levels if levels is None else levels))
        for level in wanted:
            if not 0 < level < 100:
                raise SettingsError(
                    f"levels holds {level}, expected more than 0 and less than 100 (per cent)"
                )
            if level not in self.window.levels and self.store.errors is None:
                raise SettingsError(
                    f"levels holds {level}, expected one of {list(self.window.levels)}: train anew with --levels {level:g}"
                )
        return wanted

    def with_levels(self, values: Array, levels: Sequence[float]) -> Array:
        """Forecasts [N, h, 1 + 2 levels] of every series with the intervals of other levels.

        One that training did not know is as much wider than its errors as the nearest known one has become.
        """
        own, parts = [float(level) for level in self.window.levels], [values[..., 0]]
        unit = np.where(self.store.units.flat, 0.0, self.store.units.unit)[:, None]
        for level in levels:
            if level in own:
                index = 1 + 2 * own.index(level)
                parts += [values[..., index], values[..., index + 1]]
                continue
            assert self.store.errors is not None
            width = unit * quantile_at(self.store.errors, level) * self._factors(level)
            parts += [values[..., 0] - width, values[..., 0] + width]
        return bounded(np.stack(parts, -1), self.store.minimum)

    def _factors(self, level: float) -> Array:
        """What every series [N, h] has taught about intervals of a level."""
        everyone, levels = range(len(self.store.names)), self.window.levels
        if self._intervals is None:
            return np.ones((len(everyone), self.window.horizon))
        nearest = int(np.argmin([abs(level - own) for own in levels]))
        return np.stack([self._intervals.factors(number)[:, nearest] for number in everyone])

    def cross_validation(
        self, data: Any = None, *, windows: int = 1, step_size: int | None = None, refit: bool = False
    ) -> Any:
        """Forecasts from `windows` past moments, `step_size` apart (default: the horizon), the last one
        ending with the data.

        `data` is a table as for training, of which the newest rows are enough; default: the training table itself,
        where the forecaster comes from training. Where all windows lie behind the rows that training used, this
        forecaster makes them; else one is trained anew, with the same settings, on the rows before the first window.
        `refit` trains anew before every window. Columns: series, time, `cutoff` (the last step known), `y`, then the
        forecasts.
        """
        return cross_validate(self, data, windows, step_size, refit)

    def explain(
        self, series: Any = None, step: int = 1, *, future: Any = None, unit: str = ""
    ) -> Explanation:
        """What the forecast of a series stands on, `step` steps ahead: an exact sum, in dates and in the unit of the series.

        `series` by name; default: the first. `future` as in :meth:`predict`, `unit` behind the values. Printed, the result
        is a sentence: "Tue 1 Dec: 6.2. ... stands to 80 % on the last 2 days of 32". Raises :class:`SettingsError` for an
        unknown series or step, :class:`CongruError` for a cell without a keep gate.
        """
        from congru.tasks.forecast.explanation import explain

        return explain(self, series, step, future=future, unit=unit)

    # Folder and pictures

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write a model folder that goes on from here: weights, units and the last values of every series."""
        model = self.model
        self.keep_state(self.store)
        if not (model.folder / "golden.safetensors").exists():
            raise ModelFolderError(
                f"{model.folder} is gone, expected the folder the model came from: keep it until saved"
            )
        answered = Answer({}, answer(model, self.store)).to_bytes()
        config = {**model.task_config, **self.store.config()}
        save_again(model, folder, {**model.files, **self.store.files(), ANSWER: answered}, task_config=config)
        return Path(folder)

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        series: Sequence[Any] | None = None,
        future: Any = None,
    ) -> Figure:
        """The last values and the forecast with its intervals, up to six series; written to `path` where given.

        `series` by name; default: the first six. `future` as in :meth:`predict`. Raises :class:`SettingsError` for an
        unknown series.
        """
        store = self.store
        chosen = list(series) if series is not None else store.names[: plot.MOST]
        for name in chosen:
            if name not in store.names:
                raise SettingsError(
                    f"series holds {name!r}, expected one of {len(store.names)} known: see store.names"
                )
        values = self.values(future)
        curves = [plot.curve(store, number, values[number]) for number in map(store.names.index, chosen)]
        figure = plot.draw(curves, self.name, self.window.levels)
        if path is not None:
            plot.save(figure, path, f"Forecast of the {self.name}")
        return figure
