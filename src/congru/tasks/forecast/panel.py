"""The series of a table as windows: the network's inputs, the simple forecasts it starts from, and the targets.

Everything the network sees is in units fitted on the train part. `scale` is the standard deviation of a
series, `unit` what a forecast error is counted in: the mean absolute seasonal difference |y_t - y_{t-m}|
where seasonal lags are used (so that an error of 1 is that of last season's value: the scale of MASE), else
the standard deviation. Legend as in window.py; W all values of all series one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from congru.tasks.forecast.baselines import relative_line
from congru.tasks.forecast.window import Array, Window

CLIP = 30.0  # a difference of more than this many units tells the network nothing more

_FLAT = 1e-8  # of the level: a spread below is none
_FEWEST = 3  # values that tell a spread
_USUAL_SPREAD = 0.1  # of the level, where no series tells another

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """What each of N series is measured in, fitted on its train part."""

    mean: Array
    scale: Array
    """[N] standard deviation; a billionth of the level where it is 0."""
    unit: Array
    """[N] unit of the errors."""
    level: Array
    """[N] mean absolute value, or the unit where that is larger; 1 for a series of zeros."""

    def of(self, number: int) -> Units:
        """The units of one series."""
        own = slice(number, number + 1)
        return Units(self.mean[own], self.scale[own], self.unit[own], self.level[own])

    @property
    def flat(self) -> NDArray[np.bool_]:
        """[N] whether a series was constant: it is forecast as its last value, and counts in no scaled error."""
        return np.asarray(self.scale <= _FLAT * self.level)


def fit_units(
    train: Sequence[Array], window: Window, observed: Sequence[NDArray[np.bool_]] | None = None
) -> Units:
    """The units of series from the observed values of their train parts [T].

    A series with fewer than three values gets the relative spread that is usual among the others.
    """
    lag = min(window.seasonal_lags, default=0)
    seen = observed if observed is not None else [np.ones(len(values), bool) for values in train]
    rows = [_units_of(np.asarray(values, np.float64), there, lag) for values, there in zip(train, seen)]
    mean, scale, unit, level = (np.array(column) for column in zip(*rows))
    unknown = np.isnan(scale)
    usual = scale[~unknown & (scale > _FLAT * level)], level[~unknown & (scale > _FLAT * level)]
    share = float(np.median(usual[0] / usual[1])) if len(usual[0]) else _USUAL_SPREAD
    guess = np.where(level > 0, share * level, float(np.median(usual[0])) if len(usual[0]) else 1.0)
    scale, unit = np.where(unknown, guess, scale), np.where(unknown, guess, unit)
    return Units(mean, scale, unit, np.where(unknown, np.maximum(level, unit), level))


def _units_of(y: Array, observed: NDArray[np.bool_], lag: int) -> tuple[float, float, float, float]:
    """Mean, scale, unit and level of one series; a scale of NaN where there are too few values to tell."""
    values = y[observed] if observed.any() else y[:1]
    size, mean = float(np.abs(values).mean()), float(values.mean())
    if len(values) < _FEWEST:
        return mean, np.nan, np.nan, size
    deviation = float(values.std())
    if deviation <= 1e-9 * size:  # constant: floors are relative to the series
        return mean, 1e-9 * (size or 1.0), 1e-9 * (size or 1.0), size or 1.0
    unit = deviation
    if 0 < lag < len(y):
        both = observed[lag:] & observed[:-lag]
        differences = np.abs(y[lag:] - y[:-lag])[both]
        # A series that repeats almost exactly still has noise below a thousandth of its deviation.
        unit = max(float(differences.mean()) if len(differences) else deviation, 1e-3 * deviation)
    return mean, deviation, unit, max(size, unit)


class Panel:
    """Windows over N series.

    `values` [T_i] per series; `known` [T_i + h', K] per series, already scaled, h' >= 0 future steps; `past` [T_i, P]
    and `static` [S] likewise scaled; `phase` [N] the position of the first value in the calendar, in steps.
    A window is (series, cutoff), index arrays of one shape: it knows the values before index `cutoff`. A history that
    is too short is continued backwards with its first value, `reach` steps at least.
    """

    def __init__(
        self,
        window: Window,
        units: Units,
        values: Sequence[Array],
        known: Sequence[Array],
        phase: Sequence[int],
        observed: Sequence[NDArray[np.bool_]] | None = None,
        reach: int = 0,
        past: Sequence[Array] | None = None,
        static: Sequence[Array] | None = None,
    ) -> None:
        self.window, self.units = window, units
        before, after = max(window.memory, reach), window.horizon
        self.lengths = np.array([len(v) for v in values])
        sizes = before + self.lengths + after
        self._start = np.r_[0, np.cumsum(sizes)[:-1]] + before
        self._y = np.concatenate(
            [part for v in values for part in (np.full(before, v[0]), v, np.zeros(after))]
        )
        self._known = np.concatenate([_extend(part, before, size) for part, size in zip(known, sizes)])
        if window.num_past:
            assert past is not None
            self._past = np.concatenate([_extend(part, before, size) for part, size in zip(past, sizes)])
        if window.num_static:
            assert static is not None
            self._static = np.stack(list(static))
        self._phase = np.asarray(phase, np.int64)
        seen = observed if observed is not None else [np.ones(len(v), bool) for v in values]
        self._observed = np.concatenate(
            [part for s in seen for part in (np.zeros(before, bool), s, np.zeros(after, bool))]
        )

    def inputs(self, series: Index, cutoff: Index) -> NDArray[np.float32]:
        """x [B, n, F] of windows."""
        window, units = self.window, self.units
        length, lags = window.input_size, window.seasonal_lags
        at = self._at(series, cutoff)
        steps = np.arange(-length, 0)
        y = self._y[at + steps]
        flat = units.flat[series]  # what such a series does later is in no unit: the network sees zeros
        scale = np.where(flat, np.inf, units.scale[series])[:, None]
        unit = np.where(flat, np.inf, units.unit[series])[:, None]
        if window.streaming:
            parts = [(y - units.mean[series][:, None]) / scale, (y - self._y[at + steps - 1]) / scale]
        else:
            parts = [(y - y[:, -1:]) / scale]
        parts += [np.clip((y - self._y[at + steps - lag]) / unit, -CLIP, CLIP) for lag in lags]
        shape = (len(series), window.num_steps, window.segment)
        features = [part.reshape(shape) for part in parts]
        if window.cycles:
            features.append(self._calendar(series, cutoff))
        if window.num_known:
            features.append(self._known_features(at))
        if window.num_past:
            features.append(self._past[at + steps].reshape(*shape[:2], -1))
        if window.num_static:
            features.append(np.repeat(self._static[series][:, None], window.num_steps, 1))
        return np.concatenate(features, -1).astype(np.float32)

    def _calendar(self, series: Index, cutoff: Index) -> Array:
        """sin and cos of the position of each network step's last value in every cycle, [B, n, 2 cycles]."""
        ends = np.arange(-self.window.num_steps + 1, 1) * self.window.segment - 1
        position = (self._phase[series] + cutoff)[:, None] + ends
        angles = [2 * np.pi * (position % cycle) / cycle for cycle in self.window.cycles]
        return np.stack([wave(angle) for angle in angles for wave in (np.sin, np.cos)], -1)

    def _known_features(self, at: Index) -> Array:
        """Known covariates of each network step: its own, and those ahead (up to the horizon), [B, n, .]."""
        window = self.window
        batch, steps = len(at), window.num_steps
        positions = at + np.arange(-window.input_size, 0)
        if window.streaming:
            ahead = self._known[positions[:, :, None] + np.arange(window.horizon + 1)]
            return np.asarray(ahead.reshape(batch, steps, -1))
        own, shifted = self._known[positions], self._known[positions + window.horizon]
        return np.concatenate([part.reshape(batch, steps, -1) for part in (own, shifted)], -1)

    def history(self, length: int, series: Index, cutoff: Index) -> Array:
        """The `length` values before each cutoff, [..., length]; `length` is at most the reach."""
        return np.asarray(self._y[self._at(series, cutoff) + np.arange(-length, 0)])

    def lagged(self, lag: int, series: Index, cutoff: Index) -> Array:
        """The last `lag` values before each cutoff, repeated over the horizon, [..., h]; 1 is the last value."""
        ahead = np.arange(self.window.horizon)
        return np.asarray(self._y[self._at(series, cutoff) - lag + ahead % lag])

    def actual(self, series: Index, cutoff: Index) -> Array:
        """The actual values [..., h], in the unit of the series."""
        return np.asarray(self._y[self._at(series, cutoff) + np.arange(self.window.horizon)])

    def observed(self, series: Index, cutoff: Index) -> NDArray[np.bool_]:
        """Which of :meth:`actual` are real, [..., h]."""
        return np.asarray(self._observed[self._at(series, cutoff) + np.arange(self.window.horizon)])

    def bases(self, series: Index, cutoff: Index) -> Array:
        """The simple forecasts [..., h, R] in units, relative to the last value."""
        lagged = [self.relative(self.lagged(lag, series, cutoff), series, cutoff) for lag in self.window.lags]
        return np.stack(lagged, -1)

    def pairs(self, look_back: int, series: Index, cutoff: Index) -> tuple[Array, Array]:
        """What a linear map learns from: past [B, L] and future [B, h] in standard deviations of each series."""
        scale = self.units.scale[series][:, None]
        return self.history(look_back, series, cutoff) / scale, self.actual(series, cutoff) / scale

    def linear(self, weights: Array, series: Index, cutoff: Index) -> Array:
        """What a linear map of weights [L + 1, h] adds to the last value, [..., h] in standard deviations."""
        past = self.history(len(weights) - 1, series, cutoff)
        return relative_line(past / self.units.scale[series][..., None], weights)

    def deviations(self, values: Array, series: Index) -> Array:
        """Values [B, T] of series [B] in standard deviations from the mean of each."""
        mean, scale = self.units.mean[series][:, None], self.units.scale[series][:, None]
        return np.asarray((values - mean) / scale)

    def simple(self, weights: Array, series: Index, cutoff: Index) -> Array:
        """The forecast of a linear map W [L + 2, h] (lines.py), [B, h] in standard deviations from the mean."""
        past = self.deviations(self.history(len(weights) - 2, series, cutoff), series)
        last = past[:, -1:]
        return np.asarray(last + (past - last) @ weights[:-2] + last * weights[-2] + weights[-1])

    def simple_in_units(self, weights: Array, series: Index, cutoff: Index) -> Array:
        """The forecast [B, h] of a linear map W [L + 2, h], in units, relative to the last value."""
        last = self.deviations(self.history(1, series, cutoff), series)
        unit = (self.units.scale[series] / self.units.unit[series])[:, None]
        return np.asarray((self.simple(weights, series, cutoff) - last) * unit)

    def relative(self, values: Array, series: Index, cutoff: Index) -> Array:
        """Values [..., h] in units relative to the last value before each cutoff."""
        last = self._y[self._at(series, cutoff) - 1]
        unit = np.where(self.units.flat, np.inf, self.units.unit)
        return np.asarray((values - last) / unit[series][..., None])

    def absolute(self, forecasts: Array, series: Index, cutoff: Index) -> Array:
        """Forecasts [B, h, Q] in units relative to the last value -> in the unit of the series."""
        last = self._y[self._at(series, cutoff) - 1][..., None]
        unit = np.where(self.units.flat, 0.0, self.units.unit)
        return np.asarray(forecasts * unit[series][..., None, None] + last)

    def _at(self, series: Index, cutoff: Index) -> Index:
        """Where each cutoff lies in the flat arrays, [..., 1]."""
        return np.asarray(self._start[series] + cutoff)[..., None]


def _extend(known: Array, before: int, size: int) -> Array:
    """Known covariates with the first row repeated before and the last after, [size, K]."""
    after = size - before - len(known)
    first, final = np.repeat(known[:1], before, 0), np.repeat(known[-1:], max(after, 0), 0)
    return np.concatenate([first, known, final])[:size]
