"""What if a gate had been held? The causal check of the memory map: run again with some gates fixed, and compare.

Holding keep = 1 for some steps freezes the state there; keep = 0 erases it; reset = 1 lets the candidate
read all. Layers above run again on the changed states; the read-out, where it is linear, gives the changed
prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from congru.errors import CongruError
from congru.gates.form import CANDIDATE, GATES, KEEP, TITLES
from congru.gates.layer import Layer
from congru.gates.record import Record
from congru.gates.simulate import Held, simulate
from congru.gates.weights import Array


@dataclass(frozen=True)
class WhatIf:
    """The run with a gate held beside the run as it was.

    states [B, T, D*H] of the top layer before and after; outputs of the linear read-out (None where there
    is none); loss before and after (None where no loss was given).
    """

    question: str
    states: tuple[Array, Array] = field(repr=False)
    outputs: tuple[Array, Array] | None = field(repr=False)
    loss: tuple[float, float] | None
    labels: tuple[str, ...] = field(default=(), repr=False)

    @property
    def moved(self) -> Array:
        """How far the top state moved at each step, |h' - h| / |h|, [B, T]."""
        before, after = self.states
        size = np.linalg.norm(before, axis=2)
        result: Array = np.linalg.norm(after - before, axis=2) / np.maximum(size, 1e-12)
        return result

    def __str__(self) -> str:
        text = f"{self.question}: the top state moves by up to {100 * float(self.moved.max()):.1f} %"
        if self.outputs is not None:
            text += f", the output by up to {float(np.abs(self.outputs[1] - self.outputs[0]).max()):.4g}"
        if self.loss is not None:
            text += f", the loss from {self.loss[0]:.4f} to {self.loss[1]:.4f}"
        return text


def clamp_gate(
    record: Record,
    gate: str,
    units: Any = None,
    steps: Any = None,
    value: float = 1.0,
    layer: int = -1,
    direction: int = 0,
    loss: Callable[[Array], float] | None = None,
) -> WhatIf:
    """Hold a gate of one layer and run the trace's layers again; see `Trace.clamp`."""
    chosen = record.layer(layer, direction)
    letter = gate_letter(chosen.cell, gate)
    signed = letter == CANDIDATE[chosen.cell]
    if not (-1 if signed else 0) <= value <= 1:
        span = "-1 to 1" if signed else "0 (closed) to 1 (open)"
        raise CongruError(f"value is {value}, expected {span} for {gate}: a gate is a share")
    num_steps, size = chosen.y.shape[1:]
    where = _selected("steps", steps, num_steps)[:, None] & _selected("units", units, size)[None]
    p = chosen.form.zoneout if gate == "keep" else 0.0  # the gate that makes p + (1 - p) gate = value
    held = Held(GATES[chosen.cell].index(letter), where, (value - p) / (1 - p))
    before = np.concatenate([way.y for way in record.layers[-1]], axis=2)
    after = _run_again(record, layer % len(record.layers), direction, held)
    outputs, losses = None, None
    if record.readout is not None:
        outputs = (record.readout.apply(before, record.lengths), record.readout.apply(after, record.lengths))
    if loss is not None:
        if outputs is None:
            raise CongruError(
                f"loss is given, but {record.title} has no linear read-out, expected one: compare .states "
                "instead"
            )
        losses = (float(loss(outputs[0])), float(loss(outputs[1])))
    question = f"{gate} held at {value:g} in {int(where.any(axis=0).sum())} units of {chosen.name}"
    question += f" at {int(where.any(axis=1).sum())} of {num_steps} steps"
    labels = (
        () if record.readout is None else tuple(map(record.readout.label, range(len(record.readout.weight))))
    )
    return WhatIf(question, (before, after), outputs, losses, labels)


def gate_letter(cell: str, gate: str) -> str:
    """The row letter of a gate, from its letter or its name: keep, reset, candidate, input, output."""
    names = {"keep": KEEP.get(cell), "candidate": CANDIDATE[cell]}
    names |= {"reset": "r"} if cell == "gru" else {}
    names |= {"input": "i", "output": "o"} if cell == "lstm" else {}
    letter = names.get(gate, gate)
    if letter not in GATES[cell]:
        known = ", ".join(name for name, row in names.items() if row)
        raise CongruError(
            f"gate is {gate!r}, expected one of {known} for a {TITLES[cell]}: pass one of these"
        )
    return str(letter)


def _selected(name: str, chosen: Any, size: int) -> Any:
    """A mask [size] from None (all), a number, a slice, numbers, or a mask."""
    mask = np.zeros(size, np.bool_)
    if chosen is None:
        return ~mask
    if isinstance(chosen, (slice, int, np.integer)):
        indices = (
            np.arange(size)[chosen : chosen + 1] if not isinstance(chosen, slice) else np.arange(size)[chosen]
        )
    else:
        array = np.asarray(chosen)
        indices = np.flatnonzero(array) if array.dtype == np.bool_ and array.shape == (size,) else array
    if len(indices) == 0 or indices.dtype.kind not in "iu" or indices.min() < -size or indices.max() >= size:
        raise CongruError(
            f"{name} is {chosen!r}, expected numbers from 0 to {size - 1}: pass a list, a slice or None"
        )
    mask[indices] = True
    return mask


def _run_again(record: Record, depth: int, direction: int, held: Held) -> Array:
    """The top states [B, T, D*H] after the held layer and those above it have run again."""
    changed = [
        _simulated(layer, layer.x, (held,) if way == direction else ())
        for way, layer in enumerate(record.layers[depth])
    ]
    for above in record.layers[depth + 1 :]:
        below = np.concatenate([way.y for way in record.layers[depth]], axis=2)
        if below.shape != above[0].x.shape or not np.allclose(below, above[0].x, atol=1e-5):
            raise CongruError(
                f"{above[0].name} does not read {record.layers[depth][0].name} directly, expected stacked "
                "layers: clamp the top layer"
            )
        x = np.concatenate(changed, axis=2)
        changed = [_simulated(layer, x, ()) for layer in above]
        depth += 1
    return np.concatenate(changed, axis=2)


def _simulated(layer: Layer, x: Array, held: Sequence[Held]) -> Array:
    y, _ = simulate(
        layer.form,
        x,
        layer.weights,
        layer.start,
        layer.restart,
        valid=layer.recovered.valid,
        is_first=layer.recovered.is_first,
        reverse=layer.reverse,
        held=held,
    )
    return y
