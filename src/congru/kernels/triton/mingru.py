"""The minGRU over a whole sequence as a parallel scan (Feng et al. 2024, arXiv 2410.01201).

    h_t = a_t h_{t-1} + b_t        a = z = s(gi_z)   b = (1 - z) g(gi_n)        padding: a = 1, b = 0
    a step where a sequence begins: a = 0, b = z h_reset + (1 - z) g(gi_n)
    (a, b) then (a', b') is (a' a, a' b + b'), which joins in any order: STEPS steps are one `tl.associative_scan`

The state goes from one run of STEPS steps to the next in registers, float32. It may be of any sign, and nothing is subtracted.
The backward is the same scan from the end, dh_t = dy_t + a_{t+1} dh_{t+1}. A program holds one row and
UNITS units of the [B, T, 2H] of gi, the [B, T, H] of y and the [B, H] of states. Times on a card: none yet.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from congru.kernels import composite
from congru.kernels.batched_gradients import takes_batched_gradients
from congru.kernels.call import Sequence
from congru.kernels.cells import State
from congru.kernels.scan import gradients, states_in_pieces
from congru.kernels.triton.blocks import candidate, load, sigmoid, store

# STEPS and UNITS of a block: on a card, and in the interpreter, which takes the elements of a scan one by one.
BLOCK, INTERPRETED_BLOCK = (64, 32), (8, 16)


@triton.jit
def after(a: tl.tensor, b: tl.tensor, a_next: tl.tensor, b_next: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """One step after another; where nothing is kept, NaN is not kept either."""
    return a * a_next, tl.where(a_next == 0.0, 0.0, a_next * b) + b_next


@triton.jit
def last_of(values: tl.tensor, STEPS: tl.constexpr) -> tl.tensor:
    """The last row of a block."""
    return tl.sum(tl.where((tl.arange(0, STEPS) == STEPS - 1)[:, None], values, 0.0), 0)


@triton.jit
def own_row(
    lengths: tl.tensor, T: tl.tensor, H: tl.constexpr, UNITS: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """The row and units of this program, its steps, and which units exist."""
    row = tl.program_id(0).to(tl.int64)
    units = tl.program_id(1) * UNITS + tl.arange(0, UNITS)
    length = T
    if lengths is not None:
        length = tl.load(lengths + row).to(tl.int32)
    return row, length, units, units < H


@triton.jit
def positions(
    start: tl.tensor, row: tl.tensor, length: tl.tensor, T: tl.tensor, reverse: tl.tensor, STEPS: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """The steps k of this run, which of them exist, and their places in [B, T]."""
    k = start + tl.arange(0, STEPS)
    t = k + reverse * (length - 1 - 2 * k)
    return k, k < length, row * T + t


@triton.jit
def is_first_at(
    reset: tl.tensor, k: tl.tensor, at: tl.tensor, length: tl.tensor, reverse: tl.tensor
) -> tl.tensor:
    """Whether a sequence begins at steps k: in reverse the boundary lies between t + 1 and t."""
    inside = (k < length) & (k + 1 - reverse > 0)
    return tl.load(reset + at + reverse, mask=inside, other=0) != 0


@triton.jit(do_not_specialize=["B", "T"])
def mingru_forward(
    gi: tl.tensor,
    h0: tl.tensor,
    h_reset: tl.tensor,
    lengths: tl.tensor,
    reset: tl.tensor,
    y: tl.tensor,
    h_last: tl.tensor,
    B: tl.tensor,
    T: tl.tensor,
    reverse: tl.tensor,
    H: tl.constexpr,
    STEPS: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """gi, h0, .. -> y and h_last."""
    row, length, units, is_unit = own_row(lengths, T, H, UNITS)
    h = tl.load(h0 + row * H + units, mask=is_unit, other=0.0).to(tl.float32)
    if reset is not None:
        begin = tl.load(h_reset + units, mask=is_unit, other=0.0).to(tl.float32)
    for start in range(0, length, STEPS):
        k, exists, at = positions(start, row, length, T, reverse, STEPS)
        block = exists[:, None] & is_unit[None, :]
        a_z, a_n = load(gi, at, units, block, H, 2, 0), load(gi, at, units, block, H, 2, 1)
        z = sigmoid(a_z)
        a, b = tl.where(block, z, 1.0), tl.where(block, (1.0 - z) * candidate(a_n), 0.0)
        if reset is not None:
            is_first = is_first_at(reset, k, at, length, reverse)[:, None]
            a, b = tl.where(is_first, 0.0, a), tl.where(is_first, z * begin[None, :] + b, b)
        kept, written = tl.associative_scan((a, b), 0, after)
        states = tl.where(kept == 0.0, 0.0, kept * h[None, :]) + written
        store(y, at, units, states, block, H)
        h = last_of(states, STEPS)
    tl.store(h_last + row * H + units, h.to(h_last.dtype.element_ty), mask=is_unit)


@triton.jit
def kept_after(
    gi: tl.tensor,
    reset: tl.tensor,
    k: tl.tensor,
    exists: tl.tensor,
    at: tl.tensor,
    length: tl.tensor,
    units: tl.tensor,
    is_unit: tl.tensor,
    reverse: tl.tensor,
    H: tl.constexpr,
) -> tl.tensor:
    """a of the step after each: the share of a state that goes into the next one, 1 at the end."""
    after_it = (k + 1 < length) & exists
    next_at, block = at + 1 - 2 * reverse, after_it[:, None] & is_unit[None, :]
    a = tl.where(block, sigmoid(load(gi, next_at, units, block, H, 2, 0)), 1.0)
    if reset is not None:
        next_first = is_first_at(reset, k + 1, next_at, length, reverse) & after_it
        a = tl.where(next_first[:, None], 0.0, a)
    return a


@triton.jit
def share_of_start(
    gi: tl.tensor,
    reset: tl.tensor,
    row: tl.tensor,
    length: tl.tensor,
    T: tl.tensor,
    units: tl.tensor,
    is_unit: tl.tensor,
    reverse: tl.tensor,
    H: tl.constexpr,
) -> tl.tensor:
    """The share of h0 that goes into the state after step 0; all of it where there are no steps."""
    first_at = row * T + reverse * (length - 1)
    any_steps = length + tl.zeros_like(units) > 0
    z = sigmoid(tl.load(gi + first_at * 2 * H + units, mask=is_unit & any_steps, other=0.0).to(tl.float32))
    share = tl.where(any_steps, z, 1.0)
    if reset is not None:
        forward = reverse + tl.zeros_like(units) == 0
        cut = tl.load(reset + first_at + tl.zeros_like(units), mask=any_steps & forward, other=0) != 0
        share = tl.where(cut, 0.0, share)
    return share


@triton.jit(do_not_specialize=["B", "T"])
def mingru_backward(
    dy: tl.tensor,
    dh_last: tl.tensor,
    gi: tl.tensor,
    h0: tl.tensor,
    h_reset: tl.tensor,
    lengths: tl.tensor,
    reset: tl.tensor,
    y: tl.tensor,
    dgi: tl.tensor,
    dh0: tl.tensor,
    dh_reset: tl.tensor,
    B: tl.tensor,
    T: tl.tensor,
    reverse: tl.tensor,
    H: tl.constexpr,
    STEPS: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """What dy and dh_last give to gi, h0, and, by row, to h_reset."""
    row, length, units, is_unit = own_row(lengths, T, H, UNITS)
    dh = tl.load(dh_last + row * H + units, mask=is_unit, other=0.0).to(tl.float32)
    start_of_all = tl.load(h0 + row * H + units, mask=is_unit, other=0.0).to(tl.float32)
    dbegin = tl.zeros_like(dh)
    if reset is not None:
        begin = tl.load(h_reset + units, mask=is_unit, other=0.0).to(tl.float32)
    for back in range(0, length, STEPS):
        # Steps from the last to the first: k falls while the place in the block rises.
        k = length - 1 - (back + tl.arange(0, STEPS))
        exists = k >= 0
        t = k + reverse * (length - 1 - 2 * k)
        at = row * T + t
        block = exists[:, None] & is_unit[None, :]
        a = kept_after(gi, reset, k, exists, at, length, units, is_unit, reverse, H)
        b = load(dy, at, units, block, H)
        kept, arrived = tl.associative_scan((a, b), 0, after)
        dstates = tl.where(kept == 0.0, 0.0, kept * dh[None, :]) + arrived
        a_z, a_n = load(gi, at, units, block, H, 2, 0), load(gi, at, units, block, H, 2, 1)
        before = load(y, at - 1 + 2 * reverse, units, (k > 0)[:, None] & is_unit[None, :], H)
        before = tl.where((k == 0)[:, None], start_of_all[None, :], before)
        z, n = sigmoid(a_z), candidate(a_n)
        if reset is not None:
            is_first = (is_first_at(reset, k, at, length, reverse) & exists)[:, None]
            before = tl.where(is_first, begin[None, :], before)
            dbegin += tl.sum(tl.where(is_first & block, dstates * z, 0.0), 0)
        da_z = dstates * (before - n) * z * (1.0 - z)
        da_n = dstates * (1.0 - z) * tl.where(a_n >= 0, 1.0, n * (1.0 - n))
        store(dgi, at, units, da_z, block, H, 2, 0)
        store(dgi, at, units, da_n, block, H, 2, 1)
        dh = last_of(dstates, STEPS)
    share = share_of_start(gi, reset, row, length, T, units, is_unit, reverse, H)
    if reset is not None:
        tl.store(dh_reset + row * H + units, dbegin, mask=is_unit)
    dstart = tl.where(share == 0.0, 0.0, share * dh)
    tl.store(dh0 + row * H + units, dstart.to(dh0.dtype.element_ty), mask=is_unit)


def sequence(call: Sequence) -> tuple[Tensor, State, Tensor | None]:
    """Run a call, see :func:`congru.ops.sequence`."""
    x, weights, lengths, reset = call.x, call.weights, call.lengths, call.reset
    valid = None
    if lengths is not None:
        valid = (torch.arange(x.shape[1], device=x.device) < lengths.unsqueeze(1)).unsqueeze(2)
        x = torch.where(valid, x, 0.0)
    gi = composite.input_part("mingru", x, weights)
    (h0,) = composite.zeros("mingru", x, weights) if call.state is None else call.state
    begin = h0.new_zeros(h0.shape[1]) if call.h_reset is None else call.h_reset[0]
    y, h = _Scan.apply(gi, h0, begin, lengths, reset, call.reverse)  # type: ignore[no-untyped-call]
    gates = None
    if call.return_gates:
        gates = torch.stack(composite.mingru_gates(gi, h0), 2)
        gates = gates if valid is None else torch.where(valid.unsqueeze(3), gates, 0.0)
    return y, (h,), gates


class _Scan(torch.autograd.Function):
    """(gi [B, T, 2H], h0 [B, H], h_reset [H], lengths, reset, reverse) -> y [B, T, H], h [B, H]."""

    @staticmethod
    def forward(
        ctx: Any,
        gi: Tensor,
        h0: Tensor,
        h_reset: Tensor,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool,
    ) -> tuple[Tensor, Tensor]:
        gi, h0, h_reset = gi.contiguous(), h0.contiguous(), h_reset.contiguous()
        (B, T, _), H = gi.shape, h0.shape[1]
        y = (h0.new_empty if lengths is None else h0.new_zeros)(B, T, H)
        h = torch.empty_like(h0)
        flags = None if reset is None else reset.contiguous().view(torch.uint8)
        block = INTERPRETED_BLOCK if triton.knobs.runtime.interpret else BLOCK
        grid = (B, triton.cdiv(H, block[1]))
        mingru_forward[grid](gi, h0, h_reset, lengths, flags, y, h, B, T, int(reverse), H, *block)
        ctx.save_for_backward(gi, h0, h_reset, lengths, reset, y)
        ctx.reverse = reverse
        return y, h

    @staticmethod
    @takes_batched_gradients
    def backward(ctx: Any, dy: Tensor, dh: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
            return (*_differentiable(ctx.saved_tensors, ctx.reverse, dy, dh), None, None, None)
        gi, h0, h_reset, lengths, reset, y = ctx.saved_tensors
        (B, T, _), H = gi.shape, h0.shape[1]
        dgi = (torch.empty_like if lengths is None else torch.zeros_like)(gi)
        dh0, dh_reset = torch.empty_like(h0), gi.new_empty(B, H, dtype=torch.float32)
        flags = None if reset is None else reset.contiguous().view(torch.uint8)
        block = INTERPRETED_BLOCK if triton.knobs.runtime.interpret else BLOCK
        grid = (B, triton.cdiv(H, block[1]))
        mingru_backward[grid](
            dy.contiguous(),
            dh.contiguous(),
            gi,
            h0,
            h_reset,
            lengths,
            flags,
            y,
            dgi,
            dh0,
            dh_reset,
            B,
            T,
            int(ctx.reverse),
            H,
            *block,
        )
        return dgi, dh0, None if reset is None else dh_reset.sum(0).to(h_reset.dtype), None, None, None


def _differentiable(saved: tuple[Tensor, ...], reverse: bool, dy: Tensor, dh: Tensor) -> tuple[Tensor, ...]:
    """The same gradients in torch operations."""
    gi, h0, h_reset, lengths, reset, _ = saved
    flags = composite.make_flags(gi, lengths, reset, reverse)
    valid, is_first = (None if flag is None or not reverse else flag.flip(0) for flag in flags)
    if not reverse:
        valid, is_first = flags
    steps = gi.transpose(0, 1)
    steps = steps.flip(0) if reverse else steps
    dsteps = dy.transpose(0, 1)
    dsteps = dsteps.flip(0) if reverse else dsteps
    if valid is not None:
        dsteps = torch.where(valid, dsteps, 0.0)
    dsteps = torch.cat([dsteps[:-1], dsteps[-1:] + dh])
    states = states_in_pieces(steps, h0, h_reset, valid, is_first)
    dgi, dh0, dh_reset = gradients(dsteps, steps, h0, h_reset, valid, is_first, states)
    dgi = dgi.flip(0) if reverse else dgi
    return dgi.transpose(0, 1), dh0, dh_reset
