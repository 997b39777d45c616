"""A torch model of your own as a model folder: its forward is traced once, and each layer becomes a node, or is refused by name.

`torch.fx` writes the forward down as a list of calls. Each call that a node of `congru.runtime` computes becomes that node;
steps of a sequence are axis 1 (or axis 0, where the recurrent layers are not batch_first). The folder's network must equal the
module, in float64, on random and saturating inputs.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from congru.convert.folder import Report, write_folder
from congru.convert.parts import Contents, SourceNetwork, as_name
from congru.convert.torch_building import Building, Value, cell_of
from congru.convert.torch_functions import call_function
from congru.convert.torch_layers import call_module
from congru.errors import ConventionError, SettingsError, require
from congru.runtime.graph import Graph


def from_torch(
    module: Any, folder: str | os.PathLike[str], *, features: int | None = None, tokens: int | None = None
) -> Report:
    """Write a torch model as a model folder that `congru.load` runs without torch, and return the :class:`Report`.

    module: an nn.Module whose forward takes one tensor: tokens [B, T] or features [B, T, F] ([T, B, ..] where its recurrent
    layers are not batch_first), and perhaps a state of its recurrent layer, which the folder's sessions carry themselves.
    Layers: Embedding, GRU, LSTM, RNN (tanh), of torch.nn or congru.nn, Linear, LayerNorm, BatchNorm1d, Dropout, ReLU, Tanh,
    Sigmoid; between them y[:, -1], h[-1], mean and max over the steps, +, cat of features, transpose of batch and time.
    `features` or `tokens` are needed only where the first layer does not tell.

    Raises ConventionError that names the layer or line which stands in the way, or says by how much the result differs.

    >>> import tempfile, torch, congru
    >>> model = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 2))
    >>> from_torch(model, "out")
    Traceback (most recent call last):
    congru.errors.ConventionError: Sequential has no recurrent layer, expected a GRU, LSTM or RNN: a model folder is for those
    """
    torch = require("torch", "train")
    if not isinstance(module, torch.nn.Module):
        raise SettingsError(
            f"module is {type(module).__name__}, expected a torch.nn.Module: pass the model itself"
        )
    if not any(cell_of(part) for part in module.modules()):
        raise ConventionError(
            f"{type(module).__name__} has no recurrent layer, expected a GRU, LSTM or RNN: a model folder is for those"
        )
    graph = _trace(torch, module)
    size = (
        {"tokens": tokens} if tokens is not None else {"features": features} if features is not None else None
    )
    problem: ConventionError | None = None
    for time_first in (False, True):
        try:
            network = _follow(torch, module, graph, time_first, size)
        except ConventionError as error:
            problem = problem or error
            continue
        source = f"torch {type(module).__name__}"
        return write_folder(Contents(source, {"main": network}, {}), folder)
    assert problem is not None
    raise problem


def _trace(torch: Any, module: Any) -> Any:
    """The graph of the forward; arguments with a default of None are left out."""

    class Tracer(torch.fx.Tracer):  # type: ignore[misc]
        def is_leaf_module(self, m: Any, qualified_name: str) -> bool:
            leaf = bool(super().is_leaf_module(m, qualified_name))
            return leaf if cell_of(m) is None else True

    parameters = inspect.signature(module.forward).parameters.values()
    left_out = {p.name: None for p in parameters if p.default is None}
    try:
        if cell_of(module):  # a bare layer: its own forward is not written down
            graph = torch.fx.Graph()
            graph.output(graph.create_node("call_module", "", (graph.placeholder("x"),)))
            return graph
        return Tracer().trace(module, concrete_args=left_out or None)
    except Exception as error:  # whatever the user's own forward raises under tracing
        line = " ".join(str(error).split())
        raise ConventionError(
            f"the forward of {type(module).__name__} can't be followed ({line[:120]}), expected straight-line code: move what "
            "branches on tensors or their sizes out of it, or convert its recurrent layers alone (congru.convert.to_folder)"
        ) from None


def _follow(
    torch: Any, module: Any, graph: Any, time_first: bool, size: dict[str, Any] | None
) -> SourceNetwork:
    building = Building(time_first)
    values: dict[Any, Value] = {}
    ends: dict[str, Value] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            if all(_is_assertion(user) for user in node.users):  # not used, or taken as None
                continue
            if building.inputs:
                raise ConventionError(
                    f"{type(module).__name__}.forward takes {node.name} too, expected one tensor (and a state with default "
                    "None): give it a default, or convert the parts apart"
                )
            name = as_name(node.name, "x")
            building.inputs[name] = _input_of(torch, module, node, size)
            values[node] = Value(name, "steps", time_first)
        elif node.op == "output":
            ends = _outputs(node.args[0], values)
        elif node.op == "call_module":
            values[node] = call_module(torch, building, module, node, values)
        elif _is_assertion(node):
            continue
        elif node.op in ("call_function", "call_method"):
            values[node] = call_function(torch, building, node, values)
        else:
            values[node] = Value(str(node.target), "constant")
    outputs = list(ends)
    entries = _reached(building.entries, outputs)
    config = {"inputs": building.inputs, "nodes": entries, "outputs": outputs}
    kept = {entry["name"] for entry in entries}
    weights = {name: value for name, value in building.weights.items() if name.partition(".")[0] in kept}
    Graph(config)
    wide = copy.deepcopy(module).cpu().double().eval()

    def own(x: Any, state: Mapping[str, Any] | None) -> Any:
        tensor = torch.from_numpy(np.ascontiguousarray(x))
        with torch.no_grad():
            result = wide(tensor.transpose(0, 1) if time_first else tensor)
        arrays = [part.numpy() for part in _flat(torch, result)[: len(outputs)]]
        turned = [end.kind == "steps" and end.time_first for end in ends.values()]
        arrays = [array.swapaxes(0, 1) if turn else array for array, turn in zip(arrays, turned)]
        return arrays[0] if len(arrays) == 1 else dict(zip(outputs, arrays))

    return SourceNetwork(config, weights, tuple(building.titles), own, takes_state=False)


def _is_assertion(node: Any) -> bool:
    """What torch.fx writes down for an argument that was taken as None."""
    return bool(node.op == "call_function" and node.target.__name__ == "_assert_is_none")


def _input_of(torch: Any, module: Any, node: Any, size: dict[str, Any] | None) -> dict[str, Any]:
    """What the input holds, told by the first layer that reads it."""
    if size is not None:
        return size
    waiting = list(node.users)
    while waiting:
        user = waiting.pop(0)
        if user.op == "call_module":
            first = module.get_submodule(user.target) if user.target else module
            if isinstance(first, torch.nn.Embedding):
                return {"tokens": int(first.num_embeddings)}
            for name in ("input_size", "in_features", "num_features"):
                if hasattr(first, name):
                    return {"features": int(getattr(first, name))}
            if hasattr(first, "normalized_shape"):
                return {"features": int(first.normalized_shape[-1])}
        waiting += list(user.users)
    raise ConventionError(
        "the input's size isn't told by the first layer, expected features=.. or tokens=..: pass one of them"
    )


def _outputs(result: Any, values: dict[Any, Value]) -> dict[str, Value]:
    """The nodes that forward returns, by name; states after them are the folder's own."""
    parts = list(result) if isinstance(result, (tuple, list)) else [result]
    ends: dict[str, Value] = {}
    for part in parts:
        value = values.get(part)
        if value is None:
            raise ConventionError(
                f"forward returns {part!r}, expected what its layers computed: return tensors only"
            )
        if value.kind == "both":
            value = value._replace(kind="steps")
        if value.kind in ("steps", "row"):
            ends[value.node] = value
    if not ends:
        raise ConventionError(
            "forward returns the state alone, expected an output: return y or h[-1] through a layer"
        )
    return ends


def _reached(entries: list[dict[str, Any]], outputs: list[str]) -> list[dict[str, Any]]:
    """The entries that lead to an output."""
    used = set(outputs)
    for entry in reversed(entries):
        if entry["name"] in used:
            used |= set(entry["of"]) | ({entry["tied"]} if "tied" in entry else set())
    return [entry for entry in entries if entry["name"] in used]


def _flat(torch: Any, result: Any) -> list[Any]:
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [tensor for part in result for tensor in _flat(torch, part)]
    return []
