"""What each step left in the state that a prediction reads: exact parts, for every prediction of a run.

    h_t = start_t + sum_k parts_k        parts_k = (written at k) * product of the keeps after k, [H]

An LSTM shows its cell as h = o tanh(c): its parts are those of c, times h / c, output gate and tanh held as they were.
A read-out of the mean over steps 0..t reads the mean of the states, so the mean of their parts. A linear read-out of a
part is its exact share (Du et al. 2019, arXiv 1903.11245); `congru.gates.memory` gives the same for one prediction of
any model, with how far to trust it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from congru.gates.form import KEEP
from congru.gates.layer import Layer
from congru.gates.record import Record
from congru.gates.weights import Array

SUMS = ("gru", "mingru")
"""Cells whose state itself is a sum of what each step wrote."""


def has_parts(record: Record) -> bool:
    """Whether the state of the top layer is such a sum at every step: one direction, a keep gate, no zoneout of an LSTM."""
    form = record.top.form
    plain = record.cell != "lstm" or not (form.zoneout or form.layer_norm)
    return record.cell in KEEP and record.shape[1] == 1 and plain


def parts_of_steps(record: Record, row: int = 0, kind: str = "steps") -> Iterator[Array]:
    """After each step t of a row the parts [t + 1, H] (float64) of what a read-out of that kind reads then.

    kind: "mean" reads the mean of the states so far, any other the state itself. The array is reused: copy it to keep it.
    """
    layer, run = record.top, record.top.run(row)
    keep, written = run.keep.astype(np.float64), run.written.astype(np.float64)
    shown = _shown(layer.y[row, run.steps], run.memory) if record.cell == "lstm" else None
    parts, summed = np.zeros_like(written), np.zeros_like(written)
    for t in range(len(written)):
        parts[:t] *= 0.0 if run.is_first[t] else keep[t]
        parts[t] = written[t]
        read = parts[: t + 1] if shown is None else parts[: t + 1] * shown[t]
        if kind == "mean":
            summed[: t + 1] += read
            yield summed[: t + 1] / (t + 1)
        else:
            yield read


def parts_left(layers: Sequence[Layer], steps: Array, row: int = 0) -> Array:
    """What each of `steps` [K] left in the states after every step, [K, T, D*H] (float64): of all T steps they sum to the states.

    layers: one for each direction, of a cell of `SUMS`. The first step of a sequence has the start in its part.
    """
    length = int(layers[0].recovered.valid[row].sum())
    parts = []
    for layer in layers:
        run = layer.run(row)
        y, keep, written = (part.astype(np.float64) for part in (run.memory, run.keep, run.written))
        left, now = (
            np.zeros((len(steps), length, layer.hidden_size)),
            np.zeros((len(steps), layer.hidden_size)),
        )
        for number, step in enumerate(run.steps):
            begins = number == 0 or run.is_first[number]
            now *= 0.0 if begins else keep[number]
            now[steps == step] = y[number] if begins else written[number]
            left[:, step] = now
        parts.append(left)
    result: Array = np.concatenate(parts, axis=2)
    return result


def states_of_steps(record: Record, row: int = 0, kind: str = "steps") -> Array:
    """What a read-out of that kind reads after each step, [T, H] in float64."""
    y: Array = record.top.y[row, : record.lengths[row]].astype(np.float64)
    return np.cumsum(y, axis=0) / np.arange(1, len(y) + 1)[:, None] if kind == "mean" else y


def _shown(h: Array, c: Array) -> Array:
    """h / c, 1 where the cell holds nothing."""
    wide = c.astype(np.float64)
    small = np.abs(wide) < 1e-9
    result: Array = np.where(small, 1.0, h / np.where(small, 1.0, wide))
    return result
