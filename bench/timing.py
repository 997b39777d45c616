"""Times functions side by side in one process, so that a machine that slows down slows all of them alike.

A call after a pause is a cold one: threads sleep, ours too. A call behind others of the same function finds them awake.
Which of the two a user has depends on the program around it, so `rows` measures both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import numpy as np

WARM_UP = 2
PAUSE_S = 0.01  # before each call: some libraries' threads spin for milliseconds after a call, on the next one's cores
IN_A_ROW = 5  # calls of a turn
SETTLED = 3  # of them, the last ones count


def rows(
    functions: Mapping[str, Callable[[], object]],
    repetitions: int,
    calls: int = IN_A_ROW,
    budget_s: float = 30.0,
    pause_s: float = PAUSE_S,
) -> dict[str, list[list[float]]]:
    """Seconds of each call, by name and turn: in a turn every function is called `calls` times in a row, after a pause.

    There are `repetitions` turns (fewer, but at least three, where they would take longer than `budget_s`).
    """
    for function in functions.values():
        for _ in range(WARM_UP):
            function()
    seconds: dict[str, list[list[float]]] = {name: [] for name in functions}
    begin = time.perf_counter()
    for turn in range(repetitions):
        if turn >= 3 and time.perf_counter() - begin > budget_s:
            break
        for name, function in functions.items():
            time.sleep(pause_s)
            row = []
            for _ in range(calls):
                start = time.perf_counter()
                function()
                row.append(time.perf_counter() - start)
            seconds[name].append(row)
    return seconds


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    repetitions: int,
    budget_s: float = 30.0,
    pause_s: float = PAUSE_S,
) -> dict[str, list[float]]:
    """Seconds of each call after a pause, by name: all functions once, then all again; see `rows`."""
    return after_pause(rows(functions, repetitions, 1, budget_s, pause_s))


def after_pause(seconds: Mapping[str, list[list[float]]]) -> dict[str, list[float]]:
    """The first call of each turn of `rows`.

    >>> after_pause({"a": [[3.0, 2.0, 1.0]]})
    {'a': [3.0]}
    """
    return {name: [row[0] for row in turns] for name, turns in seconds.items()}


def in_a_row(seconds: Mapping[str, list[list[float]]]) -> dict[str, list[float]]:
    """The median of the last calls of each turn of `rows`.

    >>> in_a_row({"a": [[9.0, 8.0, 2.0, 1.0, 3.0]]})
    {'a': [2.0]}
    """
    return {name: [median(row[-SETTLED:]) for row in turns] for name, turns in seconds.items()}


def summary(seconds: list[float], unit: float = 1e-3) -> dict[str, float]:
    """Lower quartile, median and upper quartile in units of `unit` seconds, to four digits.

    >>> summary([0.001, 0.003, 0.002])
    {'q25': 1.5, 'median': 2.0, 'q75': 2.5}
    """
    low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75]) / unit
    return {"q25": _short(low), "median": _short(middle), "q75": _short(high)}


def ratio(seconds: Mapping[str, list[float]], peer: str, ours: str) -> float:
    """How many times as long `peer` takes: the median of the ratios turn by turn.

    >>> ratio({"a": [1.0, 4.0, 2.0], "b": [0.5, 1.0, 1.0]}, "a", "b")
    2.0
    """
    return _short(median(a / b for a, b in zip(seconds[peer], seconds[ours])))


def _short(value: float) -> float:
    return float(f"{value:.4g}")
