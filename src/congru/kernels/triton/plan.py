"""How many programs run a head, and what each of them holds, from sizes alone: nothing is tried out, nothing depends on B or T.

One program holds a head whose weights fit its shared memory. Above that the units of the head are split over as many programs as
it takes to hold the weights between them, at most one for each processor of the card; where these are too few, the weights are
read again in every step, as those of float32 are.
"""

from __future__ import annotations

import functools
import os
from typing import NamedTuple

import torch

from congru.kernels.cells import CELLS
from congru.kernels.tracing import constant_when_traced

ROWS = 16  # the fewest rows of a product on tensor cores, and the fewest units
DEPTH = 128  # units of one step of a product over all units of a head
# float32 has no tensor cores: its products take weights from registers, where those of a whole sequence do not fit.
STREAMED_UNITS, STREAMED_DEPTH = 32, 32
MOST_UNITS = 1024  # of a head
SHARED_BYTES, PROCESSORS = (
    232448,
    132,
)  # of one program and of the card on an H100, where no card tells its own
INTERPRETED_PROCESSORS = 1  # the interpreter runs one program after another: none may wait for a later one


class Plan(NamedTuple):
    """SPLIT programs of `units` units each; EXCHANGED and RESIDENT as in `congru.kernels.triton.programs`."""

    split: int
    units: int
    depth: int
    exchanged: bool
    resident: bool
    num_warps: int


@constant_when_traced
def interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "yes", "on", "y")


def plan(cell: str, units: int, size: int, gradient: bool, heads: int, device: str = "cuda") -> Plan:
    """The plan of a launch for `heads` heads, all directions together, of `units` units, weights of `size` bytes.

    >>> plan("gru", 64, 4, False, heads=1, device="cpu")
    Plan(split=1, units=64, depth=64, exchanged=False, resident=True, num_warps=8)
    """
    room = _card()[0] if device == "cuda" else SHARED_BYTES
    block = block_of(units)
    if shared_bytes(cell, block, size, gradient) <= room:
        return Plan(1, block, block, False, True, _num_warps(block, size))
    most = max(1, processors(device) // heads)  # programs of a head that run at once
    split = 1
    while 2 * split <= most and block // split > ROWS:
        split *= 2
        if size == 2 and split_bytes(cell, block, block // split) <= room:
            return Plan(split, block // split, min(DEPTH, block), True, True, 4)
        if size == 4 and block // split == STREAMED_UNITS:
            break
    own = block // split
    return Plan(split, own, STREAMED_DEPTH if own <= DEPTH else ROWS, True, False, 4 if own <= DEPTH else 8)


def processors(device: str) -> int:
    """Of the card; programs that wait for each other must not be more."""
    if interpreted():
        return INTERPRETED_PROCESSORS
    return _card()[1] if device == "cuda" else PROCESSORS


def block_of(units: int) -> int:
    """The units of a block: a power of two from 16 on, as products on tensor cores need it."""
    return max(ROWS, 1 << (units - 1).bit_length())


def shared_bytes(cell: str, units: int, size: int, gradient: bool) -> int:
    """An upper bound of the shared memory of a program with a whole head: results/gpu_compile.json has what the compiler took."""
    block = block_of(units)
    weights = len(CELLS[cell].gates) * block * block * size
    rows = 192 * block
    # The backward reads float32 weights in two orders.
    return rows + (5 * weights // 2 if gradient and size == 4 else weights)


def split_bytes(cell: str, units: int, own: int) -> int:
    """The same of a program with `own` of the units of a head, weights of 16 bits."""
    return 2 * len(CELLS[cell].gates) * block_of(units) * own + 16384


def _num_warps(units: int, size: int) -> int:
    """Warps of a program: with eight, the larger blocks stay in registers (results/gpu_compile.json)."""
    return 8 if units * size >= 256 else 4


@functools.cache
def _card() -> tuple[int, int]:
    """Shared memory that a program may have on the present card, and its processors."""
    from triton.runtime import driver

    properties = driver.active.utils.get_device_properties(torch.cuda.current_device())
    return int(properties["max_shared_mem"]), int(properties["multiprocessor_count"])
