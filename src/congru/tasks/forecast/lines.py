"""The simple forecasts as linear maps of the look-back, and the lines among them, fitted with stretches left out.

    forecast[k] = last + sum_i W[i, k] (y[t-L+1+i] - last) + W[L, k] last + W[L+1, k]     i = 0 .. L-1, last = y[t]

in standard deviations from the mean of each series; W is [L + 2, h]. The last value has W = 0, a season ago a one at its
value. Two lines are fitted by ridge regression: one relative to the last value (`baselines.Linear`), and one of the look-back's
trend and remainder as they are (Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?", DLinear). The
strength of each ridge is the one with the smallest squared error on stretches of the train part that were left out; what the
line forecasts there says how much it is worth, see mixture.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.forecast.baselines import Linear
from congru.tasks.forecast.window import Array

STRETCHES = 4  # of the train part, each left out once
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)  # per window
LONGEST_TREND = 336  # look-back of the trend and remainder at most
_TREND = 25  # values in the moving average

Index = NDArray[np.int64]
Windows = Callable[[Index], tuple[Array, Array]]


class Line(NamedTuple):
    """A fitted line: W [L + 2, h], the strength of its ridge, and what it forecasts where it was not fitted."""

    weights: Array
    ridge: float
    held: Array
    """[R, h] forecasts of the rows asked for, each by the line fitted without their stretch."""


class TrendLine(Linear):
    """One linear map of the trend (a moving average over 25 values) and of the remainder, relative to the mean."""

    @property
    def num_features(self) -> int:
        """Two for each value of the look-back, and a one."""
        return 2 * self.look_back + 1

    def features(self, past: Array) -> Array:
        """Trend, remainder and a one [B, 2 L + 1]."""
        trend = moving_average(past)
        return np.concatenate([trend, past - trend, np.ones((len(past), 1))], axis=1)

    def origin(self, past: Array) -> Array:
        """The mean of the series, from which values are counted."""
        return np.zeros((len(past), 1))

    def as_map(self, weights: Array) -> Array:
        """W [L + 2, h] of weights [2 L + 1, h] of the features."""
        average = moving_average(np.eye(self.look_back))
        of_trend, of_rest, constant = np.split(weights, [self.look_back, 2 * self.look_back])
        own = average @ of_trend + of_rest - average @ of_rest
        return np.concatenate([own, own.sum(0, keepdims=True) - 1, constant])


def moving_average(past: Array) -> Array:
    """The mean over 25 values around each of [B, L]; beyond its ends a row goes on with its first and last value.

    >>> moving_average(np.ones((1, 3))).round(6).tolist()
    [[1.0, 1.0, 1.0]]
    """
    half = _TREND // 2
    padded = np.concatenate([past[:, :1].repeat(half, 1), past, past[:, -1:].repeat(half, 1)], 1)
    sums = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), 1)
    return np.asarray((sums[:, _TREND:] - sums[:, :-_TREND]) / _TREND)


def lag_map(lag: int, look_back: int, horizon: int) -> Array:
    """W [L + 2, h] of the forecast that repeats the last `lag` values; L at least the lag.

    >>> lag_map(2, 2, 3)[:2].tolist()
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    """
    weights, steps = np.zeros((look_back + 2, horizon)), np.arange(horizon)
    weights[look_back - lag + steps % lag, steps] = 1.0
    return weights


def mean_map(look_back: int, horizon: int) -> Array:
    """W [L + 2, h] of the forecast that is the mean of the look-back.

    >>> mean_map(2, 1).T.tolist()
    [[0.5, 0.5, 0.0, 0.0]]
    """
    return np.concatenate([np.full((look_back, horizon), 1 / look_back), np.zeros((2, horizon))])


def drift_map(look_back: int, horizon: int) -> Array:
    """W [L + 2, h] of the forecast that goes on as the look-back did from its first value to its last.

    >>> drift_map(3, 2).T.tolist()
    [[-0.5, 0.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0, 0.0]]
    """
    weights = np.zeros((look_back + 2, horizon))
    weights[0] = -np.arange(1, horizon + 1) / max(look_back - 1, 1)
    return weights


def longer(weights: Array, look_back: int) -> Array:
    """The same map of a longer look-back: earlier values count for nothing."""
    before = np.zeros((look_back + 2 - len(weights), weights.shape[1]))
    return np.concatenate([before, weights])


def stretch_of(cutoff: Index, train_end: Index) -> Index:
    """In which of the stretches of its series' train part a cutoff lies."""
    return np.asarray(np.clip(STRETCHES * cutoff // train_end, 0, STRETCHES - 1))


def apart(cutoff: Index, train_end: Index, stretch: int, horizon: int) -> NDArray[np.bool_]:
    """Which windows share no value of their future with the windows of a stretch."""
    near = (stretch_of(cutoff + away, train_end) == stretch for away in (1 - horizon, 0, horizon - 1))
    return np.asarray(~np.any(list(near), 0))


def fit_line(linear: Linear, windows: Windows, cutoff: Index, train_end: Index, asked: Index) -> Line:
    """Fit on `windows(rows) -> (past [B, L], future [B, h])` in standard deviations from the mean of each series.

    `cutoff` and `train_end` of each row; `asked` are the rows whose forecasts by lines fitted without them are wanted.
    """
    rows, stretches = np.arange(len(cutoff)), stretch_of(cutoff, train_end)
    errors, fitted = np.zeros(len(RIDGES)), []
    for stretch in range(STRETCHES):
        outside = linear.sums(windows, rows[apart(cutoff, train_end, stretch, linear.horizon)])
        held = linear.sums(windows, rows[stretches == stretch])
        fitted.append([outside.solve(ridge) for ridge in RIDGES])
        errors += [held.squared_error(weights) for weights in fitted[-1]]
    best = int(np.argmin(errors))
    forecasts = np.zeros((len(asked), linear.horizon))
    for stretch in range(STRETCHES):
        own = np.flatnonzero(stretches[asked] == stretch)
        past, _ = windows(asked[own])
        forecasts[own] = linear.features(past) @ fitted[stretch][best] + linear.origin(past)
    whole = linear.sums(windows, rows).solve(RIDGES[best])
    return Line(linear.as_map(whole), RIDGES[best], forecasts)
