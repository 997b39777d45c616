"""Intervals that keep learning from the values that come in, at constant cost and state.

    s      = |y - median| / width              width of the side on which y lies, as calibrated (quantiles.py)
    log f <- log f + rate ([s > f] - (1 - level / 100))
    lo, hi = median -/+ f width

Adaptive conformal inference (Gibbs & Candes 2021) as a quantile tracker (Angelopoulos, Candes & Tibshirani 2023, "Conformal
PID Control for Time Series Prediction", equation 4), on the logarithm: whatever the data does, the share of misses comes to
1 - level, as fast as 1 / T. Each series has its own f for up to twelve steps ahead and each level; between them log f is
linear. A value teaches step k by the forecast that was made k steps before it, which waits until then: nothing is
learned from a value before it is there. Errors k steps ahead overlap, so the rate is 0.1 / sqrt(k).

Legend: A tracked steps ahead, Q levels, h horizon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.tasks.forecast.quantiles import calibrate
from congru.tasks.forecast.window import Array, Window

RATE = 0.1  # of one step ahead
_MOST_STEPS = 12
_FARTHEST = float(np.log(1000.0))  # that log f goes from 0

Index = NDArray[np.int64]


@dataclass
class _Learned:
    """What one series has taught, and the forecasts that wait for their values."""

    log_factor: Array
    """[A, Q]"""
    waiting: Array
    """[h, A, 1 + 2 Q] forecasts made at time t, in row t mod h; NaN where there is none."""


class AdaptiveIntervals:
    """The factors of the intervals of every series that has had new values; the others keep their calibration."""

    def __init__(self, window: Window, state: Mapping[str, NDArray[Any]] | None = None) -> None:
        """`state` is what :meth:`state` gave."""
        horizon, self.levels = window.horizon, window.levels
        self.horizon = horizon
        self.steps = np.unique(np.round(np.linspace(1, horizon, min(horizon, _MOST_STEPS))).astype(np.int64))
        ahead = np.arange(1, horizon + 1)
        self._between = np.stack([np.interp(ahead, self.steps, unit) for unit in np.eye(len(self.steps))], 1)
        self._rates = (RATE / np.sqrt(self.steps))[:, None]
        self._misses = 1 - np.array(self.levels) / 100
        self._series: dict[int, _Learned] = {}
        if state:
            rows = zip(state["numbers"].tolist(), state["log_factors"], state["waiting"])
            self._series = {
                number: _Learned(factor.copy(), waiting.copy()) for number, factor, waiting in rows
            }

    def state(self) -> dict[str, NDArray[Any]]:
        """What it has learned, as arrays; empty where it has seen nothing."""
        if not self._series:
            return {}
        learned = list(self._series.values())
        return {
            "numbers": np.array(list(self._series), np.int64),
            "log_factors": np.stack([one.log_factor for one in learned]),
            "waiting": np.stack([one.waiting for one in learned]),
        }

    def factors(self, number: int) -> Array:
        """The factors [h, Q] of a series."""
        learned = self._series.get(number)
        if learned is None:
            return np.ones((self.horizon, len(self.levels)))
        return np.asarray(np.exp(self._between @ learned.log_factor))

    def widen(self, forecast: Array, numbers: Sequence[int] | Index) -> Array:
        """Calibrated forecasts [B, h, 1 + 2 Q] of series [B] with the intervals that hold now."""
        result = forecast
        for row, number in enumerate(np.asarray(numbers).tolist()):
            if number in self._series:
                result = forecast.copy() if result is forecast else result
                result[row] = calibrate(forecast[row], list(self.factors(number).T))
        return result

    def expects(self, number: int, time: int) -> bool:
        """Whether the forecast made at `time`, the number of steps known then, waits for its values."""
        learned = self._series.get(number)
        return learned is not None and bool(np.isfinite(learned.waiting[time % self.horizon, -1, 0]))

    def issue(self, number: int, time: int, forecast: Array) -> None:
        """A calibrated forecast [h, 1 + 2 Q] was made at `time`; it waits for its values."""
        if number not in self._series:
            shape = (self.horizon, len(self.steps), 1 + 2 * len(self.levels))
            zeros = np.zeros((len(self.steps), len(self.levels)))
            self._series[number] = _Learned(zeros, np.full(shape, np.nan))
        self._series[number].waiting[time % self.horizon] = forecast[self.steps - 1]

    def observe(self, number: int, time: int, y: float) -> None:
        """The value of step `time` came, NaN where it is missing: every forecast of it is judged once."""
        learned = self._series[number]
        slots, tracked = (time + 1 - self.steps) % self.horizon, np.arange(len(self.steps))
        forecast = learned.waiting[slots, tracked]
        learned.waiting[slots, tracked] = np.nan
        median = forecast[:, :1]
        width = np.where(y < median, median - forecast[:, 1::2], forecast[:, 2::2] - median)
        with np.errstate(invalid="ignore"):
            missed = np.abs(y - median) > np.exp(learned.log_factor) * width
            step = np.where(width > 0, self._rates * (missed - self._misses), 0.0)
        if np.isfinite(y):
            learned.log_factor = np.clip(learned.log_factor + step, -_FARTHEST, _FARTHEST)


def replay(window: Window, values: Array, cutoff: Index, forecast: Array) -> Array:
    """Forecasts [B, h, 1 + 2 Q] of one series from moments [B], in order, as their intervals would have been.

    `values` [T] from the first step, NaN where one is missing: each moment knows those before it, as a stream would.
    """
    intervals, result = AdaptiveIntervals(window), np.empty_like(forecast)
    for row, time in enumerate(cutoff.tolist()):
        if row:
            for past in range(int(cutoff[row - 1]), time):
                intervals.observe(0, past, float(values[past]))
        result[row] = intervals.widen(forecast[row : row + 1], [0])[0]
        intervals.issue(0, time, forecast[row])
    return result
