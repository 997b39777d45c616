"""What a conversion finds in a file: nodes with their weights and, for each, the source's own program.

A `Part` is one node of a network as config.json says it; `own` computes it as the source does, from the source's arrays, in
float64. A `SourceNetwork` is one network of them. Weights are float32, which is what a model folder holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.convert import equations
from congru.errors import ConventionError, DataError, ShapeError
from congru.reference import conventions
from congru.runtime.graph import Graph

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]
State: TypeAlias = tuple[Array, ...]
# (x [B, T, F], state parts [L*D, B, H]) -> (y, state after)
Own: TypeAlias = Callable[[Array, State], tuple[Array, State]]


class Direction(NamedTuple):
    """One layer in one direction as its library stores it, with the options of `conventions.to_canonical`."""

    arrays: dict[str, Array]
    options: dict[str, Any]


class Part(NamedTuple):
    """One node: its entry of config.json, its weights by their own names, what it is in the file, the source's program."""

    entry: dict[str, Any]
    weights: dict[str, Array]
    title: str
    own: Own
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the network."""
        return str(self.entry["name"])


class SourceNetwork(NamedTuple):
    """One network found in a file.

    `own(x, state) -> outputs` is the source's program for it, float64, where `state` is None for a program that takes none.
    `parts` are for people; `takes_state` says whether the check may start from a state; `limit` is how far the folder's
    equations may be from it.
    """

    config: dict[str, Any]
    weights: dict[str, Array]
    parts: tuple[Part, ...]
    own: Callable[[Any, Mapping[str, Array] | None], Any]
    takes_state: bool = True
    limit: float = 1e-5


class Contents(NamedTuple):
    """What a file holds: where its arrays come from, its networks by name, what was left out and why, and remarks."""

    source: str
    networks: dict[str, SourceNetwork]
    left: dict[str, str]
    remarks: tuple[str, ...] = ()


def as_name(text: str, default: str = "layer") -> str:
    """A name for a node or network from a name in a file: letters, digits and underscores.

    >>> as_name("encoder.rnn/GRUCell_0")
    'encoder_rnn_GRUCell_0'
    """
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    name = name or default
    return f"n{name}" if name[0].isdigit() else name


def as_float32(arrays: Mapping[str, Any], source: str) -> dict[str, Array]:
    """Floating-point arrays as float32; raises DataError for others."""
    narrow = {}
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind != "f":
            raise DataError(
                f"{source}: {name} has dtype {array.dtype}, expected floating-point numbers: "
                "quantised weights are converted from the model before quantisation"
            )
        with np.errstate(over="ignore"):  # the self-check refuses what is not finite
            narrow[name] = array.astype(np.float32)
    return narrow


def recurrent_part(name: str, system: str, cell: str, layers: Sequence[Sequence[Direction]]) -> Part:
    """A recurrent node of L layers in D directions from a library's arrays.

    Raises ConventionError or ShapeError where they are not one of congru's cells.
    """
    if cell == "rnn_relu":
        raise ConventionError(
            f"{name} is a relu RNN, expected tanh: a model folder has no relu RNN; congru.inspect reads it, "
            "congru.nn.RNN(nonlinearity='relu') runs it"
        )
    read = [
        [conventions.to_canonical(system, way.arrays, cell=cell, **way.options) for way in layer]
        for layer in layers
    ]
    forms = {part.reset_before for layer in read for part in layer}
    if len(forms) > 1:
        raise ConventionError(
            f"{name} has layers that reset before and after, expected one form: convert the layers apart"
        )
    for depth, layer in enumerate(read[1:], 1):
        width = len(layer) * read[0][0].weights[1].shape[1]
        for part in layer:
            if part.weights[0].shape[1] != width:
                raise ShapeError(
                    f"layer {depth} of {name or 'layer'} reads {part.weights[0].shape[1]} features, expected {width}, what the "
                    "layer below gives: these layers are no stack"
                )
    biased = any(bias is not None for layer in read for part in layer for bias in part.weights[2:])
    weights: dict[str, Array] = {}
    for depth, layer in enumerate(read):
        for way, part in enumerate(layer):
            end = f"_l{depth}" + ("_reverse" if way else "")
            W, U, *biases = part.weights
            weights |= {f"weight_ih{end}": W, f"weight_hh{end}": U}
            for stem, bias in zip(("bias_ih", "bias_hh"), biases):
                if biased:
                    weights[f"{stem}{end}"] = np.zeros(len(W), np.float32) if bias is None else bias
    first = read[0][0].weights
    entry = {"type": cell, "name": as_name(name, "rnn"), "hidden_size": int(first[1].shape[1])}
    entry |= {"num_layers": len(layers)} if len(layers) > 1 else {}
    entry |= {"bidirectional": True} if len(layers[0]) > 1 else {}
    entry |= {} if biased else {"bias": False}
    entry |= {"reset_before": True} if forms == {True} else {}

    def own(x: Array, state: State) -> tuple[Array, State]:
        finals: list[State] = []
        for depth, layer in enumerate(layers):
            outputs = []
            for way, direction in enumerate(layer):
                start = tuple(part[depth * len(layer) + way] for part in state)
                y, final = equations.run(
                    system, cell, x, start, direction.arrays, direction.options, reverse=way == 1
                )
                outputs.append(y)
                finals.append(final)
            x = np.concatenate(outputs, axis=2)
        return x, tuple(np.stack(parts) for parts in zip(*finals))

    title = _title(name, cell, layers, first, forms == {True})
    return Part(entry, {k: np.ascontiguousarray(v, np.float32) for k, v in weights.items()}, title, own)


def _title(name: str, cell: str, layers: Any, first: Any, reset_before: bool) -> str:
    text = f"{name or 'layer'}: {cell} {len(layers)} x {first[1].shape[1]}"
    text += " both ways" if len(layers[0]) > 1 else ""
    text += f", {first[0].shape[1]} features"
    return text + (f", reset {'before' if reset_before else 'after'}" if cell == "gru" else "")


def linear_part(name: str, weight: Array, bias: Array | None) -> Part:
    """A linear node from PyTorch's matrix [out, in]."""
    entry: dict[str, Any] = {"type": "linear", "name": as_name(name), "size": int(weight.shape[0])}
    weights = {"weight": np.ascontiguousarray(weight)} | ({} if bias is None else {"bias": bias})
    entry |= {"bias": False} if bias is None else {}
    wide, shift = weight.astype(np.float64), 0.0 if bias is None else bias.astype(np.float64)
    title = f"{name}: linear {weight.shape[1]} -> {weight.shape[0]}"
    return Part(entry, weights, title, lambda x, state: (x @ wide.T + shift, state))


def scaled_part(name: str, factor: Array, shift: Array) -> Part:
    """factor * x + shift, feature by feature: a linear node with a diagonal matrix."""
    matrix = np.diag(np.asarray(factor, np.float32))
    entry = {"type": "linear", "name": as_name(name), "size": len(matrix)}
    weights = {"weight": matrix, "bias": np.asarray(shift, np.float32)}
    title = f"{name}: scale {len(matrix)} features"
    return Part(entry, weights, title, lambda x, state: (x * factor + shift, state))


def embedding_part(name: str, table: Array) -> Part:
    """An embedding node from its table [V, size]."""
    entry = {"type": "embedding", "name": as_name(name), "size": int(table.shape[1])}
    title = f"{name}: embedding {table.shape[0]} x {table.shape[1]}"
    return Part(entry, {"weight": table}, title, lambda x, state: (table[x].astype(np.float64), state))


def layer_norm_part(name: str, weight: Array, bias: Array) -> Part:
    """A layer norm over the features, with the epsilon 1e-5."""
    entry = {"type": "layer_norm", "name": as_name(name)}

    def own(x: Array, state: State) -> tuple[Array, State]:
        spread = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
        return (x - x.mean(axis=-1, keepdims=True)) / spread * weight + bias, state

    return Part(entry, {"weight": weight, "bias": bias}, f"{name}: layer norm {len(weight)}", own)


_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": equations.sigmoid,
    "last": lambda x: np.asarray(x[:, -1]),
    "mean": lambda x: np.asarray(x.mean(axis=1)),
    "max": lambda x: np.asarray(x.max(axis=1)),
}
FUNCTIONS = tuple(_FUNCTIONS)


def function_part(kind: str, name: str) -> Part:
    """A node without weights: relu, tanh, sigmoid, or last, mean and max over the steps."""
    function = _FUNCTIONS[kind]
    return Part({"type": kind, "name": as_name(name, kind)}, {}, kind, lambda x, state: (function(x), state))


def chain(parts: Sequence[Part]) -> SourceNetwork:
    """One network in which every part reads the one before it."""
    names: list[str] = []
    entries: list[dict[str, Any]] = []
    weights: dict[str, Array] = {}
    for part in parts:
        name = part.name
        while name in names:
            name += "_"
        names.append(name)
        entries.append({**part.entry, "name": name})
        weights |= {f"{name}.{key}": value for key, value in part.weights.items()}
    first = parts[0]
    table = first.weights["weight"] if first.entry["type"] == "embedding" else None
    size = {"tokens": len(table)} if table is not None else {"features": _input_size(parts)}
    config = {"inputs": {"x": size}, "nodes": entries, "outputs": [names[-1]]}
    graph = Graph(config)  # refuses sizes that do not fit each other

    def own(x: Any, state: Mapping[str, Array] | None) -> Any:
        value = np.asarray(x)
        for name, part in zip(names, parts):
            states = tuple(key for key in graph.state_shapes if key.partition(".")[0] == name)
            start = tuple(
                np.zeros((graph.state_shapes[key][0], len(value), graph.state_shapes[key][1]))
                if state is None
                else state[key]
                for key in states
            )
            value, _ = part.own(value, start)
        return value

    return SourceNetwork(config, weights, tuple(parts), own)


def _input_size(parts: Sequence[Part]) -> int:
    """How many features the first part with a matrix reads."""
    for part in parts:
        for name in ("weight_ih_l0", "weight"):
            if name in part.weights:
                return int(part.weights[name].shape[-1])
    raise DataError("the chain has no matrix, expected at least one layer with weights: add it")
