"""A run with gates held and states edited by hand: the same network, step by step where it was touched, whole everywhere else.

    h_t = update(gates_t, h_{t-1}), gates held where an edit says so; then h_t[unit] = value where an edit says so

Nodes without an edit run as they always do, on what reaches them, so every output and every later state feels the change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.gates.equations import gates_of, input_part, update
from congru.gates.form import CANDIDATE, GATES
from congru.gates.layer import Layer
from congru.gates.whatif import gate_letter
from congru.runtime.network import Network
from congru.runtime.nodes.recurrent import RecurrentNode
from congru.runtime.run import Run, State

Array = NDArray[np.floating[Any]]
STATES = ("state", "cell")


class Edit(NamedTuple):
    """One change: a gate held, or the state set, at some steps and units of one layer of a recurrent node.

    `what` is keep, reset, candidate, input, output (by the cell), state, or cell (of an LSTM).
    """

    node: str
    depth: int
    what: str
    units: tuple[int, ...]
    steps: tuple[int, ...]
    value: float


@dataclass(frozen=True)
class Edited:
    """`outputs` [T, ..] (or one row) by name, the `state` after the last step, `gates` and `states` [T, H] of touched layers."""

    outputs: dict[str, Array]
    state: State
    gates: dict[tuple[str, int], tuple[Array, ...]]
    states: dict[tuple[str, int], Array]


def check_edit(edit: Edit, layer: Layer) -> None:
    """Raise :class:`SettingsError` for an edit that the layer cannot take."""
    num_steps, num_units = layer.y.shape[1:]
    if edit.what in STATES:
        if edit.what == "cell" and layer.cell != "lstm":
            raise SettingsError("what is 'cell', expected 'state': only an LSTM has a cell state")
        reach = (-100.0, 100.0)
    else:
        letter = gate_letter(layer.cell, edit.what)
        reach = (-1.0, 1.0) if letter == CANDIDATE[layer.cell] and layer.cell != "rnn_relu" else (0.0, 1.0)
    if not reach[0] <= edit.value <= reach[1]:
        raise SettingsError(f"value is {edit.value}, expected {reach[0]:g} to {reach[1]:g} for {edit.what}")
    for name, numbers, size in (("units", edit.units, num_units), ("steps", edit.steps, num_steps)):
        if not numbers or min(numbers) < 0 or max(numbers) >= size:
            raise SettingsError(f"{name} is {list(numbers)[:8]}, expected numbers from 0 to {size - 1}")


def run_edited(
    network: Network, x: Mapping[str, Any], layers: Mapping[str, Sequence[Layer]], edits: Sequence[Edit]
) -> Edited:
    """Run x [1, T, ..] by input with the edits; `layers` are those of every recurrent node that runs forward only.

    Raises :class:`SettingsError` for an edit of a node that runs both ways, or that does not fit.
    """
    graph = network.graph
    known: dict[str, Any] = {}
    for name, spec in graph.inputs.items():
        axes = {"steps": "[B, T]", "memory": "[B, S]", "row": "[B]"}[spec.axes]
        value = network.check_value(name, x[name], axes)
        known[name] = np.ascontiguousarray(value.swapaxes(0, 1)) if spec.axes == "steps" else value
    for edit in edits:
        if edit.node not in layers or not 0 <= edit.depth < len(layers[edit.node]):
            raise SettingsError(
                f"layer is {edit.node!r} {edit.depth}, expected a recurrent layer that runs forward only"
            )
        check_edit(edit, layers[edit.node][edit.depth])
    run = Run(network.initial_state(1), None, {})
    gates: dict[tuple[str, int], tuple[Array, ...]] = {}
    states: dict[tuple[str, int], Array] = {}
    touched = {edit.node for edit in edits}
    for node, _, _ in graph.placed:
        inputs = [known[name] for name in node.of]
        if node.name not in touched:
            known[node.name] = network.computes[node.name](run, *inputs)
            continue
        assert isinstance(node, RecurrentNode)
        flow, parts = np.asarray(inputs[0])[:, 0], list[list[Array]]()
        for depth, layer in enumerate(layers[node.name]):
            own = [edit for edit in edits if (edit.node, edit.depth) == (node.name, depth)]
            seen, flow, after = _run_layer(layer, flow, own)
            gates[node.name, depth], states[node.name, depth] = seen, flow
            parts.append(list(after))
        for name, values in zip(node.state_parts, zip(*parts)):
            run.after[f"{node.name}.{name}"] = np.stack(values)[:, None].astype(np.float32)
        known[node.name] = flow[:, None].astype(np.float32)
    specs = graph.outputs
    outputs = {
        name: known[name][:, 0] if spec.axes == "steps" else known[name][0] for name, spec in specs.items()
    }
    return Edited(outputs, run.after, gates, states)


def _run_layer(
    layer: Layer, x: Array, edits: Sequence[Edit]
) -> tuple[tuple[Array, ...], Array, tuple[Array, ...]]:
    """Gates and states [T, H] of one layer, and the state [H] after the last step."""
    form, weights = layer.form, layer.weights
    gi = input_part(form, x.astype(layer.y.dtype), weights)
    num_steps, size = len(x), layer.hidden_size
    state = tuple(part[:1] for part in layer.start)
    holds = _holds(edits, layer)
    seen: list[Array] = [np.zeros((num_steps, size), layer.y.dtype) for _ in GATES[form.cell]]
    y = np.zeros((num_steps, size), layer.y.dtype)
    for t in range(num_steps):
        here = holds.get(t, {})

        def adjust(row: int, gate: Array, here: dict[Any, Any] = here) -> Array:
            for units, value in here.get(row, ()):
                gate = np.array(gate)
                gate[..., units] = value
            return gate

        gates = gates_of(form, gi[t : t + 1], state[0], weights, adjust)
        state = update(form, gates, state, weights)
        for part, name in enumerate(STATES[: len(state)]):
            for units, value in here.get(name, ()):
                changed = np.array(state[part])
                changed[0, units] = value
                state = (*state[:part], changed, *state[part + 1 :])
        y[t] = state[0][0]
        for values, gate in zip(seen, gates):
            values[t] = gate[0]
    return tuple(seen), y, tuple(part[0] for part in state)


def _holds(edits: Sequence[Edit], layer: Layer) -> dict[int, dict[Any, list[tuple[list[int], float]]]]:
    """Step -> row of the gate, or the name of a state -> what is set there."""
    holds: dict[int, dict[Any, list[tuple[list[int], float]]]] = {}
    for edit in edits:
        key: Any = edit.what
        value = edit.value
        if edit.what not in STATES:
            key = GATES[layer.cell].index(gate_letter(layer.cell, edit.what))
            p = (
                layer.form.zoneout if edit.what == "keep" else 0.0
            )  # the gate that makes p + (1 - p) gate = value
            value = (value - p) / (1 - p)
        for step in edit.steps:
            holds.setdefault(step, {}).setdefault(key, []).append((list(edit.units), value))
    return holds
