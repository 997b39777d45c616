"""The LSTM over a whole sequence in one launch per direction, with the options of `congru.reference.option_equations`.

    u = P(U (m h)) + b_h       i, f, o = s(i_. + u_.)   g = tanh(i_g + u_g)   c~ = f c + i g   h~ = o tanh(c~)
    layer norm: h~ = o tanh(g_c norm(c~) + b_c)         h' = d h + (1 - d) h~, and so c'

What stays where, and what is the caller's: as in `congru.kernels.triton.gru`. The forward keeps the gates, c after every step,
and with a layer norm U h before it. Times on a card: none yet.
"""

from __future__ import annotations

import triton
import triton.language as tl

from congru.kernels.triton.blocks import (
    begins,
    block_of_rows,
    load,
    normed,
    product,
    restarted,
    scale_of,
    sigmoid,
    store,
    tanh,
    through_gain,
    through_norm,
    transposed_weights,
    vector,
    weights_of,
)


@triton.jit
def read_of(
    c: tl.tensor,
    g_c: tl.tensor,
    b_c: tl.tensor,
    d: tl.tensor,
    units: tl.tensor,
    is_unit: tl.tensor,
    H: tl.constexpr,
    N: tl.constexpr,
) -> tl.tensor:
    """tanh of c, or of its norm where there is one."""
    if g_c is not None:
        gain = vector(g_c, d, units, is_unit, H)
        c = normed(c, gain, is_unit, 1, N, 1e-5) + vector(b_c, d, units, is_unit, H)[None, :]
    return tanh(c)


@triton.jit(do_not_specialize=["B", "T"])
def lstm_forward(
    gi: tl.tensor,
    h0: tl.tensor,
    c0: tl.tensor,
    U: tl.tensor,
    b: tl.tensor,
    g: tl.tensor,
    g_c: tl.tensor,
    b_c: tl.tensor,
    h_reset: tl.tensor,
    c_reset: tl.tensor,
    lengths: tl.tensor,
    rows: tl.tensor,
    reset: tl.tensor,
    h_mask: tl.tensor,
    zoneout: tl.tensor,
    zoneout_c: tl.tensor,
    y: tl.tensor,
    h_last: tl.tensor,
    c_last: tl.tensor,
    gates: tl.tensor,
    c_states: tl.tensor,
    kept: tl.tensor,
    B: tl.tensor,
    T: tl.tensor,
    first_reverse: tl.tensor,
    D: tl.constexpr,
    H: tl.constexpr,
    HEADS: tl.constexpr,
    NORM: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """gi, h0, c0, .. -> y, h_last, c_last, and gates, c_states and kept unless None."""
    N: tl.constexpr = H // HEADS
    row, exists, length = block_of_rows(lengths, rows, B, T, ROWS)
    d, first = tl.program_id(1) // HEADS, (tl.program_id(1) % HEADS) * N
    reverse = first_reverse + d
    is_unit, units = tl.arange(0, UNITS) < N, first + tl.arange(0, UNITS)
    U_i = transposed_weights(U, d, first, 0, 4, H, N, UNITS)
    U_f = transposed_weights(U, d, first, 1, 4, H, N, UNITS)
    U_g = transposed_weights(U, d, first, 2, 4, H, N, UNITS)
    U_o = transposed_weights(U, d, first, 3, 4, H, N, UNITS)
    b_i = vector(b, d * 4, units, is_unit, H)[None, :]
    b_f = vector(b, d * 4 + 1, units, is_unit, H)[None, :]
    b_g = vector(b, d * 4 + 2, units, is_unit, H)[None, :]
    b_o = vector(b, d * 4 + 3, units, is_unit, H)[None, :]
    g_i = vector(g, d * 4, units, is_unit, H)
    g_f = vector(g, d * 4 + 1, units, is_unit, H)
    g_g = vector(g, d * 4 + 2, units, is_unit, H)
    g_o = vector(g, d * 4 + 3, units, is_unit, H)
    begin, begin_c = vector(h_reset, d, units, is_unit, H), vector(c_reset, d, units, is_unit, H)
    whole = exists[:, None] & is_unit[None, :]
    state = d.to(tl.int64) * B + row
    h, c = load(h0, state, units, whole, H), load(c0, state, units, whole, H)
    if h_mask is not None:
        mask = load(h_mask, d.to(tl.int64) * B + row, units, whole, H)
    for k in range(tl.max(length, 0)):
        active = k < length
        block = active[:, None] & is_unit[None, :]
        t = k + reverse * (length - 1 - 2 * k)
        at = (row * T + t) * D + d
        before, before_c = h, c
        if reset is not None:
            is_first = begins(reset, row, t, length, active, T, reverse)
            before, before_c = restarted(h, begin, is_first), restarted(c, begin_c, is_first)
        seen = before
        if h_mask is not None:
            seen = before * mask
        u_i, u_f = product(seen, U_i, PRECISION), product(seen, U_f, PRECISION)
        u_g, u_o = product(seen, U_g, PRECISION), product(seen, U_o, PRECISION)
        i = sigmoid(load(gi, at, units, block, H, 4, 0) + normed(u_i, g_i, is_unit, NORM, N, 1e-5) + b_i)
        f = sigmoid(load(gi, at, units, block, H, 4, 1) + normed(u_f, g_f, is_unit, NORM, N, 1e-5) + b_f)
        n = tanh(load(gi, at, units, block, H, 4, 2) + normed(u_g, g_g, is_unit, NORM, N, 1e-5) + b_g)
        o = sigmoid(load(gi, at, units, block, H, 4, 3) + normed(u_o, g_o, is_unit, NORM, N, 1e-5) + b_o)
        new_c = f * before_c + i * n
        new = o * read_of(new_c, g_c, b_c, d, units, is_unit, H, N)
        if zoneout is not None:
            share = load(zoneout, at, units, block, H)
            share_c = load(zoneout_c, at, units, block, H)
            new = share * before + (1.0 - share) * new
            new_c = share_c * before_c + (1.0 - share_c) * new_c
        h, c = tl.where(active[:, None], new, h), tl.where(active[:, None], new_c, c)
        store(y, at, units, h, block, H)
        if gates is not None:
            store(gates, at, units, i, block, H, 4, 0)
            store(gates, at, units, f, block, H, 4, 1)
            store(gates, at, units, n, block, H, 4, 2)
            store(gates, at, units, o, block, H, 4, 3)
        if c_states is not None:
            store(c_states, at, units, c, block, H)
        if kept is not None:
            store(kept, at, units, u_i, block, H, 4, 0)
            store(kept, at, units, u_f, block, H, 4, 1)
            store(kept, at, units, u_g, block, H, 4, 2)
            store(kept, at, units, u_o, block, H, 4, 3)
    store(h_last, state, units, h, whole, H)
    store(c_last, state, units, c, whole, H)


@triton.jit(do_not_specialize=["B", "T"])
def lstm_backward(
    dy: tl.tensor,
    dh_last: tl.tensor,
    dc_last: tl.tensor,
    dgates: tl.tensor,
    h0: tl.tensor,
    c0: tl.tensor,
    U: tl.tensor,
    g: tl.tensor,
    g_c: tl.tensor,
    b_c: tl.tensor,
    h_reset: tl.tensor,
    c_reset: tl.tensor,
    lengths: tl.tensor,
    rows: tl.tensor,
    reset: tl.tensor,
    h_mask: tl.tensor,
    zoneout: tl.tensor,
    zoneout_c: tl.tensor,
    y: tl.tensor,
    gates: tl.tensor,
    c_states: tl.tensor,
    kept: tl.tensor,
    dgi: tl.tensor,
    du: tl.tensor,
    entered: tl.tensor,
    dh0: tl.tensor,
    dc0: tl.tensor,
    dg: tl.tensor,
    dg_c: tl.tensor,
    db_c: tl.tensor,
    dh_reset: tl.tensor,
    dc_reset: tl.tensor,
    B: tl.tensor,
    T: tl.tensor,
    first_reverse: tl.tensor,
    D: tl.constexpr,
    H: tl.constexpr,
    HEADS: tl.constexpr,
    NORM: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """What dy, dh_last, dc_last and dgates (or None) give to gi, U h, h0, c0, and, by block of rows, to gains and resets."""
    N: tl.constexpr = H // HEADS
    row, exists, length = block_of_rows(lengths, rows, B, T, ROWS)
    d, first = tl.program_id(1) // HEADS, (tl.program_id(1) % HEADS) * N
    reverse = first_reverse + d
    is_unit, units = tl.arange(0, UNITS) < N, first + tl.arange(0, UNITS)
    U_i = weights_of(U, d, first, 0, 4, H, N, UNITS)
    U_f = weights_of(U, d, first, 1, 4, H, N, UNITS)
    U_g = weights_of(U, d, first, 2, 4, H, N, UNITS)
    U_o = weights_of(U, d, first, 3, 4, H, N, UNITS)
    g_i = vector(g, d * 4, units, is_unit, H)
    g_f = vector(g, d * 4 + 1, units, is_unit, H)
    g_g = vector(g, d * 4 + 2, units, is_unit, H)
    g_o = vector(g, d * 4 + 3, units, is_unit, H)
    gain_c = vector(g_c, d, units, is_unit, H)
    begin, begin_c = vector(h_reset, d, units, is_unit, H), vector(c_reset, d, units, is_unit, H)
    dg_i, dg_f = tl.zeros_like(begin), tl.zeros_like(begin)
    dg_g, dg_o = tl.zeros_like(begin), tl.zeros_like(begin)
    dgain_c, dbias_c = tl.zeros_like(begin), tl.zeros_like(begin)
    dbegin, dbegin_c = tl.zeros_like(begin), tl.zeros_like(begin)
    whole = exists[:, None] & is_unit[None, :]
    state = d.to(tl.int64) * B + row
    dh, dc = load(dh_last, state, units, whole, H), load(dc_last, state, units, whole, H)
    if h_mask is not None:
        mask = load(h_mask, d.to(tl.int64) * B + row, units, whole, H)
    num_steps = tl.max(length, 0)
    for back in range(num_steps):
        k = num_steps - 1 - back
        steps = k + tl.zeros_like(length)  # of each row
        active = k < length
        block = active[:, None] & is_unit[None, :]
        t = k + reverse * (length - 1 - 2 * k)
        at = (row * T + t) * D + d
        # The state that entered the step: that after the step before, or the one that the sequence began with.
        previous = at + (2 * reverse - 1) * D
        before = load(y, previous, units, block & (steps > 0)[:, None], H) + load(
            h0, state, units, block & (steps == 0)[:, None], H
        )
        before_c = load(c_states, previous, units, block & (steps > 0)[:, None], H)
        before_c += load(c0, state, units, block & (steps == 0)[:, None], H)
        if reset is not None:
            is_first = begins(reset, row, t, length, active, T, reverse)
            before, before_c = restarted(before, begin, is_first), restarted(before_c, begin_c, is_first)
        seen = before
        if h_mask is not None:
            seen = before * mask
        i, f = load(gates, at, units, block, H, 4, 0), load(gates, at, units, block, H, 4, 1)
        n, o = load(gates, at, units, block, H, 4, 2), load(gates, at, units, block, H, 4, 3)
        dnew = tl.where(active[:, None], dh + load(dy, at, units, block, H), 0.0)
        dnew_c = tl.where(active[:, None], dc, 0.0)
        dbefore, dbefore_c = tl.zeros_like(dnew), tl.zeros_like(dnew)
        if zoneout is not None:
            share = load(zoneout, at, units, block, H)
            share_c = load(zoneout_c, at, units, block, H)
            dbefore, dbefore_c = share * dnew, share_c * dnew_c
            dnew, dnew_c = (1.0 - share) * dnew, (1.0 - share_c) * dnew_c
        c = f * before_c + i * n
        tanh_c = read_of(c, g_c, b_c, d, units, is_unit, H, N)
        do = dnew * tanh_c
        dread = dnew * o * (1.0 - tanh_c * tanh_c)
        if g_c is not None:
            hat, scale = scale_of(c, is_unit, N, 1e-5)
            dgain_c += tl.sum(dread * hat, 0)
            dbias_c += tl.sum(dread, 0)
            dread = through_norm(dread * gain_c[None, :], hat, scale, is_unit, N)
        dnew_c += dread
        di, df, dn = dnew_c * n, dnew_c * before_c, dnew_c * i
        dbefore_c += dnew_c * f
        if dgates is not None:
            di += load(dgates, at, units, block, H, 4, 0)
            df += load(dgates, at, units, block, H, 4, 1)
            dn += load(dgates, at, units, block, H, 4, 2)
            do += load(dgates, at, units, block, H, 4, 3)
        du_i, du_f = di * i * (1.0 - i), df * f * (1.0 - f)
        du_g, du_o = dn * (1.0 - n * n), do * o * (1.0 - o)
        store(dgi, at, units, du_i, block, H, 4, 0)
        store(dgi, at, units, du_f, block, H, 4, 1)
        store(dgi, at, units, du_g, block, H, 4, 2)
        store(dgi, at, units, du_o, block, H, 4, 3)
        if NORM == 1:
            u_i, u_f = load(kept, at, units, block, H, 4, 0), load(kept, at, units, block, H, 4, 1)
            u_g, u_o = load(kept, at, units, block, H, 4, 2), load(kept, at, units, block, H, 4, 3)
            du_i, dg_step = through_gain(du_i, u_i, g_i, is_unit, N)
            dg_i += dg_step
            du_f, dg_step = through_gain(du_f, u_f, g_f, is_unit, N)
            dg_f += dg_step
            du_g, dg_step = through_gain(du_g, u_g, g_g, is_unit, N)
            dg_g += dg_step
            du_o, dg_step = through_gain(du_o, u_o, g_o, is_unit, N)
            dg_o += dg_step
            store(du, at, units, du_i, block, H, 4, 0)
            store(du, at, units, du_f, block, H, 4, 1)
            store(du, at, units, du_g, block, H, 4, 2)
            store(du, at, units, du_o, block, H, 4, 3)
        store(entered, at, units, seen, block, H)
        dseen = product(du_i, U_i, PRECISION) + product(du_f, U_f, PRECISION)
        dseen += product(du_g, U_g, PRECISION) + product(du_o, U_o, PRECISION)
        if h_mask is not None:
            dseen = dseen * mask
        dbefore += dseen
        if reset is not None:
            dbegin += tl.sum(tl.where(is_first[:, None], dbefore, 0.0), 0)
            dbegin_c += tl.sum(tl.where(is_first[:, None], dbefore_c, 0.0), 0)
            dbefore = tl.where(is_first[:, None], 0.0, dbefore)
            dbefore_c = tl.where(is_first[:, None], 0.0, dbefore_c)
        dh, dc = tl.where(active[:, None], dbefore, dh), tl.where(active[:, None], dbefore_c, dc)
    store(dh0, state, units, dh, whole, H)
    store(dc0, state, units, dc, whole, H)
    own = (tl.program_id(0) * D + d) * H + units
    if NORM == 1:
        of_gates = (tl.program_id(0) * D + d) * 4 * H + units
        tl.store(dg + of_gates, dg_i, mask=is_unit)
        tl.store(dg + of_gates + H, dg_f, mask=is_unit)
        tl.store(dg + of_gates + 2 * H, dg_g, mask=is_unit)
        tl.store(dg + of_gates + 3 * H, dg_o, mask=is_unit)
        tl.store(dg_c + own, dgain_c, mask=is_unit)
        tl.store(db_c + own, dbias_c, mask=is_unit)
    if reset is not None:
        tl.store(dh_reset + own, dbegin, mask=is_unit)
        tl.store(dc_reset + own, dbegin_c, mask=is_unit)
