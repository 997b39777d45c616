"""How good a trained forecaster is on rows it has not seen, beside what a person would try first; without
torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.forecast import rolling
from congru.tasks.forecast.baselines import LONGEST_LINEAR, Linear
from congru.tasks.forecast.data import MOST_VALIDATION
from congru.tasks.forecast.forecaster import Forecaster
from congru.tasks.forecast.window import Array
from congru.tasks.forecast.metrics import score
from congru.tasks.forecast.panel import Panel

Index = NDArray[np.int64]
Figures = dict[str, dict[str, float]]


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    quiet: bool = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> Figures:
    """Score forecasts from every moment behind the training rows: the model beside its baselines.

    The table must hold the training rows' series and newer rows than training used (those of
    ``--test-size``, or later ones). The linear map is fitted on the rows before the first scored one.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A CSV file with the columns of training.
    quiet:
        Print nothing.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    forecaster = Forecaster.load(model, weight_dtype)
    rows = evaluate_forecaster(forecaster, data)
    if not quiet:
        print(table_of(rows))
    return rows


def evaluate_forecaster(forecaster: Forecaster, data: Any = None) -> Figures:
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
    figures = {}
    for name, forecast in forecasts.items():
        levels = forecaster.window.levels if name == forecaster.name else ()
        figures[name] = score(actual, forecast, observed, errors, scale, levels)
    return figures


def _between(first: Index, last: Index) -> tuple[Index, Index]:
    """All windows with first <= cutoff <= last, (series, cutoff)."""
    ranges = [np.arange(a, b + 1) for a, b in zip(first, last)]
    return np.repeat(np.arange(len(ranges)), [len(r) for r in ranges]), np.concatenate(ranges)


def _linear(panel: Panel, last: Index, series: Index, cutoff: Index) -> Array | None:
    """The linear baseline fitted on windows that end before the first scored row; None with fewer than
    ten.
    """
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


def table_of(rows: Figures) -> str:
    """Figures as aligned text, the model first, and the verdict.

    >>> print(table_of({"GRU": {"mase": 0.5}, "last value": {"mase": 1.0}}))
                        mase
    GRU               0.5000
    last value        1.0000
    GRU beats last value.
    """
    names = list(next(iter(rows.values())))
    model, *others = rows
    lines = [f"{'':<16}" + "".join(name.rjust(max(8, len(name) + 2)) for name in names)]
    for name, figures in rows.items():
        cells = [f"{figures[key]:.4f}" if key in figures else "" for key in names]
        line = f"{name:<16}" + "".join(c.rjust(max(8, len(k) + 2)) for c, k in zip(cells, names))
        lines.append(line.rstrip())
    best = min(others, key=lambda name: rows[name]["mase"])
    verdict = "beats" if rows[model]["mase"] < rows[best]["mase"] else "does NOT beat"
    return "\n".join([*lines, f"{model} {verdict} {best}."])
