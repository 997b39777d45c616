"""Intervals that hold what they say, calibrated on validation data.

Calibration (conformal scaling, after Romano, Patterson & Candes 2019, "Conformalized Quantile Regression", with widths
multiplied instead of shifted): for level l the factor is the l-quantile over the validation values of

    max((median - y) / (median - lo), (y - median) / (hi - median))

with which the intervals would have held l per cent of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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
        width = np.where(
            below,
            forecast[..., 0] - forecast[..., 1 + 2 * number],
            forecast[..., 2 + 2 * number] - forecast[..., 0],
        )
        counted = observed & (width > 0)  # a constant series has no width to scale
        ratio = np.abs(y - forecast[..., 0])[counted] / width[counted]
        rank = min(len(ratio), int(np.ceil((len(ratio) + 1) * level / 100)))
        factors.append(float(np.sort(ratio)[rank - 1]) if rank else 1.0)
    return factors


# Per cent of the validation errors that :func:`error_quantiles` keeps.
PERCENTS = np.r_[np.arange(1.0, 100.0), 99.5, 99.9, 100.0]


def error_quantiles(y: Array, median: Array, observed: NDArray[np.bool_], unit: Array) -> NDArray[np.float32]:
    """How far values lie from their forecasts, per step ahead: quantiles [h, P] of |y - median| / unit.

    y, median and observed [B, h], `unit` [B], 0 for a constant series, which does not count. They make intervals of
    any level, and say which new value is out of the ordinary.

    >>> y = np.arange(1.0, 1001.0)[:, None]
    >>> float(error_quantiles(y, 0 * y, y > 0, np.ones(1000))[0, 89])
    901.0
    """
    relative = np.abs(y - median) / np.where(unit > 0, unit, np.nan)[:, None]
    rows = []
    for column, seen in zip(relative.T, observed.T):
        errors = np.sort(column[seen & np.isfinite(column)])
        rank = np.minimum(np.ceil((len(errors) + 1) * PERCENTS / 100).astype(int), len(errors))
        rows.append(errors[rank - 1] if len(errors) else np.zeros(len(PERCENTS)))
    return np.stack(rows).astype(np.float32)


def quantile_at(errors: NDArray[np.float32], level: float) -> Array:
    """The quantile of each step ahead [h] for a level in per cent, between those that are kept."""
    return np.array([np.interp(level, PERCENTS, row) for row in errors])


def bounded(forecast: Array, minimum: float | None) -> Array:
    """Forecasts and bounds that do not lie below the minimum.

    >>> bounded(np.array([-1.0, 2.0]), 0.0).tolist()
    [0.0, 2.0]
    """
    return forecast if minimum is None else np.asarray(np.maximum(forecast, minimum))


def calibrate(forecast: Array, factors: Sequence[float | Array]) -> Array:
    """Widen or narrow the intervals of forecasts [..., h, 1 + 2 levels]; outer ones stay outside inner ones.

    The factor of each level is a number, or one for each step ahead [h].
    """
    result = forecast.copy()
    median = forecast[..., 0]
    low, high = median, median
    for number, factor in enumerate(factors):
        low = np.minimum(low, median - factor * (median - forecast[..., 1 + 2 * number]))
        high = np.maximum(high, median + factor * (forecast[..., 2 + 2 * number] - median))
        result[..., 1 + 2 * number], result[..., 2 + 2 * number] = low, high
    return result
