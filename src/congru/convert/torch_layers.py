"""The layers of a torch model as nodes: recurrent, linear, embedding, norms, and what computes by the element."""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.convert.keras_files import norm_parts
from congru.convert.parts import Part, as_name, scaled_part
from congru.convert.torch_building import Building, Value, array_of, cell_of, never_run, plain_part, value_of
from congru.errors import ConventionError

_POINTWISE = {"ReLU": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid"}
_NOTHING = {"Dropout", "Identity", "Dropout1d", "AlphaDropout"}
_SUPPORTED = "Embedding, GRU, LSTM, RNN, Linear, LayerNorm, BatchNorm1d, Dropout, ReLU, Tanh, Sigmoid"


def call_module(torch: Any, building: Building, module: Any, node: Any, values: dict[Any, Value]) -> Value:
    """The node of a layer, or what passes through it; raises ConventionError that names a layer without one."""
    part = module.get_submodule(node.target) if node.target else module
    name, kind = str(node.target) or "rnn", type(part).__name__
    read = value_of(node.args[0] if node.args else node.kwargs.get("input"), values, f"{name} ({kind})")
    if cell_of(part):
        return _recurrent(building, part, name, node, read, values)
    if kind in _NOTHING:
        return read
    if kind in _POINTWISE:
        return read._replace(node=building.add(plain_part(_POINTWISE[kind], name), read.node))
    if read.kind not in ("steps", "row"):
        raise ConventionError(
            f"{name} ({kind}) reads the {read.kind} of a recurrent layer, expected its output: take y or h[-1]"
        )
    if kind == "Embedding" and type(part) is torch.nn.Embedding:
        if part.max_norm is not None:
            raise ConventionError(
                f"{name} (Embedding) has max_norm, expected None: write the scaled table into it first"
            )
        table = array_of(part.weight, name)
        placed = building.add(Part({"type": "embedding", "name": as_name(name), "size": int(table.shape[1])}, {"weight": table},
                                   f"{name}: embedding {table.shape[0]} x {table.shape[1]}", never_run), read.node)  # fmt: skip
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


def _linear(building: Building, part: Any, name: str) -> Part:
    weight = array_of(part.weight, name)
    entry: dict[str, Any] = {"type": "linear", "name": as_name(name), "size": int(weight.shape[0])}
    weights = {} if part.bias is None else {"bias": array_of(part.bias, name)}
    entry |= {} if weights else {"bias": False}
    title = f"{name}: linear {weight.shape[1]} -> {weight.shape[0]}"
    if id(part.weight) in building.tables:
        return Part({**entry, "tied": building.tables[id(part.weight)]}, weights, f"{title}, tied", never_run)
    return Part(entry, {"weight": weight, **weights}, title, never_run)


def _layer_norm(building: Building, part: Any, name: str, read: str) -> str:
    if len(part.normalized_shape) != 1:
        raise ConventionError(
            f"{name} (LayerNorm) normalises {tuple(part.normalized_shape)}, expected the features alone"
        )
    size = part.normalized_shape[0]
    weight = np.ones(size, np.float32) if part.weight is None else array_of(part.weight, name)
    bias = np.zeros(size, np.float32) if part.bias is None else array_of(part.bias, name)
    for one in norm_parts(name, weight, bias, float(part.eps)):
        read = building.add(one, read)
    return read


def _batch_norm(building: Building, part: Any, name: str, read: Value) -> str:
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
    building: Building, part: Any, name: str, node: Any, read: Value, values: dict[Any, Value]
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
        "type": cell_of(part),
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
    rewritten = [
        key for key, _ in part.named_parameters() if "." in key or key.endswith(("_g", "_v", "_orig"))
    ]
    if rewritten:
        raise ConventionError(
            f"{name} ({kind}) has {rewritten[0]} (weight norm, pruning or a parametrization), expected plain matrices: remove it"
            " first (torch.nn.utils.parametrize.remove_parametrizations)"
        )
    options = {"layer_norm": False, "num_heads": 1, "zoneout": 0.0}
    for key, usual in options.items():
        if getattr(part, key, usual) != usual:
            raise ConventionError(
                f"{name} ({kind}) has {key}={getattr(part, key)!r}, expected {usual!r}: use congru.nn.Network, whose training "
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
    weights = {key: array_of(value, name) for key, value in part.named_parameters()}
    form = f"{entry['type']} {part.num_layers} x {part.hidden_size}" + (
        " both ways" if part.bidirectional else ""
    )
    placed = building.add(Part(entry, weights, f"{name}: {form}", never_run), read.node)
    return Value(placed, "both", read.time_first, part)
