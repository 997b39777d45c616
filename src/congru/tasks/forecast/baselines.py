"""What a person would try first: the last value, the last season, a linear map, the M4 competition's Naive2, Croston."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LONGEST_LINEAR = 720  # look-back of the linear baseline at most
_MOST_WINDOWS = 20_000
_RIDGE = 1e-3  # per window


def last_value(history: Array, horizon: int) -> Array:
    """The last value of `history` [B, T], repeated: [B, h]."""
    return np.repeat(history[:, -1:], horizon, axis=1)


def seasonal_naive(history: Array, horizon: int, season: int) -> Array:
    """The last season of `history` [B, T], T >= season, repeated: [B, h].

    >>> seasonal_naive(np.array([[1.0, 2.0, 3.0]]), 3, 2).tolist()
    [[2.0, 3.0, 2.0]]
    """
    return np.asarray(history[:, history.shape[1] - season + np.arange(horizon) % season])


_DEMAND_WEIGHT = 0.1  # of the newest demand in Croston's averages
INTERMITTENT = (
    1.32  # steps between demands on average, above which demand is intermittent (Syntetos & Boylan 2005)
)


def is_intermittent(series: Sequence[Array]) -> bool:
    """Whether most series are intermittent demand: never negative, and on average 1.32 steps or more between demands.

    >>> is_intermittent([np.array([0.0, 0.0, 3.0, 0.0, 2.0, 0.0])]), is_intermittent([np.ones(6)])
    (True, False)
    """
    if any((y < 0).any() for y in series):
        return False
    rare = [len(y) >= INTERMITTENT * np.count_nonzero(y) and np.count_nonzero(y) > 0 for y in series]
    return bool(np.mean(rare) > 0.5) if rare else False


def croston(y: Array) -> Array:
    """Croston's forecast of intermittent demand after every step of y [T]: size of a demand by the steps between two.

        at a demand:  z <- z + a (y - z),  p <- p + a (steps since the last demand - p),  a = 0.1;   forecast z / p

    Before the first demand it is the mean so far. (Croston 1972, "Forecasting and Stock Control for Intermittent
    Demands".)

    >>> croston(np.array([0.0, 4.0, 0.0, 4.0])).tolist()
    [0.0, 2.0, 2.0, 2.0]
    """
    forecast = np.zeros(len(y))
    size = interval = 0.0
    since = 0
    for step, value in enumerate(y.tolist()):
        since += 1
        if value > 0:
            if interval == 0.0:
                size, interval = value, float(since)
            else:
                size += _DEMAND_WEIGHT * (value - size)
                interval += _DEMAND_WEIGHT * (since - interval)
            since = 0
        forecast[step] = size / interval if interval else 0.0
    return forecast


def croston_windows(
    series: Sequence[Array], rows: NDArray[np.int64], cutoff: NDArray[np.int64], horizon: int
) -> Array:
    """Croston's forecast [B, h] of windows, the same at every step ahead."""
    after = [np.r_[0.0, croston(y)] for y in series]
    levels = np.array([after[row][end] for row, end in zip(rows, cutoff)])
    return np.repeat(levels[:, None], horizon, 1)


class Sums(NamedTuple):
    """What a linear map is fitted from: x'x [L+1, L+1], x'y [L+1, h], the sum of y^2, and the number of windows."""

    square: Array
    cross: Array
    power: float
    num_windows: int

    def solve(self, ridge: float) -> Array:
        """The weights [L+1, h] of ridge regression, `ridge` per window."""
        square = self.square.copy()
        square[np.diag_indices(len(square))] += ridge * max(self.num_windows, 1)
        return np.asarray(np.linalg.solve(square, self.cross), np.float64)

    def squared_error(self, weights: Array) -> float:
        """The summed squared error of a map on these windows."""
        fitted = np.einsum("ih,ih->", weights, self.square @ weights)
        return float(self.power - 2 * np.einsum("ih,ih->", weights, self.cross) + fitted)


class Linear:
    """One linear map from the look-back to the horizon for all series, by ridge regression in closed form.

        y[t+1 .. t+h] - y[t] = A (y[t-L+1 .. t] - y[t]) + b,   in units of each series

    (Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?", the normalised variant.)
    """

    def __init__(self, look_back: int, horizon: int) -> None:
        self.look_back, self.horizon = look_back, horizon
        self.weights: Array = np.zeros((look_back + 1, horizon))

    def fit(self, windows: Callable[[NDArray[np.int64]], tuple[Array, Array]], count: int) -> Linear:
        """Fit on `windows(rows) -> (past [B, L], future [B, h])` in units, for rows 0 .. count - 1."""
        self.weights = self.sums(windows, np.arange(count)).solve(_RIDGE)
        return self

    def sums(
        self, windows: Callable[[NDArray[np.int64]], tuple[Array, Array]], rows: NDArray[np.int64]
    ) -> Sums:
        """The sums over windows `rows`, evenly thinned to 20,000."""
        most = min(len(rows), _MOST_WINDOWS)
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, most).astype(np.int64))]
        size = self.num_features
        square, cross, power = np.zeros((size, size)), np.zeros((size, self.horizon)), 0.0
        for part in np.array_split(rows, -(-len(rows) // 2048) or 1):
            past, future = windows(part)
            x, y = self.features(past), future - self.origin(past)
            square += x.T @ x
            cross += x.T @ y
            power += float(np.einsum("bh,bh->", y, y))
        return Sums(square, cross, power, len(rows))

    def predict(self, past: Array) -> Array:
        """The forecast [B, h] from the look-back [B, L], both in units."""
        return relative_line(past, self.weights) + past[:, -1:]

    @property
    def num_features(self) -> int:
        """How many values are mapped."""
        return self.look_back + 1

    def features(self, past: Array) -> Array:
        """What is mapped: the look-back relative to its last value, and a one [B, L + 1]."""
        return np.concatenate([past - past[:, -1:], np.ones((len(past), 1))], axis=1)

    def origin(self, past: Array) -> Array:
        """What the mapped values are added to, [B, 1]."""
        return past[:, -1:]

    def as_map(self, weights: Array) -> Array:
        """W [L + 2, h] of weights of the features, see lines.py."""
        return np.insert(weights, self.look_back, 0.0, axis=0)


def relative_line(past: Array, weights: Array) -> Array:
    """The linear forecast [..., h] relative to the last value, from the look-back [..., L] and weights [L + 1, h]."""
    return np.asarray((past - past[..., -1:]) @ weights[:-1] + weights[-1])


def is_seasonal(y: Array, season: int) -> bool:
    """The M4 competition's test: is the autocorrelation at lag `season` beyond 1.645 standard errors (Bartlett)?"""
    if season < 2 or len(y) < 3 * season:
        return False
    centred = y - y.mean()
    power = float(centred @ centred)
    if power == 0:
        return False
    acf = np.array([float(centred[lag:] @ centred[:-lag]) / power for lag in range(1, season + 1)])
    limit = 1.645 / np.sqrt(len(y)) * np.sqrt(1 + 2 * float((acf[:-1] ** 2).sum()))
    return bool(abs(acf[-1]) > limit)


def naive2(y: Array, horizon: int, season: int) -> Array:
    """Naive2 of the M4 competition: the last seasonally adjusted value, times the seasonal indices.

    Classical multiplicative decomposition where :func:`is_seasonal`: y / (centred moving average over `season`),
    averaged by season position. Else the last value.

    >>> naive2(np.array([1.0, 3.0] * 6), 3, 2).round(6).tolist()
    [1.0, 3.0, 1.0]
    """
    if not is_seasonal(y, season):
        return np.full(horizon, y[-1])
    length, half = len(y), season // 2
    window = np.ones(season) if season % 2 else np.r_[0.5, np.ones(season - 1), 0.5]
    trend = np.full(length, np.nan)
    trend[half : length - half] = np.convolve(y, window / season, "valid")
    ratio = y / trend
    indices = np.array([np.nanmean(ratio[position::season]) for position in range(season)])
    seasonal = np.resize(indices, length)
    return np.asarray(y[-1] / seasonal[-1] * np.resize(seasonal[-season:], horizon))
