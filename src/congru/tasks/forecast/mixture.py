"""How much each forecast is worth beside a simpler one: shares chosen on windows nobody learned from, with their evidence.

    mixture = share forecast + (1 - share) simpler
    share   = argmin of the error * max(0, 1 - E0 / t^2)

t is the mean gain of the mixture over the simpler forecast, divided by its standard error over groups of windows (the statistic
of Diebold & Mariano 1995). Windows overlap, so a group is a stretch of one horizon; where there are fewer than four, a series.
E0 = (G - 1) / (G - 3) is the mean of t^2 over G groups where there is nothing to gain: such a share is shrunk to 0, one beyond
doubt is kept (as James & Stein shrink). With three groups or fewer the root of the
share of the error that goes away is kept: all of it where nothing is left over, little where little is gained.

The simple forecasts come first: the best lag, then each line as far as it gains on the validation windows and on stretches of
the train part that it was fitted without. Their mixture is one linear map, see lines.py. The network comes last.

A line needs twice as many training windows as it reads values. A table that has fewer of them has shorter lines, which read a
quarter of the longest train part and are fitted where there are twice as many windows without a repeated first value, ten at
least; and before them two lines that are not fitted, the mean of these values and the drift from the first to the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from congru.tasks.forecast.baselines import Linear
from congru.tasks.forecast.lines import (
    LONGEST_TREND,
    Index,
    TrendLine,
    drift_map,
    fit_line,
    lag_map,
    longer,
    mean_map,
)
from congru.tasks.forecast.panel import Panel
from congru.tasks.forecast.window import Array

SHARES = np.round(np.linspace(0.0, 1.0, 21), 2)
_BANDS = 4  # of the horizon, each with a share of its own
_SHORTEST = 8  # steps ahead that are divided into bands
MOST = 4096  # windows that a share is fitted on, and of a line's left-out forecasts
_FEWEST_GROUPS = 4
_SHORT = 4  # look-backs of a short series' lines in the longest train part
_FEWEST = 10  # windows that a line is fitted on

Rows = tuple[Index, Index]  # series [B] and cutoff [B] of windows


@dataclass(frozen=True)
class Evidence:
    """What came in B windows, and what an error in them counts for."""

    actual: Array
    """[B, h]"""
    counts: Array
    """[B, h] 0 where a value is missing."""
    groups: Index | None
    """[B] of windows that depend on each other; None where there are too few to tell."""
    squared: bool = False

    def errors(self, forecast: Array, band: Index | slice = slice(None)) -> Array:
        """The weighted errors [B] of forecasts [B, h], summed over steps ahead."""
        error = np.abs(forecast[:, band] - self.actual[:, band])
        return np.asarray(((error**2 if self.squared else error) * self.counts[:, band]).sum(1))

    def part(self, rows: Index) -> Evidence:
        """That of some of the windows."""
        groups = None if self.groups is None else self.groups[rows]
        return Evidence(self.actual[rows], self.counts[rows], groups, self.squared)


def thinned(count: int) -> Index:
    """At most 4,096 of `count` rows, evenly."""
    return np.arange(0, count, max(1, -(-count // MOST)))


def groups_of(series: Index, cutoff: Index, horizon: int) -> Index | None:
    """Windows [B] in groups that share no value ahead: stretches of a horizon, or series where there are few stretches.

    >>> groups_of(np.zeros(12, int), np.arange(12), 3).tolist()
    [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    """
    if not len(cutoff):
        return None
    first, last = int(cutoff.min()), int(cutoff.max())
    count = round((last - first + 1) / horizon)
    if count >= _FEWEST_GROUPS:
        return np.asarray((cutoff - first) * count // (last - first + 1))
    return series if len(np.unique(series)) >= _FEWEST_GROUPS else None


def bands_of(horizon: int) -> list[Index]:
    """The steps ahead that have one share."""
    return list(np.array_split(np.arange(horizon), _BANDS if horizon >= _SHORTEST else 1))


def best_shares(evidence: Evidence, forecast: Array, simpler: Array) -> Array:
    """The share with the smallest error at every step ahead [h], the same in a band; of equal ones the smallest.

    >>> y = np.array([[2.0, 2.0]])
    >>> best_shares(Evidence(y, np.ones((1, 2)), None), y + 1, y - 1).tolist()
    [0.5, 0.5]
    """
    result = np.zeros(evidence.actual.shape[1])
    for band in bands_of(len(result)):
        errors = [
            float(evidence.errors(share * forecast + (1 - share) * simpler, band).sum()) for share in SHARES
        ]
        result[band] = SHARES[int(np.argmin(errors))]
    return result


def trust(gains: Array, groups: Index | None, former: float) -> float:
    """How much of a share stays whose mixture gains so much in each window [B] of a mean error `former`: 0 to 1, see above.

    >>> round(trust(np.array([1.0, 3.0] * 3), np.arange(6), 9.0), 4), trust(np.array([1.0, -1.0] * 3), np.arange(6), 9.0)
    (0.9167, 0.0)
    >>> trust(np.array([1.0, 1.0]), None, 1.0), trust(np.array([1.0, 1.0]), None, 4.0)
    (1.0, 0.5)
    """
    mean = float(gains.mean()) if len(gains) else 0.0
    if mean <= 0:
        return 0.0
    if groups is None:
        return float(np.sqrt(mean / former))
    _, numbers = np.unique(groups, return_inverse=True)
    count = int(numbers.max()) + 1
    sums = np.bincount(numbers, gains - mean)
    variance = float((sums**2).sum()) * count / (count - 1) / len(gains) ** 2
    usual = (count - 1) / (count - 3)
    return float(max(0.0, 1 - usual * variance / mean**2))


def fit_share(evidence: Evidence, forecast: Array, simpler: Array) -> Array:
    """The share [h] of forecasts [B, h] beside simpler ones [B, h], as far as the windows show it."""
    rows = thinned(len(forecast))
    evidence, forecast, simpler = evidence.part(rows), forecast[rows], simpler[rows]
    share = best_shares(evidence, forecast, simpler)
    former = evidence.errors(simpler)
    gains = former - evidence.errors(mix_median(forecast, simpler, share))
    return share * trust(gains, evidence.groups, float(former.mean()) if len(former) else 0.0)


def mix_median(forecast: Array, simpler: Array, share: Array) -> Array:
    """share forecast + (1 - share) simpler, all [..., h]."""
    return np.asarray(share * forecast + (1 - share) * simpler)


def mix(forecast: Array, simple: Array, share: Array) -> Array:
    """Forecasts [B, h, 1 + 2 levels] with simple ones [B, h] mixed in; bounds move with the median."""
    return np.asarray(forecast + ((1 - share) * (simple - forecast[..., 0]))[..., None])


def evidence_of(panel: Panel, rows: Rows, groups: Index | None, *, squared: bool) -> Evidence:
    """The actual values of windows in standard deviations from the mean, errors counted in units (squared: in deviations)."""
    units = panel.units
    weight = np.where(units.flat, 0.0, 1.0 if squared else units.scale / units.unit)
    counts = np.asarray(panel.observed(*rows) * weight[rows[0]][:, None], np.float64)
    return Evidence(panel.deviations(panel.actual(*rows), rows[0]), counts, groups, squared)


def choose_simple(
    panel: Panel,
    lags: Sequence[int],
    look_back: int,
    *,
    learned: Rows,
    train_end: Index,
    validation: Rows,
    squared: bool,
) -> Array:
    """The mixture of the simple forecasts as a linear map W [L + 2, h].

    `lags` are those of the candidates, `learned` the windows of the train part, `train_end` [N] where it ends.
    """
    horizon, lines = panel.window.horizon, [look_back, min(look_back, LONGEST_TREND)]
    stretch = horizon
    unfitted: list[Array] = []
    if len(learned[0]) < 2 * look_back:
        short = min(look_back, max(2, int(train_end.max()) // _SHORT))
        unfitted = [longer(own, look_back) for own in (mean_map(short, horizon), drift_map(short, horizon))]
        whole = learned[1] >= short
        learned = learned[0][whole], learned[1][whole]
        stretch = 2 * horizon  # of the windows of one horizon most reach into the next
        lines = [short, short] if len(learned[0]) >= max(_FEWEST, 2 * short) else []
    thin, later = thinned(len(learned[0])), thinned(len(validation[0]))
    held: Rows = learned[0][thin], learned[1][thin]
    validation = validation[0][later], validation[1][later]
    rows: Rows = np.r_[held[0], validation[0]], np.r_[held[1], validation[1]]
    evidence = evidence_of(panel, rows, groups_of(*rows, stretch), squared=squared)
    weights, current = best_lags(panel, [lag for lag in lags if lag <= look_back], look_back, evidence, rows)
    for own in unfitted:
        weights, current = _join(evidence, (own, panel.simple(own, *rows)), (weights, current))
    for kind, size in zip((Linear, TrendLine), lines):

        def windows(part: Index, size: int = size) -> tuple[Array, Array]:
            series, cutoff = learned[0][part], learned[1][part]
            past, future = panel.history(size, series, cutoff), panel.actual(series, cutoff)
            return panel.deviations(past, series), panel.deviations(future, series)

        line = fit_line(kind(size, horizon), windows, learned[1], train_end[learned[0]], thin)
        own = longer(line.weights, look_back)
        forecast = np.concatenate([line.held, panel.simple(own, *validation)])
        weights, current = _join(evidence, (own, forecast), (weights, current))
    return weights


Simple = tuple[Array, Array]  # a linear map W [L + 2, h] and what it forecasts [B, h]


def best_lags(panel: Panel, lags: Sequence[int], look_back: int, evidence: Evidence, rows: Rows) -> Simple:
    """In each band the lag with the smallest error."""
    horizon = panel.window.horizon
    maps = [lag_map(lag, look_back, horizon) for lag in lags]
    forecasts = [panel.deviations(panel.lagged(lag, *rows), rows[0]) for lag in lags]
    weights, current = maps[0].copy(), forecasts[0].copy()
    for band in bands_of(horizon):
        best = int(np.argmin([float(evidence.errors(forecast, band).sum()) for forecast in forecasts]))
        weights[:, band], current[:, band] = maps[best][:, band], forecasts[best][:, band]
    return weights, current


def _join(evidence: Evidence, candidate: Simple, simpler: Simple) -> Simple:
    """A candidate mixed in as far as it gains."""
    share = fit_share(evidence, candidate[1], simpler[1])
    return mix_median(candidate[0], simpler[0], share), mix_median(candidate[1], simpler[1], share)
