"""Layer normalisation over any leading axes, in the dtype of its array, and its derivative.

    hat = (a - mean(a)) / sqrt(var(a) + eps)                                         part by part
    d hat / d a applied to d:  (d - mean(d) - hat mean(d hat)) / sqrt(var(a) + eps)  a symmetric matrix

The equations are those of `congru.reference.layer_norm`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from congru.gates.weights import Array
from congru.reference.layer_norm import EPSILON, normalise, normalise_backward

__all__ = ["EPSILON", "Norm", "norm_of"]


class Norm(NamedTuple):
    """hat [N, S], and 1 / sqrt(var + eps) of each part, [N, parts, 1]."""

    hat: Array
    scale: Array

    def vjp(self, d: Array) -> Array:
        """d times the derivative, for rows d [M, S]; with N = 1 every row meets the same derivative."""
        hat, scale = self
        if len(d) != len(hat):
            hat, scale = np.repeat(hat, len(d), axis=0), np.repeat(scale, len(d), axis=0)
        return normalise_backward(*map(_wide, (d, hat, scale)))

    def amplification(self) -> Array:
        """1 / sqrt(var + eps) of each unit's part, [N, S]: by how much a small error of a grows."""
        return np.repeat(self.scale[:, :, 0], self.hat.shape[1] // self.scale.shape[1], axis=1)


def norm_of(a: Array, num_parts: int, eps: float = EPSILON) -> Norm:
    """The norm of each of the equal parts of the last axis, all leading axes as rows."""
    hat, scale = normalise(_wide(a.reshape(-1, a.shape[-1])), num_parts, eps)
    return Norm(hat, scale)


def _wide(a: Array) -> npt.NDArray[np.float64]:
    """The reference computes in whatever dtype it is given; its annotations say float64."""
    return cast("npt.NDArray[Any]", a)
