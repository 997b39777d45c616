"""Keras recurrent layers: their weights and config, and what the layer itself returns, which the equations must give.

The layer is called, not only read: a subclass with other equations, or a layer whose call was changed, does not pass `check()`.
Keras is not imported; it is there where the model is. A layer that returns the last step only is run as a copy that returns all.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from congru.errors import CongruError
from congru.gates.layer import Layer
from congru.gates.sources.stack import Stack, trace_stack
from congru.gates.weights import Array
from congru.reference import conventions
from congru.reference.systems import KERAS_CELLS

_OPTIONS = {"gru": ("reset_after", "activation", "recurrent_activation"), "lstm": ("activation", "recurrent_activation"),
            "rnn": ("activation",), "rnn_relu": ("activation",)}  # fmt: skip
Layers = tuple[tuple[Layer, ...], ...]


class Seen(NamedTuple):
    """The traced layers by name and the model's output, None for a bare layer."""

    layers: dict[str, Layers]
    output: Array | None


def is_keras(model: Any) -> bool:
    """Whether the object has Keras' `get_weights` and `get_config`."""
    return hasattr(model, "get_weights") and hasattr(model, "get_config")


def trace_keras(model: Any, x: Any, *, state: Any = None, lengths: Any = None, reset: Any = None) -> Seen:
    """Trace a recurrent Keras layer, an RNN of cells, a Bidirectional around one, or every such layer of a whole model.

    x is what the layer or model takes, the batch first. Raises CongruError for a layer or model without any, ConventionError for
    activations these equations do not cover.
    """
    recurrent = [layer for layer in getattr(model, "layers", ()) if _is_recurrent(layer)]
    if recurrent and hasattr(model, "inputs"):
        if state is not None or lengths is not None or reset is not None:
            raise CongruError(
                "h0, lengths or reset is given for a Keras model, expected None: pass them for a layer"
            )
        return _trace_model(model, recurrent, x)
    stacks = stacks_of_keras(model)
    options = {"state": state, "lengths": lengths, "reset": reset}
    if len(stacks) > 1:
        if any(value is not None for value in options.values()):
            raise CongruError(
                f"{model.name} has several cells, expected h0, lengths and reset None: trace its cells apart"
            )
        return Seen(_trace_cells(model, stacks, x), None)
    (stack,) = stacks
    y = _call(model, x, state) if lengths is None and reset is None else None
    return Seen({stack.name: trace_stack(stack, x, y=y, **options)}, None)


def _is_recurrent(layer: Any) -> bool:
    both = hasattr(layer, "forward_layer") and hasattr(layer, "backward_layer")
    return both or any(kind.__name__ in ("GRU", "LSTM", "SimpleRNN", "RNN") for kind in type(layer).__mro__)


def _trace_model(model: Any, recurrent: list[Any], x: Any) -> Seen:
    """Run the model once and take what goes into each recurrent layer."""
    keras = import_module("keras")
    inner = keras.Model(model.inputs, [*(layer.input for layer in recurrent), *model.outputs])
    arrays = [
        np.asarray(keras.ops.convert_to_numpy(part))
        for part in inner(keras.ops.convert_to_tensor(np.asarray(x)))
    ]
    layers: dict[str, Layers] = {}
    for layer, read in zip(recurrent, arrays):
        layers |= trace_keras(layer, read).layers
    return Seen(layers, arrays[len(recurrent)])


def stacks_of_keras(layer: Any) -> list[Stack]:
    """The arrays of a Keras layer, one stack for each of its cells, lowest first."""
    if hasattr(layer, "forward_layer") and hasattr(layer, "backward_layer"):
        ways = [stacks_of_keras(layer.forward_layer), stacks_of_keras(layer.backward_layer)]
        name = str(layer.name)
        return [
            one._replace(weights=[[one.weights[0][0], two.weights[0][0]]], name=name, backward=False)
            for one, two in zip(*ways)
        ]
    config = layer.get_config()
    backward = bool(config.get("go_backwards", False))
    cell = getattr(layer, "cell", None)
    kinds = [kind.__name__ for kind in type(layer).__mro__]
    if "RNN" in kinds and cell is not None and not set(kinds) & {"GRU", "LSTM", "SimpleRNN"}:
        cells = list(getattr(cell, "cells", [cell]))
        names = (
            [str(layer.name)]
            if len(cells) == 1
            else [f"{layer.name} cell {k + 1}" for k in range(len(cells))]
        )
        return [_stack(one, one.get_config(), name, backward) for one, name in zip(cells, names)]
    return [_stack(layer, config, str(getattr(layer, "name", type(layer).__name__)), backward)]


def _stack(layer: Any, config: dict[str, Any], name: str, backward: bool) -> Stack:
    kind = next((kind.__name__ for kind in type(layer).__mro__ if kind.__name__ in KERAS_CELLS), None)
    if kind is None:
        raise CongruError(
            f"{type(layer).__name__} is no recurrent Keras layer, expected GRU, LSTM, SimpleRNN, RNN of such cells or "
            "Bidirectional: pass model.get_layer(...)"
        )
    cell = KERAS_CELLS[kind]
    if cell == "rnn" and config.get("activation") == "relu":
        cell = "rnn_relu"
    names = (
        ("kernel", "recurrent_kernel", "bias")
        if config.get("use_bias", True)
        else ("kernel", "recurrent_kernel")
    )
    arrays = {key: np.asarray(array) for key, array in zip(names, layer.get_weights())}
    options = {key: config[key] for key in _OPTIONS[cell] if key in config}
    weights, reset_before = conventions.to_canonical("keras", arrays, cell=cell, **options)
    return Stack(cell, [[weights]], reset_before, name, backward=backward)


def _trace_cells(layer: Any, stacks: list[Stack], x: Any) -> dict[str, Layers]:
    """Cells on top of each other: each reads the one below; the top one gives what the layer itself returned."""
    layers, read = {}, np.asarray(x)
    for k, stack in enumerate(stacks):
        y = _call(layer, x, None) if k == len(stacks) - 1 else None
        layers[stack.name] = trace_stack(stack, read, y=y)
        read = np.concatenate([way.y for way in layers[stack.name][-1]], axis=2)
    return layers


def _call(layer: Any, x: Any, state: Any) -> Array | None:
    """What the layer itself returns for every step, [B, T, D*H]; None for an object that can't be called."""
    if not callable(layer):
        return None
    keras = import_module("keras")
    config = layer.get_config()
    inner = config.get("layer", {}).get("config", config) if hasattr(layer, "forward_layer") else config
    running = layer
    if not inner.get("return_sequences", False) or inner.get("return_state", False):
        running = _every_step(layer, config, x)
    tensors = None
    if state is not None:
        both = hasattr(layer, "forward_layer")
        ways = range(2) if both else range(1)
        tensors = [keras.ops.convert_to_tensor(np.asarray(part)[way]) for way in ways for part in state]
    result = running(keras.ops.convert_to_tensor(np.asarray(x)), initial_state=tensors)
    y = np.asarray(keras.ops.convert_to_numpy(result[0] if isinstance(result, (list, tuple)) else result))
    # A layer that goes backwards returns its steps in the order it made them.
    return y[:, ::-1] if config.get("go_backwards", False) else y


def _every_step(layer: Any, config: dict[str, Any], x: Any) -> Any:
    """A copy of the layer, of its own class and weights, that returns every step."""
    changed = {"return_sequences": True, "return_state": False}
    try:
        if hasattr(layer, "forward_layer"):
            entries: dict[str, Any] = {}
            for key in ("layer", "backward_layer"):
                if key in config:
                    entries[key] = {**config[key], "config": {**config[key]["config"], **changed}}
            copy = type(layer).from_config({**config, **entries})
        else:
            copy = type(layer).from_config({**config, **changed})
        copy.build(np.shape(x))
        copy.set_weights(layer.get_weights())
    except (TypeError, ValueError, KeyError) as error:
        line = " ".join(str(error).split())
        raise CongruError(
            f"{layer.name} returns its last step only and can't be copied ({line[:100]}), expected return_sequences=True: make "
            "it with that, or give its class a get_config that makes it again"
        ) from None
    return copy
