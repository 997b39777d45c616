"""Settings chosen where the user leaves them open: each by the rule below, each shown before training.

season      the shortest natural cycle of the step (a day, a week, a year). Steps that are only counted have none: there it is
            the lag with the highest autocorrelation on the train part, if that is at least 0.3, at least three standard
            errors, and seasonal by the M4 test; else 1.
long season the longest natural cycle of up to 168 steps (a week of hours), if it is longer than the season. For counted steps
            the multiple of the season, up to ten, at which the mean autocorrelation of the series clearly rises again.
lags        1 (the last value), the season if it is at least 2, and the long season; a season only if the longest train part
            holds three of it.
input_size  three horizons or two of the longest cycle of up to 168 steps, whichever is more; at least 32 steps, and at most
            half of the longest train part, or one season where that is longer and leaves room for a horizon.
segment     1 (step by step, can be streamed) for an input of up to 128 steps. Above, the season if it is between 4 and an
            eighth of the input, else the square root of the input, rounded.
calendar    every natural cycle of which the longest train part holds two.
noise       0.5 standard deviations on every input if all train parts together hold fewer than 10,000 values, else none. It
            keeps a network from learning three years of daily weather by heart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from congru.data.frequency import Frequency
from congru.tasks.forecast.baselines import is_seasonal

Array = NDArray[np.float64]

STEPWISE = 128
LONGEST_CYCLE = 168  # steps: a week of hours
_MOST_SEASONS = 10  # in a long season
_MOST_SERIES = 50  # whose autocorrelations are averaged to find one
_CLEAR_RISE = 0.03  # of the autocorrelation
_LONGEST_SEASON = 400
_WEAK_SEASON = 0.3
_FEW_VALUES = 10_000


def find_season(frequency: Frequency, train: Sequence[Array]) -> int:
    """Steps in a season, 1 for none.

    >>> find_season(Frequency("step", 1), [np.tile([1.0, 2.0, 4.0, 3.0], 20)])
    4
    """
    if frequency.season is not None:
        return frequency.season
    if frequency.unit != "step":
        return 1
    lags = [_strongest_lag(y) for y in sorted(train, key=len)[-20:]]
    counts = np.bincount(lags)
    return int(np.argmax(counts))


def _strongest_lag(y: Array) -> int:
    """The lag of the highest autocorrelation beyond its first dip below zero; 1 if it is not seasonal there."""
    longest = min(_LONGEST_SEASON, len(y) // 3)
    centred = y - y.mean()
    power = float(centred @ centred)
    if longest < 2 or power == 0:
        return 1
    acf = np.array([1.0, *(float(centred[lag:] @ centred[:-lag]) / power for lag in range(1, longest + 1))])
    below = np.flatnonzero(acf < 0)
    if not len(below):
        return 1
    lag = int(below[0] + np.argmax(acf[below[0] :]))
    strong = acf[lag] > max(_WEAK_SEASON, 3 / np.sqrt(len(y)))
    return lag if strong and is_seasonal(y, lag) else 1


def find_long_season(frequency: Frequency, train: Sequence[Array], season: int) -> int | None:
    """Steps in a longer season beside `season`, such as the week of hours; None for none.

    >>> week = np.r_[np.tile([1.0, 5.0, 2.0, 1.0], 5), np.tile([1.0, 2.0, 2.0, 1.0], 2)]
    >>> find_long_season(Frequency("step", 1), [np.tile(week, 12)], 4), find_long_season(Frequency("step", 1), [week], 4)
    (28, None)
    """
    longer = [cycle for cycle in frequency.cycles if season < cycle <= LONGEST_CYCLE]
    if longer or frequency.unit != "step" or season < 2:
        return max(longer, default=None)
    chosen = [y for y in train if len(y) >= 6 * season][:: max(1, len(train) // _MOST_SERIES)]
    most = min([_MOST_SEASONS + 1, *(len(y) // (2 * season) for y in chosen)])
    seen = sum(len(y) for y in chosen)
    if most < 3 or not chosen:
        return None
    acf = np.mean([_seasonal_acf(y, season, most) for y in chosen], 0)
    peaks = [k for k in range(1, most - 1) if acf[k] > acf[k - 1] and acf[k] > acf[k + 1]]
    best = max(peaks, key=lambda k: acf[k], default=0)
    rises = acf[best] - acf[: best + 1].min() > max(_CLEAR_RISE, 3 / np.sqrt(seen))
    return (best + 1) * season if rises else None


def _seasonal_acf(y: Array, season: int, most: int) -> Array:
    """Autocorrelation at 1 to `most` seasons, per pair of values: a longer lag with fewer pairs is not smaller for that alone."""
    centred = y - y.mean()
    power = float(centred @ centred) / len(y)
    lags = season * np.arange(1, most + 1)
    covariances = [float(centred[lag:] @ centred[:-lag]) / (len(y) - lag) for lag in lags]
    return np.array(covariances) / power if power else np.zeros(most)


def choose_lags(season: int, longest: int, long_season: int | None = None) -> tuple[int, ...]:
    """The lags of the simple forecasts for a train part of `longest` steps.

    >>> choose_lags(24, 700, 168), choose_lags(24, 400, 168), choose_lags(1, 400)
    ((1, 24, 168), (1, 24), (1,))
    """
    return (1, *(lag for lag in (season, long_season or 1) if 2 <= lag <= longest // 3))


def choose_input_size(
    horizon: int, frequency: Frequency, season: int, longest: int, long_season: int | None = None
) -> int:
    """The look-back in steps.

    >>> from congru.data.frequency import parse_frequency
    >>> choose_input_size(24, parse_frequency("1h"), 24, 8640)
    336
    >>> choose_input_size(7, parse_frequency("1d"), 7, 1000), choose_input_size(24, parse_frequency("1w"), 52, 96)
    (32, 52)
    """
    cycles = [cycle for cycle in (*frequency.cycles, season, long_season or 1) if cycle <= LONGEST_CYCLE]
    wanted = max(3 * horizon, 2 * max(cycles, default=1), 32)
    room = season if season + horizon <= longest else 1
    return max(1, min(wanted, max(longest // 2, room)))


def choose_segment(input_size: int, season: int) -> int:
    """Past steps per step of the network.

    >>> choose_segment(32, 7), choose_segment(336, 24), choose_segment(720, 1)
    (1, 24, 27)
    """
    if input_size <= STEPWISE:
        return 1
    return season if 4 <= season <= input_size // 8 else round(input_size**0.5)


def choose_noise(num_values: int) -> float:
    """Standard deviation of the noise on the inputs in training."""
    return 0.5 if num_values < _FEW_VALUES else 0.0


def choose_cycles(frequency: Frequency, longest: int) -> tuple[int, ...]:
    """The calendar cycles that the train part shows twice."""
    return tuple(cycle for cycle in frequency.cycles if 2 * cycle <= longest)
