"""Layer normalisation (Ba, Kiros & Hinton 2016, arXiv 1607.06450, equation 3) of the parts of a vector.

    norm(a) = (a - mean(a)) / sqrt(mean((a - mean(a))^2) + eps)          mean over the units of a part

A part is what is normalised together: the units of one gate (and head), or all of them at once.
"""

from __future__ import annotations

import numpy as np

from congru.reference.arguments import Array

EPSILON = 1e-5  # torch.nn.LayerNorm's default


def normalise(a: Array, num_parts: int, eps: float = EPSILON) -> tuple[Array, Array]:
    """Return norm(a) [B, N] of each of the equal parts of a [B, N], and 1 / sqrt(..) [B, num_parts, 1].

    >>> normalise(np.array([[1.0, 3.0, 10.0, 30.0]]), 2)[0].round(3).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """
    parts = a.reshape(len(a), num_parts, -1)
    centred = parts - parts.mean(axis=2, keepdims=True)
    scale = 1 / np.sqrt((centred * centred).mean(axis=2, keepdims=True) + eps)
    return (centred * scale).reshape(a.shape), scale


def normalise_backward(dhat: Array, hat: Array, scale: Array) -> Array:
    """Return the gradient of a from that of norm(a): (dhat - mean(dhat) - hat * mean(dhat * hat)) * scale."""
    dparts, parts = (array.reshape(*scale.shape[:2], -1) for array in (dhat, hat))
    along = (dparts * parts).mean(axis=2, keepdims=True)
    da: Array = (dparts - dparts.mean(axis=2, keepdims=True) - parts * along) * scale
    return da.reshape(dhat.shape)


def project(v: Array, M: Array, gain: Array | None, num_parts: int, eps: float = EPSILON) -> Array:
    """M v for rows v [B, K]; with a gain [N], gain * norm(M v) part by part."""
    a = v @ M.T
    return a if gain is None else gain * normalise(a, num_parts, eps)[0]


def project_backward(
    dp: Array, v: Array, M: Array, gain: Array | None, num_parts: int, eps: float = EPSILON
) -> tuple[Array, Array, Array | None]:
    """Return (dv, dM, dgain) of `project`, given the gradient of its result."""
    da, dgain = dp, None
    if gain is not None:
        hat, scale = normalise(v @ M.T, num_parts, eps)
        da, dgain = normalise_backward(dp * gain, hat, scale), (dp * hat).sum(axis=0)
    return da @ M, da.T @ v, dgain
