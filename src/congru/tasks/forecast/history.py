"""New rows beside what a forecaster holds: what is new in them, what is known already, and both as one history.

Steps are counted from the first timestamp of a series, as the store counts them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from congru.data.long_table import LongTable, Series, TableReport
from congru.data.row_values import series_key
from congru.errors import DataError
from congru.tasks.forecast.store import SeriesStore

Index = NDArray[np.int64]
Array = NDArray[np.float64]

UNSEEN = -1  # the number of a series that training has not seen
_LONGEST_GAP = 1000  # steps between the last known row and the first new one that need no explanation


@dataclass(frozen=True)
class NewSteps:
    """The steps of a series after the last known one: T steps, the missing ones filled."""

    y: Array
    observed: NDArray[np.bool_]
    known: Array
    past: Array


def numbers_of(store: SeriesStore, table: LongTable) -> Index:
    """The number of each series of a table among those of the store; UNSEEN for one it does not know."""
    if store.single and table.single:
        return np.zeros(len(table.series), np.int64)
    keys = {series_key(name): number for number, name in enumerate(store.names)}
    return np.array([keys.get(series_key(series.name), UNSEEN) for series in table.series], np.int64)


def steps_of(store: SeriesStore, number: int, series: Series) -> tuple[Index, NDArray[np.bool_]]:
    """The step of each row of a series [T], counted as the store does, and whether it lies exactly there."""
    return store.frequency.position(series.ds, store.start(number))


def new_steps(store: SeriesStore, number: int, series: Series, report: TableReport) -> NewSteps:
    """What a series has after the last known step; findings go into the report.

    Raises :class:`DataError` for rows that lie implausibly far ahead.
    """
    steps, exact = steps_of(store, number, series)
    ahead = steps - int(store.length[number])
    location = f"series {series.name!r} at {{}}"
    old = series.observed & (ahead < 0)
    if old.any():
        report.add(
            "rows already known left out",
            int(old.sum()),
            location.format(store.show(series.ds[int(np.argmax(old))])),
        )
        _report_changed(store, number, series, ahead, old, report)
    new = ahead >= 0
    if not new.any():
        return NewSteps(np.zeros(0), np.zeros(0, bool), series.known[:0], series.past[:0])
    if not exact[new].all():
        moved = new & ~exact & series.observed
        first = store.show(series.ds[int(np.argmax(moved))])
        report.add("times between two steps moved to the nearest", int(moved.sum()), location.format(first))
    gap = int(ahead[new][0])
    if gap > max(_LONGEST_GAP, 3 * int(store.length[number])):
        last = store.show(store.times(number, store.length[number : number + 1] - 1)[0])
        raise DataError(
            f"new row of series {series.name!r} is at {store.show(series.ds[new][0])}, {gap} steps of {store.frequency} after"
            f" {last}, expected rows that follow: check its date"
        )
    if gap:
        first = store.show(store.times(number, store.length[number : number + 1])[0])
        report.add("missing steps", gap, location.format(first))
    part = slice(int(np.argmax(new)), len(series))
    y, before = series.y[part], store.history[number, -1]
    if not gap and series.observed[part][0]:
        return NewSteps(y, series.observed[part], series.known[part], series.past[part])
    return NewSteps(
        np.concatenate([np.full(gap, before), _filled(y, series.observed[part], before)]),
        np.concatenate([np.zeros(gap, bool), series.observed[part]]),
        np.concatenate([np.repeat(store.known_history[number, -1:], gap, 0), series.known[part]]),
        np.concatenate([np.repeat(store.past_history[number, -1:], gap, 0), series.past[part]]),
    )


def _filled(y: Array, observed: NDArray[np.bool_], before: float) -> Array:
    """y, with the value before the first where its own beginning is missing."""
    start = int(np.argmax(observed)) if observed.any() else len(y)
    return np.asarray(np.r_[np.full(start, before), y[start:]])


def _report_changed(
    store: SeriesStore, number: int, series: Series, ahead: Index, old: NDArray[np.bool_], report: TableReport
) -> None:
    """Count the known rows that now say another value."""
    kept = store.history.shape[1]
    there = old & (ahead >= -min(kept, int(store.length[number])))
    at = kept + ahead[there]
    differs = store.observed[number, at] & ~np.isclose(
        series.y[there], store.history[number, at], rtol=1e-6, atol=0
    )
    if differs.any():
        first = store.show(series.ds[there][int(np.argmax(differs))])
        report.add(
            "rows already known say another value, the first stays",
            int(differs.sum()),
            f"series {series.name!r} at {first}",
        )


def joined(store: SeriesStore, table: LongTable, numbers: Index) -> LongTable:
    """The table with the held history before each of its known series, so that its first rows can be forecast too."""
    return replace(
        table,
        series=[
            series if number == UNSEEN else _joined(store, int(number), series)
            for number, series in zip(numbers, table.series)
        ],
    )


def _joined(store: SeriesStore, number: int, series: Series) -> Series:
    steps, _ = steps_of(store, number, series)
    length, kept = int(store.length[number]), store.history.shape[1]
    held = np.arange(length - min(kept, length), length)
    first, stop = min(int(steps[0]), int(held[0]) if len(held) else int(steps[0])), int(steps[-1]) + 1
    held = held[held < stop]
    size, source = (
        stop - first,
        np.arange(kept - length + held[0], kept - length + stop)[: len(held)] if len(held) else held,
    )
    y, observed = np.zeros(size), np.zeros(size, bool)
    known, past = np.zeros((size, series.known.shape[1])), np.zeros((size, series.past.shape[1]))
    there = np.zeros(size, bool)
    for at, values, seen, own_known, own_past in (
        (
            held - first,
            store.history[number, source],
            store.observed[number, source],
            store.known_history[number, source],
            store.past_history[number, source],
        ),
        (
            steps[series.observed] - first,
            series.y[series.observed],
            np.ones(int(series.observed.sum()), bool),
            series.known[series.observed],
            series.past[series.observed],
        ),
    ):
        y[at], observed[at], known[at], past[at], there[at] = values, seen, own_known, own_past, True
    before = np.maximum.accumulate(np.where(there, np.arange(size), 0))
    ds = store.times(number, np.arange(first, stop))
    return Series(series.name, ds, y[before], known[before], observed, past[before], series.static)


def check_columns(store: SeriesStore, table: LongTable) -> None:
    """Refuse a table whose series have no names where the model knows several, or the other way round."""
    if table.single and not store.single and len(store.names) > 1:
        raise DataError(
            f"table has no column {store.columns.unique_id!r}, expected one as in training: add it, the model knows"
            f" {len(store.names)} series"
        )
