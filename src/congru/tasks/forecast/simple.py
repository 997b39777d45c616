"""The simple forecasts of windows, which a network is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from congru.tasks.forecast.baselines import Linear, croston_windows, is_intermittent
from congru.tasks.forecast.panel import Panel
from congru.tasks.forecast.window import Array

Index = NDArray[np.int64]
Rows = tuple[Index, Index]  # series [B] and cutoff [B] of windows

_FEWEST = 10  # windows that a linear map is fitted on


def simple_forecasts(
    panel: Panel, season: int, rows: Rows, *, seen: Rows, look_back: int
) -> dict[str, Array]:
    """Name -> forecasts [B, h] of windows `rows`, in the unit of the series.

    The last value, the last season where there is one, and the linear map of `look_back` values that is fitted on the
    windows `seen`, where there are ten.
    """
    forecasts = {"last value": panel.lagged(1, *rows)}
    if season > 1:
        forecasts["seasonal naive"] = panel.lagged(season, *rows)
    if len(seen[0]) >= _FEWEST:
        linear = Linear(look_back, panel.window.horizon)
        linear.fit(lambda part: panel.pairs(look_back, seen[0][part], seen[1][part]), len(seen[0]))
        scale = panel.units.scale[rows[0]][:, None]
        forecasts["linear"] = panel.linear(linear.weights, *rows) * scale + panel.lagged(1, *rows)
    return forecasts


def croston_forecast(values: Sequence[Array], ends: Index, rows: Rows, horizon: int) -> dict[str, Array]:
    """ "Croston" -> its forecasts [B, h], where most series [T] are intermittent up to their `ends`; else nothing."""
    if not is_intermittent([y[:end] for y, end in zip(values, ends)]):
        return {}
    return {"Croston": croston_windows(values, *rows, horizon)}
