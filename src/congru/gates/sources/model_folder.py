"""A network of a model folder, without torch: one run hands out what went into and came out of every recurrent node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from congru.errors import CongruError, ShapeError
from congru.gates.layer import Layer
from congru.gates.sources.stack import Stack, trace_stack
from congru.gates.weights import Array
from congru.runtime.network import Network
from congru.runtime.nodes.pointwise import Linear
from congru.runtime.nodes.recurrent import RecurrentNode


def trace_network(
    network: Network, x: Any, *, state: Mapping[str, Any] | None = None, lengths: Any = None
) -> tuple[dict[str, tuple[tuple[Layer, ...], ...]], Array | None, dict[str, tuple[Array, Array | None]]]:
    """Return the traced layers by name, the network's first output for x, and its Linear layers' (weight, bias).

    x [B, T] tokens or [B, T, I] (or one sequence of either), a dictionary by name for several inputs; `state` and
    `lengths` as `Network.run` takes them.
    """
    if isinstance(x, Mapping):
        first = np.asarray(next(iter(x.values())))
    else:
        x = np.asarray(x)
        x = x[None] if x.ndim == (1 if network.tokens else 2) else x
        first = x
    if first.ndim >= 2 and (first.shape[1] == 0 or first.shape[0] == 0):
        raise ShapeError(
            f"x has shape {first.shape}, expected at least one row and one step (T >= 1): there is nothing to see"
        )
    graph = network.graph
    if not graph.recurrent:
        kinds = ", ".join(placed.node.type for placed in graph.placed)
        raise CongruError(
            f"the model has no recurrent layer, expected a gru, lstm, rnn or mingru: it has {kinds}"
        )
    recording = network.record(x, state, lengths, gates=False)
    if isinstance(lengths, Mapping):
        lengths = lengths.get("steps")
    traced, linears = {}, {}
    for node, inputs, _ in graph.placed:
        weights = graph.weights_of(node, inputs, network.weights)
        if isinstance(node, RecurrentNode):
            start = tuple(recording.start[f"{node.name}.{part}"] for part in node.state_parts)
            inner, outer = recording.seen[node.name]
            traced[node.name] = trace_stack(
                _stack(node, weights), inner, state=start, y=outer, lengths=lengths
            )
        elif isinstance(node, Linear):
            linears[node.name] = (weights["weight"], weights.get("bias"))
    output = recording.output
    return traced, next(iter(output.values())) if isinstance(output, Mapping) else output, linears


def network_of(model: Any, x: Any) -> Network:
    """The network that takes the inputs of x, where there are several; of networks that are all alike the first."""
    networks = list(model.networks.values())
    if all(network.graph.inputs == networks[0].graph.inputs for network in networks):
        return cast("Network", networks[0])
    if not isinstance(x, Mapping):
        return cast("Network", model.network)
    for network in model.networks.values():
        if set(network.graph.inputs) == set(x):
            return cast("Network", network)
    known = "; ".join(f"{name}: {', '.join(n.graph.inputs)}" for name, n in model.networks.items())
    raise ShapeError(
        f"x has the inputs {', '.join(x)}, expected those of a network ({known}): pass just these"
    )


def _stack(node: RecurrentNode, weights: Mapping[str, Array]) -> Stack:
    form = node.form()
    flat, ways = node.direction_weights(weights), node.num_directions
    parts = [flat[depth * ways : (depth + 1) * ways] for depth in range(node.num_layers)]
    h_reset = tuple(weights[f"{part}0"] for part in node.state_parts) if node.learn_h0 else None
    return Stack(
        node.type, parts, node.reset_first, node.name, h_reset,
        layer_norm=form.layer_norm, num_heads=form.num_heads, zoneout=form.zoneout,
    )  # fmt: skip
