"""Going on from new rows, at constant cost: only the last values of a series are kept.

A network that streams takes one step per new row; every other one reads its look-back when it forecasts.
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
from congru.tasks.forecast.history import UNSEEN
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

    def take(self, number: int, series: Series) -> None:
        """Go on from new steps of series `number`; :meth:`update` without the reading of a table."""
        self._push(number, history.new_steps(self.store, number, series, TableReport()))

    def after(self, data: Any) -> Self:
        """A forecaster like this one that has gone on from the rows of a table."""
        return self.copy().update(data)

    def copy(self) -> Self:
        """A forecaster that stands where this one does, and goes its own way from here."""
        store = copy.deepcopy(self.store)
        store.state = self._sessions.state() if self._sessions is not None else {}
        other = type(self)(**self.params)
        other._take_over(self.model, store)
        other.table, other.result, other.calibration = self.table, self.result, list(self.calibration)
        return other

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

    def _push(self, number: int, steps: history.NewSteps) -> None:
        for y, observed, known, past in zip(steps.y, steps.observed, steps.known, steps.past):
            self.store.push(number, float(y), bool(observed), known, past)
            if self._sessions is not None:
                self._sessions.step(number)
