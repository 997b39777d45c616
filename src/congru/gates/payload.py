"""The numbers a report carries for its script: the top layer of one row, small enough to travel inside the page.

Per direction: gi = W x + b_i of every step, the states, U and b_h; the script computes everything else from
them with the cell's own equations. Arrays are 16-bit integers with one scale each (off by at most 1/65534
of the largest value), base64. Where the whole input is too large, the last steps travel and the state
before them is the start.
"""

from __future__ import annotations

import base64
from typing import Any, TypeAlias

import numpy as np

from congru.gates.equations import input_part
from congru.gates.form import GATES
from congru.gates.layer import Layer
from congru.gates.readout import Readout
from congru.gates.record import Record
from congru.gates.strips import unit_order
from congru.gates.target import need_readout
from congru.gates.weights import Array

Payload: TypeAlias = dict[str, Any]

MOST_BYTES = 800_000  # of the arrays before base64, which adds a third
MOST_OUTPUTS = 200


def payload_of(record: Record, row: int, target: int | None, at: int) -> Payload:
    """What the script needs: cell, tokens, one entry per direction, and the read-out where it is linear."""
    layers = record.layers[-1]
    length = int(record.lengths[row])
    readout = None if record.readout is None else _readout(need_readout(record), record, row, target)
    outputs = 0 if readout is None else len(readout["outputs"])
    shown = _steps_that_fit(layers, length, outputs)
    first = length - shown if len(layers) == 1 else 0
    return {
        "cell": record.cell,
        "zoneout": layers[0].form.zoneout,
        "norm": {True: "gates", "dreamer": "all"}.get(layers[0].form.layer_norm, ""),
        "heads": layers[0].form.num_heads,
        "gates": GATES[record.cell],
        "resetBefore": layers[0].form.reset_before,
        "depth": len(record.layers) - 1,
        "first": first,
        "steps": length - first,
        "length": length,
        "units": layers[0].hidden_size,
        "tokens": list(record.tokens[row][:length]),
        "directions": [_direction(layer, row, first, first + shown) for layer in layers],
        "whole": shown == length,
        "readout": readout,
        "target": target,
        "at": at,
    }


def pack(values: Array) -> Payload:
    """An array as scale and 16-bit integers: value = integer * scale."""
    scale = float(np.abs(values).max(initial=0.0)) / 32767 or 1.0
    integers = np.round(np.asarray(values, np.float64) / scale).astype("<i2")
    return {
        "scale": scale,
        "data": base64.b64encode(integers.tobytes()).decode(),
        "shape": list(values.shape),
    }


def unpack(packed: Payload) -> Array:
    """The array back, as the script reads it.

    >>> unpack(pack(np.array([[0.5, -1.0]]))).round(4).tolist()
    [[0.5, -1.0]]
    """
    integers = np.frombuffer(base64.b64decode(packed["data"]), "<i2").reshape(packed["shape"])
    result: Array = integers * packed["scale"]
    return result


def _steps_that_fit(layers: tuple[Layer, ...], length: int, outputs: int) -> int:
    """How many steps may travel: all, or as many as MOST_BYTES hold beside U and the read-out."""
    size = layers[0].hidden_size
    num_gates = len(GATES[layers[0].cell])
    weights = (0 if layers[0].weights.U is None else 2 * num_gates * size * size) + 2 * outputs * size
    per_step = 2 * (num_gates + 1) * size
    room = (MOST_BYTES - weights * len(layers)) // (per_step * len(layers))
    return int(np.clip(room, min(length, 8), length))


def _direction(layer: Layer, row: int, first: int, stop: int) -> Payload:
    steps = slice(first, stop)
    is_first = np.flatnonzero(layer.recovered.is_first[row, steps])
    starts = [np.asarray(part[row], np.float64) for part in layer.start]
    if first > 0:
        starts = [part[row, first] for part in layer.recovered.state_prev]
    weights, U = layer.weights, layer.weights.U
    norm = {"gh": weights.g_h, "gc": weights.g_c, "bc": weights.b_c} if layer.form.layer_norm is True else {}
    return {
        **{name: pack(part) for name, part in norm.items() if part.size},
        "reverse": layer.reverse,
        "order": unit_order(layer).tolist(),
        "gi": pack(input_part(layer.form, layer.x[row, steps], weights)),
        "h": pack(layer.y[row, steps]),
        "U": None if U is None else pack(U),
        "bh": pack(weights.b_h),
        "start": [pack(part) for part in starts],
        "restart": [pack(part) for part in layer.restart],
        "isFirst": is_first.tolist(),
    }


def _readout(readout: Readout, record: Record, row: int, target: int | None) -> Payload:
    """The read-out's rows for the outputs that are largest for this input, the target always among them."""
    y = np.concatenate([layer.y for layer in record.layers[-1]], axis=2)[row : row + 1]
    outputs = readout.apply(y, record.lengths[row : row + 1])[0]
    peaks = outputs.max(axis=0) if outputs.ndim == 2 else outputs
    chosen = np.sort(np.argsort(-peaks, kind="stable")[:MOST_OUTPUTS])
    if target is not None and target not in chosen:
        chosen = np.append(chosen, target)
    return {
        "kind": readout.kind,
        "outputs": chosen.tolist(),
        "labels": [readout.label(int(output)) for output in chosen],
        "weight": pack(readout.weight[chosen]),
        "bias": pack(readout.bias[chosen]),
    }
