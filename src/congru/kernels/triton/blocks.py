"""What all kernels share: activations, products, and blocks of rows and units in memory.

Tails are masked, and hold 0. Addresses are 64 bits wide. Sums are float32.
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
