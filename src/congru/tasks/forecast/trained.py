"""What a trained forecaster holds and reads: its model, the last values of every series, tables, forecasts of windows.

NumPy only. A network that streams (segment 1, no known covariates) carries its recurrent state, see sessions.py; every other
one reads its look-back again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from congru.data.long_table import LongTable, TableReport
from congru.data.row_checks import BadRows
from congru.data.table import read_table
from congru.errors import DataError, SettingsError
from congru.runtime.model import Model
from congru.tasks.forecast import history
from congru.tasks.forecast.adaptive import AdaptiveIntervals
from congru.tasks.forecast.estimator import Estimator
from congru.tasks.forecast.future import known_ahead
from congru.tasks.forecast.history import UNSEEN
from congru.tasks.forecast.outputs import forecasts_of, outputs, reply
from congru.tasks.forecast.panel import Panel
from congru.tasks.forecast.quantiles import bounded
from congru.tasks.forecast.rolling import Rolling
from congru.tasks.forecast.sessions import SeriesSessions
from congru.tasks.forecast.store import SeriesStore
from congru.tasks.forecast.window import Array, Window
from congru.tasks.loading import load_model

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.keywords import ForecastKeywords
    from congru.train.summary import RunResult

Index = NDArray[np.int64]
Part = TypeVar("Part")

_CHUNK = 2048  # windows per pass
_NAMES = {"gru": "GRU", "lstm": "LSTM", "rnn": "RNN", "mingru": "MinGRU"}


class Trained(Estimator):
    """A model and where its series stand; what can be done with both stands in updating.py and forecaster.py."""

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
        self._intervals: AdaptiveIntervals | None = None

    @property
    def fitted(self) -> bool:
        """Whether it has learned, or was loaded."""
        return self._model is not None

    @property
    def model(self) -> Model:
        """The trained model. Raises :class:`SettingsError` before `fit`."""
        return _learned(self._model)

    @property
    def store(self) -> SeriesStore:
        """What it keeps of every series. Raises :class:`SettingsError` before `fit`."""
        return _learned(self._store)

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
        adaptive = self._store.settings.get("intervals", "adaptive") == "adaptive"
        self._intervals = (
            AdaptiveIntervals(self.window, self._store.intervals) if adaptive and self.window.levels else None
        )

    def _standing(self) -> str:
        if not self.fitted:
            return ""
        store = self.store
        last = store.show(store.times(0, store.length[:1] - 1)[0])
        return f", {len(store.names)} series, the first up to {last}, {store.window.horizon} steps ahead"

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

    # Forecasts of windows

    def values(self, future: Any = None) -> Array:
        """The forecasts [N, h, 1 + 2 levels] as an array: median, then lo and hi of each level."""
        return self.values_with(known_ahead(self, future))

    def values_with(self, known: Array | None) -> Array:
        """:meth:`values` with the known covariates ahead [N, h, K] as an array."""
        panel, everyone = self.store.panel(known), self._all
        cutoff = np.full(len(everyone), self.store.history.shape[1])
        if self._sessions is not None:
            return self.forecasts_of(panel, everyone, cutoff, self._sessions.out)
        return self.forecasts_of(panel, everyone, cutoff, self._outputs(panel, everyone, cutoff))

    def forecasts_of(self, panel: Panel, series: Index, cutoff: Index, out: NDArray[np.float32]) -> Array:
        """Forecasts [B, h, 1 + 2 levels] from the networks' outputs [E, B, O] at these cutoffs; of one network [B, O].

        `series` are numbers of the store; their intervals are as wide as what they have learned from new values says.
        """
        outs = out if out.ndim == 3 else out[None]
        forecast = self._calibrated(panel, series, cutoff, outs)
        if self._intervals is not None:
            forecast = self._intervals.widen(forecast, series)
        return bounded(forecast, self.store.minimum)

    def windows(self, panel: Panel, series: Index, cutoff: Index) -> Array:
        """Forecasts [B, h, 1 + 2 levels] of any windows of a panel, with the intervals that validation left."""
        return bounded(self.unbounded_windows(panel, series, cutoff), self.store.minimum)

    def unbounded_windows(self, panel: Panel, series: Index, cutoff: Index) -> Array:
        """:meth:`windows` before a minimum bounds them."""
        parts = []
        for k in range(0, len(series), _CHUNK):
            rows = series[k : k + _CHUNK], cutoff[k : k + _CHUNK]
            parts.append(self._calibrated(panel, *rows, self._outputs(panel, *rows)))
        return np.concatenate(parts)

    def _outputs(self, panel: Panel, series: Index, cutoff: Index) -> NDArray[np.float32]:
        return outputs(self.model, panel.inputs(series, cutoff), self.window)

    def _calibrated(self, panel: Panel, series: Index, cutoff: Index, outs: NDArray[np.float32]) -> Array:
        return forecasts_of(outs, self.store, panel, (series, cutoff), self.calibration)

    @property
    def learns_intervals(self) -> bool:
        """Whether intervals keep learning from new values."""
        return self._intervals is not None

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


def _learned(part: Part | None) -> Part:
    """A part of a trained forecaster."""
    if part is None:
        raise SettingsError("the forecaster has not learned, expected a trained one: call fit(data) first")
    return part
