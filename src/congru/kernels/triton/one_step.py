"""One step of GRU or LSTM for many sessions at once, without gradients: input and recurrent products and gates in one launch.

    a = W x + U h + b_i + b_h, gate by gate       the equations of `congru.reference.gru` and `congru.reference.lstm`

Units are split over the grid: each program computes ROWS sessions by UNITS units of every gate, over all inputs and the whole
state, so any I and H run. Reset before needs r h of all units before U_n can read it: it is two launches, the first writes
z and r h. Sums are float32; x [B, I], states [B, H], W [G*H, I], U [G*H, H] are contiguous. Times on a card: none yet.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from congru.kernels import composite
from congru.kernels.cells import State, Weights
from congru.kernels.triton.blocks import load, product, sigmoid, store, tanh, vector
from congru.kernels.triton.launch import precision

ROWS, UNITS, DEPTH = 16, 32, 32
ALL, FIRST, SECOND = 0, 1, 2  # phases of a GRU: the whole step; r and z of reset before; its candidate


@triton.jit
def own_block(
    B: tl.tensor, H: tl.constexpr, ROWS: tl.constexpr, UNITS: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """The sessions and units of this program, which of them exist, and both together."""
    slot = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    units = tl.program_id(1) * UNITS + tl.arange(0, UNITS)
    exists, is_unit = slot < B, units < H
    return slot.to(tl.int64), exists, units, is_unit, exists[:, None] & is_unit[None, :]


@triton.jit
def rows_times(
    total: tl.tensor,
    values: tl.tensor,
    M: tl.tensor,
    row: tl.tensor,
    exists: tl.tensor,
    first: tl.tensor,
    units: tl.tensor,
    is_unit: tl.tensor,
    K: tl.constexpr,
    PRECISION: tl.constexpr,
    DEPTH: tl.constexpr,
) -> tl.tensor:
    """total + values M' for rows [ROWS, K] and the rows first + units of M [.., K]."""
    for start in range(0, K, DEPTH):
        k = start + tl.arange(0, DEPTH)
        left = tl.load(
            values + (row * K)[:, None] + k[None, :], mask=exists[:, None] & (k < K)[None, :], other=0.0
        )
        right = tl.load(
            M + ((first + units).to(tl.int64) * K)[None, :] + k[:, None],
            mask=(k < K)[:, None] & is_unit[None, :],
            other=0.0,
        )
        total += product(left, right, PRECISION)
    return total


@triton.jit(do_not_specialize=["B"])
def gru_step(
    x: tl.tensor,
    h: tl.tensor,
    W: tl.tensor,
    U: tl.tensor,
    b_i: tl.tensor,
    b_h: tl.tensor,
    z_kept: tl.tensor,
    r_h: tl.tensor,
    new: tl.tensor,
    B: tl.tensor,
    I: tl.constexpr,
    H: tl.constexpr,
    PHASE: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
    DEPTH: tl.constexpr,
) -> None:
    """x, h -> new; of reset before PHASE 1 writes z_kept and r_h, and PHASE 2 reads them."""
    row, exists, units, is_unit, block = own_block(B, H, ROWS, UNITS)
    old = load(h, row, units, block, H)
    zero = tl.zeros([ROWS, UNITS], tl.float32)
    if PHASE != 2:
        r_bias = vector(b_i, 0, units, is_unit, H) + vector(b_h, 0, units, is_unit, H)
        z_bias = vector(b_i, 1, units, is_unit, H) + vector(b_h, 1, units, is_unit, H)
        a_r = rows_times(zero, x, W, row, exists, 0, units, is_unit, I, PRECISION, DEPTH)
        a_r = rows_times(a_r, h, U, row, exists, 0, units, is_unit, H, PRECISION, DEPTH)
        a_z = rows_times(zero, x, W, row, exists, H, units, is_unit, I, PRECISION, DEPTH)
        a_z = rows_times(a_z, h, U, row, exists, H, units, is_unit, H, PRECISION, DEPTH)
        r, z = sigmoid(a_r + r_bias[None, :]), sigmoid(a_z + z_bias[None, :])
    if PHASE == 1:
        store(z_kept, row, units, z, block, H)
        store(r_h, row, units, r * old, block, H)
    else:
        i_bias, h_bias = vector(b_i, 2, units, is_unit, H), vector(b_h, 2, units, is_unit, H)
        a_n = rows_times(zero, x, W, row, exists, 2 * H, units, is_unit, I, PRECISION, DEPTH)
        a_n += i_bias[None, :]
        if PHASE == 2:
            z = load(z_kept, row, units, block, H)
            u_n = rows_times(zero, r_h, U, row, exists, 2 * H, units, is_unit, H, PRECISION, DEPTH)
            n = tanh(a_n + u_n + h_bias[None, :])
        else:
            u_n = rows_times(zero, h, U, row, exists, 2 * H, units, is_unit, H, PRECISION, DEPTH)
            n = tanh(a_n + r * (u_n + h_bias[None, :]))
        store(new, row, units, (1.0 - z) * n + z * old, block, H)


@triton.jit(do_not_specialize=["B"])
def lstm_step(
    x: tl.tensor,
    h: tl.tensor,
    c: tl.tensor,
    W: tl.tensor,
    U: tl.tensor,
    b_i: tl.tensor,
    b_h: tl.tensor,
    new: tl.tensor,
    new_c: tl.tensor,
    B: tl.tensor,
    I: tl.constexpr,
    H: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
    DEPTH: tl.constexpr,
) -> None:
    """x, h, c -> new, new_c."""
    row, exists, units, is_unit, block = own_block(B, H, ROWS, UNITS)
    zero = tl.zeros([ROWS, UNITS], tl.float32)
    a_i = rows_times(zero, x, W, row, exists, 0, units, is_unit, I, PRECISION, DEPTH)
    a_i = rows_times(a_i, h, U, row, exists, 0, units, is_unit, H, PRECISION, DEPTH)
    a_f = rows_times(zero, x, W, row, exists, H, units, is_unit, I, PRECISION, DEPTH)
    a_f = rows_times(a_f, h, U, row, exists, H, units, is_unit, H, PRECISION, DEPTH)
    a_g = rows_times(zero, x, W, row, exists, 2 * H, units, is_unit, I, PRECISION, DEPTH)
    a_g = rows_times(a_g, h, U, row, exists, 2 * H, units, is_unit, H, PRECISION, DEPTH)
    a_o = rows_times(zero, x, W, row, exists, 3 * H, units, is_unit, I, PRECISION, DEPTH)
    a_o = rows_times(a_o, h, U, row, exists, 3 * H, units, is_unit, H, PRECISION, DEPTH)
    i = sigmoid(a_i + (vector(b_i, 0, units, is_unit, H) + vector(b_h, 0, units, is_unit, H))[None, :])
    f = sigmoid(a_f + (vector(b_i, 1, units, is_unit, H) + vector(b_h, 1, units, is_unit, H))[None, :])
    g = tanh(a_g + (vector(b_i, 2, units, is_unit, H) + vector(b_h, 2, units, is_unit, H))[None, :])
    o = sigmoid(a_o + (vector(b_i, 3, units, is_unit, H) + vector(b_h, 3, units, is_unit, H))[None, :])
    c_next = f * load(c, row, units, block, H) + i * g
    store(new, row, units, o * tanh(c_next), block, H)
    store(new_c, row, units, c_next, block, H)


def step(cell: str, x: Tensor, state: State | None, weights: Weights, *, reset_before: bool = False) -> State:
    """One step on x [B, I]; see :func:`congru.ops.step`."""
    state = composite.zeros(cell, x, weights) if state is None else state
    dtype, device = weights[0].dtype, x.device.type  # type: ignore[union-attr]
    products = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else dtype
    W, U = (part.to(products).contiguous() for part in weights[:2])  # type: ignore[union-attr]
    b_i, b_h = (None if part is None else part.contiguous() for part in weights[2:])
    x, parts = x.contiguous(), tuple(part.contiguous() for part in state)
    (B, I), H = x.shape, U.shape[1]
    new = tuple(torch.empty_like(part, dtype=dtype) for part in parts)
    grid = (triton.cdiv(B, ROWS), triton.cdiv(H, UNITS))
    sizes = (B, I, H)
    block = (precision(products), ROWS, UNITS, DEPTH)
    if cell == "lstm":
        lstm_step[grid](x, *parts, W, U, b_i, b_h, *new, *sizes, *block)
        return new
    if not reset_before:
        gru_step[grid](x, *parts, W, U, b_i, b_h, None, None, *new, *sizes, ALL, *block)
        return new
    z, r_h = (torch.empty_like(parts[0], dtype=torch.float32) for _ in range(2))
    for phase in (FIRST, SECOND):
        gru_step[grid](x, *parts, W, U, b_i, b_h, z, r_h, *new, *sizes, phase, *block)
    return new
