"""A network as a graph of named nodes: its declaration, checked once for every program that reads it.

    {"inputs": {"text": {"tokens": 65}},
     "nodes": [{"type": "embedding", "name": "embed", "size": 64},
               {"type": "gru", "name": "rnn", "hidden_size": 128},
               {"type": "linear", "name": "head", "size": 65}],
     "outputs": ["head"]}

An input holds tokens (`"tokens": 65`, or `[65, 12]` for two side by side) or features (`"features": 7`, or `[1, 28, 28]` for
pictures), one value per step unless `"axes"` says "row" (one per sequence) or "memory" (another sequence with a length of its
own). A node reads what `"of"` names; without it the node before, the first node the first input. Sizes follow from the inputs.
Weights and states are called "<node>.<part>". `{"layers": [...]}` of format 1 reads as a chain (`congru.runtime.chain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from congru.errors import SettingsError, ShapeError
from congru.runtime.chain import is_chain, read_chain
from congru.runtime.nodes import Node, Spec
from congru.runtime.nodes.node import AXES, Shapes, make_node
from congru.runtime.nodes.pointwise import Embedding, Linear
from congru.runtime.nodes.recurrent import RecurrentNode


class Placed(NamedTuple):
    """A node with what flows into it, and what comes out."""

    node: Node
    inputs: tuple[Spec, ...]
    output: Spec


class Graph:
    """A checked network: what flows along every arrow, and the names and shapes of its weights and states.

    Raises :class:`SettingsError` for a declaration that makes no network, naming the node and the key.

    >>> config = {"inputs": {"x": {"features": 3}}, "nodes": [{"type": "linear", "name": "head", "size": 2}],
    ...           "outputs": ["head"]}
    >>> Graph(config).weight_shapes
    {'head.weight': (2, 3), 'head.bias': (2,)}
    >>> Graph({**config, "outputs": ["hed"]})
    Traceback (most recent call last):
    congru.errors.SettingsError: network: outputs names 'hed', expected one of head: correct the name
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        if is_chain(config):
            config = read_chain(config)
        _check_keys(config)
        self.inputs = {name: _read_input(name, entry) for name, entry in config["inputs"].items()}
        self.placed: list[Placed] = []
        specs, tables = dict(self.inputs), dict[str, tuple[int, int]]()
        previous = next(iter(self.inputs))
        for index, entry in enumerate(config["nodes"]):
            node = make_node(entry, previous, f"network node {index}")
            self._add(node, specs, tables)
            previous = node.name
        self.outputs = {
            name: _named(specs, name, "network: outputs names", self.node_names)
            for name in _names(config["outputs"])
        }
        _check_reached(self)
        self.weight_shapes: Shapes = {
            f"{node.name}.{part}": shape
            for node, inputs, _ in self.placed
            for part, shape in node.weights(*inputs).items()
        }
        self.state_shapes: dict[str, tuple[int, int]] = {
            f"{node.name}.{part}": shape
            for node, inputs, _ in self.placed
            for part, shape in node.state(*inputs).items()
        }

    @property
    def node_names(self) -> list[str]:
        """The names of the nodes, in order."""
        return [placed.node.name for placed in self.placed]

    @property
    def recurrent(self) -> list[RecurrentNode]:
        """The GRU, LSTM, RNN and minGRU nodes, in order."""
        return [placed.node for placed in self.placed if isinstance(placed.node, RecurrentNode)]

    @cached_property
    def step_inputs(self) -> list[str]:
        """The inputs with one value per step."""
        return [name for name, spec in self.inputs.items() if spec.axes == "steps"]

    @property
    def constant_inputs(self) -> list[str]:
        """The inputs that hold for a whole sequence: rows and memories."""
        return [name for name, spec in self.inputs.items() if spec.axes != "steps"]

    @property
    def delay(self) -> int:
        """How many steps later than its input step an output comes (look-ahead of convolutions)."""
        return max(spec.delay for spec in self.outputs.values())

    def weights_of(self, node: Node, inputs: tuple[Spec, ...], weights: Mapping[str, Any]) -> dict[str, Any]:
        """The weights of one node by its own names; a tied linear gets its embedding's table as "weight"."""
        own = {part: weights[f"{node.name}.{part}"] for part in node.weights(*inputs)}
        if isinstance(node, Linear) and node.tied:
            own["weight"] = weights[f"{node.tied}.weight"]
        return own

    def named_inputs(self, x: Any, names: list[str] | None = None) -> dict[str, Any]:
        """The inputs by name; a value alone where one is expected. `names`: those expected, default all.

        Raises :class:`ShapeError` for other names.
        """
        expected = list(self.inputs) if names is None else names
        if type(x) is np.ndarray or not isinstance(x, Mapping):
            if len(expected) == 1:
                return {expected[0]: x}
            raise ShapeError(
                f"x is {type(x).__name__}, expected a dictionary with {', '.join(expected) or 'nothing'}: name the inputs"
            )
        if set(x) != set(expected):
            raise ShapeError(
                f"x has the inputs {', '.join(sorted(map(str, x)))}, expected {', '.join(expected)}: pass just these"
            )
        return {name: x[name] for name in expected}

    def named_outputs(self, output: Any) -> dict[str, Any]:
        """The outputs by name, of what a run returned."""
        return dict(output) if isinstance(output, Mapping) else dict(zip(self.outputs, [output]))

    def stream_problem(self) -> str | None:
        """Why the network cannot run step by step, as one clause; None if it can."""
        for node, inputs, _ in self.placed:
            problem = node.stream_problem(*inputs)
            if problem:
                return f"the {node} {problem}"
        return None

    def _add(self, node: Node, specs: dict[str, Spec], tables: dict[str, tuple[int, int]]) -> None:
        if node.name in specs:
            raise SettingsError(
                f"network: the name {node.name!r} is used twice, expected unique names: rename one node"
            )
        inputs = tuple(_named(specs, name, f"{node}: 'of' names", list(specs)) for name in node.of)
        if isinstance(node, Linear) and node.tied:
            node.check_table(tables.get(node.tied), inputs[0])
        output = node.infer(*inputs)
        if isinstance(node, Embedding) and inputs[0].tokens is not None and not inputs[0].size:
            tables[node.name] = (inputs[0].tokens[0], node.size)
        specs[node.name] = output
        self.placed.append(Placed(node, inputs, output))


def alone(values: Mapping[str, Any]) -> Any:
    """The value itself where there is one, else all of them by name: how inputs and outputs are passed."""
    return next(iter(values.values())) if len(values) == 1 else values


def _check_keys(config: Any) -> None:
    keys = ("inputs", "nodes", "outputs")
    if not isinstance(config, Mapping) or not all(key in config for key in keys):
        raise SettingsError(
            'network is not {"inputs": .., "nodes": [..], "outputs": [..]}, expected these three keys'
        )
    unknown = sorted(set(config) - set(keys))
    if unknown:
        raise SettingsError(
            f"network has the key {unknown[0]!r}, expected only inputs, nodes, outputs: remove it"
        )
    if not isinstance(config["inputs"], Mapping) or not config["inputs"]:
        raise SettingsError("network: inputs is empty or no mapping, expected at least one input: add it")
    if not isinstance(config["nodes"], (list, tuple)) or not config["nodes"]:
        raise SettingsError("network: nodes is empty or no list, expected at least one node: add it")


def _read_input(name: Any, entry: Any) -> Spec:
    where = f"network input {name!r}"
    if not isinstance(name, str) or not name.isidentifier():
        raise SettingsError(f"{where}: the name holds more than letters, digits and underscores: rename it")
    if not isinstance(entry, Mapping) or len({"tokens", "features"} & set(entry)) != 1:
        raise SettingsError(f"{where} is {entry!r}, expected either 'tokens' or 'features': give one of them")
    unknown = sorted(set(entry) - {"tokens", "features", "axes"})
    if unknown:
        raise SettingsError(f"{where}: unknown key {unknown[0]!r}, expected tokens, features, axes")
    axes = entry.get("axes", "steps")
    if axes not in AXES:
        raise SettingsError(f"{where}: axes is {axes!r}, expected one of {', '.join(AXES)}")
    key = "tokens" if "tokens" in entry else "features"
    several = isinstance(entry[key], (list, tuple))
    sizes = tuple(entry[key]) if several else (entry[key],)
    if not sizes or not all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in sizes
    ):
        raise SettingsError(f"{where}: {key} is {entry[key]!r}, expected whole numbers of at least 1")
    source = name if axes == "memory" else ""
    if key == "tokens":
        return Spec(axes, (len(sizes),) if several else (), sizes, source)
    return Spec(axes, sizes, None, source)


def _names(outputs: Any) -> list[str]:
    names = [outputs] if isinstance(outputs, str) else outputs
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise SettingsError(f"network: outputs is {outputs!r}, expected a list of names of nodes")
    return list(names)


def _named(specs: Mapping[str, Spec], name: str, what: str, known: list[str]) -> Spec:
    if name not in known:
        raise SettingsError(f"{what} {name!r}, expected one of {', '.join(known)}: correct the name")
    return specs[name]


def _check_reached(graph: Graph) -> None:
    """Raise where an input or a node leads to no output, and where the outputs have no steps to come from."""
    used = set(graph.outputs)
    for node, _, _ in reversed(graph.placed):
        if node.name in used:
            used.update(node.of)
            if isinstance(node, Linear) and node.tied:
                used.add(node.tied)
    for name in (*graph.inputs, *graph.node_names):
        if name not in used:
            raise SettingsError(
                f"network: {name!r} leads to no output, expected every part to be used: remove it"
            )
