"""How good a trained forecaster is on rows it has not seen, beside what a person would try first; without torch.

A forecaster here is a :class:`congru.tasks.forecast.Forecaster`, whose file builds on this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.report.table import text_table
from congru.report.verdict import verdict
from congru.tasks.forecast import rolling
from congru.tasks.forecast.adaptive import replay
from congru.tasks.forecast.baselines import LONGEST_LINEAR
from congru.tasks.forecast.data import MOST_VALIDATION
from congru.tasks.forecast.metrics import coverage, score
from congru.tasks.forecast.quantiles import bounded
from congru.tasks.forecast.simple import Rows, croston_forecast, simple_forecasts
from congru.tasks.forecast.window import Array
from congru.tasks.parts import ALL, part_to_score

Index = NDArray[np.int64]
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Evaluation:
    """Forecasts of B windows, h steps ahead, beside what came, by the model and its baselines."""

    model: str
    names: list[Any]
    """Of the series of the table."""
    series: Index
    """[B] the series of each window."""
    cutoff: Index
    """[B]"""
    actual: Array
    """[B, h]"""
    observed: NDArray[np.bool_]
    """[B, h]"""
    forecasts: dict[str, Array]
    """Name -> [B, h, 1 + 2 levels] of the model, [B, h, 1] of a baseline."""
    naive_errors: Array
    """[B] MASE's denominators."""
    spread: Array
    """[B] standard deviations, NaN where a series is constant."""
    levels: tuple[int, ...]
    static: Array | None
    """[B, h, 1 + 2 levels] the model's forecasts with the intervals that validation left, where they kept learning."""
    split: str
    """"unseen", "validation" where the rows chose the model, "train" or "all"."""
    every: int
    """Steps between two windows of a series."""

    @property
    def part(self) -> str:
        """The name of the part that was scored, see `congru.tasks.parts`."""
        return "test" if self.split == "unseen" else self.split

    def overall(self) -> Scores:
        """Name -> metrics over all windows and steps ahead."""
        return self._scores(np.ones(len(self.series), bool), slice(None))

    def by_series(self) -> dict[str, Scores]:
        """Name of the series -> its scores."""
        return {
            str(self.names[s]): self._scores(self.series == s, slice(None))
            for s in np.unique(self.series).tolist()
        }

    def by_step(self) -> dict[str, Scores]:
        """Step ahead, from "1" -> the scores of it alone."""
        whole = np.ones(len(self.series), bool)
        return {str(k + 1): self._scores(whole, slice(k, k + 1)) for k in range(self.actual.shape[1])}

    def words(self) -> str:
        """What was scored."""
        windows, count = len(self.series), len(np.unique(self.series))
        step = "step" if self.every == 1 else f"{self.every} steps"
        of = f" of {count} series" if count > 1 else ""
        number = "one window" if windows == 1 else f"{windows} windows{of}, one every {step}"
        return f"{number}, {self.actual.shape[1]} steps ahead"

    def verdict(self) -> str:
        """Whether the model is worth having, with the split and the windows it was measured on."""
        scores = self.overall()
        own = scores.pop(self.model)
        line = verdict(
            "mase",
            own["mase"],
            {name: metrics["mase"] for name, metrics in scores.items()},
            minimize=True,
            split=self.split,
            model=self.model,
            windows=self.words(),
        )
        chose = " These rows chose the model: unseen ones tell more (--test-size)."
        return line + (chose if self.split == "validation" else "")

    def _scores(self, rows: NDArray[np.bool_], steps: slice) -> Scores:
        scores = {
            name: score(
                self.actual[rows][:, steps],
                forecast[rows][:, steps],
                self.observed[rows][:, steps],
                self.naive_errors[rows],
                self.spread[rows],
                self.levels if name == self.model else (),
            )
            for name, forecast in self.forecasts.items()
        }
        if self.static is not None:
            actual, observed = self.actual[rows][:, steps], self.observed[rows][:, steps]
            share = coverage(actual, self.static[rows][:, steps], observed, self.levels)
            scores[self.model].update({f"static_{name}": value for name, value in share.items()})
        return scores


def evaluate_forecaster(forecaster: Any, data: Any = None) -> Scores:
    """Name -> metrics over every window of `data` (default: the training table) that training has not seen.

    `abs_error`, `rmse` and `bias` are in the unit of the data, `mae` and `mse` in standard deviations of each series'
    train part, `smape` and coverage in per cent. See :func:`evaluation_of` for scores per series and step ahead.
    """
    return evaluation_of(forecaster, data).overall()


def evaluation_of(forecaster: Any, data: Any = None, part: str = "auto") -> Evaluation:
    """Forecast every window of a part of `data` (default: the training table), by default those that training has not seen.

    `data` may hold the newest rows only: the history that the forecaster holds stands before them. `part` as in
    `congru.tasks.parts`: "test" are the rows newer than training's. Raises :class:`DataError` where there is no such window.
    """
    own = forecaster.rolling(data)
    store, panel, horizon = forecaster.store, own.panel, forecaster.window.horizon
    look_back = min(LONGEST_LINEAR, forecaster.window.input_size)
    begins = {
        "train": np.full(len(panel.lengths), look_back),
        "validation": rolling.first_cutoffs(store, own.table, own.numbers, validation=True),
        "test": rolling.first_cutoffs(store, own.table, own.numbers),
    }
    ends = [*(np.minimum(panel.lengths, begins[name]) for name in ("validation", "test")), panel.lengths]
    windows = {name: _between(begin, end - horizon) for (name, begin), end in zip(begins.items(), ends)}
    there = [name for name, (series, _) in windows.items() if len(series)]
    chosen = part_to_score(part, there, "data")
    first = begins["train" if chosen == ALL else chosen]
    series, cutoff = _between(first, panel.lengths - horizon) if chosen == ALL else windows[chosen]
    if not len(series) or (part == "auto" and chosen == ALL):
        raise DataError(
            f"data has no {horizon} rows behind those that training used, expected newer rows:"
            " add some, or train with --test-size"
        )
    thin = -(-len(series) // MOST_VALIDATION)
    series, cutoff = series[::thin], cutoff[::thin]
    own_forecast = forecaster.unbounded_windows(panel, series, cutoff)
    learned = _as_learned(forecaster, own, series, cutoff, own_forecast)
    static = bounded(own_forecast, store.minimum)
    forecasts = {forecaster.name: static if learned is None else bounded(learned, store.minimum)}
    seen = _between(np.full(len(first), look_back), first - horizon)
    values = [s.y for s in own.table.series]
    simple = {
        **simple_forecasts(panel, store.season, (series, cutoff), seen=seen, look_back=look_back),
        **croston_forecast(values, first, (series, cutoff), horizon),
    }
    for name, forecast in simple.items():
        forecasts[name] = bounded(forecast, store.minimum)[..., None]
    return Evaluation(
        model=forecaster.name,
        names=[s.name for s in own.table.series],
        series=series,
        cutoff=cutoff,
        actual=panel.actual(series, cutoff),
        observed=panel.observed(series, cutoff),
        forecasts=forecasts,
        naive_errors=own.naive_errors[series],
        spread=np.where(panel.units.flat, np.nan, panel.units.scale)[series],
        levels=forecaster.window.levels,
        static=None if learned is None else static,
        split="unseen" if chosen == "test" else chosen,
        every=thin,
    )


def _as_learned(
    forecaster: Any, own: rolling.Rolling, series: Index, cutoff: Index, forecast: Array
) -> Array | None:
    """Forecasts [B, h, 1 + 2 levels] with the intervals that each moment would have known; None where they do not learn."""
    if not forecaster.learns_intervals:
        return None
    result = np.empty_like(forecast)
    for number in np.unique(series).tolist():
        rows = series == number
        values = np.where(own.table.series[number].observed, own.table.series[number].y, np.nan)
        result[rows] = replay(forecaster.window, values, cutoff[rows], forecast[rows])
    return result


def _between(first: Index, last: Index) -> Rows:
    """All windows with first <= cutoff <= last, (series, cutoff)."""
    ranges = [np.arange(a, b + 1) for a, b in zip(first, last)]
    return np.repeat(np.arange(len(ranges)), [len(r) for r in ranges]), np.concatenate(ranges)


def table_of(scores: Scores) -> str:
    """Scores as aligned text, the model first.

    >>> print(table_of({"GRU": {"mase": 0.5}, "last value": {"mase": 1.0}}))
                  mase
    GRU         0.5000
    last value  1.0000
    """
    names = list(next(iter(scores.values())))
    return text_table(
        [(name, *(metrics.get(key) for key in names)) for name, metrics in scores.items()], ("", *names)
    )


def parts_table(parts: dict[str, Scores], what: str) -> str:
    """The model's metrics of each part (a series, a step ahead) as aligned text, with the best baseline's mase."""
    model, *others = next(iter(parts.values()))
    keys = list(next(iter(parts.values()))[model])
    rows = []
    for part, scores in parts.items():
        best = min((scores[name] for name in others), key=lambda metrics: metrics["mase"])
        rows.append((part, *(scores[model].get(key) for key in keys), best["mase"]))
    return text_table(rows, (what, *keys, "best simple mase"))
