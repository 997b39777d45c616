"""What the kernels share: activations, norms, products, and blocks of rows and units in memory.

Every tensor of a call is contiguous: gi, gates [B, T, D, G, H], y and zoneout [B, T, D, H], states and h_mask [D, B, H],
U [D, G*H, H/heads].
A program holds ROWS rows of the batch and all units of one head in one direction, UNITS of them, a power of two; tails are
masked, and hold 0. Addresses are 64 bits wide. Sums are float32.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def sigmoid(a: tl.tensor) -> tl.tensor:
    """1 / (1 + exp(-a)), never with an exponential above 1."""
    e = tl.exp(-tl.abs(a))
    return tl.where(a >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def tanh(a: tl.tensor) -> tl.tensor:
    """tanh(a), never with an exponential above 1."""
    e = tl.exp(-2.0 * tl.abs(a))
    t = (1.0 - e) / (1.0 + e)
    return tl.where(a < 0, -t, t)


@triton.jit
def candidate(a: tl.tensor) -> tl.tensor:
    """g(a) of the minGRU: a + 0.5 where a >= 0, else sigmoid(a)."""
    return tl.where(a >= 0, a + 0.5, sigmoid(a))


@triton.jit
def product(a: tl.tensor, b: tl.tensor, PRECISION: tl.constexpr) -> tl.tensor:
    """a b in float32, of operands in the dtype of b.

    PRECISION is "ieee" or "tf32" for float32 operands. "interpreted": the interpreter multiplies the bits of bfloat16
    as whole numbers, so operands are rounded and then widened, which gives the same products.
    """
    rounded = a.to(b.dtype)
    if PRECISION == "interpreted":
        products = tl.dot(rounded.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    else:
        products = tl.dot(rounded, b, input_precision=PRECISION)
    return products


@triton.jit
def block_of_rows(
    lengths: tl.tensor, rows: tl.tensor, B: tl.tensor, T: tl.tensor, ROWS: tl.constexpr
) -> tl.tensor:
    """The rows of the batch that this program runs, which of them exist, and their steps.

    `rows` orders the batch by length, so that the rows of a block end together; None = as they are.
    """
    slot = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    exists = slot < B
    row = slot.to(tl.int64)
    if rows is not None:
        row = tl.load(rows + row, mask=exists, other=0)
    if lengths is not None:
        length = tl.load(lengths + row, mask=exists, other=0).to(tl.int32)
    else:
        length = tl.where(exists, T, 0)
    return row, exists, length


@triton.jit
def transposed_weights(
    U: tl.tensor,
    direction: tl.tensor,
    first: tl.tensor,
    gate: tl.constexpr,
    G: tl.constexpr,
    H: tl.constexpr,
    N: tl.constexpr,
    UNITS: tl.constexpr,
) -> tl.tensor:
    """The block of U of one gate and one head, [state k, unit j], so that h times it is U h."""
    k, j = tl.arange(0, UNITS), tl.arange(0, UNITS)
    offsets = ((direction * G + gate) * H + first + j)[None, :] * N + k[:, None]
    return tl.load(U + offsets, mask=(k < N)[:, None] & (j < N)[None, :], other=0.0)


@triton.jit
def weights_of(
    U: tl.tensor,
    direction: tl.tensor,
    first: tl.tensor,
    gate: tl.constexpr,
    G: tl.constexpr,
    H: tl.constexpr,
    N: tl.constexpr,
    UNITS: tl.constexpr,
) -> tl.tensor:
    """The same block as [unit j, state k]: a gradient times it goes back to the state."""
    j, k = tl.arange(0, UNITS), tl.arange(0, UNITS)
    offsets = ((direction * G + gate) * H + first + j)[:, None] * N + k[None, :]
    return tl.load(U + offsets, mask=(j < N)[:, None] & (k < N)[None, :], other=0.0)


@triton.jit
def vector(
    array: tl.tensor, row: tl.tensor, units: tl.tensor, is_unit: tl.tensor, H: tl.constexpr
) -> tl.tensor:
    """Units of row `row` of [.., H] in float32; zeros where the array is None."""
    values = tl.zeros_like(units).to(tl.float32)
    if array is not None:
        values = tl.load(array + row * H + units, mask=is_unit, other=0.0).to(tl.float32)
    return values


@triton.jit
def load(
    array: tl.tensor,
    index: tl.tensor,
    units: tl.tensor,
    mask: tl.tensor,
    H: tl.constexpr,
    G: tl.constexpr = 1,
    gate: tl.constexpr = 0,
) -> tl.tensor:
    """[ROWS, UNITS] of [.., G, H] at one 64-bit index a row, in float32."""
    return tl.load(array + ((index * G + gate) * H)[:, None] + units[None, :], mask=mask, other=0.0).to(
        tl.float32
    )


@triton.jit
def store(
    array: tl.tensor,
    index: tl.tensor,
    units: tl.tensor,
    values: tl.tensor,
    mask: tl.tensor,
    H: tl.constexpr,
    G: tl.constexpr = 1,
    gate: tl.constexpr = 0,
) -> None:
    """What `load` reads, written in the dtype of the array."""
    offsets = ((index * G + gate) * H)[:, None] + units[None, :]
    tl.store(array + offsets, values.to(array.dtype.element_ty), mask=mask)


@triton.jit
def scale_of(
    a: tl.tensor, is_unit: tl.tensor, N: tl.constexpr, EPSILON: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """norm(a) of the units of each row and 1 / sqrt(variance + epsilon)."""
    centred = tl.where(is_unit[None, :], a - (tl.sum(a, 1) / N)[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / N + EPSILON)
    return centred * scale[:, None], scale[:, None]


@triton.jit
def normed(
    a: tl.tensor,
    gain: tl.tensor,
    is_unit: tl.tensor,
    NORM: tl.constexpr,
    N: tl.constexpr,
    EPSILON: tl.constexpr,
) -> tl.tensor:
    """gain * norm(a); a itself where the call has no layer norm."""
    if NORM == 1:
        hat, _ = scale_of(a, is_unit, N, EPSILON)
        a = gain[None, :] * hat
    return a


@triton.jit
def through_norm(
    dhat: tl.tensor, hat: tl.tensor, scale: tl.tensor, is_unit: tl.tensor, N: tl.constexpr
) -> tl.tensor:
    """The gradient of a from that of norm(a)."""
    mean, along = tl.sum(dhat, 1) / N, tl.sum(dhat * hat, 1) / N
    return tl.where(is_unit[None, :], (dhat - mean[:, None] - hat * along[:, None]) * scale, 0.0)


@triton.jit
def through_gain(
    da: tl.tensor, u: tl.tensor, gain: tl.tensor, is_unit: tl.tensor, N: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """From the gradient of gain * norm(u) to that of u, and to that of the gain summed over the rows."""
    hat, scale = scale_of(u, is_unit, N, 1e-5)
    return through_norm(da * gain[None, :], hat, scale, is_unit, N), tl.sum(da * hat, 0)


@triton.jit
def joined_scale(
    r: tl.tensor,
    z: tl.tensor,
    n: tl.tensor,
    is_unit: tl.tensor,
    N: tl.constexpr,
    EPSILON: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """The one norm over three gates of "dreamer": the three parts of norm(a), and its scale."""
    mean = ((tl.sum(r, 1) + tl.sum(z, 1) + tl.sum(n, 1)) / (3 * N))[:, None]
    r = tl.where(is_unit[None, :], r - mean, 0.0)
    z = tl.where(is_unit[None, :], z - mean, 0.0)
    n = tl.where(is_unit[None, :], n - mean, 0.0)
    squares = (tl.sum(r * r, 1) + tl.sum(z * z, 1) + tl.sum(n * n, 1)) / (3 * N)
    scale = (1.0 / tl.sqrt(squares + EPSILON))[:, None]
    return r * scale, z * scale, n * scale, scale


@triton.jit
def restarted(
    h: tl.tensor,
    begin: tl.tensor,
    is_first: tl.tensor,
) -> tl.tensor:
    """The state that enters a step: `begin` in the rows where a sequence begins."""
    return tl.where(is_first[:, None], begin[None, :], h)


@triton.jit
def begins(
    reset: tl.tensor,
    row: tl.tensor,
    t: tl.tensor,
    length: tl.tensor,
    active: tl.tensor,
    T: tl.tensor,
    reverse: tl.tensor,
) -> tl.tensor:
    """Where a new sequence begins at step t; in reverse the boundary lies between t + 1 and t."""
    inside = active & (t + reverse < length)
    return tl.load(reset + row * T + t + reverse, mask=inside, other=0) != 0
