"""Softmax over the legal moves, and what is counted of predicted moves.

    log p(c) = s_c - log sum over the legal c' of exp(s_c')

Legend: N positions, C legal moves of all of them in the order of the positions, `row` [C] the position of each.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.attacks import Ints

Floats = NDArray[np.float64]


def legal_log_softmax(scores: NDArray[np.floating], row: Ints, count: int) -> Floats:
    """log p [C] of scores [C]; every one of the `count` positions has a move.

    >>> legal_log_softmax(np.array([0.0, 0.0, 5.0]), np.array([0, 0, 1]), 2).round(4).tolist()
    [-0.6931, -0.6931, 0.0]
    """
    if not len(row):
        return np.zeros(0)
    values = np.asarray(scores, np.float64)
    if count == 1:
        largest = values.max()
        return np.asarray(values - (largest + np.log(np.exp(values - largest).sum())))
    begins = np.searchsorted(row, np.arange(count))
    shifted = values - np.maximum.reduceat(values, begins)[row]
    total = np.add.reduceat(np.exp(shifted), begins)
    return np.asarray(shifted - np.log(total)[row])


def ranks(log_p: NDArray[np.floating], row: Ints, played: Ints) -> Ints:
    """How many legal moves are more probable than the one played (its index among the legal moves), [N]: 0 is a hit.

    >>> ranks(np.log([0.2, 0.8, 1.0]), np.array([0, 0, 1]), np.array([0, 2])).tolist()
    [1, 0]
    """
    better = log_p > log_p[played][row]
    return np.bincount(row[better], minlength=len(played)).astype(np.int64)


BANDS = (0, 10, 20, 40, 80)
"""Where the bands of plies begin: 0-10, 10-20, 20-40, 40-80, 80+."""


def band_names(begins: tuple[int, ...] = BANDS) -> list[str]:
    """Their names.

    >>> band_names()
    ['0-10', '10-20', '20-40', '40-80', '80+']
    """
    return [f"{a}-{b}" for a, b in itertools.pairwise(begins)] + [f"{begins[-1]}+"]


def by_group(group: Ints, names: list[str], **values: NDArray[Any]) -> dict[str, dict[str, float]]:
    """The mean of every value [N] by group [N] (index into `names`), and how many are in it; groups without any are left out."""
    table = {}
    for number, name in enumerate(names):
        inside = group == number
        if inside.any():
            table[name] = {key: float(value[inside].mean()) for key, value in values.items()}
            table[name]["plies"] = float(inside.sum())
    return table
