"""How good a trained forecaster is on rows it has not seen, beside what a person would try first; without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.report.table import text_table
from congru.report.verdict import verdict
from congru.tasks.forecast import rolling
from congru.tasks.forecast.baselines import LONGEST_LINEAR, Linear
from congru.tasks.forecast.data import MOST_VALIDATION
from congru.tasks.forecast.forecaster import Forecaster
from congru.tasks.forecast.metrics import score
from congru.tasks.forecast.panel import Panel
from congru.tasks.forecast.window import Array

Index = NDArray[np.int64]
Scores = dict[str, dict[str, float]]


def evaluate_forecaster(forecaster: Forecaster, data: Any = None) -> Scores:
    """Name -> metrics over every window of `data` (default: the training table) that training has not seen.

    `mae` and `mse` are in standard deviations of each series' train part, `smape` and coverage in per cent.
    """
    panel, table = forecaster.panel_of(data)
    store, horizon = forecaster.store, forecaster.window.horizon
    numbers = forecaster.numbers(table)
    first = rolling.first_cutoffs(store, table, numbers)
    ends = panel.lengths - horizon
    series, cutoff = _between(first, ends)
    if not len(series):
        raise DataError(
            f"data has no {horizon} rows behind those that training used, expected newer rows:"
            " add some, or train with --test-size"
        )
    thin = -(-len(series) // MOST_VALIDATION)
    series, cutoff = series[::thin], cutoff[::thin]
    forecasts = {forecaster.name: forecaster.windows(panel, series, cutoff)}
    forecasts["last value"] = panel.lagged(1, series, cutoff)[..., None]
    if store.season > 1:
        forecasts["seasonal naive"] = panel.lagged(store.season, series, cutoff)[..., None]
    linear = _linear(panel, first - horizon, series, cutoff)
    if linear is not None:
        forecasts["linear"] = linear[..., None]
    actual, observed = panel.actual(series, cutoff), panel.observed(series, cutoff)
    errors, scale = store.naive_errors[numbers][series], panel.units.scale[series]
    scores: Scores = {}
    for name, forecast in forecasts.items():
        levels = forecaster.window.levels if name == forecaster.name else ()
        scores[name] = score(actual, forecast, observed, errors, scale, levels)
    return scores


def _between(first: Index, last: Index) -> tuple[Index, Index]:
    """All windows with first <= cutoff <= last, (series, cutoff)."""
    ranges = [np.arange(a, b + 1) for a, b in zip(first, last)]
    return np.repeat(np.arange(len(ranges)), [len(r) for r in ranges]), np.concatenate(ranges)


def _linear(panel: Panel, last: Index, series: Index, cutoff: Index) -> Array | None:
    """The linear baseline fitted on windows that end before the first scored row; None with fewer than ten."""
    look_back = min(LONGEST_LINEAR, panel.window.input_size)
    own, at = _between(np.full(len(last), look_back), last)
    if len(own) < 10:
        return None
    linear = Linear(look_back, panel.window.horizon)

    def pair(rows: Index) -> tuple[Array, Array]:
        chosen, cutoffs, scale = own[rows], at[rows], panel.units.scale[own[rows]][:, None]
        return panel.history(look_back, chosen, cutoffs) / scale, panel.actual(chosen, cutoffs) / scale

    scale = panel.units.scale[series][:, None]
    return linear.fit(pair, len(own)).predict(panel.history(look_back, series, cutoff) / scale) * scale


def table_of(scores: Scores) -> str:
    """Scores as aligned text, the model first, and the verdict.

    >>> print(table_of({"GRU": {"mase": 0.5}, "last value": {"mase": 1.0}}))
                  mase
    GRU         0.5000
    last value  1.0000
    On the scored data GRU beats last value by 50 % (mase 0.5000 against 1.0000).
    """
    names = list(next(iter(scores.values())))
    model, *others = scores
    lines = text_table(
        [(name, *(metrics.get(key) for key in names)) for name, metrics in scores.items()], ("", *names)
    )
    baselines = {name: scores[name]["mase"] for name in others}
    return "\n".join(
        [lines, verdict("mase", scores[model]["mase"], baselines, minimize=True, split="scored", model=model)]
    )
