"""`congru.inspect`: from a model and an input to a trace of every gate.

It takes our layers, a bare torch.nn.GRU, LSTM or RNN, a whole torch model, a model folder (no torch), an
ONNX file, a Keras layer, or a `Stack` of arrays. Only outputs are read; gates are recovered from them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from congru.errors import CongruError
from congru.gates.layer import Layer
from congru.gates.readout import Readout, find_readout
from congru.gates.sources import keras_layer, model_folder, onnx_nodes, torch_bare, torch_layers, torch_model
from congru.gates.sources.stack import Stack, trace_stack
from congru.gates.trace import Trace, label_steps
from congru.gates.weights import Array
from congru.runtime.network import Network

Layers = tuple[tuple[Layer, ...], ...]
Linears = Mapping[str, tuple[Array, Array | None]]
_BORDERS = "bare layers, Stack and Keras layers only: a whole model starts its layers itself"


def inspect(
    model: Any,
    x: Any,
    tokens: Sequence[str] | Sequence[Sequence[str]] | None = None,
    *,
    h0: Any = None,
    lengths: Any = None,
    reset: Any = None,
    layer: str | None = None,
    labels: Sequence[str] = (),
) -> Trace:
    """Run `model` on `x` and return the :class:`Trace` of its recurrent layers.

    x is what the model takes: for a bare layer [B, T, I] ([T, B, I] without batch_first, [T, I] for one
    sequence, or packed); for a model folder [B, T] tokens or [B, T, I], or text where it has a tokenizer;
    for an ONNX file the first input or a dict. `tokens` label the steps (one list, or one per row),
    `labels` the outputs. h0 starts a bare layer; lengths [B] and reset [B, T] are as in `congru.nn`.
    `layer` picks one by name where a model has several of different sizes (default: the last, with those of
    the same size).

    Raises CongruError where the model has no recurrent layer, x has the wrong features or no steps.

    >>> random = np.random.default_rng(0)
    >>> weights = [random.normal(size=size) for size in ((9, 2), (9, 3), (9,), (9,))]
    >>> inspect(Stack("gru", [[weights]]), random.normal(size=(1, 5, 2)), tokens=list("hello")).keep.shape
    (1, 1, 1, 5, 3)
    """
    if isinstance(model, (str, os.PathLike)):
        model = _open(Path(model))
    if hasattr(model, "networks") and hasattr(model, "files"):
        _refuse(h0, reset)
        if isinstance(x, str):
            x, tokens = _encode(model, x, tokens)
        traced, output, linears = model_folder.trace_network(
            model_folder.network_of(model, x), x, lengths=lengths
        )
        labels = labels or _labels_of(model)
        return _trace(traced, tokens, layer, f"{model.task} model", output, linears, labels)
    if isinstance(model, Network):
        _refuse(None, reset)
        traced, output, linears = model_folder.trace_network(model, x, state=h0, lengths=lengths)
        return _trace(traced, tokens, layer, "network", output, linears, labels)
    if isinstance(model, Path) or hasattr(getattr(model, "graph", None), "node"):
        _refuse(h0, reset, lengths)
        nodes, first = onnx_nodes.trace_onnx(model, x)
        title = model.name if isinstance(model, Path) else "ONNX file"
        return _trace(nodes, tokens, layer, title, first, {}, labels)
    title = type(model).__name__
    state = None if h0 is None else h0 if isinstance(h0, tuple) else (h0,)
    if isinstance(model, Stack):
        layers = trace_stack(model, x, state=state, lengths=lengths, reset=reset)
        return _trace({model.name: layers}, tokens, layer, model.name, None, {}, labels)
    if keras_layer.is_keras(model):
        keras = keras_layer.trace_keras(model, x, state=state, lengths=lengths, reset=reset)
        return _trace(keras.layers, tokens, layer, str(model.name), keras.output, {}, labels)
    if torch_layers.is_recurrent(model):
        layers = torch_bare.trace_module(model, x, h0=h0, lengths=lengths, reset=reset)
        return _trace({title.lower(): layers}, tokens, layer, title, None, {}, labels)
    if torch_layers.is_cell(model):
        _refuse(None, reset, lengths)
        layers = torch_bare.trace_cell(model, x, h0=h0)
        return _trace({title.lower(): layers}, tokens, layer, title, None, {}, labels)
    if hasattr(model, "named_modules"):
        _refuse(h0)
        seen = torch_model.trace_model(model, x, lengths=lengths, reset=reset)
        if layer in seen.breaks and layer not in seen.layers:
            raise CongruError(seen.breaks[layer])
        if layer is None and list(seen.layers)[-1] in seen.breaks:
            raise CongruError(seen.breaks[list(seen.layers)[-1]])
        trace = _trace(seen.layers, tokens, layer, title, seen.output, seen.linears, labels, seen.stacked)
        return replace(trace, num_calls=seen.num_calls[layer or list(seen.layers)[-1]])
    raise CongruError(
        f"model is {title}, expected a torch module, a model folder, an ONNX file, a Keras layer or a Stack: "
        "load it first, or call congru.gates.recover with its arrays"
    )


def _open(path: Path) -> Any:
    """A model folder as a Model; an ONNX file stays a path."""
    if path.is_file() and path.suffix == ".onnx":
        return path
    if not path.exists():
        raise CongruError(f"{path} does not exist, expected a model folder or an .onnx file: check the path")
    if path.is_file():
        raise CongruError(f"{path} is a file, expected a model folder or an .onnx file: pass its folder")
    from congru.runtime.folder import load

    return load(path)


def _encode(model: Any, text: str, tokens: Any) -> tuple[Any, Any]:
    if model.tokenizer is None:
        raise CongruError(
            "x is text, expected an array: this model has no tokenizer; prepare x as its task does"
        )
    ids = model.tokenizer.encode(text)
    return np.asarray([ids], np.int64), tokens or [model.tokenizer.decode([one]) for one in ids]


def _labels_of(model: Any) -> Sequence[str]:
    """Names of the outputs: labels.json, or the tokens of a model that predicts the next one."""
    if model.labels:
        return list(model.labels)
    if len(model.networks) != 1:
        return ()
    tokenizer, size = model.tokenizer, model.network.output_size
    if tokenizer is not None and model.network.num_tokens == size:
        return [tokenizer.decode([one]) for one in range(size)]
    return ()


def _refuse(h0: Any, reset: Any = None, lengths: Any = None) -> None:
    for name, value in (("h0", h0), ("reset", reset), ("lengths", lengths)):
        if value is not None:
            raise CongruError(f"{name} is given, expected None for this model: {name} is for {_BORDERS}")


def _trace(
    traced: Mapping[str, Layers],
    tokens: Any,
    layer: str | None,
    title: str,
    output: Array | None,
    linears: Linears,
    labels: Sequence[str],
    stacked: Sequence[str] | None = None,
) -> Trace:
    """Choose the layers that go into one trace, label its steps and look for the read-out."""
    names = list(traced)
    if layer is not None and layer not in names:
        raise CongruError(f"layer is {layer!r}, expected one of {', '.join(names)}: pass one of these names")
    last = traced[layer or names[-1]]
    together = [name for name in names if _same_size(traced[name], last)]
    chosen = [layer] if layer else [name for name in together if stacked is None or name in stacked]
    layers = tuple(row for name in chosen for row in traced[name])
    num_batch, num_steps, _ = last[-1][0].y.shape
    y = np.concatenate([way.y for way in layers[-1]], axis=2)
    lengths = last[-1][0].recovered.valid.sum(axis=1)
    readout: Readout | None = None
    if names[-1] in chosen:
        readout = find_readout(y, lengths, len(layers[-1]), output, linears, labels)
    steps = label_steps(tokens, num_batch, num_steps)
    return Trace(layers, steps, title, tuple(names), output, readout)


def _same_size(layers: Layers, other: Layers) -> bool:
    a, b = layers[-1], other[-1]
    return (a[0].cell, len(a), a[0].y.shape) == (b[0].cell, len(b), b[0].y.shape)
