"""The declarative network: the list of layers in a model's `config.json`, checked once for every program that
reads it.

    {"layers": [{"type": "embedding", "name": "embed", "num_embeddings": 65, "size": 64},
                {"type": "gru", "name": "rnn", "input_size": 64, "hidden_size": 128},
                {"type": "linear", "name": "head", "in": 128, "out": 65}]}

`check_network` answers with the layers, defaults filled in; `weight_shapes` and `state_shapes` follow from
them. Weights are called "<layer>.<parameter name of torch.nn>". D = 2 for bidirectional layers, else 1; L =
num_layers; G = gate rows of the cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from congru.errors import SettingsError
from congru.reference.option_equations import gain_names
from congru.reference.options import check_heads

Layer = dict[str, Any]

GATE_ROWS = {"gru": 3, "lstm": 4, "rnn": 1, "mingru": 2}
ACTIVATIONS = ("relu", "tanh", "gelu", "silu", "sigmoid")
POOLINGS = ("last", "mean")

_REQUIRED = object()
_RECURRENT_KEYS: Layer = {
    "name": _REQUIRED,
    "input_size": _REQUIRED,
    "hidden_size": _REQUIRED,
    "num_layers": 1,
    "bidirectional": False,
    "bias": True,
    "learn_h0": False,
    "dropout": 0.0,
}
# Options of a recurrent layer (`congru.nn.recurrent`), left out of a checked layer that does not name them.
_MASK_KEYS: Layer = {"num_heads": 1, "zoneout": 0.0, "recurrent_dropout": 0.0, "input_dropout": 0.0}
_OPTION_KEYS: Layer = {"layer_norm": False, **_MASK_KEYS}
# Stems of the parameters that layer norm adds, by their names in `congru.ops`.
GAIN_STEMS = {"g_i": "gain_ih", "g_h": "gain_hh", "g_c": "gain_c", "b_c": "bias_c"}
# Layer type -> its keys with their defaults.
_KEYS: dict[str, Layer] = {
    "embedding": {"name": _REQUIRED, "num_embeddings": _REQUIRED, "size": _REQUIRED},
    "linear": {"name": _REQUIRED, "in": _REQUIRED, "out": _REQUIRED, "bias": True, "tied": None},
    "layer_norm": {"name": _REQUIRED, "size": _REQUIRED},
    "dropout": {"p": _REQUIRED},
    "residual": {"layers": _REQUIRED},
    "gru": {**_RECURRENT_KEYS, "reset_before": False, **_OPTION_KEYS},
    "lstm": {**_RECURRENT_KEYS, **_OPTION_KEYS},
    "rnn": {**_RECURRENT_KEYS, **_MASK_KEYS},
    "mingru": _RECURRENT_KEYS,
    **{kind: {} for kind in (*ACTIVATIONS, *POOLINGS)},
}
_SIZES = ("num_embeddings", "size", "in", "out", "input_size", "hidden_size", "num_layers", "num_heads")
_FLAGS = ("bias", "bidirectional", "learn_h0", "reset_before")
_SHARES = ("p", "dropout", "zoneout", "recurrent_dropout", "input_dropout")


class _Flow(NamedTuple):
    """What goes from one layer to the next: `size` features (None: not fixed yet), one vector per step or
    per sequence.
    """

    size: int | None
    kind: str  # "input" (nothing before), "steps" [B, T, F] or "pooled" [B, F]


def check_network(config: Mapping[str, Any]) -> list[Layer]:
    """Check a declarative network and return its layers with every default filled in.

    Raises :class:`SettingsError` for an unknown type or key, a missing key, a size that is no positive
    integer, a name used twice and sizes that do not fit one another.

    >>> check_network({"layers": [{"type": "linear", "name": "head", "in": 3, "out": 2}]})[0]["bias"]
    True
    >>> check_network({"layers": [{"type": "linear", "name": "a", "in": 3, "out": 2},
    ...                           {"type": "linear", "name": "b", "in": 4, "out": 2}]})
    Traceback (most recent call last):
    congru.errors.SettingsError: network layer 1 (linear 'b'): in is 4, expected 2 as before: change one
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list) or not config["layers"]:
        raise SettingsError(
            'network is not {"layers": [...]} with at least one layer, expected a list of layers'
        )
    unknown = sorted(set(config) - {"layers"})
    if unknown:
        raise SettingsError(f"network has the key {unknown[0]!r}, expected only 'layers': remove it")
    layers = [_fill(entry, f"network layer {index}") for index, entry in enumerate(config["layers"])]
    _check_names(layers)
    embeddings: dict[str, Layer] = {}
    flow = _Flow(None, "input")
    for index, layer in enumerate(layers):
        flow = _follow(layer, flow, f"network layer {index}", embeddings)
    if flow.size is None:
        raise SettingsError(
            "network: no layer fixes the number of features, expected a linear or recurrent layer: add one"
        )
    return layers


def output_size(layers: list[Layer]) -> int:
    """How many features one step of the output has."""
    flow = _Flow(None, "input")
    embeddings: dict[str, Layer] = {}
    for layer in layers:
        flow = _follow(layer, flow, "network", embeddings)
    assert flow.size is not None  # held by check_network
    return flow.size


def every_layer(layers: list[Layer]) -> Iterator[Layer]:
    """All layers in order, those inside residuals too."""
    for layer in layers:
        yield layer
        if layer["type"] == "residual":
            yield from every_layer(layer["layers"])


def recurrent_layers(layers: list[Layer]) -> list[Layer]:
    """The GRU, LSTM, RNN and minGRU layers in order."""
    return [layer for layer in every_layer(layers) if layer["type"] in GATE_ROWS]


def weight_shapes(layers: list[Layer]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor the layers need.

    >>> layers = check_network({"layers": [{"type": "linear", "name": "head", "in": 3, "out": 2}]})
    >>> weight_shapes(layers)
    {'head.weight': (2, 3), 'head.bias': (2,)}
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in every_layer(layers):
        kind, name = layer["type"], layer.get("name")
        if kind == "embedding":
            shapes[f"{name}.weight"] = (layer["num_embeddings"], layer["size"])
        elif kind == "linear":
            if layer["tied"] is None:
                shapes[f"{name}.weight"] = (layer["out"], layer["in"])
            if layer["bias"]:
                shapes[f"{name}.bias"] = (layer["out"],)
        elif kind == "layer_norm":
            shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (layer["size"],)
        elif kind in GATE_ROWS:
            shapes.update(_recurrent_shapes(layer))
    return shapes


def gain_stems(layer: Layer) -> tuple[str, ...]:
    """Stems of the parameters that layer norm adds to a recurrent layer, in the order of `congru.ops`."""
    names = gain_names(layer["type"], layer.get("layer_norm", False), layer.get("reset_before", False))
    return tuple(GAIN_STEMS[name] for name in names)


def directions(layer: Layer) -> int:
    """D: 2 for a bidirectional layer, else 1."""
    return 2 if layer["bidirectional"] else 1


def state_shapes(layers: list[Layer]) -> dict[str, tuple[int, int]]:
    """Name of every state and its (L*D, H); the state itself is [L*D, B, H]."""
    shapes = {}
    for layer in recurrent_layers(layers):
        for part in ("h", "c") if layer["type"] == "lstm" else ("h",):
            shapes[f"{layer['name']}.{part}"] = (
                layer["num_layers"] * directions(layer),
                layer["hidden_size"],
            )
    return shapes


def _recurrent_shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    hidden, num_directions = layer["hidden_size"], directions(layer)
    rows = GATE_ROWS[layer["type"]] * hidden
    shapes: dict[str, tuple[int, ...]] = {}
    for depth in range(layer["num_layers"]):
        size = layer["input_size"] if depth == 0 else hidden * num_directions
        for suffix in ("", "_reverse")[:num_directions]:
            end = f"l{depth}{suffix}"
            shapes[f"{layer['name']}.weight_ih_{end}"] = (rows, size)
            if layer["type"] != "mingru":
                shapes[f"{layer['name']}.weight_hh_{end}"] = (rows, hidden // layer.get("num_heads", 1))
            if layer["bias"]:
                shapes[f"{layer['name']}.bias_ih_{end}"] = (rows,)
                if layer["type"] != "mingru":
                    shapes[f"{layer['name']}.bias_hh_{end}"] = (rows,)
            for stem in gain_stems(layer):
                if layer["bias"] or not stem.startswith("bias"):
                    own = hidden if stem.endswith("_c") else rows
                    shapes[f"{layer['name']}.{stem}_{end}"] = (own,)
    if layer["learn_h0"]:
        for part in ("h0", "c0") if layer["type"] == "lstm" else ("h0",):
            shapes[f"{layer['name']}.{part}"] = (layer["num_layers"] * num_directions, hidden)
    return shapes


def _fill(entry: Any, where: str) -> Layer:
    """One layer with its defaults; its keys and their values are checked, not yet how it fits its
    neighbours.
    """
    kind = entry.get("type") if isinstance(entry, Mapping) else None
    if not isinstance(kind, str) or kind not in _KEYS:
        raise SettingsError(f"{where}: type is {kind!r}, expected one of {', '.join(sorted(_KEYS))}")
    keys = _KEYS[kind]
    where = f"{where} ({kind} {entry['name']!r})" if "name" in entry else f"{where} ({kind})"
    for key in entry:
        if key != "type" and key not in keys:
            raise SettingsError(f"{where}: unknown key {key!r}, expected {', '.join(keys) or 'none'}")
    layer: Layer = {"type": kind}
    for key, default in keys.items():
        if key in _OPTION_KEYS and key not in entry:
            continue
        value = entry.get(key, default)
        if value is _REQUIRED:
            raise SettingsError(f"{where}: {key!r} is missing, expected a value: add it")
        _check_value(key, value, where)
        layer[key] = value
    _check_options(layer, where)
    if kind == "residual":
        layer["layers"] = [
            _fill(inner, f"{where} layer {index}") for index, inner in enumerate(entry["layers"])
        ]
    return layer


def _check_value(key: str, value: Any, where: str) -> None:
    expected = None
    if key in _SIZES and not (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        expected = "a whole number of at least 1"
    elif key == "layer_norm" and not (isinstance(value, bool) or value == "dreamer"):
        expected = "true, false or 'dreamer'"
    elif key in _FLAGS and not isinstance(value, bool):
        expected = "true or false"
    elif key in _SHARES and not (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1
    ):
        expected = "a number from 0 up to, not including, 1"
    elif key == "name" and not (isinstance(value, str) and re.fullmatch(r"[A-Za-z_]\w*", value, re.ASCII)):
        expected = "letters, digits and underscores"
    elif key == "tied" and not (value is None or isinstance(value, str)):
        expected = "the name of an embedding"
    elif key == "layers" and not (isinstance(value, list) and value):
        expected = "a list with at least one layer"
    if expected:
        raise SettingsError(f"{where}: {key} is {value!r}, expected {expected}")


def _check_options(layer: Layer, where: str) -> None:
    """Raise where the options of a recurrent layer do not go together."""
    num_heads, norm = layer.get("num_heads", 1), layer.get("layer_norm", False)
    if num_heads == 1 and not norm:
        return
    try:
        gain_names(layer["type"], norm, layer.get("reset_before", False), num_heads)
        check_heads(num_heads, layer["hidden_size"])
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None


def _check_names(layers: list[Layer]) -> None:
    seen = set()
    for layer in every_layer(layers):
        name = layer.get("name")
        if name in seen:
            raise SettingsError(
                f"network: the name {name!r} is used twice, expected unique names: rename one layer"
            )
        if name is not None:
            seen.add(name)


def _follow(layer: Layer, flow: _Flow, where: str, embeddings: dict[str, Layer]) -> _Flow:
    """What comes out of `layer` when `flow` goes in; raises where the two do not fit."""
    kind = layer["type"]
    where = f"{where} ({kind} {layer['name']!r})" if "name" in layer else f"{where} ({kind})"
    if kind == "embedding":
        if flow.kind != "input":
            raise SettingsError(f"{where}: an embedding reads tokens, expected as first layer only: move it")
        embeddings[layer["name"]] = layer
        return _Flow(layer["size"], "steps")
    if kind == "residual":
        return _follow_residual(layer, flow, where, embeddings)
    after = "pooled" if flow.kind == "pooled" else "steps"
    if (kind in GATE_ROWS or kind in POOLINGS) and flow.kind == "pooled":
        raise SettingsError(
            f"{where}: the steps are already pooled, expected [B, T, F]: put it before last or mean"
        )
    if kind in POOLINGS:
        return _Flow(flow.size, "pooled")
    key = {"linear": "in", "layer_norm": "size"}.get(kind, "input_size" if kind in GATE_ROWS else "")
    if key and flow.size is not None and layer[key] != flow.size:
        raise SettingsError(f"{where}: {key} is {layer[key]}, expected {flow.size} as before: change one")
    if kind == "linear":
        _check_tied(layer, where, embeddings)
        return _Flow(layer["out"], after)
    if kind in GATE_ROWS:
        return _Flow(layer["hidden_size"] * directions(layer), after)
    return _Flow(layer["size"] if kind == "layer_norm" else flow.size, after)


def _follow_residual(layer: Layer, flow: _Flow, where: str, embeddings: dict[str, Layer]) -> _Flow:
    size = input_size(layer["layers"]) if flow.size is None else flow.size
    inner = _Flow(size, "steps" if flow.kind == "input" else flow.kind)
    for index, entry in enumerate(layer["layers"]):
        if entry["type"] in POOLINGS:
            raise SettingsError(f"{where}: {entry['type']} inside a residual, expected after it: move it")
        inner = _follow(entry, inner, f"{where} layer {index}", embeddings)
    if inner.size != size:
        raise SettingsError(
            f"{where}: turns {size} features into {inner.size}, expected equal sizes: change its layers"
        )
    return inner


def _check_tied(layer: Layer, where: str, embeddings: dict[str, Layer]) -> None:
    if layer["tied"] is None:
        return
    embedding = embeddings.get(layer["tied"])
    if embedding is None:
        raise SettingsError(f"{where}: tied is {layer['tied']!r}, expected the name of the embedding layer")
    expected = (embedding["num_embeddings"], embedding["size"])
    if (layer["out"], layer["in"]) != expected:
        raise SettingsError(
            f"{where}: out, in are {(layer['out'], layer['in'])}, expected {expected} to share"
            f" {layer['tied']!r}: change the sizes or untie"
        )


def input_size(layers: list[Layer]) -> int | None:
    """How many features one step of the input has; None for tokens and where no layer fixes it."""
    for layer in every_layer(layers):
        if layer["type"] == "embedding":
            return None
        for key in ("in", "input_size", "size"):
            if key in layer:
                return int(layer[key])
    return None
