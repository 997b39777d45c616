"""Writes the body of a step function in C: statements, constant weights, and working memory that is used again.

Values are float arrays of known size, or tokens. After its last reader a value's room in `scratch` is used again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.runtime.integer import IntegerGRU, Quantised
from congru.runtime.nodes import Node, Spec

KERNELS = Path(__file__).parent / "kernels"
_BUFFER = re.compile(r"@(\d+)@")
TYPES = {"f": "float", "b": "int8_t", "h": "int16_t", "i": "int32_t"}
KINDS = {np.dtype(np.float32): "f", np.dtype(np.int8): "b", np.dtype(np.int16): "h", np.dtype(np.int32): "i"}
_LINE = 120
PANEL = 32  # rows of a matrix side by side, as in kernels/dense.h


class Value(NamedTuple):
    """Something an emitter may read: a C expression, the number of floats at it, and of a memory the number of its vectors."""

    text: str
    size: int
    length: str = ""


class Call(NamedTuple):
    """What an emitter knows of its node beside the values it reads; `state` are the parts of the state by name."""

    node: Node
    inputs: tuple[Spec, ...]
    weights: dict[str, NDArray[Any]]
    state: dict[str, Value]
    result: str | None = None
    """Where the output belongs, where it is one of the network's own."""
    integers: Sequence[IntegerGRU] | None = None
    """Its layers, where it computes in integers."""


@dataclass
class Writer:
    """The step function of one network as it grows. `prefix` stands before every name of the file."""

    prefix: str
    lines: list[str] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    kernels: list[str] = field(default_factory=list)
    buffers: list[int] = field(default_factory=list)
    macs: int = 0
    int8: dict[int, Quantised] = field(
        default_factory=dict
    )  # by the identity of the float array it stands for
    int16: set[str] = field(default_factory=set)  # states in whole numbers of 2^-15
    tied: set[int] = field(default_factory=set)  # identities of tables that are matrices of a dense layer too
    panels: dict[tuple[int, int, int], tuple[NDArray[Any], str]] = field(default_factory=dict)

    def line(self, kernel: str, text: str) -> None:
        """A statement; `kernel` names the file of the functions it calls, "" for none."""
        if kernel:
            self.need(kernel)
        self.lines.append(text)

    def need(self, kernel: str) -> None:
        """Take in a file of functions, and before it those it calls."""
        if kernel not in self.kernels:
            for other in needed(kernel):
                self.need(other)
            self.kernels.append(kernel)

    def array(self, name: str, value: NDArray[Any] | None) -> str:
        """The C name of a constant array, "0" where there is none; an array that two nodes read is held once."""
        if value is None:
            return "0"
        for known, other in self.arrays.items():
            if other is value:
                return known
        full = f"{self.prefix}_{name}".replace(".", "_")
        while full in self.arrays:
            full += "_"
        self.arrays[full] = value
        return full

    def dense(
        self, y: str, name: str, weight: NDArray[Any], bias: str, x: str, rows: slice = slice(None)
    ) -> None:
        """y = W x + b for some rows of a matrix, which may be in int8; `bias` is a C expression."""
        start, stop, _ = rows.indices(len(weight))
        columns, count = weight.shape[1], stop - start
        matrix = self.int8.get(id(weight))
        if matrix is None:
            text = self.packed(name, weight, start, stop)
            self.line("dense", f"dense({y}, {text}, {bias}, {x}, {count}, {columns});")
        else:
            text = offset(self.array(name, matrix.q), start * columns)
            scale = offset(self.array(f"{name}.scale", matrix.scale), start)
            self.line("dense_int8", f"dense_int8({y}, {text}, {scale}, {bias}, {x}, {count}, {columns});")
        self.macs += count * columns

    def packed(self, name: str, weight: NDArray[Any], start: int, stop: int) -> str:
        """The C name of rows [start, stop) of a matrix in panels, as `dense` reads them; held once."""
        key = id(weight), start, stop
        if key not in self.panels:
            part = weight[start:stop]
            blocks = [part[at : at + PANEL].T.ravel() for at in range(0, len(part), PANEL)]
            self.panels[key] = (
                weight,
                self.array(f"{name}.{start}" if start else name, np.concatenate(blocks)),
            )
        return self.panels[key][1]

    def bytes(self, size: int) -> str:
        """Working memory of `size` int8_t, in as many floats as hold them."""
        return f"(int8_t *)({self.buffer((size + 3) // 4)})"

    def buffer(self, size: int) -> str:
        """Working memory of `size` floats."""
        self.buffers.append(size)
        return f"@{len(self.buffers) - 1}@"

    def result(self, call: Call, size: int) -> Value:
        """Where a node puts its output: with the caller, where it is an output of the network, else in working memory."""
        return Value(call.result or self.buffer(size), size)

    def placed(self) -> tuple[list[str], int]:
        """The statements with every buffer at its offset in `scratch`, and how many floats `scratch` needs."""
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for at, text in enumerate(self.lines):
            for index in map(int, _BUFFER.findall(text)):
                first.setdefault(index, at)
                last[index] = at
        offsets: dict[int, int] = {}
        for index in sorted(first, key=lambda k: first[k]):
            taken = sorted(
                (offsets[k], offsets[k] + self.buffers[k]) for k in offsets if last[k] >= first[index]
            )
            at = 0
            for begin, end in taken:
                if at + self.buffers[index] <= begin:
                    break
                at = max(at, end)
            offsets[index] = at
        total = max((at + self.buffers[k] for k, at in offsets.items()), default=0)

        def in_scratch(match: re.Match[str]) -> str:
            at = offsets[int(match[1])]
            return f"scratch + {at}" if at else "scratch"

        return [_BUFFER.sub(in_scratch, text) for text in self.lines], total


def offset(text: str, count: int) -> str:
    """The address so many elements on; that of nothing stays nothing."""
    return text if text == "0" or not count else f"{text} + {count}"


@cache
def kernel_text(name: str) -> str:
    """The functions of one file, without its first line."""
    return (KERNELS / f"{name}.h").read_text().partition("\n")[2]


@cache
def needed(name: str) -> list[str]:
    """The files a file of functions calls: those its first line names."""
    first = (KERNELS / f"{name}.h").read_text().partition("\n")[0]
    return first.removeprefix("/* needs:").removesuffix("*/").split()


def literal(value: float) -> str:
    """A float32 number as C reads it back bit for bit.

    >>> literal(0.1), literal(2.0), literal(-3e20)
    ('0.1f', '2.0f', '-3e+20f')
    """
    text = f"{np.float32(value):.9g}"
    number = np.float32(value)
    short = np.format_float_positional(number, unique=True, trim="0")
    power = np.format_float_scientific(number, unique=True, trim="-")
    text = min(short, power, text, key=len)
    return (text if "." in text or "e" in text else f"{text}.0") + "f"


def array_text(name: str, value: NDArray[Any], *, hollow: bool = False) -> str:
    """The definition of a constant array; `hollow`: only its declaration."""
    flat, kind = value.ravel(), TYPES[KINDS[value.dtype]]
    if hollow:
        return f"extern const {kind} {name}[{max(1, flat.size)}];\n"
    words = (
        [literal(number) for number in flat] if value.dtype == np.float32 else [str(n) for n in flat.tolist()]
    )
    lines, line = list[str](), "  "
    for word in words:
        if len(line) + len(word) + 2 > _LINE:
            lines.append(line.rstrip())
            line = "  "
        line += f"{word}, "
    lines.append(line.rstrip().rstrip(","))
    return f"static const {kind} {name}[{max(1, value.size)}] = {{\n" + "\n".join(lines) + "\n};\n"
