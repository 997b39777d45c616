"""A trained forecaster: predict, update, cross-validate, save. NumPy only; training alone loads torch.

`update` costs the same whether a series has a hundred steps or a million: only its last values are kept. A
network that streams (segment 1, no known covariates) carries its recurrent state and takes one step per new
row; every other one reads its look-back again.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from congru.data.long_table import LongTable, Series, TableReport
from congru.data.row_checks import BadRows
from congru.data.table import make_table, read_table
from congru.errors import DataError, ModelFolderError, SettingsError
from congru.runtime.answer import ANSWER, Answer
from congru.runtime.folder import save_again
from congru.runtime.model import Model
from congru.tasks.forecast import history, plot
from congru.tasks.forecast.estimator import Estimator
from congru.tasks.forecast.future import known_ahead
from congru.tasks.forecast.history import UNSEEN
from congru.tasks.forecast.outputs import answer, forecasts_of, outputs, reply
from congru.tasks.forecast.panel import Panel
from congru.tasks.forecast.quantiles import bounded, quantile_at
from congru.tasks.forecast.refit import cross_validate
from congru.tasks.forecast.rolling import Rolling
from congru.tasks.forecast.sessions import SeriesSessions
from congru.tasks.forecast.settings import Settings
from congru.tasks.forecast.store import SeriesStore
from congru.tasks.forecast.window import Array, Window
from congru.tasks.loading import Number, fitting, load_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from typing_extensions import Unpack

    from congru.tasks.forecast.explanation import Explanation
    from congru.tasks.keywords import ForecastKeywords
    from congru.train.summary import RunResult

Index = NDArray[np.int64]

_CHUNK = 2048  # windows per pass
_NAMES = {"gru": "GRU", "lstm": "LSTM", "rnn": "RNN", "mingru": "MinGRU"}


class Forecaster(Estimator):
    """Forecasts N series; made with settings and :meth:`fit`, or by :meth:`load` or :meth:`train`.

        f = Forecaster(horizon=24, levels=[80, 95]).fit(df)
        f.predict()                       # unique_id, ds, GRU, GRU-lo-80, GRU-hi-80, ...
        f.update(new_rows).predict()      # goes on from the new rows, without training
        Forecaster.load(f.save("model"))  # the same, anywhere, without torch

    Its settings are those of `congru train forecast`. `table` is the table it was trained on and `result` what training
    came to, where they are at hand; `report` holds the findings about the rows it read last.
    """

    def __init__(self, **settings: Unpack[ForecastKeywords]) -> None:
        super().__init__(**settings)
        self._model: Model | None = None
        self._store: SeriesStore | None = None
        self.table: LongTable | None = None
        self.result: RunResult | None = None
        self.report = TableReport()
        self.name = ""
        self.calibration: list[float] = []
        self._sessions: SeriesSessions | None = None

    @property
    def fitted(self) -> bool:
        """Whether it has learned, or was loaded."""
        return self._model is not None

    @property
    def model(self) -> Model:
        """The trained model. Raises :class:`SettingsError` before `fit`."""
        if self._model is None:
            raise SettingsError(
                "the forecaster has not learned, expected a trained one: call fit(data) first"
            )
        return self._model

    @property
    def store(self) -> SeriesStore:
        """What it keeps of every series. Raises :class:`SettingsError` before `fit`."""
        if self._store is None:
            raise SettingsError(
                "the forecaster has not learned, expected a trained one: call fit(data) first"
            )
        return self._store

    def stand(self, folder: Path, data: Any = None) -> None:
        """Become the model of a folder, after the last row of `data` where it is at hand."""
        self._take_over(load_model(folder, "forecast", reply))
        if data is not None:
            self.table = self.read_rows(data)

    def _take_over(self, model: Model, store: SeriesStore | None = None) -> None:
        self._model = model
        self._store = store or SeriesStore.read(model.task_config, model.files, str(model.folder))
        self.table, self._sessions = None, None
        self.name = _NAMES[model.cell]
        self.calibration = [float(f) for f in model.task_config["calibration"]]
        if self.window.streaming and not self.window.num_known:
            self._sessions = SeriesSessions(model, self._store)

    def _standing(self) -> str:
        if not self.fitted:
            return ""
        store = self.store
        last = store.show(store.times(0, store.length[:1] - 1)[0])
        return f", {len(store.names)} series, the first up to {last}, {store.window.horizon} steps ahead"

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

    @property
    def window(self) -> Window:
        """The sizes of its windows."""
        return self.store.window

    @property
    def columns(self) -> list[str]:
        """The names of its forecast columns, as :meth:`values` orders them."""
        return self.columns_of(self.window.levels)

    def columns_of(self, levels: Sequence[float]) -> list[str]:
        """The names of the forecast columns with intervals of some levels."""
        ends = [f"-{side}-{level:g}" for level in levels for side in ("lo", "hi")]
        return [self.name, *(self.name + end for end in ends)]

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

    def values(self, future: Any = None) -> Array:
        """The forecasts [N, h, 1 + 2 levels] as an array: median, then lo and hi of each level."""
        return self.values_with(known_ahead(self, future))

    def values_with(self, known: Array | None) -> Array:
        """:meth:`values` with the known covariates ahead [N, h, K] as an array."""
        panel = self.store.panel(known)
        cutoff = np.full(len(self._all), self.store.history.shape[1])
        if self._sessions is not None:
            return self.forecasts_of(panel, self._all, cutoff, self._sessions.out)
        return self._forecast(panel, self._all, cutoff)

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
        """Forecasts [N, h, 1 + 2 levels] of every series with the intervals of other levels."""
        own, parts = [float(level) for level in self.window.levels], [values[..., 0]]
        unit = np.where(self.store.units.flat, 0.0, self.store.units.unit)[:, None]
        for level in levels:
            if level in own:
                index = 1 + 2 * own.index(level)
                parts += [values[..., index], values[..., index + 1]]
                continue
            assert self.store.errors is not None
            width = unit * quantile_at(self.store.errors, level)
            parts += [values[..., 0] - width, values[..., 0] + width]
        return bounded(np.stack(parts, -1), self.store.minimum)

    def _forecast(self, panel: Panel, series: Index, cutoff: Index) -> Array:
        out = outputs(self.model, panel.inputs(series, cutoff), self.window)
        return self.forecasts_of(panel, series, cutoff, out)

    def forecasts_of(self, panel: Panel, series: Index, cutoff: Index, out: NDArray[np.float32]) -> Array:
        """Forecasts [B, h, 1 + 2 levels] from the networks' outputs [E, B, O] at these cutoffs; of one network [B, O]."""
        outs = out if out.ndim == 3 else out[None]
        return forecasts_of(outs, self.store, panel, (series, cutoff), self.calibration)

    def windows(self, panel: Panel, series: Index, cutoff: Index) -> Array:
        """Forecasts [B, h, 1 + 2 levels] of any windows of a panel."""
        parts = [
            self._forecast(panel, series[k : k + _CHUNK], cutoff[k : k + _CHUNK])
            for k in range(0, len(series), _CHUNK)
        ]
        return np.concatenate(parts)

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

    def panel_of(self, data: Any = None) -> tuple[Panel, LongTable]:
        """The windows over a table, in the units of training; and the table, after the history that is held."""
        own = self.rolling(data)
        return own.panel, own.table

    def rolling(self, data: Any = None) -> Rolling:
        """The windows over a table: the training table where it is at hand, or `data` after the history that is held."""
        store = self.store
        if data is None and self.table is None:
            raise SettingsError(
                "data is None, expected a table: the forecaster was loaded without its training rows"
            )
        if data is None:
            assert self.table is not None
            return Rolling.of(store, self.table, self._numbers(self.table))
        table = data if isinstance(data, LongTable) else self.read_rows(data)
        numbers = self._numbers(table)
        return Rolling.of(store, history.joined(store, table, numbers), numbers)

    # Going on with new rows

    def update(self, new_rows: Any, *, bad_rows: BadRows | None = None) -> Forecaster:
        """Go on from new rows (a table as for training); returns itself.

        Rows that are known already are left out, missing steps take the value before them, a series that training has
        not seen is added: `report` holds the findings. The cost depends on the number of new rows only. Raises
        :class:`DataError` for rows that cannot be used; then nothing has changed.
        """
        table = self.read_rows(new_rows, bad_rows)
        self.take_table(table)
        return self

    def take_table(self, table: LongTable) -> None:
        """Go on from the new steps of a table that has been read."""
        numbers, report = self._numbers(table), self.report
        new = {
            index: history.new_steps(self.store, int(number), series, report)
            for index, (number, series) in enumerate(zip(numbers, table.series))
            if number != UNSEEN
        }
        added = [series for number, series in zip(numbers, table.series) if number == UNSEEN]
        if added:
            report.add("series not seen in training, added", len(added), f"series {added[0].name!r}")
            fresh = self.store.add(added)
            if self._sessions is not None:
                self._sessions.add(fresh)
        for index, steps in new.items():
            self._push(int(numbers[index]), steps)
        self.store.format = table.format

    def take(self, number: int, series: Series) -> None:
        """Go on from new steps of series `number`; :meth:`update` without the reading of a table."""
        self._push(number, history.new_steps(self.store, number, series, TableReport()))

    def after(self, data: Any) -> Forecaster:
        """A forecaster like this one that has gone on from the rows of a table."""
        return self.copy().update(data)

    def copy(self) -> Forecaster:
        """A forecaster that stands where this one does, and goes its own way from here."""
        store = copy.deepcopy(self.store)
        store.state = self._sessions.state() if self._sessions is not None else {}
        other = type(self)(**self.params)
        other._take_over(self.model, store)
        other.table, other.result, other.calibration = self.table, self.result, list(self.calibration)
        return other

    def standing_by_windows(self) -> Forecaster:
        """A copy that reads the look-back of a series anew for every forecast: quickest for many series at once."""
        other = self.copy()
        other._sessions = None
        return other

    def forecasts_after(self, rows: LongTable) -> tuple[list[Any], NDArray[Any], Array]:
        """As :meth:`predict_arrays`, of the series of rows that were taken in."""
        chosen, store = self._numbers(rows), self.store
        steps = np.arange(self.window.horizon)
        times = [store.times(n, store.length[n] + steps) for n in chosen]
        names = [store.names[n] for n in chosen for _ in steps]
        return names, np.concatenate(times), self.values()[chosen]

    def as_columns(
        self, names: Sequence[Any], times: NDArray[Any], values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Columns of a table of forecasts: series and time as training had them, then the values."""
        return self._columns(names, times, values)

    def _push(self, number: int, steps: history.NewSteps) -> None:
        for y, observed, known, past in zip(steps.y, steps.observed, steps.known, steps.past):
            self.store.push(number, float(y), bool(observed), known, past)
            if self._sessions is not None:
                self._sessions.step(number)

    # Folder and pictures

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write a model folder that goes on from here: weights, units and the last values of every series."""
        model = self.model
        self.store.state = self._sessions.state() if self._sessions is not None else {}
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

    # Tables in and out

    @property
    def _all(self) -> Index:
        return np.arange(len(self.store.names))

    def read_rows(self, data: Any, bad_rows: BadRows | None = None, *, target: bool = True) -> LongTable:
        """A table with the columns, the roles and the step of training; bad rows are treated as there by default."""
        store = self.store
        bad_rows = bad_rows or store.settings.get("bad_rows", "error")
        table = read_table(
            data,
            columns=store.columns,
            freq=store.frequency,
            bad_rows=bad_rows,
            target=target,
            date_format=str(store.settings.get("date_format", "")),
            like=store.format,
            categories=store.categories,
        )
        history.check_columns(store, table)
        self.report = table.report
        return table

    def _numbers(self, table: LongTable) -> Index:
        """The number of each series of a table among those it knows, UNSEEN for a new one."""
        if table is self.table:
            return np.arange(len(table.series))
        return history.numbers_of(self.store, table)

    def numbers(self, table: LongTable) -> Index:
        """The number of each series of a table among those it knows.

        Raises :class:`DataError` for a series that it does not know.
        """
        numbers = self._numbers(table)
        for number, series in zip(numbers, table.series):
            if number == UNSEEN:
                known = self.store.names
                raise DataError(
                    f"series {series.name!r} is unknown to the model, expected one of its {len(known)}"
                    f" ({', '.join(map(str, known[:3]))}, ...): leave it out, or update the model with its rows"
                )
        return numbers

    def _columns(
        self, names: Sequence[Any], times: NDArray[Any], values: Mapping[str, Any]
    ) -> dict[str, Any]:
        store = self.store
        columns: dict[str, Any] = {}
        if not store.single:
            columns[store.columns.unique_id] = store.id_column(names)
        columns[store.columns.ds] = store.time_column(times)
        return {**columns, **values}
