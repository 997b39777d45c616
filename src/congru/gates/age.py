"""How old is what a unit holds: A_t = keep_t * (A_{t-1} + 1), the exact mean age of its content in steps.

A unit's memory is a weighted sum of what was written at each step (weights a_k = (1 - keep_k) * product of
the later keeps; they and the weight of the start sum to 1). A_t is the mean of t - k under these weights;
the start counts as written before the first step, and every new start (reset) begins at 0 again. O(H) a
step: right for a live page.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError
from congru.gates.layer import Layer
from congru.gates.weights import Array


class Age(NamedTuple):
    """Age per step and unit, [N, H], in the order of `steps` [N]; NaN never occurs."""

    steps: npt.NDArray[np.int64]
    age: Array

    def quantiles(self, levels: tuple[float, ...] = (0.1, 0.5, 0.9)) -> Array:
        """The quantiles over units at each step, [len(levels), N]."""
        result: Array = np.quantile(self.age, levels, axis=1)
        return result


def next_age(age: Array, keep: Array) -> Array:
    """One step: A' = keep * (A + 1), elementwise, any shape.

    >>> next_age(np.zeros(2), np.array([1.0, 0.5])).tolist()
    [1.0, 0.5]
    """
    result: Array = keep * (age + 1)
    return result


def age_of(layer: Layer, row: int) -> Age:
    """The age of one row's memory after each of its valid steps, in the order the layer processed them."""
    run = layer.run(row)
    age = np.zeros(run.keep.shape[1], run.keep.dtype)
    ages = np.empty_like(run.keep)
    for k, keep in enumerate(run.keep):
        age = next_age(np.zeros_like(age) if run.is_first[k] else age, keep)
        ages[k] = age
    return Age(run.steps, ages)


def check_streaming(num_directions: int, direction: int | None) -> int:
    """The direction to follow; raises CongruError where two directions leave no age that grows with the stream."""
    if direction is not None or num_directions == 1:
        return direction or 0
    raise CongruError(
        "age is asked of a bidirectional model, expected one direction: its backward half has read the "
        "future, so no age grows with the stream; pass direction=0 (or 1 for the backward half, counted "
        "from the end)"
    )
