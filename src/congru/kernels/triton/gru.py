"""The GRU over a whole sequence in one launch per direction, both forms, with the options of `congru.reference.option_equations`.

    u = P(U (m h)) + b_h       r = s(i_r + u_r)   z = s(i_z + u_z)   n = tanh(i_n + r u_n)   h' = d h + (1 - d)((1 - z) n + z h)
    reset before: u_n = P(U_n (r m h)) + b_hn     n = tanh(i_n + u_n)
    "dreamer": a = g norm(gi + U (m h)) + b_i     r = s(a_r)   z = s(a_z + 1)   n = tanh(r a_n)

A program runs ROWS rows of the batch over all of their steps: its blocks of U and the float32 state stay in registers and shared
memory from the first step to the last. gi = P(W x) + b_i, for all steps in one product, is the caller's; so are the outer
products dW and dU. The forward keeps r, z, n and what U h was before r or a norm (`kept`); the backward reads these and y.
Times on a card: none yet. Shapes and letters: `congru.kernels.triton.blocks`. NORM is 0, 1 (layer norm) or 2 ("dreamer").
"""

from __future__ import annotations

import triton
import triton.language as tl

from congru.kernels.triton.blocks import (
    begins,
    block_of_rows,
    joined_scale,
    load,
    normed,
    product,
    restarted,
    sigmoid,
    store,
    tanh,
    through_gain,
    transposed_weights,
    vector,
    weights_of,
)


@triton.jit
def gates_of(
    i_r: tl.tensor,
    i_z: tl.tensor,
    i_n: tl.tensor,
    seen: tl.tensor,
    U_r: tl.tensor,
    U_z: tl.tensor,
    U_n: tl.tensor,
    g: tl.tuple,
    b: tl.tuple,
    is_unit: tl.tensor,
    BEFORE: tl.constexpr,
    NORM: tl.constexpr,
    N: tl.constexpr,
    PRECISION: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """r, z, n, and U h of each gate as the backward needs it: before a norm, for "dreamer" with gi."""
    u_r, u_z = product(seen, U_r, PRECISION), product(seen, U_z, PRECISION)
    if NORM == 2:
        u_r, u_z, u_n = i_r + u_r, i_z + u_z, i_n + product(seen, U_n, PRECISION)
        hat_r, hat_z, hat_n, _ = joined_scale(u_r, u_z, u_n, is_unit, N, 1e-3)
        r = sigmoid(g[0][None, :] * hat_r + b[0][None, :])
        z = sigmoid(g[1][None, :] * hat_z + b[1][None, :] + 1.0)
        n = tanh(r * (g[2][None, :] * hat_n + b[2][None, :]))
    else:
        r = sigmoid(i_r + normed(u_r, g[0], is_unit, NORM, N, 1e-5) + b[0][None, :])
        z = sigmoid(i_z + normed(u_z, g[1], is_unit, NORM, N, 1e-5) + b[1][None, :])
        if BEFORE:
            u_n = product(r * seen, U_n, PRECISION)
            n = tanh(i_n + normed(u_n, g[2], is_unit, NORM, N, 1e-5) + b[2][None, :])
        else:
            u_n = product(seen, U_n, PRECISION)
            n = tanh(i_n + r * (normed(u_n, g[2], is_unit, NORM, N, 1e-5) + b[2][None, :]))
    return r, z, n, u_r, u_z, u_n


@triton.jit(do_not_specialize=["B", "T"])
def gru_forward(
    gi: tl.tensor,
    h0: tl.tensor,
    U: tl.tensor,
    b: tl.tensor,
    g: tl.tensor,
    h_reset: tl.tensor,
    lengths: tl.tensor,
    rows: tl.tensor,
    reset: tl.tensor,
    h_mask: tl.tensor,
    zoneout: tl.tensor,
    y: tl.tensor,
    h_last: tl.tensor,
    gates: tl.tensor,
    kept: tl.tensor,
    B: tl.tensor,
    T: tl.tensor,
    first_reverse: tl.tensor,
    D: tl.constexpr,
    H: tl.constexpr,
    HEADS: tl.constexpr,
    BEFORE: tl.constexpr,
    NORM: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """gi, h0, .. -> y, h_last, and gates and kept unless None."""
    N: tl.constexpr = H // HEADS
    row, exists, length = block_of_rows(lengths, rows, B, T, ROWS)
    d, first = tl.program_id(1) // HEADS, (tl.program_id(1) % HEADS) * N
    reverse = first_reverse + d
    is_unit, units = tl.arange(0, UNITS) < N, first + tl.arange(0, UNITS)
    U_r = transposed_weights(U, d, first, 0, 3, H, N, UNITS)
    U_z = transposed_weights(U, d, first, 1, 3, H, N, UNITS)
    U_n = transposed_weights(U, d, first, 2, 3, H, N, UNITS)
    biases = (
        vector(b, d * 3, units, is_unit, H),
        vector(b, d * 3 + 1, units, is_unit, H),
        vector(b, d * 3 + 2, units, is_unit, H),
    )
    gains = (
        vector(g, d * 3, units, is_unit, H),
        vector(g, d * 3 + 1, units, is_unit, H),
        vector(g, d * 3 + 2, units, is_unit, H),
    )
    begin = vector(h_reset, d, units, is_unit, H)
    block = exists[:, None] & is_unit[None, :]
    h = load(h0, d.to(tl.int64) * B + row, units, block, H)
    if h_mask is not None:
        mask = load(h_mask, d.to(tl.int64) * B + row, units, block, H)
    for k in range(tl.max(length, 0)):
        active = k < length
        block = active[:, None] & is_unit[None, :]
        t = k + reverse * (length - 1 - 2 * k)
        at = (row * T + t) * D + d
        before = h
        if reset is not None:
            before = restarted(h, begin, begins(reset, row, t, length, active, T, reverse))
        seen = before
        if h_mask is not None:
            seen = before * mask
        r, z, n, u_r, u_z, u_n = gates_of(
            load(gi, at, units, block, H, 3, 0),
            load(gi, at, units, block, H, 3, 1),
            load(gi, at, units, block, H, 3, 2),
            seen,
            U_r,
            U_z,
            U_n,
            gains,
            biases,
            is_unit,
            BEFORE,
            NORM,
            N,
            PRECISION,
        )
        new = (1.0 - z) * n + z * before
        if zoneout is not None:
            share = load(zoneout, at, units, block, H)
            new = share * before + (1.0 - share) * new
        h = tl.where(active[:, None], new, h)
        store(y, at, units, h, block, H)
        if gates is not None:
            store(gates, at, units, r, block, H, 3, 0)
            store(gates, at, units, z, block, H, 3, 1)
            store(gates, at, units, n, block, H, 3, 2)
        if kept is not None:
            if NORM == 0:
                store(kept, at, units, u_n, block, H)
            else:
                store(kept, at, units, u_r, block, H, 3, 0)
                store(kept, at, units, u_z, block, H, 3, 1)
                store(kept, at, units, u_n, block, H, 3, 2)
    store(h_last, d.to(tl.int64) * B + row, units, h, exists[:, None] & is_unit[None, :], H)


@triton.jit
def gates_backward(
    dr: tl.tensor,
    dz: tl.tensor,
    da_n: tl.tensor,
    r: tl.tensor,
    z: tl.tensor,
    seen: tl.tensor,
    u: tl.tuple,
    U_n: tl.tensor,
    g: tl.tuple,
    b_n: tl.tensor,
    is_unit: tl.tensor,
    BEFORE: tl.constexpr,
    NORM: tl.constexpr,
    N: tl.constexpr,
    PRECISION: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """da_r, da_z, da_n, the gradients of U h of each gate, what U_n gives to m h, and what reaches the biases and gains."""
    dm, du_n, dg_n = da_n, da_n, tl.sum(da_n, 0)
    if not BEFORE:
        dr += da_n * (normed(u[2], g[2], is_unit, NORM, N, 1e-5) + b_n[None, :])
        dm = da_n * r
        du_n = dm
    if NORM == 1:
        du_n, dg_n = through_gain(dm, u[2], g[2], is_unit, N)
    dseen = product(du_n, U_n, PRECISION)
    if BEFORE:
        dr += dseen * seen
        dseen = dseen * r
    da_r, da_z = dr * r * (1.0 - r), dz * z * (1.0 - z)
    du_r, dg_r, du_z, dg_z = da_r, dg_n, da_z, dg_n
    if NORM == 1:
        du_r, dg_r = through_gain(da_r, u[0], g[0], is_unit, N)
        du_z, dg_z = through_gain(da_z, u[1], g[1], is_unit, N)
    db_r, db_z, db_n = tl.sum(da_r, 0), tl.sum(da_z, 0), tl.sum(dm, 0)
    return da_r, da_z, da_n, du_r, du_z, du_n, dseen, db_r, db_z, db_n, dg_r, dg_z, dg_n


@triton.jit
def dreamer_backward(
    dr: tl.tensor,
    dz: tl.tensor,
    da_n: tl.tensor,
    r: tl.tensor,
    z: tl.tensor,
    u: tl.tuple,
    U_n: tl.tensor,
    g: tl.tuple,
    b_n: tl.tensor,
    is_unit: tl.tensor,
    N: tl.constexpr,
    PRECISION: tl.constexpr,
) -> tuple[tl.tensor, ...]:
    """The same for "dreamer", whose gi and U h have one gradient."""
    hat_r, hat_z, hat_n, scale = joined_scale(u[0], u[1], u[2], is_unit, N, 1e-3)
    dr += da_n * (g[2][None, :] * hat_n + b_n[None, :])
    da_r, da_z, da_n = dr * r * (1.0 - r), dz * z * (1.0 - z), da_n * r
    db_r, db_z, db_n = tl.sum(da_r, 0), tl.sum(da_z, 0), tl.sum(da_n, 0)
    dg_r, dg_z, dg_n = tl.sum(da_r * hat_r, 0), tl.sum(da_z * hat_z, 0), tl.sum(da_n * hat_n, 0)
    da_r, da_z, da_n = da_r * g[0][None, :], da_z * g[1][None, :], da_n * g[2][None, :]
    mean = (tl.sum(da_r, 1) + tl.sum(da_z, 1) + tl.sum(da_n, 1)) / (3 * N)
    along = tl.sum(da_r * hat_r, 1) + tl.sum(da_z * hat_z, 1) + tl.sum(da_n * hat_n, 1)
    mean, along, inside = mean[:, None], (along / (3 * N))[:, None], is_unit[None, :]
    du_r = tl.where(inside, (da_r - mean - hat_r * along) * scale, 0.0)
    du_z = tl.where(inside, (da_z - mean - hat_z * along) * scale, 0.0)
    du_n = tl.where(inside, (da_n - mean - hat_n * along) * scale, 0.0)
    dseen = product(du_n, U_n, PRECISION)
    return du_r, du_z, du_n, du_r, du_z, du_n, dseen, db_r, db_z, db_n, dg_r, dg_z, dg_n


@triton.jit(do_not_specialize=["B", "T"])
def gru_backward(
    dy: tl.tensor,
    dh_last: tl.tensor,
    dgates: tl.tensor,
    h0: tl.tensor,
    U: tl.tensor,
    b: tl.tensor,
    g: tl.tensor,
    h_reset: tl.tensor,
    lengths: tl.tensor,
    rows: tl.tensor,
    reset: tl.tensor,
    h_mask: tl.tensor,
    zoneout: tl.tensor,
    y: tl.tensor,
    gates: tl.tensor,
    kept: tl.tensor,
    dgi: tl.tensor,
    du: tl.tensor,
    entered: tl.tensor,
    dh0: tl.tensor,
    db: tl.tensor,
    dg: tl.tensor,
    dh_reset: tl.tensor,
    B: tl.tensor,
    T: tl.tensor,
    first_reverse: tl.tensor,
    D: tl.constexpr,
    H: tl.constexpr,
    HEADS: tl.constexpr,
    BEFORE: tl.constexpr,
    NORM: tl.constexpr,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
) -> None:
    """What dy, dh_last and dgates (or None) give to gi, to U h, to h0, and, by block of rows, to b, g and h_reset.

    `entered` [B, T, D, 1 or 2, H] is what U was multiplied with: m h, and for reset before r m h. dU is then one product.
    """
    N: tl.constexpr = H // HEADS
    row, exists, length = block_of_rows(lengths, rows, B, T, ROWS)
    d, first = tl.program_id(1) // HEADS, (tl.program_id(1) % HEADS) * N
    reverse = first_reverse + d
    is_unit, units = tl.arange(0, UNITS) < N, first + tl.arange(0, UNITS)
    U_r = weights_of(U, d, first, 0, 3, H, N, UNITS)
    U_z = weights_of(U, d, first, 1, 3, H, N, UNITS)
    U_n = weights_of(U, d, first, 2, 3, H, N, UNITS)
    b_n = vector(b, d * 3 + 2, units, is_unit, H)
    g_r = vector(g, d * 3, units, is_unit, H)
    g_z = vector(g, d * 3 + 1, units, is_unit, H)
    g_n = vector(g, d * 3 + 2, units, is_unit, H)
    begin = vector(h_reset, d, units, is_unit, H)
    db_r, db_z, db_n = tl.zeros_like(begin), tl.zeros_like(begin), tl.zeros_like(begin)
    dg_r, dg_z, dg_n = tl.zeros_like(begin), tl.zeros_like(begin), tl.zeros_like(begin)
    dbegin = tl.zeros_like(begin)
    whole = exists[:, None] & is_unit[None, :]
    state = d.to(tl.int64) * B + row
    dh = load(dh_last, state, units, whole, H)
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
        # The state that entered the step: y of the step before, or the one that the sequence began with.
        before = load(y, at + (2 * reverse - 1) * D, units, block & (steps > 0)[:, None], H)
        before += load(h0, state, units, block & (steps == 0)[:, None], H)
        if reset is not None:
            is_first = begins(reset, row, t, length, active, T, reverse)
            before = restarted(before, begin, is_first)
        seen = before
        if h_mask is not None:
            seen = before * mask
        r = load(gates, at, units, block, H, 3, 0)
        z = load(gates, at, units, block, H, 3, 1)
        n = load(gates, at, units, block, H, 3, 2)
        dnew = tl.where(active[:, None], dh + load(dy, at, units, block, H), 0.0)
        dbefore = tl.zeros_like(dnew)
        if zoneout is not None:
            share = load(zoneout, at, units, block, H)
            dbefore = share * dnew
            dnew = (1.0 - share) * dnew
        dr, dz, dn = tl.zeros_like(dnew), dnew * (before - n), dnew * (1.0 - z)
        dbefore += dnew * z
        if dgates is not None:
            dr += load(dgates, at, units, block, H, 3, 0)
            dz += load(dgates, at, units, block, H, 3, 1)
            dn += load(dgates, at, units, block, H, 3, 2)
        da_n = dn * (1.0 - n * n)
        u_r, u_z, u_n = dnew, dnew, dnew
        if NORM != 0:
            u_r, u_z = load(kept, at, units, block, H, 3, 0), load(kept, at, units, block, H, 3, 1)
            u_n = load(kept, at, units, block, H, 3, 2)
        elif not BEFORE:
            u_n = load(kept, at, units, block, H)
        if NORM == 2:
            da_r, da_z, da_n, du_r, du_z, du_n, dseen, b_1, b_2, b_3, g_1, g_2, g_3 = dreamer_backward(
                dr, dz, da_n, r, z, (u_r, u_z, u_n), U_n, (g_r, g_z, g_n), b_n, is_unit, N, PRECISION
            )
        else:
            da_r, da_z, da_n, du_r, du_z, du_n, dseen, b_1, b_2, b_3, g_1, g_2, g_3 = gates_backward(
                dr,
                dz,
                da_n,
                r,
                z,
                seen,
                (u_r, u_z, u_n),
                U_n,
                (g_r, g_z, g_n),
                b_n,
                is_unit,
                BEFORE,
                NORM,
                N,
                PRECISION,
            )
        db_r, db_z, db_n = db_r + b_1, db_z + b_2, db_n + b_3
        dg_r, dg_z, dg_n = dg_r + g_1, dg_z + g_2, dg_n + g_3
        dseen += product(du_r, U_r, PRECISION) + product(du_z, U_z, PRECISION)
        store(dgi, at, units, da_r, block, H, 3, 0)
        store(dgi, at, units, da_z, block, H, 3, 1)
        store(dgi, at, units, da_n, block, H, 3, 2)
        if du is not None:
            store(du, at, units, du_r, block, H, 3, 0)
            store(du, at, units, du_z, block, H, 3, 1)
            store(du, at, units, du_n, block, H, 3, 2)
        if BEFORE:
            store(entered, at, units, seen, block, H, 2, 0)
            store(entered, at, units, r * seen, block, H, 2, 1)
        else:
            store(entered, at, units, seen, block, H)
        if h_mask is not None:
            dseen = dseen * mask
        dbefore += dseen
        if reset is not None:
            dbegin += tl.sum(tl.where(is_first[:, None], dbefore, 0.0), 0)
            dbefore = tl.where(is_first[:, None], 0.0, dbefore)
        dh = tl.where(active[:, None], dbefore, dh)
    store(dh0, state, units, dh, whole, H)
    own = (tl.program_id(0) * D + d) * H + units
    of_gates = (tl.program_id(0) * D + d) * 3 * H + units
    tl.store(db + of_gates, db_r, mask=is_unit)
    tl.store(db + of_gates + H, db_z, mask=is_unit)
    tl.store(db + of_gates + 2 * H, db_n, mask=is_unit)
    if NORM != 0:
        tl.store(dg + of_gates, dg_r, mask=is_unit)
        tl.store(dg + of_gates + H, dg_z, mask=is_unit)
        tl.store(dg + of_gates + 2 * H, dg_n, mask=is_unit)
    if reset is not None:
        tl.store(dh_reset + own, dbegin, mask=is_unit)
