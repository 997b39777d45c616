"""The GRU with hand-written back-propagation through time: torch's matrix products, our own gradient.

    gi = W x + b_i, for all steps in one product, with b_hr and b_hz already in it
    r, z = s(gi_rz + U_rz h)    m = U_n h + b_hn    n = tanh(gi_n + r m)    h' = n + z (h - n)

    a_n = dh' (1 - z) (1 - n^2)      a_r = a_n m r (1 - r)      a_z = dh' (h - n) z (1 - z)
    dh  = dh' z + U' [a_r, a_z, a_n r]
    dW, dU, db_i, db_h, dx: one product each over all steps, after the loop

Under CPU autocast the products take bfloat16 and return it; states, gates and sums stay float32, and the C core does what
is between two products in one pass (core/mixed.c), where it has AVX-512. Kept for the backward: r, z, n, m and the states
(6 H numbers a step). A derivative of the gradient runs on `composite`.
Inside, arrays are time first. Measurements: results/text_speed.json.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from congru.kernels import binding, composite
from congru.kernels.batched_gradients import takes_batched_gradients
from congru.kernels.call import Call, Sequence
from congru.kernels.composite import State, zeros

MIN_STEPS = 4  # bench/few_steps.py


def supports(call: Call) -> str | None:
    """The plain GRU (reset after) on the CPU where a gradient is wanted."""
    if call.library != "torch" or call.device != "cpu":
        return "it computes with torch tensors on the CPU only"
    if call.cell != "gru" or call.reset_before:
        return "it knows the GRU with reset after only"
    if call.lengths or call.reset or call.return_gates:
        return "it knows neither lengths nor reset flags and returns no gates"
    if call.recompute:
        return "it keeps the gates for the backward"
    if call.dtype not in ("float32", "float64"):
        return f"it computes in float32 and float64, not in {call.dtype}"
    if call.steps is None or call.steps == 0 or call.batch == 0:
        return "it runs sequences, not single steps or empty input"
    if not call.gradient:
        return "it is for training, and no gradient is wanted here"
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return "torch.compile and torch.func derive the gradient themselves"
    return None


def declines(call: Call) -> str | None:
    """Why "auto" passes it over although it can run this call."""
    if call.steps is not None and call.steps < MIN_STEPS and not torch.is_autocast_enabled("cpu"):
        return f"its loop pays from {MIN_STEPS} steps"
    return None


def sequence(call: Sequence) -> tuple[Tensor, State, Tensor | None]:
    """Run a call, see `congru.ops.sequence`."""
    cell, x, state, weights, reverse = call.cell, call.x, call.state, call.weights, call.reverse
    (h0,) = zeros(cell, x, weights) if state is None else state
    W, U, b_i, b_h = weights
    assert W is not None
    assert U is not None
    b_i = W.new_zeros(len(W)) if b_i is None else b_i
    b_h = W.new_zeros(len(W)) if b_h is None else b_h
    steps = x.transpose(0, 1)
    steps = steps.flip(0) if reverse else steps
    products = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    y, h = _Gru.apply(steps, h0, W, U, b_i, b_h, products)  # type: ignore[no-untyped-call]
    y = y.flip(0) if reverse else y
    return y.transpose(0, 1), (h,), None


class _Gru(torch.autograd.Function):
    """(x [T, B, I], h0 [B, H], W, U, b_i, b_h, dtype of the products) -> y [T, B, H], h [B, H]."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor, W: Tensor, U: Tensor, b_i: Tensor, b_h: Tensor, products: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, h0, W, U, b_i, b_h)
        ctx.products = products
        with torch.autocast("cpu", enabled=False):
            ctx.kept = forward(x, h0, W, U, b_i, b_h, products)
        states = ctx.kept[0]
        return states[1:], states[-1].clone()

    @staticmethod
    @takes_batched_gradients
    def backward(ctx: Any, dy: Tensor, dh: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        if (
            torch.is_grad_enabled() or torch._C._are_functorch_transforms_active()
        ):  # the derivative of this gradient is wanted, or many gradients at once
            return (*_gradient_of_composite(inputs, ctx.needs_input_grad[:6], dy, dh), None)
        with torch.autocast("cpu", enabled=False):
            return (*backward(dy, dh, inputs, ctx.kept, ctx.products, ctx.needs_input_grad[0]), None)


Kept = tuple[Tensor, Tensor, Tensor, Tensor]


def forward(
    x: Tensor, h0: Tensor, W: Tensor, U: Tensor, b_i: Tensor, b_h: Tensor, products: torch.dtype
) -> Kept:
    """Return the states [T + 1, B, H] (h0 first), r and z [T, B, 2H], n [T, B, H] and m [T, B, H]."""
    (T, B, _), H = x.shape, U.shape[1]
    b = b_i + torch.cat([b_h[: 2 * H], b_h.new_zeros(H)])
    gi = torch.mm(x.reshape(T * B, -1).to(products), W.to(products).t()).view(T, B, 3 * H)
    states, rz = x.new_empty(T + 1, B, H), x.new_empty(T, B, 2 * H)
    n, m = x.new_empty(T, B, H), x.new_empty(T, B, H)
    states[0] = h0
    kept = states, rz, n, m
    steps = _core_steps if _in_core(x.dtype, products) else _torch_steps
    steps(gi, b, U.to(products).t(), b_h[2 * H :], kept)
    return kept


def _in_core(dtype: torch.dtype, products: torch.dtype) -> bool:
    """Whether the C core does what is between two products."""
    if dtype != torch.float32 or products != torch.bfloat16 or not binding.is_available():
        return False
    return bool(binding.extension().isa() == "avx512")


def _core() -> tuple[ModuleType, int]:
    """The core, on the threads of torch, and how many."""
    from congru.kernels import native_torch  # noqa: F401  joins the threads; only where the core is there

    return binding.extension(), torch.get_num_threads()


def _core_steps(gi: Tensor, b: Tensor, U_t: Tensor, b_hn: Tensor, kept: Kept) -> None:
    """Fill `kept`, in which h0 is: see congru_gru_forward_step in core/congru.h."""
    (core, threads), (T, B, three_H) = _core(), gi.shape
    H, low = three_H // 3, kept[0][0].to(gi.dtype)
    gh, b, b_hn = gi.new_empty(B, three_H), b.contiguous(), b_hn.contiguous()
    h, rz, n, m, x_product = (part.data_ptr() for part in (*kept, gi))
    products = gh.data_ptr(), b.data_ptr(), b_hn.data_ptr()
    for t in range(T):
        torch.mm(low, U_t, out=gh)
        at = 4 * t * B * H  # bytes; those of gi are two a number
        gates = rz + 2 * at, n + at, m + at, h + at
        after = h + at + 4 * B * H
        core.gru_step_forward(
            threads, B, H, *gates, x_product + 3 * at // 2, *products, after, low.data_ptr()
        )


def _torch_steps(gi: Tensor, b: Tensor, U_t: Tensor, b_hn: Tensor, kept: Kept) -> None:
    """The same in operations of torch."""
    (states, rz, n, m), (_, B, three_H) = kept, gi.shape
    H, products = three_H // 3, gi.dtype
    low = states[0].to(products)
    gh, wide, total = low.new_empty(B, 3 * H), states.new_empty(B, 3 * H), states.new_empty(B, 3 * H)
    wide_rz, wide_n, total_rz, total_n = (
        wide[:, : 2 * H],
        wide[:, 2 * H :],
        total[:, : 2 * H],
        total[:, 2 * H :],
    )
    for gi_t, rz_t, n_t, m_t, h, h_new in zip(gi, rz, n, m, states[:-1], states[1:]):
        torch.mm(low, U_t, out=gh)
        wide.copy_(gh)
        torch.add(gi_t, b, out=total)
        torch.sigmoid(total_rz.add_(wide_rz), out=rz_t)
        torch.add(wide_n, b_hn, out=m_t)
        torch.addcmul(total_n, rz_t[:, :H], m_t, out=n_t).tanh_()
        torch.lerp(n_t, h, rz_t[:, H:], out=h_new)
        low = h_new.to(products)


def backward(
    dy: Tensor, dh_last: Tensor, inputs: tuple[Tensor, ...], kept: Kept, products: torch.dtype, needs_dx: bool
) -> tuple[Tensor | None, ...]:
    """Return dx (None unless `needs_dx`), dh0, dW, dU, db_i and db_h."""
    (x, _, W, U, _, _), states = inputs, kept[0]
    (T, B, I), H = x.shape, U.shape[1]
    low_U = U.to(products)
    # Rows of a: what reaches gi is [a_r, a_z, a_n], what reaches U h is [a_r, a_z, a_n r].
    a_h, a_n = x.new_empty(T, B, 3 * H, dtype=products), x.new_empty(T, B, H, dtype=products)
    steps = _core_steps_back if _in_core(x.dtype, products) else _torch_steps_back
    dh = steps(dy, dh_last, low_U, kept, a_h, a_n)
    flat = a_h.view(T * B, 3 * H)
    dU = torch.mm(flat.t(), states[:-1].reshape(T * B, H).to(products))
    db_h = flat.sum(0, dtype=x.dtype)
    a_h[:, :, 2 * H :] = a_n
    dW = torch.mm(flat.t(), x.reshape(T * B, I).to(products))
    db_i = torch.cat([db_h[: 2 * H], a_n.sum((0, 1), dtype=x.dtype)])
    dx = torch.mm(flat, W.to(products)).view(T, B, I).to(x.dtype) if needs_dx else None
    return dx, dh, dW.to(x.dtype), dU.to(x.dtype), db_i, db_h


def _core_steps_back(
    dy: Tensor, dh_last: Tensor, low_U: Tensor, kept: Kept, a_h: Tensor, a_n: Tensor
) -> Tensor:
    """Fill a_h and a_n; return dh0: see congru_gru_backward_step in core/congru.h."""
    (core, threads), (T, B, H) = _core(), dy.shape
    dh, dy, product = (
        dh_last.clone(memory_format=torch.contiguous_format),
        dy.contiguous(),
        a_n.new_empty(B, H),
    )
    h, rz, n, m, of_y, into_h, into_n = (part.data_ptr() for part in (*kept, dy, a_h, a_n))
    for t in range(T - 1, -1, -1):
        at = 4 * t * B * H  # bytes; those of a_h and a_n are two a number
        gates = rz + 2 * at, n + at, m + at, h + at
        behind = product.data_ptr() if t < T - 1 else 0
        into = into_h + 3 * at // 2, into_n + at // 2
        core.gru_step_backward(threads, B, H, *gates, of_y + at, behind, dh.data_ptr(), *into)
        torch.mm(a_h[t], low_U, out=product)
    return dh.add_(product)


def _torch_steps_back(
    dy: Tensor, dh_last: Tensor, low_U: Tensor, kept: Kept, a_h: Tensor, a_n: Tensor
) -> Tensor:
    """The same in operations of torch."""
    (states, rz, ns, m), (T, B, H) = kept, dy.shape
    a, c, da = states.new_empty(B, H), states.new_empty(B, H), states.new_empty(B, 3 * H)
    da_r, da_z, da_n = da[:, :H], da[:, H : 2 * H], da[:, 2 * H :]
    back, one = a_h.new_empty(B, H), states.new_ones(())
    dh = dh_last.clone()
    for t in range(T - 1, -1, -1):
        r, z, n = rz[t, :, :H], rz[t, :, H:], ns[t]
        dh += dy[t]
        torch.addcmul(one, n, n, value=-1, out=a)
        a.mul_(torch.sub(one, z, out=c)).mul_(dh)
        a_n[t] = a
        torch.mul(a, r, out=da_n)
        torch.mul(torch.addcmul(r, r, r, value=-1, out=c).mul_(m[t]), a, out=da_r)
        torch.sub(states[t], n, out=da_z)
        da_z.mul_(torch.addcmul(z, z, z, value=-1, out=c)).mul_(dh)
        a_h[t] = da
        dh.mul_(z).add_(torch.mm(a_h[t], low_U, out=back))
    return dh


def _gradient_of_composite(
    inputs: tuple[Tensor, ...], needed: tuple[bool, ...], dy: Tensor, dh: Tensor
) -> tuple[Tensor | None, ...]:
    """The same gradient as a differentiable function of inputs, dy and dh."""
    x, h0, *weights = inputs
    y, (h,), _ = composite.sequence(Sequence("gru", x.transpose(0, 1), (h0,), tuple(weights)))
    wanted = [part for part, need in zip(inputs, needed) if need]
    gradients = iter(torch.autograd.grad((y.transpose(0, 1), h), wanted, (dy, dh), create_graph=True))
    return tuple(next(gradients) if need else None for need in needed)
