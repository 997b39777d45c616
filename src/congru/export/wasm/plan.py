"""The step of a network as calls of the functions in congru.wasm: the statements of its C, with every address worked out.

What `congru.export.c` writes as `dense(scratch + 4, romeo_main_head_weight, 0, x, 65, 64);` becomes
`["dense", ["s", 16], ["w", 0], 0, ["v", "x", 0], 65, 64]`; congru.js says what the arguments mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from congru.errors import ExportError
from congru.export.c.program import CNetwork, argument, field
from congru.export.c.writer import KINDS, TYPES
from congru.runtime.integer import to_state

_WORDS = re.compile(r"\s*(->|\d+\.\d*(?:e[+-]?\d+)?f|\d+(?:\.\d+)?e[+-]?\d+f|\d+|[A-Za-z_]\w*|[-+*()\[\],;])")
WIDTHS = {"float": 4, "int32_t": 4, "int16_t": 2, "int8_t": 1}
ALIGNED = 16
Argument = Any  # what congru.js reads: a number or a list


class Pointer(NamedTuple):
    """An address of elements `width` bytes wide."""

    at: Argument
    width: int

    def on(self, count: Argument) -> Pointer:
        """So many elements on; `count` is a number, or a token times a number."""
        if isinstance(count, Times):
            return Pointer(["r", self.at, count.token, count.factor * self.width], self.width)
        return Pointer([*self.at[:-1], self.at[-1] + count * self.width], self.width)


class Times(NamedTuple):
    """A token times a number."""

    token: Argument
    factor: int


class Tokens(NamedTuple):
    """Several tokens of an input."""

    name: str


class Arrays:
    """The constant arrays of all networks, one after the other in model.bin."""

    def __init__(self) -> None:
        self.content = bytearray()

    def add(self, value: np.ndarray[Any, Any]) -> int:
        """Where the array lies."""
        self.content += bytes(-len(self.content) % ALIGNED)
        offset = len(self.content)
        self.content += np.ascontiguousarray(value).tobytes()
        return offset


def network_plan(network: CNetwork, arrays: Arrays) -> dict[str, Any]:
    """The entry of a network in model.json; its arrays are added to those of model.bin."""
    graph, names = network.network.graph, dict[str, Any]()
    for name, value in network.writer.arrays.items():
        names[name] = Pointer(["w", arrays.add(value)], WIDTHS[TYPES[KINDS[value.dtype]]])
    names["scratch"] = Pointer(["s", 0], 4)
    fields, at = dict[str, list[Any]](), 0
    for name, size in network.states.items():
        fields[name] = [network.kind(name), at, size]
        names[f"self->{name}"] = Pointer(["h", at], WIDTHS[network.kind(name)])
        at += -(-size * WIDTHS[network.kind(name)] // 4) * 4
    state_bytes, offset = -(-at // ALIGNED) * ALIGNED, 0
    inputs, outputs = dict[str, Any](), dict[str, Any]()
    for key, spec in graph.inputs.items():
        c_name, size = argument(key), int(np.prod(spec.size))
        if spec.tokens is not None and spec.axes == "memory":
            raise ExportError(
                f"{network.name} reads a memory of tokens, expected features: make it a network of its own"
            )
        if spec.tokens is not None:
            names[c_name] = Tokens(key) if spec.size else ["t", key, 0]
            inputs[key] = {
                "kind": "tokens",
                "size": len(spec.tokens),
                "counts": list(spec.tokens),
                "offset": 0,
            }
            continue
        names[c_name], names[f"{c_name}_count"] = Pointer(["v", key, 0], 4), ["n", key]
        inputs[key] = {
            "kind": "memory" if spec.axes == "memory" else "features",
            "size": size,
            "offset": offset,
        }
        offset += 0 if spec.axes == "memory" else -(-size * 4 // ALIGNED) * ALIGNED
    for key, spec in graph.outputs.items():
        size = int(np.prod(spec.size))
        names[argument(key)] = Pointer(["v", key, 0], 4)
        outputs[key] = {"size": size, "offset": offset}
        offset += -(-size * 4 // ALIGNED) * ALIGNED
    return {
        "inputs": inputs,
        "outputs": outputs,
        "delay": graph.delay,
        "scratch": -(-network.scratch * 4 // ALIGNED) * ALIGNED,
        "values": offset,
        "state": {
            "bytes": state_bytes,
            "initial": arrays.add(np.frombuffer(state_content(network, fields, state_bytes), np.uint8)),
            "fields": fields,
        },
        "plan": [Reader(line, names).call() for line in network.body],
    }


def state_content(
    network: CNetwork, fields: Mapping[str, list[Any]], size: int, state: Mapping[str, Any] | None = None
) -> bytes:
    """A state [N, 1, F] by part, default the initial one, as it lies in memory."""
    content = bytearray(size)
    for key, value in (state or network.network.initial_state(1)).items():
        kind, at, _ = fields[field(key)]
        flat = value.ravel() if kind == "float" else to_state(value.ravel()).astype(np.int16)
        content[at : at + flat.nbytes] = flat.tobytes()
    return bytes(content)


def read_state(
    network: CNetwork, fields: Mapping[str, list[Any]], content: bytes
) -> dict[str, np.ndarray[Any, Any]]:
    """The parts [N, 1, F] of a state in memory."""
    state = {}
    for key, (depth, size) in network.network.graph.state_shapes.items():
        kind, at, count = fields[field(key)]
        flat = np.frombuffer(content, np.float32 if kind == "float" else np.int16, count, at)
        values = flat if kind == "float" else (flat.astype(np.float32) / 2**15)
        state[key] = values.reshape(depth, 1, size)
    return state


class Reader:
    """Reads one statement that `congru.export.c` wrote: a call, whose arguments are addresses, numbers, tokens and calls."""

    def __init__(self, text: str, names: Mapping[str, Any]) -> None:
        self.names, self.words, self.at = names, _WORDS.findall(text), 0

    def call(self) -> list[Argument]:
        """The function and its arguments."""
        name, arguments = self._next(), []
        self._skip("(")
        while True:
            arguments.append(_plain(self._sum()))
            if self._next() == ")":
                return [name, *arguments]

    def _next(self) -> str:
        self.at += 1
        return str(self.words[self.at - 1])

    def _seen(self, word: str) -> bool:
        return self.at < len(self.words) and self.words[self.at] == word

    def _skip(self, word: str) -> None:
        if self._next() != word:
            raise ExportError(
                f"the statement {' '.join(self.words)} has no {word!r}, expected one: please report this model"
            )

    def _sum(self) -> Any:
        value = self._product()
        while self._seen("+"):
            self._next()
            value = value.on(self._product())
        return value

    def _product(self) -> Any:
        value = self._factor()
        if self._seen("*"):
            self._next()
            return Times(value, int(self._next()))
        return value

    def _factor(self) -> Any:
        word = self._next()
        if word == "-":
            return -self._factor()
        if re.match(r"\d", word):
            return float(np.float32(word[:-1])) if word.endswith("f") else int(word)
        if word == "(":
            if self.words[self.at] in WIDTHS:  # (int8_t *)(...): the same address, other elements
                width = WIDTHS[self._next()]
                self._skip("*")
                self._skip(")")
                return Pointer(self._factor().at, width)
            value = self._sum()
            self._skip(")")
            return value
        if self._seen("->"):
            self._next()
            word = f"{word}->{self._next()}"
        if self._seen("("):
            self.at -= 1
            return ["c", *self.call()]
        value = self.names[word]
        if self._seen("["):
            self._next()
            index = self._sum()
            self._skip("]")
            return _element(value, index)
        return value


def _element(value: Any, index: Any) -> Argument:
    if isinstance(value, Tokens):
        return ["t", value.name, index]
    return ["f", value.on(index if isinstance(index, int) else Times(index, 1)).at]


def _plain(value: Any) -> Argument:
    return value.at if isinstance(value, Pointer) else value
