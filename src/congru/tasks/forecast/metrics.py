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


def smape(y: ArrayLike, forecast: ArrayLike) -> Array:
    """200 |y - f| / (|y| + |f|) of each value, 0 where both are 0.

    >>> smape([2.0, 0.0], [1.0, 0.0]).round(2).tolist()
    [66.67, 0.0]
    """
    y, forecast = np.asarray(y, np.float64), np.asarray(forecast, np.float64)
    size = np.abs(y) + np.abs(forecast)
    return np.asarray(200 * np.abs(y - forecast) / np.where(size > 0, size, 1.0))


def naive_error(train: ArrayLike, season: int) -> float:
    """mean |y_t - y_{t-season}|, MASE's denominator; NaN where the series repeats exactly or is too short.

    >>> naive_error([1.0, 5.0, 2.0, 7.0], season=2)
    1.5
    """
    y = np.asarray(train, np.float64)
    if len(y) <= season:
        return float("nan")
    error = float(np.abs(y[season:] - y[:-season]).mean())
    return error if error > 0 else float("nan")


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
    `scale` [B] MASE's denominator and the standard deviation of each window's series. `mae` and `mse` are
    in standard deviations, so that series of different size can be averaged.
    """
    weight = observed.astype(np.float64)
    total = weight.sum()

    def mean(values: Array) -> float:
        return float((values * weight).sum() / total)

    error = np.where(observed, np.abs(y - forecast[..., 0]), 0.0)
    relative = error / scale[:, None]
    metrics = {"mae": mean(relative), "mse": mean(relative**2), "smape": mean(smape(y, forecast[..., 0]))}
    known = np.isfinite(naive_errors)
    counted = weight[known].sum()
    scaled = error[known] / naive_errors[known][:, None]
    metrics["mase"] = float(scaled.sum() / counted) if counted else metrics["mae"]
    for number, level in enumerate(levels):
        low, high = forecast[..., 1 + 2 * number], forecast[..., 2 + 2 * number]
        share = (100 - level) / 200
        both = pinball(y, low, share) + pinball(y, high, 1 - share)
        metrics[f"coverage_{level}"] = 100 * mean(((low <= y) & (y <= high)).astype(np.float64))
        metrics[f"pinball_{level}"] = mean(both / 2 / scale[:, None])
    return metrics
