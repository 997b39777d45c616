"""What a program of a recurrent kernel computes, and how it reaches the units that other programs compute.

A program runs ROWS rows of the batch over all of their steps, and UNITS units of one head in one direction; SPLIT programs, a
group, share the units of a head. Every tensor of a call is contiguous: gi, gates [B, T, D, G, H], y and zoneout [B, T, D, H],
states and h_mask [D, B, H], U [D, G*H, H/heads].

Where SPLIT is 1 and the weights of a head fit one program, nothing leaves its registers (EXCHANGED is False). Else each
product of a step goes over all units of the head: the programs of a group write what U is multiplied with to a room of memory,
wait for each other, and read all of it, DEPTH units at a time. There are two rooms, for odd and even steps, so that nobody writes
what another still reads. A program's own columns of U stay in shared memory from the first step to the last (RESIDENT), or are
read again in every step. All programs of a group must run at the same time: the launch is cooperative.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import triton
import triton.language as tl

from congru.kernels.triton.blocks import load, store, vector


class Form(NamedTuple):
    """The constants that a kernel is compiled for; NORM is 0, 1 (layer norm) or 2 ("dreamer"), N the units of a head."""

    D: int
    H: int
    HEADS: int
    N: int
    SPLIT: int
    EXCHANGED: bool
    RESIDENT: bool
    BACKWARD: bool
    BEFORE: bool
    NORM: int
    PRECISION: str
    ROWS: int
    UNITS: int
    DEPTH: int


class Inputs(NamedTuple):
    """The differentiable tensors of a launch; what a call has not is None."""

    gi: Any
    h0: Any
    c0: Any
    U: Any
    b: Any
    g: Any
    g_c: Any
    b_c: Any
    h_reset: Any
    c_reset: Any


class Masks(NamedTuple):
    """Those without a gradient. `rows` orders the batch by length, so that the rows of a block end together."""

    lengths: Any
    rows: Any
    reset: Any
    h_mask: Any
    zoneout: Any
    zoneout_c: Any


class Results(NamedTuple):
    """What the forward writes; its backward reads y, gates, c_states and kept."""

    y: Any
    h_last: Any
    c_last: Any
    gates: Any
    c_states: Any
    kept: Any


class GradOutputs(NamedTuple):
    """The gradients of the results."""

    dy: Any
    dh_last: Any
    dc_last: Any
    dgates: Any


class Gradients(NamedTuple):
    """What the backward writes: of gi, of U h, of the states, and, by block of rows, of vectors.

    `entered` [B, T, D, 1 or 2, H] is what U was multiplied with: m h, and for reset before r m h. dU is then one product.
    """

    dgi: Any
    du: Any
    entered: Any
    dh0: Any
    dc0: Any
    db: Any
    dg: Any
    dg_c: Any
    db_c: Any
    dh_reset: Any
    dc_reset: Any


class Shared(NamedTuple):
    """What the programs of a group write for each other; None where no two share anything.

    room [ROOMS, 2, D, B, H], in the dtype of products. sums [groups, SUMS, SPLIT, ROWS] float32. counter [groups] int32, zeros.
    """

    room: Any
    sums: Any
    counter: Any


ROOMS: tl.constexpr = tl.constexpr(4)
SUMS: tl.constexpr = tl.constexpr(24)


class Own(NamedTuple):
    """The rows and units of one program. `state` is the index of each row in [D, B], `local` that of units in the head."""

    row: tl.tensor
    exists: tl.tensor
    length: tl.tensor
    d: tl.tensor
    reverse: tl.tensor
    first: tl.tensor
    local: tl.tensor
    units: tl.tensor
    is_unit: tl.tensor
    whole: tl.tensor
    state: tl.tensor
    block: tl.tensor
    share: tl.tensor
    group: tl.tensor
    shared: tl.tuple
    B: tl.tensor


class Step(NamedTuple):
    """Step k of every row: which rows have it, where it lies in [B, T, D], and whether a sequence begins there."""

    k: tl.tensor
    active: tl.tensor
    block: tl.tensor
    at: tl.tensor
    is_first: tl.tensor


class Weight(NamedTuple):
    """The columns of U of one gate that this program multiplies with: in tiles, or where to read them."""

    U: tl.tensor
    gate: tl.constexpr
    tiles: tl.tuple


@triton.jit
def own_of(
    masks: Masks,
    shared: Shared,
    B: tl.tensor,
    T: tl.tensor,
    first_block: tl.tensor,
    first_reverse: tl.tensor,
    form: tl.constexpr,
) -> Own:
    """The rows and units of this program."""
    block = first_block + tl.program_id(0)
    slot = block * form.ROWS + tl.arange(0, form.ROWS)
    exists = slot < B
    row = slot.to(tl.int64)
    if masks.rows is not None:
        row = tl.load(masks.rows + row, mask=exists, other=0)
    if masks.lengths is not None:
        length = tl.load(masks.lengths + row, mask=exists, other=0).to(tl.int32)
    else:
        length = tl.where(exists, T, 0)
    share, head = tl.program_id(1) % form.SPLIT, tl.program_id(1) // form.SPLIT
    d, first = head // form.HEADS, (head % form.HEADS) * form.N
    local = share * form.UNITS + tl.arange(0, form.UNITS)
    is_unit = local < form.N
    whole = exists[:, None] & is_unit[None, :]
    state = d.to(tl.int64) * B + row
    group = block * (form.D * form.HEADS) + head
    return Own(
        row,
        exists,
        length,
        d,
        first_reverse + d,
        first,
        local,
        first + local,
        is_unit,
        whole,
        state,
        block,
        share,
        group,
        shared,
        B,
    )


@triton.jit
def step_of(own: Own, reset: tl.tensor, k: tl.tensor, T: tl.tensor, form: tl.constexpr) -> Step:
    """Step k of the rows of this program; in reverse a sequence begins where a reset lies between t + 1 and t."""
    active = k < own.length
    t = k + own.reverse * (own.length - 1 - 2 * k)
    is_first = active
    if reset is not None:
        inside = active & (t + own.reverse < own.length)
        is_first = tl.load(reset + own.row * T + t + own.reverse, mask=inside, other=0) != 0
    block = active[:, None] & own.is_unit[None, :]
    return Step(k, active, block, (own.row * T + t) * form.D + own.d, is_first)


@triton.jit
def restarted(h: tl.tensor, begin: tl.tensor, step: Step, reset: tl.tensor) -> tl.tensor:
    """The state that enters a step: `begin` in the rows where a sequence begins."""
    if reset is not None:
        h = tl.where(step.is_first[:, None], begin[None, :], h)
    return h


@triton.jit
def state_before(states: tl.tensor, start: tl.tensor, own: Own, step: Step, form: tl.constexpr) -> tl.tensor:
    """The state after the step before, or the one that a row starts with."""
    k = (step.k + tl.zeros_like(own.length))[:, None]
    index = step.at + (2 * own.reverse - 1) * form.D
    before = load(states, index, own.units, step.block & (k > 0), form.H)
    return before + load(start, own.state, own.units, step.block & (k == 0), form.H)


@triton.jit
def seen_of(h: tl.tensor, h_mask: tl.tensor, own: Own, form: tl.constexpr) -> tl.tensor:
    """m h, what U sees of a state; of a gradient of m h that of h."""
    if h_mask is not None:
        h = h * load(h_mask, own.state, own.units, own.whole, form.H)
    return h


@triton.jit
def vectors(array: tl.tensor, own: Own, G: tl.constexpr, form: tl.constexpr) -> tl.tuple:
    """This program's units of each row of [D, G, H]; zeros where the array is None."""
    values: tl.tuple = ()
    for gate in tl.static_range(G):
        values += (vector(array, own.d * G + gate, own.units, own.is_unit, form.H),)
    return values


@triton.jit
def load_gates(array: tl.tensor, own: Own, step: Step, G: tl.constexpr, form: tl.constexpr) -> tl.tuple:
    """[ROWS, UNITS] of each gate of [B, T, D, G, H] at a step."""
    values: tl.tuple = ()
    for gate in tl.static_range(G):
        values += (load(array, step.at, own.units, step.block, form.H, G, gate),)
    return values


@triton.jit
def store_gates(
    array: tl.tensor, values: tl.tuple, own: Own, step: Step, G: tl.constexpr, form: tl.constexpr
) -> None:
    """What `load_gates` reads; nothing where the array is None."""
    if array is not None:
        for gate in tl.static_range(G):
            store(array, step.at, own.units, values[gate], step.block, form.H, G, gate)


@triton.jit
def store_vectors(array: tl.tensor, values: tl.tuple, own: Own, G: tl.constexpr, form: tl.constexpr) -> None:
    """This block's sums over its rows, [blocks, D, G, H]."""
    for gate in tl.static_range(G):
        offsets = ((own.block * form.D + own.d) * G + gate) * form.H + own.units
        tl.store(array + offsets, values[gate], mask=own.is_unit)


@triton.jit
def plus(a: tl.tuple, b: tl.tuple, G: tl.constexpr) -> tl.tuple:
    """The sums of G pairs."""
    sums: tl.tuple = ()
    for gate in tl.static_range(G):
        sums += (a[gate] + b[gate],)
    return sums
