"""How long each unit remembers: tau_i = -1 / mean(ln keep_i), in steps (Tallec & Ollivier 2018, arXiv 1804.11188).

After tau steps a share 1/e of a unit's content is left, after half-life = 0.693 tau one half. The same
yardstick for the data is its autocorrelation length, the lag at which its autocorrelation falls below 1/e.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from congru.gates.layer import Layer
from congru.gates.weights import Array
from congru.report.cell import card
from congru.report.table import html_table

HALF = float(np.log(2.0))


class Timescales(NamedTuple):
    """tau and half_life per unit, [H], in steps; `data` is the autocorrelation length of the input, NaN if unknown."""

    tau: Array
    half_life: Array
    data: float

    @property
    def longest(self) -> float:
        """The largest tau."""
        return float(self.tau.max())

    def sentence(self, steps: str = "steps") -> str:
        """What the numbers say, in one sentence; `steps` is what steps are called."""
        low, middle, high = (f"{value:.3g}" for value in np.quantile(self.tau, (0.1, 0.5, 0.9)))
        text = f"10, 50 and 90 % of the units have forgotten 63 % after {low}, {middle} and {high} {steps}"
        if not np.isfinite(self.data):
            return text + "."
        reach = int((self.tau >= self.data).sum())
        return (
            f"{text}; the data's own memory is {self.data:.3g} {steps}, and {reach} of {len(self.tau)} "
            "units reach it."
        )

    def _repr_html_(self) -> str:
        rows = [
            (f"{share} %", *np.quantile((self.tau, self.half_life), share / 100, axis=1).tolist())
            for share in (10, 50, 90)
        ]
        table = html_table(rows, ("share of units", "timescale, at most", "half-life, at most"), decimals=1)
        return card(f"Timescales of {len(self.tau)} units", [self.sentence()], table)


def timescales_of(layer: Layer, data: float = float("nan")) -> Timescales:
    """The timescales of one layer over all valid steps of all rows.

    A gate at exactly 1 throughout gives tau = inf, one that is ever 0 gives tau = 0.
    """
    keep = layer.keep[layer.recovered.valid].astype(np.float64)
    with np.errstate(divide="ignore"):
        rate = np.abs(np.log(keep).mean(axis=0))
        tau = 1 / rate
    return Timescales(tau, HALF * tau, data)


def autocorrelation(series: npt.ArrayLike, max_lag: int | None = None) -> Array:
    """The autocorrelation of each column of series [T, F] at lags 0..max_lag, [max_lag + 1, F]; NaN where constant.

    >>> autocorrelation([1.0, -1.0, 1.0, -1.0], 1).round(2).tolist()
    [[1.0], [-0.75]]
    """
    values = np.asarray(series, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    num_steps = len(values)
    max_lag = num_steps - 1 if max_lag is None else min(max_lag, num_steps - 1)
    centred = values - values.mean(axis=0)
    spectrum = np.fft.rfft(centred, 2 * num_steps, axis=0)
    sums = np.fft.irfft(np.abs(spectrum) ** 2, 2 * num_steps, axis=0)[: max_lag + 1]
    scale = (centred**2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Array = np.where(scale > 1e-12 * num_steps, sums / scale, np.nan)
    return result


def autocorrelation_length(series: npt.ArrayLike) -> float:
    """The lag at which the mean autocorrelation of the columns of series [T, F] first falls below 1/e.

    Linear between lags; NaN where the series is too short or constant, and T where it never falls that low.
    """
    values = np.asarray(series, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if len(values) < 3:
        return float("nan")
    columns = autocorrelation(values)
    moving = ~np.isnan(columns[0])
    if not moving.any():
        return float("nan")
    curve = columns[:, moving].mean(axis=1)
    below = np.flatnonzero(curve < 1 / np.e)
    if len(below) == 0:
        return float(len(values))
    lag = int(below[0])
    return float(lag - 1 + (curve[lag - 1] - 1 / np.e) / (curve[lag - 1] - curve[lag]))
