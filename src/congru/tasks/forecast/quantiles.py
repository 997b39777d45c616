"""Intervals that hold what they say, calibrated on validation data.

Calibration (conformal scaling, after Romano, Patterson & Candes 2019, "Conformalized Quantile
Regression", with widths multiplied instead of shifted): for level l the factor is the l-quantile over the
validation values of

    max((median - y) / (median - lo), (y - median) / (hi - median))

with which the intervals would have held l per cent of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SMALLEST_WIDTH = 1e-9


def fit_calibration(
    y: Array, forecast: Array, observed: NDArray[np.bool_], levels: Sequence[int]
) -> list[float]:
    """The factor of each level; y [B, h], forecast [B, h, 1 + 2 levels], in any common unit.

    >>> y = np.linspace(-2, 2, 401)[None]
    >>> forecast = np.stack([0 * y, 0 * y - 1, 0 * y + 1], -1)
    >>> [round(f, 1) for f in fit_calibration(y, forecast, np.isfinite(y), [80])]
    [1.6]
    """
    factors = []
    below = y < forecast[..., 0]
    for number, level in enumerate(levels):
        low = np.maximum(forecast[..., 0] - forecast[..., 1 + 2 * number], _SMALLEST_WIDTH)
        high = np.maximum(forecast[..., 2 + 2 * number] - forecast[..., 0], _SMALLEST_WIDTH)
        distance = np.abs(y - forecast[..., 0])
        ratio = np.where(below, distance / low, distance / high)[observed]
        rank = min(len(ratio), int(np.ceil((len(ratio) + 1) * level / 100)))
        factors.append(float(np.sort(ratio)[rank - 1]))
    return factors


def calibrate(forecast: Array, factors: Sequence[float]) -> Array:
    """Widen or narrow the intervals of forecasts [B, h, 1 + 2 levels]; outer ones stay outside inner ones."""
    result = forecast.copy()
    median = forecast[..., 0]
    low, high = median, median
    for number, factor in enumerate(factors):
        low = np.minimum(low, median - factor * (median - forecast[..., 1 + 2 * number]))
        high = np.maximum(high, median + factor * (forecast[..., 2 + 2 * number] - median))
        result[..., 1 + 2 * number], result[..., 2 + 2 * number] = low, high
    return result
