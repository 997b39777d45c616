"""Going on from new rows, at constant cost: only the last values of a series are kept.

A network that streams takes one step per new row; every other one reads its look-back when it forecasts. Where intervals
learn (adaptive.py), a forecast is made after every new row, and waits for its values.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from congru.data.long_table import LongTable, Series, TableReport
from congru.data.row_checks import BadRows
from congru.tasks.forecast import history
from congru.tasks.forecast.adaptive import AdaptiveIntervals
from congru.tasks.forecast.history import UNSEEN
from congru.tasks.forecast.panel import Panel
from congru.tasks.forecast.store import SeriesStore
from congru.tasks.forecast.trained import Trained
from congru.tasks.forecast.window import Array


class Updating(Trained):
    """A trained forecaster that takes in new rows."""

    def update(self, new_rows: Any, *, bad_rows: BadRows | None = None) -> Self:
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

    def take(self, number: int, series: Series, ahead: Array | None = None) -> None:
        """Go on from new steps of series `number`; :meth:`update` without the reading of a table.

        `ahead` [h, K]: known covariates after them; default: as they were last.
        """
        self._push(number, history.new_steps(self.store, number, series, TableReport()), ahead)

    def after(self, data: Any) -> Self:
        """A forecaster like this one that has gone on from the rows of a table."""
        return self.copy().update(data)

    def copy(self) -> Self:
        """A forecaster that stands where this one does, and goes its own way from here."""
        store = copy.deepcopy(self.store)
        self.keep_state(store)
        other = type(self)(**self.params)
        other._take_over(self.model, store)
        other.table, other.result, other.calibration = self.table, self.result, list(self.calibration)
        return other

    def adaptive(self) -> Self:
        """A copy whose intervals learn from new values, also where training was asked for static ones."""
        other = self.copy()
        other.store.settings = {**other.store.settings, "intervals": "adaptive"}
        if other._intervals is None and self.window.levels:
            other._intervals = AdaptiveIntervals(self.window)
        return other

    def static(self) -> Self:
        """A copy whose intervals stay as validation left them, whatever comes."""
        other = self.copy()
        other.store.settings, other.store.intervals = {**other.store.settings, "intervals": "static"}, {}
        other._intervals = None
        return other

    def keep_state(self, store: SeriesStore) -> None:
        """Put the state of the sessions, and what the intervals have learned, into a store."""
        store.state = self._sessions.state() if self._sessions is not None else {}
        if self._intervals is not None:
            store.intervals = self._intervals.state()

    def standing_by_windows(self) -> Self:
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

    def _push(self, number: int, steps: history.NewSteps, ahead: Array | None = None) -> None:
        learns, store, sessions = self._intervals is not None and len(steps.y) > 0, self.store, self._sessions
        outs = []
        if learns:
            panel, time = self._panel_after(number, steps, ahead), int(store.length[number])
        if learns and sessions is not None:
            outs.append(sessions.out[:, number].copy())
        for y, observed, known, past in zip(steps.y, steps.observed, steps.known, steps.past):
            store.push(number, float(y), bool(observed), known, past)
            if sessions is not None:
                sessions.step(number)
                if learns:
                    outs.append(sessions.out[:, number].copy())
        if learns:
            self._learn(number, steps, panel, time, np.stack(outs, 1) if outs else None)

    def _panel_after(self, number: int, steps: history.NewSteps, ahead: Array | None) -> Panel:
        """The windows of a series over what the store keeps of it and new steps."""
        store = self.store
        known = [store.known_history[number], steps.known, *([] if ahead is None else [ahead])]
        return store.series_panel(
            number,
            np.concatenate([store.history[number], steps.y]),
            np.concatenate(known),
            np.concatenate([store.past_history[number], steps.past]),
        )

    def _learn(
        self,
        number: int,
        steps: history.NewSteps,
        panel: Panel,
        time: int,
        outs: NDArray[np.float32] | None,
    ) -> None:
        """Judge the forecasts that waited for new steps, whose first is step `time`, and make those that wait for later ones.

        `outs` [E, 1 + T, O] of networks that stream, before the first new step and after each.
        """
        intervals, kept = self._intervals, self.store.history.shape[1]
        assert intervals is not None
        skipped = int(intervals.expects(number, time))  # made when the step before came
        cutoff = kept + np.arange(skipped, len(steps.y) + 1)
        series = np.zeros(len(cutoff), np.int64)
        if outs is None:
            forecasts = self.unbounded_windows(panel, series, cutoff)
        else:
            forecasts = self._calibrated(panel, series, cutoff, outs[:, skipped:])
        if not skipped:
            intervals.issue(number, time, forecasts[0])
        later = forecasts[1 - skipped :]
        for ahead, (y, observed, forecast) in enumerate(zip(steps.y, steps.observed, later)):
            intervals.observe(number, time + ahead, float(y) if observed else np.nan)
            intervals.issue(number, time + ahead + 1, forecast)
