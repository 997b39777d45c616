"""A network with the output of one node replaced: only the nodes that depend on it are computed again."""

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
    network: Network, x: Mapping[str, ArrayLike], state: State | None, node: str, values: Array
) -> dict[str, Array]:
    """The outputs of one row, had `node` put out each of `values` [K, T, F]: [K, T, ...], pooled [K, ...], by name.

    `x` is one row, [1, T, ...] by the name of its input (rows [1, F] and memories [1, S, F] as they are), and `state` that before
    it, None for the first. Every other node reads what it read, so nodes beside and below `node` run once. Raises
    :class:`SettingsError` for a node that is not there or has no steps, :class:`ShapeError` for another size.

    >>> config = {"inputs": {"x": {"features": 1}}, "nodes": [{"type": "tanh", "name": "a"},
    ...           {"type": "add", "name": "b", "of": ["a", "x"]}], "outputs": ["b"]}
    >>> values = np.array([[[2.0]], [[3.0]]], np.float32)
    >>> outputs_instead(Network(config, {}), {"x": [[[1.0]]]}, {}, "a", values)["b"].tolist()
    [[[3.0]], [[4.0]]]
    """
    graph = network.graph
    specs = {**graph.inputs, **{placed.node.name: placed.output for placed in graph.placed}}
    if node not in graph.node_names or specs[node].axes != "steps":
        raise SettingsError(
            f"node is {node!r}, expected one of the network whose output has steps: choose another"
        )
    known = _checked(network, x)
    num_steps = len(known[graph.step_inputs[0]])
    check_shape(
        "values", values, "[K, T, F]", (None, num_steps, *specs[node].size), f"pass outputs of {node!r}"
    )
    count, before = len(values), network.initial_state() if state is None else state
    one, many = Run(before), Run({name: np.repeat(part, count, axis=1) for name, part in before.items()})

    def repeated(name: str) -> Array:
        """A value [T, 1, ..], or of a row or memory [1, ..], as every one of the rows reads it."""
        value, batch = known[name], 1 if specs[name].axes == "steps" else 0
        shape = (*value.shape[:batch], count, *value.shape[batch + 1 :])
        return np.ascontiguousarray(np.broadcast_to(value, shape))

    above = {node}
    for placed, _, _ in graph.placed:
        if placed.name == node:
            known[node] = np.ascontiguousarray(np.asarray(values, np.float32).swapaxes(0, 1))
        elif above.isdisjoint(placed.of):
            known[placed.name] = network.computes[placed.name](one, *(known[name] for name in placed.of))
        else:
            parts = [known[name] if name in above else repeated(name) for name in placed.of]
            known[placed.name] = network.computes[placed.name](many, *parts)
            above.add(placed.name)
    outputs = {name: known[name] if name in above else repeated(name) for name in graph.outputs}
    return {
        name: np.ascontiguousarray(out.swapaxes(0, 1)) if specs[name].axes == "steps" else out
        for name, out in outputs.items()
    }


def _checked(network: Network, x: Mapping[str, ArrayLike]) -> dict[str, Any]:
    """The inputs of one row, those with steps time-major, [T, 1, ..]."""
    axes = {"steps": "[B, T]", "row": "[B]", "memory": "[B, S]"}
    known = {}
    for name, value in network.graph.named_inputs(x).items():
        kind = network.graph.inputs[name].axes
        checked = network.check_value(name, value, axes[kind])
        check_shape(f"x[{name!r}]", checked, "one row", (1, *checked.shape[1:]), "pass one sequence")
        known[name] = np.ascontiguousarray(checked.swapaxes(0, 1)) if kind == "steps" else checked
    return known
