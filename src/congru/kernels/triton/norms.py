"""Layer norms over all units of a head, and what goes back through them.

norm(a) = (a - mean) / sqrt(variance + epsilon), over the units of each row. SLOT is the first of the sums that a call makes, see
`row_sum`: a norm makes two, what goes back through it two more.
"""

from __future__ import annotations

import triton
import triton.language as tl

from congru.kernels.triton.exchange import joined, row_sum
from congru.kernels.triton.programs import Own

EPSILON: tl.constexpr = tl.constexpr(1e-5)
DREAMER_EPSILON: tl.constexpr = tl.constexpr(1e-3)


@triton.jit
def scale_of(own: Own, a: tl.tensor, SLOT: tl.constexpr, form: tl.constexpr) -> tuple[tl.tensor, tl.tensor]:
    """norm(a) of the units of each row and 1 / sqrt(variance + epsilon)."""
    mean = row_sum(own, a, SLOT, form) / form.N
    centred = tl.where(own.is_unit[None, :], a - mean[:, None], 0.0)
    scale = 1.0 / tl.sqrt(row_sum(own, centred * centred, SLOT + 1, form) / form.N + EPSILON)
    return centred * scale[:, None], scale[:, None]


@triton.jit
def normed(own: Own, a: tl.tensor, gain: tl.tensor, SLOT: tl.constexpr, form: tl.constexpr) -> tl.tensor:
    """gain * norm(a); a itself where the call has no layer norm."""
    if form.NORM == 1:
        hat, _ = scale_of(own, a, SLOT, form)
        a = gain[None, :] * hat
    return a


@triton.jit
def through_norm(
    own: Own,
    dhat: tl.tensor,
    hat: tl.tensor,
    scale: tl.tensor,
    SLOT: tl.constexpr,
    form: tl.constexpr,
) -> tl.tensor:
    """The gradient of a from that of norm(a)."""
    mean = row_sum(own, dhat, SLOT, form) / form.N
    along = row_sum(own, dhat * hat, SLOT + 1, form) / form.N
    return tl.where(own.is_unit[None, :], (dhat - mean[:, None] - hat * along[:, None]) * scale, 0.0)


@triton.jit
def through_gain(
    own: Own,
    da: tl.tensor,
    u: tl.tensor,
    gain: tl.tensor,
    SLOT: tl.constexpr,
    form: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """From the gradient of gain * norm(u) to that of u, and to that of the gain summed over the rows."""
    hat, scale = scale_of(own, u, SLOT, form)
    return through_norm(own, da * gain[None, :], hat, scale, SLOT + 2, form), tl.sum(da * hat, 0)


@triton.jit
def joined_scale(
    own: Own, u: tl.tuple, SLOT: tl.constexpr, form: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """The one norm over three gates of "dreamer": the three parts of norm(a), and its scale."""
    sums = tl.sum(u[0], 1) + tl.sum(u[1], 1) + tl.sum(u[2], 1)
    mean = (joined(own, sums, SLOT, form) / (3 * form.N))[:, None]
    r = tl.where(own.is_unit[None, :], u[0] - mean, 0.0)
    z = tl.where(own.is_unit[None, :], u[1] - mean, 0.0)
    n = tl.where(own.is_unit[None, :], u[2] - mean, 0.0)
    squares = tl.sum(r * r, 1) + tl.sum(z * z, 1) + tl.sum(n * n, 1)
    scale = 1.0 / tl.sqrt(joined(own, squares, SLOT + 1, form) / (3 * form.N) + DREAMER_EPSILON)
    scale = scale[:, None]
    return r * scale, z * scale, n * scale, scale


@triton.jit
def through_joined(
    own: Own, dhat: tl.tuple, hat: tl.tuple, scale: tl.tensor, SLOT: tl.constexpr, form: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """The gradients of the three parts of a from those of norm(a)."""
    sums = tl.sum(dhat[0], 1) + tl.sum(dhat[1], 1) + tl.sum(dhat[2], 1)
    mean = (joined(own, sums, SLOT, form) / (3 * form.N))[:, None]
    sums = tl.sum(dhat[0] * hat[0], 1) + tl.sum(dhat[1] * hat[1], 1) + tl.sum(dhat[2] * hat[2], 1)
    along = (joined(own, sums, SLOT + 1, form) / (3 * form.N))[:, None]
    inside = own.is_unit[None, :]
    r = tl.where(inside, (dhat[0] - mean - hat[0] * along) * scale, 0.0)
    z = tl.where(inside, (dhat[1] - mean - hat[1] * along) * scale, 0.0)
    n = tl.where(inside, (dhat[2] - mean - hat[2] * along) * scale, 0.0)
    return r, z, n
