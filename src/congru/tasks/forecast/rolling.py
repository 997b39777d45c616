"""Past moments to forecast from: windows of a table that lie behind the rows training used."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from congru.data.long_table import LongTable
from congru.errors import SettingsError
from congru.tasks.forecast.history import UNSEEN, steps_of
from congru.tasks.forecast.metrics import naive_error
from congru.tasks.forecast.panel import Panel, Units, fit_units
from congru.tasks.forecast.store import SeriesStore
from congru.tasks.forecast.window import Array

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Rolling:
    """The windows over a table, in the units of training; a series unseen in training in units of its own beginning."""

    panel: Panel
    table: LongTable
    numbers: Index
    """[S] of each series of the table among those of the store, UNSEEN for a new one."""
    naive_errors: Array
    """[S] MASE's denominators."""

    @classmethod
    def of(cls, store: SeriesStore, table: LongTable, numbers: Index, future: Array | None = None) -> Rolling:
        """`future` [S, h, K]: known covariates after the last row of each series."""
        rows = []
        errors = []
        for number, series in zip(numbers, table.series):
            if number == UNSEEN:
                end = unseen_cutoff(store, len(series))
                part = series.part(0, end)
                rows.append(fit_units([part.y], store.window, [part.observed]))
                errors.append(naive_error(part.y, store.season, part.observed))
            else:
                rows.append(store.units.of(int(number)))
                errors.append(float(store.naive_errors[number]))
        units = Units(*(np.concatenate(column) for column in zip(*(astuple(row) for row in rows))))
        known = [store.scales.known.apply(s.known) for s in table.series]
        if future is not None:
            known = [np.concatenate([k, store.scales.known.apply(f)]) for k, f in zip(known, future)]
        panel = Panel(
            store.window,
            units,
            [s.y for s in table.series],
            known,
            [store.frequency.phase(s.ds[0]) for s in table.series],
            [s.observed for s in table.series],
            store.season,
            [store.scales.past.apply(s.past) for s in table.series],
            [store.scales.static.apply(s.static) for s in table.series],
        )
        return cls(panel, table, numbers, np.array(errors))


def unseen_cutoff(store: SeriesStore, length: int) -> int:
    """How many rows of an unseen series stand before the first forecast: its look-back, or half of a short one."""
    return max(1, min(store.window.memory, length // 2))


def first_cutoffs(store: SeriesStore, table: LongTable, numbers: Index, *, validation: bool = False) -> Index:
    """The first cutoff of each series of a table whose targets training has not seen, at least 1.

    `validation`: whose targets the network did not learn from, though they chose the best model.
    """
    ends = store.fit_end if validation else store.train_end
    cutoffs = []
    for number, series in zip(numbers, table.series):
        if number == UNSEEN:
            cutoffs.append(unseen_cutoff(store, len(series)))
            continue
        behind, _ = steps_of(store, int(number), series.part(0, 1))
        cutoffs.append(max(1, int(ends[number]) - int(behind[0])))
    return np.array(cutoffs, np.int64)


def cutoffs(lengths: Index, horizon: int, windows: int, step: int) -> tuple[Index, Index]:
    """The last `windows` windows of series of given lengths, `step` apart, oldest first: (series, cutoff).

    A series too short for all of them has those that it can; one without any is left out.
    """
    series: list[int] = []
    ends: list[int] = []
    for position, length in enumerate(lengths.tolist()):
        own = [length - horizon - step * back for back in range(windows - 1, -1, -1)]
        own = [cutoff for cutoff in own if cutoff >= 1]
        series += [position] * len(own)
        ends += own
    if not series:
        raise SettingsError(
            f"windows is {windows}, expected windows of {horizon} steps that the data holds: pass data with more rows"
        )
    return np.array(series), np.array(ends)
