"""One unit of an explored run: its equations with the numbers of a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.errors import CongruError, DataError
from congru.gates.equations import gates_of, input_part, state_part
from congru.gates.form import GATES, KEEP
from congru.gates.layer import Layer
from congru.gates.timescales import timescales_of
from congru.serve.explorer import Explored, Floats


def unit_numbers(explored: Explored, node: str, depth: int, way: int, step: int, unit: int) -> dict[str, Any]:
    """The equations of one unit at one step with their numbers: what the input and the state give each gate, and the gates.

    Raises :class:`~congru.errors.DataError` outside the run.
    """
    layer = find_layer(explored, node, depth, way)
    if not (0 <= step < layer.y.shape[1] and 0 <= unit < layer.hidden_size):
        raise DataError(f"step is {step} and unit {unit}, expected ones of this run: point at the film")
    x, before = layer.x[:, step], tuple(part[:, step] for part in layer.recovered.state_prev)
    size, letters = layer.hidden_size, GATES[layer.cell]
    numbers: dict[str, Any] = {"input": None, "state": None}
    if layer.form.layer_norm != "dreamer":
        gi = input_part(layer.form, x, layer.weights).reshape(-1, len(letters), size)[0, :, unit]
        gh = state_part(layer.form, before[0], layer.weights)
        if layer.form.reset_before and layer.cell == "gru":
            r = gates_of(layer.form, input_part(layer.form, x, layer.weights), before[0], layer.weights)[0]
            gh[..., 2 * size :] = state_part(layer.form, r * before[0], layer.weights, slice(2, 3))
        gh = gh.reshape(-1, len(letters), size)[0, :, unit]
        numbers = {"input": dict(zip(letters, _plain(gi))), "state": dict(zip(letters, _plain(gh)))}
    gates = {letter: float(layer.gate(letter)[0, step, unit]) for letter in letters}
    tau = timescales_of(layer).tau[unit] if layer.cell in KEEP else np.nan
    return {
        **numbers,
        "gates": gates,
        "keep": float(layer.keep[0, step, unit]) if layer.cell in KEEP else None,
        "before": float(before[0][0, unit]),
        "after": float(layer.y[0, step, unit]),
        "cell_before": float(before[1][0, unit]) if len(before) > 1 else None,
        "cell_after": float(layer.memory[0, step, unit]) if len(before) > 1 else None,
        "tau": float(tau) if np.isfinite(tau) else None,
        "zoneout": layer.form.zoneout,
        "reset_before": layer.form.reset_before,
    }


def find_layer(explored: Explored, node: str, depth: int, way: int) -> Layer:
    """A layer of a run. Raises :class:`~congru.errors.CongruError` where there is none."""
    if node not in explored.traces:
        known = ", ".join(explored.traces)
        raise CongruError(f"node is {node!r:.60}, expected one of {known}: choose one of these")
    return explored.traces[node].layer(depth, way)


def _plain(values: Floats) -> list[float]:
    return [float(value) for value in values]
