"""How good forecasts are, beside what they are compared with.

    MAE = mean |y - f|     MSE = mean (y - f)^2     sMAPE = mean 200 |y - f| / (|y| + |f|)     (0/0 = 0)
    MASE = mean |y - f| / mean_t |y_t - y_{t-m}|, the latter over the train part
    OWA = (sMAPE / sMAPE of Naive2 + MASE / MASE of Naive2) / 2
    pinball_q = mean max(q (y - f_q), (q - 1) (y - f_q))     coverage = share of y in [lo, hi]
(Makridakis, Spiliotis & Assimakopoulos 2020, "The M4 Competition", equations 1, 2 and 5.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_REPEATS = 1e-6  # of the mean deviation: a seasonal difference below is rounding


def smape(y: ArrayLike, forecast: ArrayLike) -> Array:
    """200 |y - f| / (|y| + |f|) of each value, 0 where both are 0.

    >>> smape([2.0, 0.0], [1.0, 0.0]).round(2).tolist()
    [66.67, 0.0]
    """
    y, forecast = np.asarray(y, np.float64), np.asarray(forecast, np.float64)
    size = np.abs(y) + np.abs(forecast)
    return np.asarray(200 * np.abs(y - forecast) / np.where(size > 0, size, 1.0))


def naive_error(train: ArrayLike, season: int, observed: ArrayLike | None = None) -> float:
    """mean |y_t - y_{t-season}|, MASE's denominator, over pairs of which both are observed.

    A series that repeats exactly is measured against the last value instead (season 1); NaN where it is constant or
    too short.

    >>> naive_error([1.0, 5.0, 2.0, 7.0], season=2)
    1.5
    >>> naive_error([1.0, 5.0, 1.0, 5.0], season=2)
    4.0
    """
    y = np.asarray(train, np.float64)
    seen = np.ones(len(y), bool) if observed is None else np.asarray(observed, bool)
    if len(y) <= season or not seen.any():
        return float("nan")
    both = seen[season:] & seen[:-season]
    spread = float(np.abs(y[seen] - y[seen].mean()).mean())
    error = float(np.abs(y[season:] - y[:-season])[both].mean()) if both.any() else 0.0
    if error > _REPEATS * spread:
        return error
    return naive_error(y, 1, seen) if season > 1 else float("nan")


def owa(smape_of: float, mase_of: float, naive2_smape: float, naive2_mase: float) -> float:
    """The overall weighted average: 1 is as good as Naive2.

    >>> owa(9.0, 0.5, 18.0, 1.0)
    0.5
    """
    return 0.5 * (smape_of / naive2_smape + mase_of / naive2_mase)


def pinball(y: ArrayLike, forecast: ArrayLike, quantile: float) -> Array:
    """max(q (y - f), (q - 1) (y - f)) of each value.

    >>> pinball([1.0, 1.0], [0.0, 2.0], 0.9).round(2).tolist()
    [0.9, 0.1]
    """
    error = np.asarray(y, np.float64) - np.asarray(forecast, np.float64)
    return np.asarray(np.maximum(quantile * error, (quantile - 1) * error))


def score(
    y: Array,
    forecast: Array,
    observed: NDArray[np.bool_],
    naive_errors: Array,
    scale: Array,
    levels: Sequence[int] = (),
) -> dict[str, float]:
    """All metrics of forecasts, over the observed values.

    `y` and `observed` [B, h]; `forecast` [B, h, 1 + 2 levels] in the unit of the series; `naive_errors` and
    `scale` [B] MASE's denominator and the standard deviation of each window's series, NaN where it is constant: such
    a series counts in no scaled error. `mae` and `mse` are in standard deviations, so that series of different size
    can be averaged; `abs_error`, `rmse` and `bias` are in the unit of the data, coverage in per cent. Only finite
    numbers are returned; `mase` is `mae` where no series has a denominator, and `abs_error` where none has a
    deviation.
    """
    signed = np.where(observed, forecast[..., 0] - y, 0.0)
    error = np.abs(signed)
    in_units = {
        "abs_error": _mean(error, observed),
        "rmse": _mean(signed**2, observed) ** 0.5,
        "bias": _mean(signed, observed),
    }
    relative = _scaled(error, scale)
    metrics = {
        "mae": _mean(relative, observed),
        "mse": _mean(relative**2, observed),
        "smape": _mean(smape(y, forecast[..., 0]), observed),
        "mase": _mean(_scaled(error, naive_errors), observed),
    }
    for fallback in (metrics["mae"], in_units["abs_error"]):
        if not np.isfinite(metrics["mase"]):
            metrics["mase"] = fallback
    held = coverage(y, forecast, observed, levels)
    for number, level in enumerate(levels):
        low, high = forecast[..., 1 + 2 * number], forecast[..., 2 + 2 * number]
        share = (100 - level) / 200
        both = pinball(y, low, share) + pinball(y, high, 1 - share)
        metrics[f"coverage_{level}"] = held[f"coverage_{level}"]
        metrics[f"pinball_{level}"] = _mean(_scaled(both / 2, scale), observed)
    return {name: value for name, value in {**metrics, **in_units}.items() if np.isfinite(value)}


def coverage(
    y: Array, forecast: Array, observed: NDArray[np.bool_], levels: Sequence[int]
) -> dict[str, float]:
    """How many of the observed values each interval held, in per cent; shapes as in :func:`score`."""
    shares = {}
    for number, level in enumerate(levels):
        low, high = forecast[..., 1 + 2 * number], forecast[..., 2 + 2 * number]
        inside = ((low <= y) & (y <= high)).astype(np.float64)
        shares[f"coverage_{level}"] = 100 * _mean(inside, observed)
    return shares


def _scaled(values: Array, sizes: Array) -> Array:
    """Values [B, h] in units of sizes [B]; NaN where a size is NaN or 0."""
    return np.asarray(values / np.where(sizes > 0, sizes, np.nan)[:, None])


def _mean(values: Array, observed: NDArray[np.bool_]) -> float:
    """The mean of the observed values that are numbers; NaN where there is none."""
    counted = observed & np.isfinite(values)
    return float(values[counted].mean()) if counted.any() else float("nan")
