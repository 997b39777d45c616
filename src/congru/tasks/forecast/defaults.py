"""What is chosen where the user says nothing; every rule in one sentence, every choice shown before training.

season      the shortest natural cycle of the step (a day, a week, a year); for counted steps the lag with the highest
            autocorrelation on the train part, if that is at least 0.3 and three standard errors and seasonal by the
            M4 test; else 1.
lags        the last value; and the last season, where the season is at least 2 and the train part holds three.
input_size  three horizons or two of the longest natural cycle up to a week, whichever is more, at least 32 steps and
            at most half of the longest train part.
segment     1 (step by step, can be streamed) up to 128 steps of input; above, the season where it is between 4 and an
            eighth of the input, else the whole number nearest to the square root of the input.
calendar    every natural cycle of which the longest train part holds two.
noise       0.5 standard deviations on every input where all train parts together hold fewer than 10,000 values (on
            daily weather it is what keeps a network from learning three years by heart), else none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from congru.data.frequency import Frequency
from congru.tasks.forecast.baselines import is_seasonal

Array = NDArray[np.float64]

STEPWISE = 128
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


def choose_lags(season: int, longest: int) -> tuple[int, ...]:
    """The lags of the simple forecasts for a train part of `longest` steps."""
    return (1, season) if 2 <= season <= longest // 3 else (1,)


def choose_input_size(horizon: int, frequency: Frequency, season: int, longest: int) -> int:
    """The look-back in steps.

    >>> from congru.data.frequency import parse_frequency
    >>> choose_input_size(24, parse_frequency("1h"), 24, 8640)
    336
    >>> choose_input_size(7, parse_frequency("1d"), 7, 1000)
    32
    """
    cycles = [cycle for cycle in (*frequency.cycles, season) if cycle <= 168]
    wanted = max(3 * horizon, 2 * max(cycles, default=1), 32)
    return max(1, min(wanted, longest // 2))


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
