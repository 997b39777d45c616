"""A torch model of your own as a model folder: its forward is followed once, layer by layer, and what has no node is named.

`torch.fx` writes the forward down as a list of calls. Each call that a node of `congru.runtime` computes becomes that node;
steps of a sequence are axis 1 (or axis 0, where the recurrent layers are not batch_first). The folder's network must equal the
module, in float64, on random and saturating inputs.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from congru.convert.folder import Report, write_folder
from congru.convert.keras_files import norm_parts
from congru.convert.parts import Contents, Found, Part, as_float32, as_name, scaled_part
from congru.errors import ConventionError, SettingsError, require
from congru.runtime.graph import Graph

_CELLS = {"GRU": "gru", "LSTM": "lstm", "RNN": "rnn"}
_POINTWISE = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid"}
_NOTHING = {"Dropout", "Identity", "Dropout1d", "AlphaDropout"}
_FUNCTIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid"}
# What a forward calls to make the zeros its recurrent layer starts from.
_ZEROS = ("zeros", "new_zeros", "zeros_like")
_SIZES = ("size", "getattr", "dim", "len")
_STAYS_ZERO = (
    "to",
    "float",
    "detach",
    "requires_grad_",
    "contiguous",
    "cuda",
    "expand",
    "repeat",
    "unsqueeze",
    "type_as",
)
_SUPPORTED = "Embedding, GRU, LSTM, RNN, Linear, LayerNorm, BatchNorm1d, Dropout, ReLU, Tanh, Sigmoid"


class Value(NamedTuple):
    """What a name of the traced forward holds: a node's output, in which form.

    kind: "steps" (a sequence), "row" (one vector a sequence), "state" (the final h of a recurrent node), "both" (its tuple),
    "number" (a size), "zeros" (a first state), "constant" (a tensor of the module), "cell state" (an LSTM's c).
    """

    node: str
    kind: str
    time_first: bool = False
    module: Any = None


class _Building:
    """The network as it grows."""

    def __init__(self, time_first: bool) -> None:
        self.entries: list[dict[str, Any]] = []
        self.weights: dict[str, Any] = {}
        self.titles: list[Part] = []
        self.tables: dict[int, str] = {}
        self.inputs: dict[str, dict[str, Any]] = {}
        self.time_first = time_first

    def add(self, part: Part, *of: str) -> str:
        """Place a node and return its name."""
        name = part.name
        taken = {entry["name"] for entry in self.entries} | set(self.inputs)
        while name in taken:
            name += "_"
        self.entries.append({**part.entry, "name": name, "of": list(of)})
        self.weights |= {f"{name}.{key}": value for key, value in part.weights.items()}
        self.titles.append(part)
        return name


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
    if not any(_cell_of(part) for part in module.modules()):
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
            found = _follow(torch, module, graph, time_first, size)
        except ConventionError as error:
            problem = problem or error
            continue
        source = f"torch {type(module).__name__}"
        return write_folder(Contents(source, {"main": found}, {}), folder)
    assert problem is not None
    raise problem


def _cell_of(part: Any) -> str | None:
    """The cell of a recurrent layer of torch.nn or congru.nn, by its class."""
    for kind in type(part).__mro__:
        if kind.__name__ in _CELLS and kind.__module__.startswith(("torch.nn", "congru.nn")):
            return _CELLS[kind.__name__]
    return None


def _trace(torch: Any, module: Any) -> Any:
    """The graph of the forward; arguments with a default of None are taken as not given."""

    class Tracer(torch.fx.Tracer):  # type: ignore[misc]
        def is_leaf_module(self, m: Any, qualified_name: str) -> bool:
            leaf = bool(super().is_leaf_module(m, qualified_name))
            return leaf if _cell_of(m) is None else True

    parameters = inspect.signature(module.forward).parameters.values()
    given = {p.name: None for p in parameters if p.default is None}
    try:
        if _cell_of(module):  # a bare layer: its own forward is not written down
            graph = torch.fx.Graph()
            graph.output(graph.create_node("call_module", "", (graph.placeholder("x"),)))
            return graph
        return Tracer().trace(module, concrete_args=given or None)
    except Exception as error:  # whatever the user's own forward raises under tracing
        line = " ".join(str(error).split())
        raise ConventionError(
            f"the forward of {type(module).__name__} can't be followed ({line[:120]}), expected straight-line code: move what "
            "branches on tensors or their sizes out of it, or convert its recurrent layers alone (congru.convert.to_folder)"
        ) from None


def _follow(torch: Any, module: Any, graph: Any, time_first: bool, size: dict[str, Any] | None) -> Found:
    building = _Building(time_first)
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
            values[node] = _call_module(torch, building, module, node, values)
        elif _is_assertion(node):
            continue
        elif node.op in ("call_function", "call_method"):
            values[node] = _call_function(torch, building, node, values)
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

    return Found(config, weights, tuple(building.titles), own, takes_state=False)


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


def _call_module(torch: Any, building: _Building, module: Any, node: Any, values: dict[Any, Value]) -> Value:
    part = module.get_submodule(node.target) if node.target else module
    name, kind = str(node.target) or "rnn", type(part).__name__
    read = _value(node.args[0] if node.args else node.kwargs.get("input"), values, f"{name} ({kind})")
    if _cell_of(part):
        return _recurrent(building, part, name, node, read, values)
    if kind in _NOTHING:
        return read
    if kind in _POINTWISE:
        return read._replace(node=building.add(_plain(_POINTWISE[kind], name), read.node))
    if read.kind not in ("steps", "row"):
        raise ConventionError(
            f"{name} ({kind}) reads the {read.kind} of a recurrent layer, expected its output: take y or h[-1]"
        )
    if kind == "Embedding" and type(part) is torch.nn.Embedding:
        if part.max_norm is not None:
            raise ConventionError(
                f"{name} (Embedding) has max_norm, expected None: write the scaled table into it first"
            )
        table = _array(part.weight, name)
        placed = building.add(Part({"type": "embedding", "name": as_name(name), "size": int(table.shape[1])}, {"weight": table},
                                   f"{name}: embedding {table.shape[0]} x {table.shape[1]}", _unused), read.node)  # fmt: skip
        building.tables[id(part.weight)] = placed
        return read._replace(node=placed)
    if kind == "Linear" and type(part) is torch.nn.Linear:
        return read._replace(node=building.add(_linear(building, part, name), read.node))
    if kind == "LayerNorm":
        return read._replace(node=_layer_norm(building, part, name, read.node))
    if kind == "BatchNorm1d":
        return read._replace(node=_batch_norm(building, part, name, read))
    raise ConventionError(
        f"{name} is a {kind}, which a model folder has no node for, expected {_SUPPORTED}: take it out of the model and "
        "apply it to what the folder returns, or replace it"
    )


def _unused(x: Any, state: Any) -> Any:
    """The whole module is the source's program: single parts are not run."""
    return x, state


def _plain(kind: str, name: str) -> Part:
    return Part({"type": kind, "name": as_name(name, kind)}, {}, kind, _unused)


def _array(tensor: Any, name: str) -> Any:
    value = tensor.detach().cpu()
    return as_float32({name: value.float().numpy()}, name)[name]


def _linear(building: _Building, part: Any, name: str) -> Part:
    weight = _array(part.weight, name)
    entry: dict[str, Any] = {"type": "linear", "name": as_name(name), "size": int(weight.shape[0])}
    weights = {} if part.bias is None else {"bias": _array(part.bias, name)}
    entry |= {} if weights else {"bias": False}
    title = f"{name}: linear {weight.shape[1]} -> {weight.shape[0]}"
    if id(part.weight) in building.tables:
        return Part({**entry, "tied": building.tables[id(part.weight)]}, weights, f"{title}, tied", _unused)
    return Part(entry, {"weight": weight, **weights}, title, _unused)


def _layer_norm(building: _Building, part: Any, name: str, read: str) -> str:
    if len(part.normalized_shape) != 1:
        raise ConventionError(
            f"{name} (LayerNorm) normalises {tuple(part.normalized_shape)}, expected the features alone"
        )
    size = part.normalized_shape[0]
    weight = np.ones(size, np.float32) if part.weight is None else _array(part.weight, name)
    bias = np.zeros(size, np.float32) if part.bias is None else _array(part.bias, name)
    for one in norm_parts(name, weight, bias, float(part.eps)):
        read = building.add(one, read)
    return read


def _batch_norm(building: _Building, part: Any, name: str, read: Value) -> str:
    if read.kind != "row":
        raise ConventionError(
            f"{name} (BatchNorm1d) reads a sequence, expected one vector for each: it would normalise the steps, not the "
            "features"
        )
    if part.running_mean is None:
        raise ConventionError(
            f"{name} (BatchNorm1d) keeps no running statistics, expected them: it has no fixed meaning in use"
        )
    mean, variance = (part.running_mean.double().numpy(), part.running_var.double().numpy())
    factor = 1 / np.sqrt(variance + part.eps)
    shift = -mean * factor
    if part.weight is not None:
        gamma = part.weight.detach().double().numpy()
        factor, shift = gamma * factor, gamma * shift + part.bias.detach().double().numpy()
    return building.add(scaled_part(name, factor, shift), read.node)


def _recurrent(
    building: _Building, part: Any, name: str, node: Any, read: Value, values: dict[Any, Value]
) -> Value:
    kind = type(part).__name__
    if read.kind != "steps":
        raise ConventionError(
            f"{name} ({kind}) reads one vector for each sequence, expected steps: a cell in a loop can't be followed"
        )
    hx = node.args[1] if len(node.args) > 1 else node.kwargs.get("hx")
    starts = hx if isinstance(hx, (tuple, list)) else () if hx is None else (hx,)
    if any(values.get(start, read).kind != "zeros" for start in starts):
        raise ConventionError(
            f"{name} ({kind}) starts from a state that the forward makes, expected none or zeros: learn it with congru.nn's "
            "learn_h0, or pass hx=None"
        )
    entry: dict[str, Any] = {
        "type": _cell_of(part),
        "name": as_name(name, "rnn"),
        "hidden_size": int(part.hidden_size),
    }
    if entry["type"] == "rnn" and str(getattr(part, "nonlinearity", "tanh")) != "tanh":
        raise ConventionError(
            f"{name} (RNN) applies {part.nonlinearity}, expected tanh: a model folder has no other RNN"
        )
    if getattr(part, "proj_size", 0):
        raise ConventionError(
            f"{name} (LSTM) has proj_size {part.proj_size}, expected 0: a model folder has no projected LSTM"
        )
    options = {"layer_norm": False, "num_heads": 1, "zoneout": 0.0}
    for key, plain in options.items():
        if getattr(part, key, plain) != plain:
            raise ConventionError(
                f"{name} ({kind}) has {key}={getattr(part, key)!r}, expected {plain!r}: use congru.nn.Network, whose training "
                "saves such layers"
            )
    if bool(part.batch_first) == read.time_first:
        expected = "batch" if part.batch_first else "time"
        raise ConventionError(
            f"{name} ({kind}) has batch_first={part.batch_first}, expected its input to have {expected} first here: transpose it"
        )
    entry |= {"num_layers": int(part.num_layers)} if part.num_layers > 1 else {}
    entry |= {"bidirectional": True} if part.bidirectional else {}
    entry |= {} if part.bias else {"bias": False}
    entry |= {key: True for key in ("reset_before", "learn_h0") if getattr(part, key, False)}
    weights = {key: _array(value, name) for key, value in part.named_parameters()}
    form = f"{entry['type']} {part.num_layers} x {part.hidden_size}" + (
        " both ways" if part.bidirectional else ""
    )
    placed = building.add(Part(entry, weights, f"{name}: {form}", _unused), read.node)
    return Value(placed, "both", read.time_first, part)


def _value(argument: Any, values: dict[Any, Value], where: str) -> Value:
    if argument not in values:
        raise ConventionError(f"{where} reads {argument!r}, expected what an earlier layer returned")
    return values[argument]


def _call_function(torch: Any, building: _Building, node: Any, values: dict[Any, Value]) -> Value:
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    where = f"{name} in forward"
    args = node.args
    if name in _ZEROS:
        return Value("", "zeros")
    if args and args[0] in values and (name in _SIZES or values[args[0]].kind == "number"):
        return Value("", "number")
    if args and args[0] in values and values[args[0]].kind == "zeros" and name in _STAYS_ZERO:
        return values[args[0]]
    if name == "getitem":
        return _getitem(building, _value(args[0], values, where), args[1], where)
    if (
        name in ("add", "iadd", "add_")
        and all(argument in values for argument in args[:2])
        and not node.kwargs
    ):
        return _joined(building, "add", [values[argument] for argument in args[:2]], where)
    if name in ("cat", "concat", "concatenate"):
        dim = node.kwargs.get("dim", args[1] if len(args) > 1 else 0)
        parts = [_value(argument, values, where) for argument in args[0]]
        features = 2 if parts[0].kind == "steps" else 1
        if dim not in (-1, features):
            raise ConventionError(
                f"{where} joins axis {dim}, expected the features (-1): a model folder has no other"
            )
        return _joined(building, "concat", parts, where)
    read = _value(args[0] if args else node.kwargs.get("input"), values, where)
    if name in _FUNCTIONS and read.kind in ("steps", "row"):
        return read._replace(node=building.add(_plain(_FUNCTIONS[name], name), read.node))
    if name in ("dropout", "contiguous", "float", "to", "detach", "clone"):
        return read
    if name in ("transpose", "permute", "swapaxes") and read.kind == "steps":
        order = args[1:] if not isinstance(args[1], (tuple, list)) else tuple(args[1])
        if order in ((0, 1), (1, 0), (1, 0, 2)):
            return read._replace(time_first=not read.time_first)
    if name in ("mean", "amax", "max") and read.kind == "steps":
        dim = node.kwargs.get("dim", node.kwargs.get("axis", args[1] if len(args) > 1 else None))
        dim = dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim
        if dim in ((0, -3) if read.time_first else (1, -2)) and not node.kwargs.get("keepdim"):
            pooled = building.add(_plain("mean" if name == "mean" else "max", f"{name}_pool"), read.node)
            return Value(pooled, "pair" if name == "max" else "row")
    if name == "squeeze" and read.kind == "state" and args[1:] in ((0,), ()) and read.module.num_layers == 1:
        return _last(building, read, where)
    raise ConventionError(
        f"{where} has no node in a model folder, expected layers, relu, tanh, sigmoid, +, cat of features, mean and max over the "
        "steps, y[:, -1] and h[-1]: take it out of the model and apply it to what the folder returns"
    )


def _getitem(building: _Building, read: Value, index: Any, where: str) -> Value:
    if read.kind == "both":
        if index == 0:
            return read._replace(kind="steps", module=None)
        lstm = _cell_of(read.module) == "lstm"
        return read._replace(kind="pair_of_states" if lstm else "state")
    if read.kind == "pair_of_states":
        return read._replace(kind="state" if index == 0 else "cell state")
    if read.kind == "pair" and index == 0:  # torch.max returns values and places
        return read._replace(kind="row")
    if read.kind == "state" and index in (
        -1,
        read.module.num_layers * (2 if read.module.bidirectional else 1) - 1,
    ):
        return _last(building, read, where)
    whole = slice(None, None, None)
    if read.kind == "steps" and isinstance(index, (tuple, int)):
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(part for part in parts if part is not Ellipsis)
        while parts and parts[-1] == whole:
            parts = parts[:-1]
        if parts == ((-1,) if read.time_first else (whole, -1)):
            return Value(building.add(_plain("last", "last"), read.node), "row")
    raise ConventionError(
        f"{where} takes [{index!r}] of a {read.kind}, expected y[:, -1] or h[-1]: a model folder has no other part of it"
    )


def _last(building: _Building, read: Value, where: str) -> Value:
    """The final state of the top layer: its last output, where it runs forward."""
    if read.module.bidirectional:
        raise ConventionError(
            f"{where} takes the final state of a bidirectional layer, expected that of a forward one: a model folder has no node "
            "for the two ends; use mean or max over the steps"
        )
    return Value(building.add(_plain("last", "last"), read.node), "row")


def _joined(building: _Building, kind: str, parts: list[Value], where: str) -> Value:
    if any(part.kind not in ("steps", "row") for part in parts):
        raise ConventionError(
            f"{where} joins a {parts[0].kind} of a recurrent layer, expected outputs: take y or h[-1]"
        )
    if len({(part.kind, part.time_first) for part in parts if part.kind == "steps"}) > 1:
        raise ConventionError(
            f"{where} joins batch first and time first, expected one order: transpose one of them"
        )
    first = next((part for part in parts if part.kind == "steps"), parts[0])
    return first._replace(node=building.add(_plain(kind, kind), *(part.node for part in parts)))


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
