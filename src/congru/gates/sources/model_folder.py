"""A model folder, without torch: the input of each recurrent layer comes from the network cut off just
before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from congru.errors import CongruError, ShapeError
from congru.gates.equations import Array
from congru.gates.layer import Layer
from congru.gates.sources.stack import Stack, trace_stack
from congru.runtime.declaration import GATE_ROWS, directions, weight_shapes
from congru.runtime.layers import ACTIVATION
from congru.runtime.network import Network, check_network
from congru.runtime.option_cells import has_options

Declaration = dict[str, Any]


def trace_folder(
    model: Any, x: Any, *, state: Mapping[str, Any] | None = None, lengths: Any = None
) -> tuple[dict[str, tuple[tuple[Layer, ...], ...]], Array, dict[str, tuple[Array, Array | None]]]:
    """Return the traced layers by name, the network's output for x, and its Linear layers' (weight, bias).

    model is what `congru.load` returns; x [B, T] tokens or [B, T, I] (or one sequence of either), `state`
    as the network's own.
    """
    network, weights = model.network, model.weights
    x = np.asarray(x)
    x = x[None] if x.ndim == (1 if network.tokens else 2) else x
    if x.ndim >= 2 and (x.shape[1] == 0 or x.shape[0] == 0):
        raise ShapeError(
            f"x has shape {x.shape}, expected at least one row and one step (T >= 1): there is nothing to see"
        )
    output, _ = network.run(x, state, lengths)
    before = network.initial_state(len(x)) if state is None else state
    traced = {}
    for prefix, layer in _recurrent(network.layers, []):
        name = layer["name"]
        entering = _run_prefix(prefix, weights, x, before, lengths)
        y = _run_prefix([*prefix, layer], weights, x, before, lengths)
        parts = ("h", "c") if layer["type"] == "lstm" else ("h",)
        start = tuple(np.asarray(before[f"{name}.{part}"]) for part in parts)
        traced[name] = trace_stack(_stack(layer, weights), entering, state=start, y=y, lengths=lengths)
    if not traced:
        kinds = ", ".join(layer["type"] for layer in network.layers)
        raise CongruError(
            f"the model has no recurrent layer, expected a gru, lstm, rnn or mingru: it has {kinds}"
        )
    return traced, output, _linears(network.layers, weights)


def _recurrent(
    layers: list[Declaration], prefix: list[Declaration]
) -> list[tuple[list[Declaration], Declaration]]:
    """Each recurrent layer with the layers that run before it; inside a residual, those of its own branch."""
    found = []
    for layer in layers:
        if layer["type"] in GATE_ROWS:
            found.append((prefix, layer))
        elif layer["type"] == "residual":
            found += _recurrent(layer["layers"], prefix)
        prefix = [*prefix, layer]
    return found


def _run_prefix(
    layers: list[Declaration], weights: Mapping[str, Array], x: Any, state: Mapping[str, Any], lengths: Any
) -> Any:
    """What the first layers make of x; dropout does nothing, leading activations need no network."""
    layers = [layer for layer in layers if layer["type"] != "dropout"]
    while layers and layers[0]["type"] in ACTIVATION:
        x = ACTIVATION[layers[0]["type"]](np.asarray(x, np.float32))
        layers = layers[1:]
    if not layers:
        return x
    declared = {"layers": layers}
    names = weight_shapes(check_network(declared))
    network = Network(declared, {name: weights[name] for name in names})
    own = {name: state[name] for name in network.state_names}
    return network.run(x, own, lengths)[0]


def _stack(layer: Declaration, weights: Mapping[str, Array]) -> Stack:
    name, cell = layer["name"], layer["type"]
    if has_options(layer):
        raise CongruError(
            f"{name} has layer_norm, num_heads or zoneout, expected none: its gates come from network.trace(x)"
        )
    stems = ("weight_ih", "bias_ih") if cell == "mingru" else ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    suffixes = ("", "_reverse")[: directions(layer)]
    parts = [
        [tuple(weights.get(f"{name}.{stem}_l{depth}{suffix}") for stem in stems) for suffix in suffixes]
        for depth in range(layer["num_layers"])
    ]
    h_reset = None
    if layer["learn_h0"]:
        h_reset = tuple(weights[f"{name}.{part}"] for part in (("h0", "c0") if cell == "lstm" else ("h0",)))
    return Stack(cell, parts, bool(layer.get("reset_before", False)), name, h_reset)


def _linears(
    layers: list[Declaration], weights: Mapping[str, Array]
) -> dict[str, tuple[Array, Array | None]]:
    found: dict[str, tuple[Array, Array | None]] = {}
    for layer in layers:
        if layer["type"] == "linear":
            name = layer["name"]
            found[name] = (weights[f"{layer['tied'] or name}.weight"], weights.get(f"{name}.bias"))
    return found
