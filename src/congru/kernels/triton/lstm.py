"""The LSTM over a whole sequence in one launch per direction, with the options of `congru.reference.option_equations`.

    u = P(U (m h)) + b_h       i, f, o = s(i_. + u_.)   g = tanh(i_g + u_g)   c~ = f c + i g   h~ = o tanh(c~)
    layer norm: h~ = o tanh(g_c norm(c~) + b_c)         h' = d h + (1 - d) h~, and so c'

What stays where, and what is the caller's: as in `congru.kernels.triton.gru`. The forward keeps the gates, c after every step,
and with a layer norm U h before it. Times on a card: none yet.
"""

from __future__ import annotations

import triton
import triton.language as tl

from congru.kernels.triton.blocks import load, sigmoid, store, tanh
from congru.kernels.triton.exchange import meet, put, times, weights_of
from congru.kernels.triton.norms import normed, scale_of, through_gain, through_norm
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
    a: tl.tuple,
    seen: tl.tensor,
    weights: tl.tuple,
    g: tl.tuple,
    b: tl.tuple,
    form: tl.constexpr,
) -> tuple[tl.tuple, tl.tuple]:
    """i, f, g, o, and U h of each before a norm."""
    put(own, seen, k, 0, form)
    meet(own, form)
    u_i, u_f = times(own, seen, weights[0], k, 0, 4, form), times(own, seen, weights[1], k, 0, 4, form)
    u_g, u_o = times(own, seen, weights[2], k, 0, 4, form), times(own, seen, weights[3], k, 0, 4, form)
    i = sigmoid(a[0] + normed(own, u_i, g[0], 0, form) + b[0][None, :])
    f = sigmoid(a[1] + normed(own, u_f, g[1], 2, form) + b[1][None, :])
    n = tanh(a[2] + normed(own, u_g, g[2], 4, form) + b[2][None, :])
    o = sigmoid(a[3] + normed(own, u_o, g[3], 6, form) + b[3][None, :])
    return (i, f, n, o), (u_i, u_f, u_g, u_o)


@triton.jit
def read_of(own: Own, c: tl.tensor, gain: tl.tensor, bias: tl.tensor, form: tl.constexpr) -> tl.tensor:
    """tanh of c, or of its norm where there is one."""
    if form.NORM == 1:
        c = normed(own, c, gain, 8, form) + bias[None, :]
    return tanh(c)


@triton.jit(do_not_specialize=["B", "T", "first_block"])
def lstm_forward(
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
    """gi, h0, c0, .. -> y, h_last, c_last, and gates, c_states and kept unless None."""
    own = own_of(masks, shared, B, T, first_block, first_reverse, form)
    weights = weights_of(own, inputs.U, 4, form)
    biases, gains = vectors(inputs.b, own, 4, form), vectors(inputs.g, own, 4, form)
    gain_c, bias_c = vectors(inputs.g_c, own, 1, form)[0], vectors(inputs.b_c, own, 1, form)[0]
    begin, begin_c = vectors(inputs.h_reset, own, 1, form)[0], vectors(inputs.c_reset, own, 1, form)[0]
    h = load(inputs.h0, own.state, own.units, own.whole, form.H)
    c = load(inputs.c0, own.state, own.units, own.whole, form.H)
    for k in range(tl.max(own.length, 0)):
        step = step_of(own, masks.reset, k, T, form)
        before, before_c = (
            restarted(h, begin, step, masks.reset),
            restarted(c, begin_c, step, masks.reset),
        )
        a = load_gates(inputs.gi, own, step, 4, form)
        seen = seen_of(before, masks.h_mask, own, form)
        gates, u = gates_of(own, k, a, seen, weights, gains, biases, form)
        new_c = gates[1] * before_c + gates[0] * gates[2]
        new = gates[3] * read_of(own, new_c, gain_c, bias_c, form)
        if masks.zoneout is not None:
            share = load(masks.zoneout, step.at, own.units, step.block, form.H)
            share_c = load(masks.zoneout_c, step.at, own.units, step.block, form.H)
            new = share * before + (1.0 - share) * new
            new_c = share_c * before_c + (1.0 - share_c) * new_c
        h, c = tl.where(step.active[:, None], new, h), tl.where(step.active[:, None], new_c, c)
        store(results.y, step.at, own.units, h, step.block, form.H)
        store_gates(results.gates, gates, own, step, 4, form)
        store_gates(results.c_states, (c,), own, step, 1, form)
        store_gates(results.kept, u, own, step, 4, form)
    store(results.h_last, own.state, own.units, h, own.whole, form.H)
    store(results.c_last, own.state, own.units, c, own.whole, form.H)


@triton.jit
def cell_backward(
    own: Own,
    dnew: tl.tensor,
    c: tl.tensor,
    o: tl.tensor,
    gain: tl.tensor,
    bias: tl.tensor,
    form: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tuple]:
    """From the gradient of o tanh(c), or of its norm, to those of o and c, and to what reaches the norm's gain and bias."""
    tanh_c = read_of(own, c, gain, bias, form)
    dread = dnew * o * (1.0 - tanh_c * tanh_c)
    dgain, dbias = tl.zeros_like(gain), tl.zeros_like(gain)
    if form.NORM == 1:
        hat, scale = scale_of(own, c, 10, form)
        dgain, dbias = tl.sum(dread * hat, 0), tl.sum(dread, 0)
        dread = through_norm(own, dread * gain[None, :], hat, scale, 12, form)
    return dnew * tanh_c, dread, (dgain, dbias)


@triton.jit
def gains_backward(
    own: Own, da: tl.tuple, kept: tl.tensor, step: Step, g: tl.tuple, zero: tl.tensor, form: tl.constexpr
) -> tuple[tl.tuple, tl.tuple]:
    """The gradients of U h of each gate from those of its argument, and what reaches the gains."""
    du, dg = da, (zero, zero, zero, zero)
    if form.NORM == 1:
        u = load_gates(kept, own, step, 4, form)
        du_i, dg_i = through_gain(own, da[0], u[0], g[0], 0, form)
        du_f, dg_f = through_gain(own, da[1], u[1], g[1], 4, form)
        du_g, dg_g = through_gain(own, da[2], u[2], g[2], 14, form)
        du_o, dg_o = through_gain(own, da[3], u[3], g[3], 18, form)
        du, dg = (du_i, du_f, du_g, du_o), (dg_i, dg_f, dg_g, dg_o)
    return du, dg


@triton.jit
def state_backward(own: Own, du: tl.tuple, weights: tl.tuple, k: tl.tensor, form: tl.constexpr) -> tl.tensor:
    """What the gradients of U h give to m h."""
    put(own, du[0], k, 0, form)
    put(own, du[1], k, 1, form)
    put(own, du[2], k, 2, form)
    put(own, du[3], k, 3, form)
    meet(own, form)
    dseen = times(own, du[0], weights[0], k, 0, 4, form) + times(own, du[1], weights[1], k, 1, 4, form)
    dseen += times(own, du[2], weights[2], k, 2, 4, form) + times(own, du[3], weights[3], k, 3, 4, form)
    return dseen


@triton.jit
def step_backward(
    own: Own,
    step: Step,
    dstate: tl.tuple,
    before: tl.tuple,
    weights: tl.tuple,
    g: tl.tuple,
    of_c: tl.tuple,
    masks: Masks,
    results: Results,
    grad_outputs: GradOutputs,
    gradients: Gradients,
    form: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tuple, tl.tuple]:
    """From the gradients of h and c after a step to those before it, and what reaches the gains; `of_c` norms c."""
    seen = seen_of(before[0], masks.h_mask, own, form)
    gates = load_gates(results.gates, own, step, 4, form)
    i, f, n, o = gates[0], gates[1], gates[2], gates[3]
    active = step.active[:, None]
    dy = load(grad_outputs.dy, step.at, own.units, step.block, form.H)
    dnew, dnew_c = tl.where(active, dstate[0] + dy, 0.0), tl.where(active, dstate[1], 0.0)
    dbefore, dbefore_c = tl.zeros_like(dnew), tl.zeros_like(dnew)
    if masks.zoneout is not None:
        share = load(masks.zoneout, step.at, own.units, step.block, form.H)
        share_c = load(masks.zoneout_c, step.at, own.units, step.block, form.H)
        dbefore, dbefore_c = share * dnew, share_c * dnew_c
        dnew, dnew_c = (1.0 - share) * dnew, (1.0 - share_c) * dnew_c
    do, dread, dof_c = cell_backward(own, dnew, f * before[1] + i * n, o, of_c[0], of_c[1], form)
    dnew_c += dread
    di, df, dn = dnew_c * n, dnew_c * before[1], dnew_c * i
    if grad_outputs.dgates is not None:
        more = load_gates(grad_outputs.dgates, own, step, 4, form)
        di, df, dn, do = di + more[0], df + more[1], dn + more[2], do + more[3]
    da = di * i * (1.0 - i), df * f * (1.0 - f), dn * (1.0 - n * n), do * o * (1.0 - o)
    du, dg = gains_backward(own, da, results.kept, step, g, tl.zeros_like(of_c[0]), form)
    store_gates(gradients.dgi, da, own, step, 4, form)
    store_gates(gradients.du, du, own, step, 4, form)
    store_gates(gradients.entered, (seen,), own, step, 1, form)
    dseen = state_backward(own, du, weights, step.k, form)
    return dbefore + seen_of(dseen, masks.h_mask, own, form), dbefore_c + dnew_c * f, dg, dof_c


@triton.jit(do_not_specialize=["B", "T", "first_block"])
def lstm_backward(
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
    """What dy, dh_last, dc_last and dgates (or None) give to gi, U h, h0, c0, and, by block of rows, to gains and resets."""
    own = own_of(masks, shared, B, T, first_block, first_reverse, form)
    weights, g = weights_of(own, inputs.U, 4, form), vectors(inputs.g, own, 4, form)
    of_c = vectors(inputs.g_c, own, 1, form)[0], vectors(inputs.b_c, own, 1, form)[0]
    begin, begin_c = vectors(inputs.h_reset, own, 1, form)[0], vectors(inputs.c_reset, own, 1, form)[0]
    zero = tl.zeros_like(begin)
    dg, dof_c, dbegin, dbegin_c = (zero, zero, zero, zero), (zero, zero), zero, zero
    dh = load(grad_outputs.dh_last, own.state, own.units, own.whole, form.H)
    dc = load(grad_outputs.dc_last, own.state, own.units, own.whole, form.H)
    num_steps = tl.max(own.length, 0)
    for back in range(num_steps):
        step = step_of(own, masks.reset, num_steps - 1 - back, T, form)
        before = restarted(state_before(results.y, inputs.h0, own, step, form), begin, step, masks.reset)
        before_c = state_before(results.c_states, inputs.c0, own, step, form)
        before_c = restarted(before_c, begin_c, step, masks.reset)
        dbefore, dbefore_c, dg_step, dof_c_step = step_backward(
            own, step, (dh, dc), (before, before_c), weights, g, of_c, masks, results, grad_outputs, gradients, form
        )  # fmt: skip
        dg, dof_c = plus(dg, dg_step, 4), plus(dof_c, dof_c_step, 2)
        if masks.reset is not None:
            is_first = step.is_first[:, None]
            dbegin += tl.sum(tl.where(is_first, dbefore, 0.0), 0)
            dbegin_c += tl.sum(tl.where(is_first, dbefore_c, 0.0), 0)
            dbefore, dbefore_c = tl.where(is_first, 0.0, dbefore), tl.where(is_first, 0.0, dbefore_c)
        active = step.active[:, None]
        dh, dc = tl.where(active, dbefore, dh), tl.where(active, dbefore_c, dc)
    store(gradients.dh0, own.state, own.units, dh, own.whole, form.H)
    store(gradients.dc0, own.state, own.units, dc, own.whole, form.H)
    if form.NORM == 1:
        store_vectors(gradients.dg, dg, own, 4, form)
        store_vectors(gradients.dg_c, (dof_c[0],), own, 1, form)
        store_vectors(gradients.db_c, (dof_c[1],), own, 1, form)
    if masks.reset is not None:
        store_vectors(gradients.dh_reset, (dbegin,), own, 1, form)
        store_vectors(gradients.dc_reset, (dbegin_c,), own, 1, form)
