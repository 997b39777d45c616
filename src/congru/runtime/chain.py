"""Networks of format 1, a chain of layers, as the graph they stand for.

    {"layers": [{"type": "embedding", "name": "embed", "num_embeddings": 65, "size": 64},
                {"type": "gru", "name": "rnn", "input_size": 64, "hidden_size": 128},
                {"type": "linear", "name": "head", "in": 128, "out": 65}]}

The layers keep their names, and so their weights and states; layers without a name are called "<type>_<number>". Still written by
hand for plain chains: it is the shorter form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from congru.errors import SettingsError

Entry = dict[str, Any]
INPUT = "x"
# Layer type -> the keys of format 1 that a node does not have, each the size of what comes in.
_INPUT_KEYS = {"linear": "in", "layer_norm": "size", "gru": "input_size", "lstm": "input_size"}
_INPUT_KEYS |= {"rnn": "input_size", "mingru": "input_size"}
_UNNAMED = ("dropout", "residual", "relu", "tanh", "sigmoid", "last", "mean")
_TYPES = ("embedding", *_INPUT_KEYS, *_UNNAMED)


def is_chain(config: Any) -> bool:
    """Whether a declaration is of format 1."""
    return isinstance(config, Mapping) and "layers" in config


def read_chain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The declaration as a graph with one input, called "x", and one output.

    Raises :class:`SettingsError` for what is no chain of layers, and for sizes that do not fit one another.

    >>> read_chain({"layers": [{"type": "linear", "name": "head", "in": 3, "out": 2}]})["inputs"]
    {'x': {'features': 3}}
    """
    unknown = sorted(set(config) - {"layers"})
    if unknown:
        raise SettingsError(f"network has the key {unknown[0]!r}, expected only 'layers': remove it")
    reader = _Reader()
    reader.read(config["layers"], "network")
    if reader.input is None:
        raise SettingsError(
            "network: no layer fixes the number of features, expected a linear or recurrent layer: add one"
        )
    return {"inputs": {INPUT: reader.input}, "nodes": reader.nodes, "outputs": [reader.last]}


class _Reader:
    """Follows the chain: the nodes so far, the last one's name, and how many features it gives (None: not fixed yet)."""

    def __init__(self) -> None:
        self.nodes: list[Entry] = []
        self.input: Entry | None = None
        self.last = INPUT
        self.size: int | None = None

    def read(self, layers: Any, where: str) -> None:
        if not isinstance(layers, (list, tuple)) or not layers:
            raise SettingsError(
                f'{where} is not {{"layers": [...]}} with at least one layer, expected a list of layers'
            )
        for index, layer in enumerate(layers):
            self._read_layer(layer, f"{where} layer {index}")

    def _read_layer(self, layer: Any, where: str) -> None:
        kind = layer.get("type") if isinstance(layer, Mapping) else None
        if not isinstance(kind, str) or kind not in _TYPES:
            raise SettingsError(f"{where}: type is {kind!r}, expected one of {', '.join(sorted(_TYPES))}")
        where = f"{where} ({kind} {layer['name']!r})" if "name" in layer else f"{where} ({kind})"
        if kind == "residual":
            return self._read_residual(layer, where)
        entry = dict(layer)
        if kind in _UNNAMED:
            if "name" in layer:
                raise SettingsError(f"{where}: unknown key 'name', expected none for {kind}: remove it")
            entry["name"] = f"{kind}_{len(self.nodes)}"
        if kind == "embedding":
            self._start_with_tokens(entry, where)
        elif kind in _INPUT_KEYS:
            self._check_input(entry, where)
        if kind == "linear":
            entry["size"] = _pop(entry, "out", where)
        self.nodes.append({**entry, "of": self.last})
        self.last, self.size = str(entry.get("name")), self._size_after(entry)

    def _start_with_tokens(self, entry: Entry, where: str) -> None:
        if self.nodes:
            raise SettingsError(f"{where}: an embedding reads tokens, expected as first layer only: move it")
        self.input = {"tokens": _pop(entry, "num_embeddings", where)}

    def _check_input(self, entry: Entry, where: str) -> None:
        key = _INPUT_KEYS[entry["type"]]
        size = _pop(entry, key, where)
        if self.input is None:
            self.input = {"features": size}
        elif self.size is not None and size != self.size:
            raise SettingsError(f"{where}: {key} is {size}, expected {self.size} as before: change one")
        self.size = size

    def _size_after(self, entry: Entry) -> int | None:
        if entry["type"] in ("embedding", "linear"):
            return entry.get("size")
        if "hidden_size" in entry and isinstance(entry["hidden_size"], int):
            return entry["hidden_size"] * (2 if entry.get("bidirectional") is True else 1)
        return self.size

    def _read_residual(self, layer: Mapping[str, Any], where: str) -> None:
        for key in layer:
            if key not in ("type", "layers"):
                raise SettingsError(f"{where}: unknown key {key!r}, expected layers")
        begin, before = self.last, self.size
        inner = layer.get("layers")
        for entry in inner if isinstance(inner, (list, tuple)) else ():
            if isinstance(entry, Mapping) and entry.get("type") in ("last", "mean"):
                raise SettingsError(f"{where}: {entry['type']} inside a residual, expected after it: move it")
        self.read(inner, where)
        size = before if before is not None else (self.input or {}).get("features", self.size)
        if size != self.size:
            raise SettingsError(
                f"{where}: turns {size} features into {self.size}, expected equal sizes: change its layers"
            )
        name = f"residual_{len(self.nodes)}"
        self.nodes.append({"type": "add", "name": name, "of": [begin, self.last]})
        self.last = name


def _pop(entry: Entry, key: str, where: str) -> Any:
    if key not in entry:
        raise SettingsError(f"{where}: {key!r} is missing, expected a whole number: add it")
    value = entry.pop(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise SettingsError(f"{where}: {key} is {value!r}, expected a whole number of at least 1")
    return value
