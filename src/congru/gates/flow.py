"""Gradient flow: how much an output still feels of a step, against the lag, by every path and by the carry path alone.

|d_k| with d_k = u_k + J_{k+1}' d_{k+1} is the true gradient by the state after step k; |B_k| the part that
came through the keep gates. Where |d_k| sinks the gradient vanishes; where |B_k| stays near it, the
conveyor is what saves it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from congru.gates.form import KEEP
from congru.gates.jacobian import steps_of
from congru.gates.record import Record
from congru.gates.sensitivity import (
    by_memory,
    carry,
    cell_cotangent,
    held_state,
    sensitivity,
    state_cotangent,
)
from congru.gates.target import find_target
from congru.gates.weights import Array


class Flow(NamedTuple):
    """lag [N] (0 = the step asked about), |d| and |B| at that lag [N]; carry is None where a cell keeps nothing.

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
    asked = find_target(record, target, at, row)
    steps = steps_of(layer, row)
    u = np.split(asked.cotangent, record.shape[1], axis=1)[direction][steps.steps]
    last = int(np.flatnonzero(np.abs(u).sum(axis=1))[-1]) if np.abs(u).any() else len(u) - 1
    gradient = by_memory(steps, sensitivity(steps, state_cotangent(layer, u)))
    carried = None
    if layer.cell in KEEP:
        of_memory = u
        if layer.cell == "lstm":
            held = held_state(layer.form, u, steps.is_first)
            shown = by_memory(steps, state_cotangent(layer, held))
            of_memory = cell_cotangent(layer.form, shown, steps.is_first)
        carried = np.linalg.norm(carry(layer.run(row), of_memory), axis=1)[last::-1]
    return Flow(
        layer.cell, asked.name, np.arange(last + 1), np.linalg.norm(gradient, axis=1)[last::-1], carried
    )
