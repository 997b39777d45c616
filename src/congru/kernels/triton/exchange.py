"""Products and sums over all units of a head, of which a program holds a share: see `congru.kernels.triton.programs`.

What is multiplied with U is [state k, unit j] in the forward, U h, and [unit j, state k] in the backward, from where gradients go
back to the state. With SPLIT above 1 programs wait for each other at a counter in memory; with one program a wait is a barrier of
its own threads.
"""

from __future__ import annotations

import triton
import triton.language as tl

from congru.kernels.triton.blocks import product, store
from congru.kernels.triton.programs import SUMS, Own, Weight


@triton.jit
def wait(own: Own, SPLIT: tl.constexpr) -> None:
    """Until all programs of the group are here; what they wrote before is seen after.

    Nobody comes to the next wait before everybody came to this one, so a ticket tells which it is.
    """
    tl.debug_barrier()
    if SPLIT > 1:
        counter = own.shared.counter + own.group
        ticket = tl.atomic_add(counter, 1, sem="acq_rel")
        target = (ticket // SPLIT + 1) * SPLIT
        while tl.atomic_add(counter, 0, sem="acquire") < target:
            pass
        tl.debug_barrier()


@triton.jit
def room_of(own: Own, k: tl.tensor, SLOT: tl.constexpr, form: tl.constexpr) -> tl.tensor:
    """Where the rows of this program lie in a room, [ROWS], in rows of H."""
    return (SLOT * 2 + k % 2) * form.D * own.B + own.state


@triton.jit
def put(own: Own, values: tl.tensor, k: tl.tensor, SLOT: tl.constexpr, form: tl.constexpr) -> None:
    """Write this program's units of what U is multiplied with at step k; a `wait` must come before they are read."""
    if form.EXCHANGED:
        store(own.shared.room, room_of(own, k, SLOT, form), own.units, values, own.whole, form.H)


@triton.jit
def meet(own: Own, form: tl.constexpr) -> None:
    """The wait between `put` and `times`."""
    if form.EXCHANGED:
        wait(own, form.SPLIT)


@triton.jit
def tile_of(
    own: Own,
    U: tl.tensor,
    start: tl.tensor,
    gate: tl.constexpr,
    G: tl.constexpr,
    form: tl.constexpr,
) -> tl.tensor:
    """[DEPTH, UNITS] of U: DEPTH units of the head from `start` on, whose sum is taken, by this program's own."""
    many = start + tl.arange(0, form.DEPTH)
    row = (own.d * G + gate) * form.H + own.first
    if form.BACKWARD:
        offsets = (row + many)[:, None] * form.N + own.local[None, :]
    else:
        offsets = (row + own.local)[None, :] * form.N + many[:, None]
    return tl.load(U + offsets, mask=(many < form.N)[:, None] & own.is_unit[None, :], other=0.0)


@triton.jit
def weights_of(own: Own, U: tl.tensor, G: tl.constexpr, form: tl.constexpr) -> tl.tuple:
    """The weights of each gate."""
    N: tl.constexpr = form.N
    DEPTH: tl.constexpr = form.DEPTH
    weights: tl.tuple = ()
    for gate in tl.static_range(G):
        tiles: tl.tuple = ()
        if form.RESIDENT:
            for start in tl.static_range(0, N, DEPTH):
                tiles += (tile_of(own, U, start, gate, G, form),)
        weights += (Weight(U, gate, tiles),)
    return weights


@triton.jit
def times(
    own: Own,
    values: tl.tensor,
    weight: Weight,
    k: tl.tensor,
    SLOT: tl.constexpr,
    G: tl.constexpr,
    form: tl.constexpr,
) -> tl.tensor:
    """The values of all units times the weight of a gate; those of other programs, and of this, from the room."""
    if form.EXCHANGED:
        N: tl.constexpr = form.N
        DEPTH: tl.constexpr = form.DEPTH
        rows = own.shared.room + room_of(own, k, SLOT, form) * form.H + own.first
        ROWS: tl.constexpr = form.ROWS
        UNITS: tl.constexpr = form.UNITS
        total = tl.zeros([ROWS, UNITS], tl.float32)
        if form.RESIDENT:
            for start in tl.static_range(0, N, DEPTH):
                left = some_of(rows, own, start, form)
                total += product(left, weight.tiles[start // DEPTH], form.PRECISION)
        else:
            for start in range(0, N, DEPTH):
                right = tile_of(own, weight.U, start, weight.gate, G, form)
                total += product(some_of(rows, own, start, form), right, form.PRECISION)
    else:
        total = product(values, weight.tiles[0], form.PRECISION)
    return total


@triton.jit
def some_of(rows: tl.tensor, own: Own, start: tl.tensor, form: tl.constexpr) -> tl.tensor:
    """DEPTH units from `start` on of a room, past the cache of the processor, which does not see what others wrote."""
    many = start + tl.arange(0, form.DEPTH)
    mask = own.exists[:, None] & (many < form.N)[None, :]
    return tl.load(rows[:, None] + many[None, :], mask=mask, other=0.0, cache_modifier=".cg")


@triton.jit
def row_sum(own: Own, values: tl.tensor, SLOT: tl.constexpr, form: tl.constexpr) -> tl.tensor:
    """The sum over all units of the head of each row, in one order. Calls of one step have different slots."""
    return joined(own, tl.sum(values, 1), SLOT, form)


@triton.jit
def joined(own: Own, sums: tl.tensor, SLOT: tl.constexpr, form: tl.constexpr) -> tl.tensor:
    """The sum over the programs of a group of their sums of each row."""
    if form.SPLIT > 1:
        rows, shares = tl.arange(0, form.ROWS), tl.arange(0, form.SPLIT)
        room = own.shared.sums + (own.group * SUMS + SLOT).to(tl.int64) * form.SPLIT * form.ROWS
        tl.store(room + own.share * form.ROWS + rows, sums)
        wait(own, form.SPLIT)
        sums = tl.sum(tl.load(room + shares[:, None] * form.ROWS + rows[None, :], cache_modifier=".cg"), 0)
    return sums
