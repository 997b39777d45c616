"""Past moments to forecast from: windows of a table that lie behind the rows training used."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from congru.data.table import LongTable
from congru.errors import SettingsError
from congru.tasks.forecast.panel import Panel, Units
from congru.tasks.forecast.store import SeriesStore

Index = NDArray[np.int64]


def panel_of(store: SeriesStore, table: LongTable, numbers: Index) -> Panel:
    """The windows over a table whose series are `numbers` of the store, in the units of training."""
    return Panel(
        store.window,
        Units(*(column[numbers] for column in astuple(store.units))),
        [s.y for s in table.series],
        [store.known_scale.apply(s.known) for s in table.series],
        [store.frequency.phase(s.ds[0]) for s in table.series],
        [s.observed for s in table.series],
        store.season,
    )


def first_cutoffs(store: SeriesStore, table: LongTable, numbers: Index) -> Index:
    """The first cutoff of each series of a table whose targets training has not seen, at least 1."""
    cutoffs = []
    for number, series in zip(numbers, table.series):
        behind, _ = store.frequency.position(series.ds[:1], store.start(number))
        cutoffs.append(max(1, int(store.train_end[number]) - int(behind[0])))
    return np.array(cutoffs, np.int64)


def cutoffs(
    store: SeriesStore, table: LongTable, numbers: Index, windows: int, step: int
) -> tuple[Index, Index]:
    """The last `windows` windows of each series, `step` apart, oldest first: (series of the table, cutoff).

    Raises :class:`SettingsError` where so many would reach into the rows training used.
    """
    series: list[int] = []
    ends: list[int] = []
    for position, first in enumerate(first_cutoffs(store, table, numbers)):
        last = len(table.series[position]) - store.window.horizon
        most = max(0, (last - int(first)) // step + 1)
        if windows > most:
            raise SettingsError(
                f"windows is {windows}, expected at most {most} for series {table.series[position].name!r}:"
                " earlier ones reach into rows training used; train with a larger --test-size or pass data="
                " with newer rows"
            )
        series += [position] * windows
        ends += [last - step * back for back in range(windows - 1, -1, -1)]
    return np.array(series), np.array(ends)
