"""One step of a network with the output of one node replaced: only the nodes that depend on it are computed again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import SettingsError, check_shape
from congru.runtime.network import Network
from congru.runtime.run import Run, State

Array = NDArray[np.floating[Any]]


def outputs_instead(
    network: Network, x: Mapping[str, ArrayLike], state: State, node: str, values: Array
) -> dict[str, Array]:
    """The outputs [K, ...] of one step, had `node` put out each of `values` [K, F]; by name.

    `x` is one step of one row, [1, 1, ...] by the name of its input, and `state` that before it. Every other node reads what it
    read, so nodes beside and below `node` run once. Raises :class:`SettingsError` for a node that is not there or has no steps,
    :class:`ShapeError` for another size.

    >>> config = {"inputs": {"x": {"features": 1}}, "nodes": [{"type": "tanh", "name": "a"},
    ...           {"type": "add", "name": "b", "of": ["a", "x"]}], "outputs": ["b"]}
    >>> outputs_instead(Network(config, {}), {"x": [[[1.0]]]}, {}, "a", np.array([[2.0], [3.0]], np.float32))["b"].tolist()
    [[3.0], [4.0]]
    """
    graph = network.graph
    specs = {placed.node.name: placed.output for placed in graph.placed}
    if node not in specs or specs[node].axes != "steps" or set(graph.constant_inputs):
        raise SettingsError(
            f"node is {node!r}, expected one with steps in a network that reads steps only: choose another"
        )
    check_shape("values", values, "[K, F]", (None, *specs[node].size), f"pass outputs of {node!r}")
    count = len(values)
    one, many = Run(state), Run({name: np.repeat(part, count, axis=1) for name, part in state.items()})
    known: dict[str, Any] = {
        name: network.check_value(name, value, "[B, T]") for name, value in graph.named_inputs(x).items()
    }
    above = {node}
    for placed, _, _ in graph.placed:
        if placed.name == node:
            known[node] = np.ascontiguousarray(values, np.float32)[None]
        elif above.isdisjoint(placed.of):
            known[placed.name] = network.computes[placed.name](one, *(known[name] for name in placed.of))
        else:
            parts = [
                known[name]
                if name in above
                else np.broadcast_to(known[name], (1, count, *known[name].shape[2:]))
                for name in placed.of
            ]
            known[placed.name] = network.computes[placed.name](many, *map(np.ascontiguousarray, parts))
            above.add(placed.name)
    return {
        name: np.broadcast_to(known[name], (1, count, *known[name].shape[2:]))[0] for name in graph.outputs
    }
