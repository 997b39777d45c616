"""The GRU over a whole sequence in one launch per direction, both forms, with the options of `congru.reference.option_equations`.

    u = P(U (m h)) + b_h       r = s(i_r + u_r)   z = s(i_z + u_z)   n = tanh(i_n + r u_n)   h' = d h + (1 - d)((1 - z) n + z h)
    reset before: u_n = P(U_n (r m h)) + b_hn     n = tanh(i_n + u_n)
    "dreamer": a = g norm(gi + U (m h)) + b_i     r = s(a_r)   z = s(a_z + 1)   n = tanh(r a_n)

A program keeps the float32 state of its rows and units in registers, and its share of U in shared memory, from the first step to
the last; programs, groups and shapes are explained in `congru.kernels.triton.programs`. gi = P(W x) + b_i, for all steps in one
product, is the caller's; so are the outer products dW and dU. The forward keeps r, z, n and what U h was before r or a norm
(`kept`); the backward reads these and y. Times on a card: none yet.
"""

from __future__ import annotations

import triton
import triton.language as tl

from congru.kernels.triton.blocks import load, sigmoid, store, tanh
from congru.kernels.triton.exchange import meet, put, times, weights_of
from congru.kernels.triton.norms import joined_scale, normed, through_gain, through_joined
from congru.kernels.triton.programs import (
    Gradients,
    GradOutputs,
    Inputs,
    Masks,
    Own,
    Results,
    Shared,
    Step,
    load_gates,
    own_of,
    plus,
    restarted,
    seen_of,
    state_before,
    step_of,
    store_gates,
    store_vectors,
    vectors,
)


@triton.jit
def gates_of(
    own: Own,
    k: tl.tensor,
    i: tl.tuple,
    seen: tl.tensor,
    weights: tl.tuple,
    g: tl.tuple,
    b: tl.tuple,
    form: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tuple]:
    """r, z, n, and U h of each gate as the backward needs it: before a norm, for "dreamer" with gi."""
    put(own, seen, k, 0, form)
    meet(own, form)
    u_r, u_z = times(own, seen, weights[0], k, 0, 3, form), times(own, seen, weights[1], k, 0, 3, form)
    if form.NORM == 2:
        u_r, u_z, u_n = i[0] + u_r, i[1] + u_z, i[2] + times(own, seen, weights[2], k, 0, 3, form)
        hat_r, hat_z, hat_n, _ = joined_scale(own, (u_r, u_z, u_n), 0, form)
        r = sigmoid(g[0][None, :] * hat_r + b[0][None, :])
        z = sigmoid(g[1][None, :] * hat_z + b[1][None, :] + 1.0)
        n = tanh(r * (g[2][None, :] * hat_n + b[2][None, :]))
    else:
        r = sigmoid(i[0] + normed(own, u_r, g[0], 0, form) + b[0][None, :])
        z = sigmoid(i[1] + normed(own, u_z, g[1], 2, form) + b[1][None, :])
        if form.BEFORE:
            put(own, r * seen, k, 1, form)
            meet(own, form)
            u_n = times(own, r * seen, weights[2], k, 1, 3, form)
            n = tanh(i[2] + normed(own, u_n, g[2], 4, form) + b[2][None, :])
        else:
            u_n = times(own, seen, weights[2], k, 0, 3, form)
            n = tanh(i[2] + r * (normed(own, u_n, g[2], 4, form) + b[2][None, :]))
    return r, z, n, (u_r, u_z, u_n)


@triton.jit
def store_kept(kept: tl.tensor, u: tl.tuple, own: Own, step: Step, form: tl.constexpr) -> None:
    """What the backward needs of U h: all of it for a norm, else of n alone."""
    if form.NORM == 0:
        store_gates(kept, (u[2],), own, step, 1, form)
    else:
        store_gates(kept, u, own, step, 3, form)


@triton.jit(do_not_specialize=["B", "T", "first_block"])
def gru_forward(
    inputs: Inputs,
    masks: Masks,
    results: Results,
    shared: Shared,
    B: tl.tensor,
    T: tl.tensor,
    first_block: tl.tensor,
    first_reverse: tl.tensor,
    form: tl.constexpr,
) -> None:
    """gi, h0, .. -> y, h_last, and gates and kept unless None."""
    own = own_of(masks, shared, B, T, first_block, first_reverse, form)
    weights = weights_of(own, inputs.U, 3, form)
    biases, gains = vectors(inputs.b, own, 3, form), vectors(inputs.g, own, 3, form)
    begin = vectors(inputs.h_reset, own, 1, form)[0]
    h = load(inputs.h0, own.state, own.units, own.whole, form.H)
    for k in range(tl.max(own.length, 0)):
        step = step_of(own, masks.reset, k, T, form)
        before = restarted(h, begin, step, masks.reset)
        i = load_gates(inputs.gi, own, step, 3, form)
        seen = seen_of(before, masks.h_mask, own, form)
        r, z, n, u = gates_of(own, k, i, seen, weights, gains, biases, form)
        new = (1.0 - z) * n + z * before
        if masks.zoneout is not None:
            share = load(masks.zoneout, step.at, own.units, step.block, form.H)
            new = share * before + (1.0 - share) * new
        h = tl.where(step.active[:, None], new, h)
        store(results.y, step.at, own.units, h, step.block, form.H)
        store_gates(results.gates, (r, z, n), own, step, 3, form)
        store_kept(results.kept, u, own, step, form)
    store(results.h_last, own.state, own.units, h, own.whole, form.H)


@triton.jit
def gates_backward(
    own: Own,
    k: tl.tensor,
    dr: tl.tensor,
    dz: tl.tensor,
    da_n: tl.tensor,
    gates: tl.tuple,
    seen: tl.tensor,
    u: tl.tuple,
    weights: tl.tuple,
    g: tl.tuple,
    b_n: tl.tensor,
    form: tl.constexpr,
) -> tuple[tl.tuple, tl.tuple, tl.tensor, tl.tuple, tl.tuple]:
    """The gradients of the gates' arguments, of U h of each, of m h, and what reaches the biases and gains."""
    r, z = gates[0], gates[1]
    dm, du_n, dg_n = da_n, da_n, tl.sum(da_n, 0)
    if not form.BEFORE:
        dr += da_n * (normed(own, u[2], g[2], 0, form) + b_n[None, :])
        dm = da_n * r
        du_n = dm
    if form.NORM == 1:
        du_n, dg_n = through_gain(own, dm, u[2], g[2], 2, form)
    put(own, du_n, k, 2, form)
    if form.BEFORE:  # r is behind U_n: its gradient needs the product
        meet(own, form)
        dseen = times(own, du_n, weights[2], k, 2, 3, form)
        dr += dseen * seen
        dseen = dseen * r
    da_r, da_z = dr * r * (1.0 - r), dz * z * (1.0 - z)
    du_r, dg_r, du_z, dg_z = da_r, dg_n, da_z, dg_n
    if form.NORM == 1:
        du_r, dg_r = through_gain(own, da_r, u[0], g[0], 6, form)
        du_z, dg_z = through_gain(own, da_z, u[1], g[1], 10, form)
    put(own, du_r, k, 0, form)
    put(own, du_z, k, 1, form)
    meet(own, form)
    if not form.BEFORE:
        dseen = times(own, du_n, weights[2], k, 2, 3, form)
    dseen += times(own, du_r, weights[0], k, 0, 3, form) + times(own, du_z, weights[1], k, 1, 3, form)
    db = tl.sum(da_r, 0), tl.sum(da_z, 0), tl.sum(dm, 0)
    return (da_r, da_z, da_n), (du_r, du_z, du_n), dseen, db, (dg_r, dg_z, dg_n)


@triton.jit
def dreamer_backward(
    own: Own,
    k: tl.tensor,
    dr: tl.tensor,
    dz: tl.tensor,
    da_n: tl.tensor,
    gates: tl.tuple,
    u: tl.tuple,
    weights: tl.tuple,
    g: tl.tuple,
    b_n: tl.tensor,
    form: tl.constexpr,
) -> tuple[tl.tuple, tl.tuple, tl.tensor, tl.tuple, tl.tuple]:
    """The same for "dreamer", whose gi and U h have one gradient."""
    r, z = gates[0], gates[1]
    hat_r, hat_z, hat_n, scale = joined_scale(own, u, 0, form)
    dr += da_n * (g[2][None, :] * hat_n + b_n[None, :])
    da_r, da_z, da_n = dr * r * (1.0 - r), dz * z * (1.0 - z), da_n * r
    db = tl.sum(da_r, 0), tl.sum(da_z, 0), tl.sum(da_n, 0)
    dg = tl.sum(da_r * hat_r, 0), tl.sum(da_z * hat_z, 0), tl.sum(da_n * hat_n, 0)
    dhat = da_r * g[0][None, :], da_z * g[1][None, :], da_n * g[2][None, :]
    du_r, du_z, du_n = through_joined(own, dhat, (hat_r, hat_z, hat_n), scale, 2, form)
    put(own, du_r, k, 0, form)
    put(own, du_z, k, 1, form)
    put(own, du_n, k, 2, form)
    meet(own, form)
    dseen = times(own, du_r, weights[0], k, 0, 3, form) + times(own, du_z, weights[1], k, 1, 3, form)
    dseen += times(own, du_n, weights[2], k, 2, 3, form)
    return (du_r, du_z, du_n), (du_r, du_z, du_n), dseen, db, dg


@triton.jit
def kept_of(kept: tl.tensor, r: tl.tensor, own: Own, step: Step, form: tl.constexpr) -> tl.tuple:
    """What the forward kept of U h by `store_kept`; r where it is not read."""
    if form.NORM != 0:
        u = load_gates(kept, own, step, 3, form)
    elif form.BEFORE:
        u = r, r, r
    else:
        u = r, r, load_gates(kept, own, step, 1, form)[0]
    return u


@triton.jit
def step_backward(
    own: Own,
    step: Step,
    dh: tl.tensor,
    before: tl.tensor,
    weights: tl.tuple,
    g: tl.tuple,
    b_n: tl.tensor,
    masks: Masks,
    results: Results,
    grad_outputs: GradOutputs,
    gradients: Gradients,
    form: tl.constexpr,
) -> tuple[tl.tensor, tl.tuple, tl.tuple]:
    """From the gradient of the state after a step to that of the one before it, and what reaches the biases and gains."""
    seen = seen_of(before, masks.h_mask, own, form)
    gates = load_gates(results.gates, own, step, 3, form)
    r, z, n = gates[0], gates[1], gates[2]
    dnew = tl.where(
        step.active[:, None], dh + load(grad_outputs.dy, step.at, own.units, step.block, form.H), 0.0
    )
    dbefore = tl.zeros_like(dnew)
    if masks.zoneout is not None:
        share = load(masks.zoneout, step.at, own.units, step.block, form.H)
        dbefore = share * dnew
        dnew = (1.0 - share) * dnew
    dbefore += dnew * z
    dr, dz, dn = tl.zeros_like(dnew), dnew * (before - n), dnew * (1.0 - z)
    if grad_outputs.dgates is not None:
        more = load_gates(grad_outputs.dgates, own, step, 3, form)
        dr, dz, dn = dr + more[0], dz + more[1], dn + more[2]
    da_n = dn * (1.0 - n * n)
    u = kept_of(results.kept, r, own, step, form)
    if form.NORM == 2:
        da, du, dseen, db, dg = dreamer_backward(own, step.k, dr, dz, da_n, gates, u, weights, g, b_n, form)
    else:
        da, du, dseen, db, dg = gates_backward(
            own, step.k, dr, dz, da_n, gates, seen, u, weights, g, b_n, form
        )
    store_gates(gradients.dgi, da, own, step, 3, form)
    store_gates(gradients.du, du, own, step, 3, form)
    if form.BEFORE:
        store_gates(gradients.entered, (seen, r * seen), own, step, 2, form)
    else:
        store_gates(gradients.entered, (seen,), own, step, 1, form)
    return dbefore + seen_of(dseen, masks.h_mask, own, form), db, dg


@triton.jit(do_not_specialize=["B", "T", "first_block"])
def gru_backward(
    inputs: Inputs,
    masks: Masks,
    results: Results,
    grad_outputs: GradOutputs,
    gradients: Gradients,
    shared: Shared,
    B: tl.tensor,
    T: tl.tensor,
    first_block: tl.tensor,
    first_reverse: tl.tensor,
    form: tl.constexpr,
) -> None:
    """What dy, dh_last and dgates (or None) give to gi, to U h, to h0, and, by block of rows, to b, g and h_reset."""
    own = own_of(masks, shared, B, T, first_block, first_reverse, form)
    weights = weights_of(own, inputs.U, 3, form)
    b_n = vectors(inputs.b, own, 3, form)[2]
    g = vectors(inputs.g, own, 3, form)
    begin = vectors(inputs.h_reset, own, 1, form)[0]
    dbegin = tl.zeros_like(begin)
    db, dg = (dbegin, dbegin, dbegin), (dbegin, dbegin, dbegin)
    dh = load(grad_outputs.dh_last, own.state, own.units, own.whole, form.H)
    num_steps = tl.max(own.length, 0)
    for back in range(num_steps):
        step = step_of(own, masks.reset, num_steps - 1 - back, T, form)
        before = state_before(results.y, inputs.h0, own, step, form)
        before = restarted(before, begin, step, masks.reset)
        dbefore, db_step, dg_step = step_backward(
            own, step, dh, before, weights, g, b_n, masks, results, grad_outputs, gradients, form
        )
        db, dg = plus(db, db_step, 3), plus(dg, dg_step, 3)
        if masks.reset is not None:
            dbegin += tl.sum(tl.where(step.is_first[:, None], dbefore, 0.0), 0)
            dbefore = tl.where(step.is_first[:, None], 0.0, dbefore)
        dh = tl.where(step.active[:, None], dbefore, dh)
    store(gradients.dh0, own.state, own.units, dh, own.whole, form.H)
    store_vectors(gradients.db, db, own, 3, form)
    if form.NORM != 0:
        store_vectors(gradients.dg, dg, own, 3, form)
    if masks.reset is not None:
        store_vectors(gradients.dh_reset, (dbegin,), own, 1, form)
