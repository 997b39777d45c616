"""Gradient flow: how much an output still feels of a step, against the lag, by every path and by the carry
path alone.

|d_k| with d_k = u_k + J_{k+1}' d_{k+1} is the true gradient by the state after step k; |B_k| the part that
came through the keep gates. Where |d_k| sinks the gradient vanishes; where |B_k| stays near it, the
conveyor is what saves it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from congru.gates.equations import KEEP, Array
from congru.gates.jacobian import steps_of
from congru.gates.record import Record
from congru.gates.sensitivity import by_memory, carry, sensitivity, state_pull
from congru.gates.target import find_target


class Flow(NamedTuple):
    """lag [N] (0 = the step asked about), |d| and |B| at that lag [N]; carry is None where a cell keeps
    nothing.

    For an LSTM both are by the cell state c, which carries, and include what it shows in its own h.
    """

    cell: str
    target: str
    lag: npt.NDArray[np.int64]
    gradient: Array
    carry: Array | None

    def half_lag(self) -> int:
        """The first lag at which |d| is below half of its value at lag 0 (the length where it never is)."""
        below = np.flatnonzero(self.gradient < 0.5 * self.gradient[0])
        return int(below[0]) if len(below) else len(self.gradient)


def flow_of(
    record: Record, target: Any = None, at: int | None = None, row: int = 0, direction: int = 0
) -> Flow:
    """The gradient flow of one output through the top layer in one direction; see `Trace.gradient_flow`."""
    layer = record.layer(-1, direction)
    found = find_target(record, target, at, row)
    pull = np.split(found.pull, record.shape[1], axis=1)[direction]
    steps = steps_of(layer, row)
    pull = pull[steps.steps]
    last = int(np.flatnonzero(np.abs(pull).sum(axis=1))[-1]) if np.abs(pull).any() else len(pull) - 1
    on_state = state_pull(layer, pull)
    gradient = by_memory(steps, sensitivity(steps, on_state))
    carried = None
    if layer.cell in KEEP:
        carried = np.linalg.norm(carry(layer.run(row), by_memory(steps, on_state)), axis=1)[last::-1]
    return Flow(
        layer.cell, found.name, np.arange(last + 1), np.linalg.norm(gradient, axis=1)[last::-1], carried
    )
