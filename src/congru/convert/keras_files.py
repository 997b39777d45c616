"""Keras models, whole: .keras (Keras 3) and .h5 (Keras 2 and 3), a chain of layers, without Keras itself; h5py reads the weights.

What has no node in a model folder is refused by the layer's name. Written out exactly with the nodes there are: batch
normalisation (a diagonal linear node), layer normalisation with another epsilon (its input scaled).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from congru.convert.parts import (
    Array,
    Contents,
    Direction,
    Part,
    chain,
    embedding_part,
    function_part,
    layer_norm_part,
    linear_part,
    recurrent_part,
    scaled_part,
)
from congru.errors import ConventionError, DataError, require
from congru.reference.systems import KERAS_CELLS
from congru.runtime.nodes.pointwise import EPSILON

_IDENTITY = {
    "InputLayer",
    "Dropout",
    "SpatialDropout1D",
    "GaussianNoise",
    "GaussianDropout",
    "ActivityRegularization",
}
_ACTIVATIONS = ("relu", "tanh", "sigmoid")
_POOLS = {"GlobalAveragePooling1D": "mean", "GlobalMaxPooling1D": "max"}
_OPTIONS = ("reset_after", "activation", "recurrent_activation")


class Store:
    """The weights of a file by layer: name of a layer -> its arrays in Keras' order, with the names of inner cells."""

    def __init__(self, arrays: Mapping[str, list[tuple[str, Array]]]) -> None:
        self._arrays = arrays

    def of(self, layer: str) -> list[Array]:
        """The arrays of a layer."""
        return [array for _, array in self._arrays.get(layer, [])]

    def below(self, layer: str, inner: str) -> list[Array]:
        """Those whose path goes through `inner`: "forward_layer", the name of a cell."""
        return [array for path, array in self._arrays.get(layer, []) if inner in path.split("/")]


def read_keras(path: Path) -> Contents:
    """The model of a .keras or .h5 file as one network.

    Raises DataError for a file that is none, ConventionError for a layer or an option that a model folder lacks.
    """
    h5py = require("h5py", "convert")
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read("config.json"))
                with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
                    store = _new_store(file)
        else:
            with h5py.File(path, "r") as file:
                config, store = _old_config(file, path), _old_store(file)
    except (OSError, KeyError, zipfile.BadZipFile, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} is no Keras model ({error}), expected .keras or .h5 from model.save"
        ) from None
    remarks: list[str] = []
    left: dict[str, str] = {}
    parts: list[Part] = []
    layers = list(_chain_of(config))
    for k, layer in enumerate(layers):
        parts += _read_layer(layer, store, last=k == len(layers) - 1, left=left, remarks=remarks)
    if not parts:
        raise DataError(f"{path} has no layers with weights, expected at least one: save the model again")
    return Contents(f"Keras {path.suffix}", {"main": chain(parts)}, left, tuple(remarks))


def _new_store(file: Any) -> Store:
    """.keras: groups "vars" carry the name of their layer; what lies below a top layer's group belongs to it."""
    arrays: dict[str, list[tuple[str, Array]]] = {}
    layers = file["layers"] if "layers" in file else file["_layer_checkpoint_dependencies"]
    for key in layers:
        top = layers[key]
        name = str(top["vars"].attrs.get("name", key)) if "vars" in top else key
        arrays[name] = list(_vars(top, ""))
    return Store(arrays)


def _vars(group: Any, path: str) -> Iterator[tuple[str, Array]]:
    if "vars" in group:
        own = group["vars"]
        inner = str(own.attrs.get("name", ""))
        for index in sorted(own, key=int):
            yield f"{path}/{inner}", np.asarray(own[index])
    for key in sorted(set(group) - {"vars"}, key=lambda key: (key == "backward_layer", key)):
        if hasattr(group[key], "keys"):
            yield from _vars(group[key], f"{path}/{key}")


def _old_config(file: Any, path: Path) -> dict[str, Any]:
    text = file.attrs.get("model_config")
    if text is None:
        raise DataError(
            f"{path} holds weights without the model, expected a file of model.save: save_weights keeps no layers"
        )
    config: dict[str, Any] = json.loads(text if isinstance(text, str) else text.decode())
    return config


def _old_store(file: Any) -> Store:
    weights = file["model_weights"]
    arrays: dict[str, list[tuple[str, Array]]] = {}
    for raw in weights.attrs["layer_names"]:
        name = raw if isinstance(raw, str) else raw.decode()
        group = weights[name]
        inner = [part if isinstance(part, str) else part.decode() for part in group.attrs["weight_names"]]
        arrays[name] = [
            (
                path.replace("forward_", "forward_layer/").replace("backward_", "backward_layer/"),
                np.asarray(group[path]),
            )
            for path in inner
        ]
    return Store(arrays)


def _chain_of(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The layers in order; raises ConventionError where a layer does not read just the one before."""
    inner = config["config"]
    layers = inner if isinstance(inner, list) else inner["layers"]
    previous = None
    for layer in layers:
        name = layer["config"].get("name", layer.get("name", "layer"))
        if layer["class_name"] in ("Functional", "Model", "Sequential"):
            raise ConventionError(
                f"{name} is a model inside the model, expected single layers: save it on its own"
            )
        sources = _sources(layer.get("inbound_nodes") or [])
        if sources and sources != [previous]:
            raise ConventionError(
                f"{name} reads {', '.join(sources)}, expected {previous} alone: only chains of layers are converted; take the "
                "recurrent layers out, or train the network with congru"
            )
        previous = name
        yield layer


def _sources(nodes: Any) -> list[str]:
    """The names of the layers an entry of inbound_nodes reads."""
    if isinstance(nodes, dict):
        if "keras_history" in nodes:
            return [str(nodes["keras_history"][0])]
        return [name for value in nodes.values() for name in _sources(value)]
    if isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str) and isinstance(nodes[1], int):
            return [nodes[0]]
        return [name for value in nodes for name in _sources(value)]
    return []


def _read_layer(
    layer: dict[str, Any], store: Store, *, last: bool, left: dict[str, str], remarks: list[str]
) -> list[Part]:
    kind, config = layer["class_name"], layer["config"]
    name = str(config.get("name", kind))
    if kind in _IDENTITY:
        return []
    if kind == "TimeDistributed":
        inner = config["layer"]
        inner = {**inner, "config": {**inner["config"], "name": name}}
        return _read_layer(inner, store, last=last, left=left, remarks=remarks)
    if kind == "Embedding":
        if config.get("mask_zero"):
            remarks.append(
                f"{name} has mask_zero: a model folder takes lengths instead; token 0 is read like any other"
            )
        return [embedding_part(name, store.of(name)[0])]
    if kind in ("GRU", "LSTM", "SimpleRNN", "RNN", "Bidirectional"):
        return _read_recurrent(kind, config, name, store)
    if kind == "Dense":
        kernel, *bias = store.of(name)
        part = linear_part(name, np.ascontiguousarray(kernel.T), bias[0] if bias else None)
        return [part, *_activation(config.get("activation"), name, last, left)]
    if kind in ("Activation", "ReLU", "Softmax"):
        return _activation(config.get("activation", kind.lower()), name, last, left)
    if kind in _POOLS:
        return [function_part(_POOLS[kind], name)]
    if kind == "LayerNormalization":
        return _read_layer_norm(config, name, store)
    if kind == "BatchNormalization":
        return _read_batch_norm(config, name, store)
    raise ConventionError(
        f"{name} is a {kind}, expected recurrent layers, Embedding, Dense, normalisations, activations or pooling: a model "
        "folder has no such node; convert the layers before and after it apart"
    )


def _activation(kind: Any, name: str, last: bool, left: dict[str, str]) -> list[Part]:
    if kind in (None, "linear"):
        return []
    if kind == "softmax" and last:
        left[f"softmax of {name}"] = "the folder returns what goes into it"
        return []
    if kind not in _ACTIVATIONS:
        shown = kind if isinstance(kind, str) else "one of your own"
        raise ConventionError(
            f"{name} has the activation {shown!r}, expected {', '.join(_ACTIVATIONS)} or linear: a model folder has no other"
        )
    return [function_part(kind, f"{name}_{kind}")]


def _read_layer_norm(config: dict[str, Any], name: str, store: Store) -> list[Part]:
    axis = config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, 1, 2) or config.get("rms_scaling"):
        raise ConventionError(
            f"{name} normalises axis {axis}, expected the features (-1): a model folder has no other"
        )
    arrays = store.of(name)
    scale = arrays.pop(0) if config.get("scale", True) else None
    center = arrays.pop(0) if config.get("center", True) else None
    like = scale if scale is not None else center
    if like is None:
        raise ConventionError(
            f"{name} has neither scale nor center, expected one: its size is not in the file"
        )
    weight = np.ones_like(like) if scale is None else scale
    bias = np.zeros_like(like) if center is None else center
    return norm_parts(name, weight, bias, float(config.get("epsilon", 1e-3)))


def norm_parts(name: str, weight: Array, bias: Array, epsilon: float) -> list[Part]:
    """A layer norm; with another epsilon than 1e-5 its input is scaled first: norm(c x) with e is norm(x) with e / c^2."""
    norm = layer_norm_part(name, weight, bias)
    if np.isclose(epsilon, float(EPSILON), rtol=1e-3):
        return [norm]
    c = np.sqrt(float(EPSILON) / epsilon)

    def own(x: Array, state: Any) -> tuple[Array, Any]:
        spread = np.sqrt(x.var(axis=-1, keepdims=True) + epsilon)
        return (x - x.mean(axis=-1, keepdims=True)) / spread * weight + bias, state

    size = len(weight)
    before = scaled_part(f"{name}_scale", np.full(size, c), np.zeros(size))
    # Each part is checked as the source computes it: the first passes its input on, the second does the whole.
    return [before._replace(own=lambda x, state: (x, state)), norm._replace(own=own)]


def _read_batch_norm(config: dict[str, Any], name: str, store: Store) -> list[Part]:
    arrays = store.of(name)
    mean, variance = arrays[-2:]
    gamma = arrays.pop(0) if config.get("scale", True) else np.ones_like(mean)
    beta = arrays.pop(0) if config.get("center", True) else np.zeros_like(mean)
    factor = gamma.astype(np.float64) / np.sqrt(
        variance.astype(np.float64) + float(config.get("epsilon", 1e-3))
    )
    return [scaled_part(name, factor, beta - mean * factor)]


def _read_recurrent(kind: str, config: dict[str, Any], name: str, store: Store) -> list[Part]:
    ways = [config]
    if kind == "Bidirectional":
        if config.get("merge_mode", "concat") != "concat":
            raise ConventionError(
                f"{name} merges its directions by {config['merge_mode']!r}, expected 'concat': a model folder has no other"
            )
        inner = config["layer"]
        kind = inner["class_name"]
        other = config.get("backward_layer", {"config": inner["config"]})["config"]
        ways = [inner["config"], {**other, "go_backwards": False}]
    first = ways[0]
    if first.get("go_backwards"):
        raise ConventionError(
            f"{name} has go_backwards, expected a forward layer: turn its input round instead"
        )
    if first.get("time_major"):
        raise ConventionError(f"{name} has time_major, expected batch first: save it with time_major=False")
    if len(ways) == 2 and not first.get("return_sequences"):
        raise ConventionError(
            f"{name} returns the last state of each direction, expected return_sequences=True: a model folder has no node for "
            "the two ends of a sequence"
        )
    cells = [_cells(kind, way, name) for way in ways]
    parts = []
    for depth, (cell, _) in enumerate(cells[0]):
        layer = []
        for way, listed in enumerate(cells):
            inner_name = str(listed[depth][1].get("name", ""))
            arrays = store.of(name)
            if len(ways) == 2:
                arrays = store.below(name, ("forward_layer", "backward_layer")[way])
            if len(listed) > 1:
                arrays = [
                    array for array in store.below(name, inner_name) if len(ways) == 1 or _in(array, arrays)
                ]
            layer.append(_direction(listed[depth][1], arrays, cell))
        part_name = name if len(cells[0]) == 1 else f"{name}_{depth}"
        parts.append(recurrent_part(part_name, "keras", KERAS_CELLS[cell], [layer]))
    if not first.get("return_sequences"):
        parts.append(function_part("last", f"{name}_last"))
    return parts


def _in(array: Array, arrays: list[Array]) -> bool:
    return any(array is other for other in arrays)


def _cells(kind: str, config: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    """The cells of a layer in order: (class, config)."""
    if kind != "RNN":
        if kind not in KERAS_CELLS:
            raise ConventionError(
                f"{name} wraps a {kind}, expected GRU, LSTM, SimpleRNN or RNN: no other cell is converted"
            )
        return [(kind, config)]
    cell = config["cell"]
    inner = cell["config"]["cells"] if cell["class_name"] == "StackedRNNCells" else [cell]
    for entry in inner:
        if entry["class_name"] not in KERAS_CELLS:
            raise ConventionError(
                f"{name} has the cell {entry['class_name']}, expected GRUCell, LSTMCell or SimpleRNNCell: a cell of your own "
                "computes another function"
            )
    return [(entry["class_name"], entry["config"]) for entry in inner]


def _direction(config: dict[str, Any], arrays: list[Array], cell: str) -> Direction:
    names = ("kernel", "recurrent_kernel", "bias")
    known = (
        _OPTIONS
        if KERAS_CELLS[cell] == "gru"
        else _OPTIONS[1:]
        if KERAS_CELLS[cell] == "lstm"
        else _OPTIONS[1:2]
    )
    options = {key: config[key] for key in known if key in config}
    return Direction(dict(zip(names, arrays)), options)
