"""The line beside the network: one linear map for all series, mixed into the forecast as far as validation says.

    line[k]     = A_k (y[t-L+1 .. t] - y[t]) + b_k      relative to the last value, in standard deviations of each series
    forecast[k] = share[k] network[k] + (1 - share[k]) line[k]

A and b are the ridge regression of `baselines.Linear`; its strength is the one with the smallest squared error on stretches
of the train part that were left out. `share` is 1, 0 or a tenth between them, the same for all steps of a quarter of the
horizon: the one with the smallest error on the validation windows. Intervals move with the forecast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.forecast.baselines import Linear, Sums
from congru.tasks.forecast.window import Array

STRETCHES = 4  # of the train part, each left out once
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # per window
SHARES = np.round(np.linspace(0.0, 1.0, 11), 1)
_BANDS = 4  # of the horizon, each with a share of its own
_SHORTEST = 8  # steps ahead that are divided into bands
_MOST = 4096  # windows that a share is fitted on

Index = NDArray[np.int64]
Windows = Callable[[Index], tuple[Array, Array]]


class Line(NamedTuple):
    """The weights [L + 1, h] of a line, and the strength of the ridge that was chosen, per window."""

    weights: Array
    ridge: float


def stretch_of(cutoff: Index, train_end: Index) -> Index:
    """In which of the stretches of its series' train part a cutoff lies."""
    return np.asarray(np.clip(STRETCHES * cutoff // train_end, 0, STRETCHES - 1))


def apart(cutoff: Index, train_end: Index, stretch: int, horizon: int) -> NDArray[np.bool_]:
    """Which windows share no value of their future with the windows of a stretch."""
    near = (stretch_of(cutoff + away, train_end) == stretch for away in (1 - horizon, 0, horizon - 1))
    return np.asarray(~np.any(list(near), 0))


def fit_line(windows: Windows, cutoff: Index, train_end: Index, look_back: int, horizon: int) -> Line:
    """Fit on `windows(rows) -> (past [B, L], future [B, h])` in standard deviations; `cutoff` and `train_end` of each row."""
    linear, rows = Linear(look_back, horizon), np.arange(len(cutoff))
    stretches = stretch_of(cutoff, train_end)
    errors = np.zeros(len(RIDGES))
    for stretch in range(STRETCHES):
        outside = linear.sums(windows, rows[apart(cutoff, train_end, stretch, horizon)])
        held = linear.sums(windows, rows[stretches == stretch])
        errors += [held.squared_error(outside.solve(ridge)) for ridge in RIDGES]
    ridge = RIDGES[int(np.argmin(errors))]
    whole: Sums = linear.sums(windows, rows)
    return Line(whole.solve(ridge), ridge)


def fit_share(actual: Array, network: Array, line: Array, weights: Array, *, squared: bool = False) -> Array:
    """The share of the network at every step ahead [h]; actual, forecasts and what each error counts for are [B, h].

    Of equal shares the largest.

    >>> y = np.array([[2.0, 2.0]])
    >>> fit_share(y, y + 1, y - 1, np.ones((1, 2))).tolist(), fit_share(y, y, y, np.ones((1, 2))).tolist()
    ([0.5, 0.5], [1.0, 1.0])
    """
    step = -(-len(actual) // _MOST)
    actual, network, line, weights = (part[::step] for part in (actual, network, line, weights))
    result = np.ones(actual.shape[1])
    bands = _BANDS if len(result) >= _SHORTEST else 1
    for band in np.array_split(np.arange(len(result)), bands):
        errors = []
        for share in SHARES[::-1]:
            error = np.abs(share * network[:, band] + (1 - share) * line[:, band] - actual[:, band])
            errors.append(float(((error**2 if squared else error) * weights[:, band]).sum()))
        result[band] = SHARES[::-1][int(np.argmin(errors))]
    return result


def mix(forecast: Array, line: Array, share: Array) -> Array:
    """Forecasts [B, h, 1 + 2 levels] with the line [B, h] mixed in; bounds move with the median."""
    return np.asarray(forecast + ((1 - share) * (line - forecast[..., 0]))[..., None])
