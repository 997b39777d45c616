"""ncnn's recurrent layers, to and from: NAME.param (text) beside NAME.bin (weights).

A line of .param is `GRU name num_inputs num_outputs inputs.. outputs.. key=value..` with 0 = H, 1 = the number of input weights,
2 = direction (0 forward, 1 backward, 2 both). In .bin every array begins with four bytes: zero, and float32 follows, or the
mark of half precision; only the biases of dense layers have none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from congru.convert.parts import Array, Contents, Direction, chain, recurrent_part
from congru.errors import CongruError, ConventionError, DataError
from congru.reference.conventions import from_canonical
from congru.runtime.nodes.recurrent import RecurrentNode

_MAGIC = "7767517"
_KINDS = {
    "GRU": ("gru", 3, 4),
    "LSTM": ("lstm", 4, 4),
    "RNN": ("rnn", 1, 1),
}  # cell, blocks of weights, rows of biases
_FLOAT32, _FLOAT16 = 0, 0x01306B47
# Layers without weights: nothing of theirs stands in .bin.
_EMPTY = {"Input", "Split", "Permute", "Reshape", "Squeeze", "ExpandDims", "Sigmoid", "TanH", "ReLU", "Softmax", "Concat",
          "Slice", "BinaryOp", "Dropout", "Noop", "Crop", "Flatten", "UnaryOp", "Pooling"}  # fmt: skip


class _Line(NamedTuple):
    kind: str
    name: str
    values: dict[int, Any]
    reads: tuple[str, ...]
    gives: tuple[str, ...]


def read_ncnn(path: Path) -> Contents:
    """The recurrent layers of PATH.param and PATH.bin: one network where each reads the one before, else one for each.

    Raises DataError where a file is missing, cut or of another format, ConventionError for int8 weights.
    """
    try:
        return _read(path)
    except CongruError:
        raise
    except (ValueError, KeyError, IndexError, ArithmeticError) as error:
        raise DataError(
            f"{path.with_suffix('.param')} has a layer whose numbers cannot be ({error!r}), expected ncnn's 0=units 1=weights"
            " 2=direction: write it again"
        ) from None


def _read(path: Path) -> Contents:
    lines = _read_param(path.with_suffix(".param"))
    weights = _Bin(path.with_suffix(".bin"))
    parts, left, ends = [], {}, []
    for line in lines:
        if line.kind in _KINDS:
            cell, gates, rows = _KINDS[line.kind]
            if line.values.get(8):
                raise ConventionError(
                    f"{line.name} has int8 weights, expected float32: convert before quantisation"
                )
            H, way = int(line.values[0]), int(line.values.get(2, 0))
            if cell == "lstm" and int(line.values.get(3, H)) != H:
                raise ConventionError(
                    f"{line.name} projects its state (3={line.values[3]}), expected none: another cell"
                )
            if way == 1:
                raise ConventionError(
                    f"{line.name} runs backward only, expected forward or both ways: turn the input round and write 2=0"
                )
            D = 2 if way == 2 else 1
            I = int(line.values[1]) // (D * gates * H)
            arrays = {
                "weight_xc": weights.tagged((D, gates * H, I), line.name),
                "bias_c": weights.tagged((D, rows, H), line.name),
                "weight_hc": weights.tagged((D, gates * H, H), line.name),
            }
            layer = [Direction(arrays, {"direction": d}) for d in range(D)]
            parts.append(recurrent_part(line.name, "ncnn", cell, [layer]))
            ends.append((line.reads[0], line.gives[0]))
        elif line.kind in ("InnerProduct", "Gemm") and parts and 2 in line.values:
            size, count = int(line.values[0]), int(line.values[2])
            weights.tagged((size, count // size), line.name)
            if line.values.get(1):
                weights.plain((size,), line.name)
            left[line.name] = "a dense layer: ncnn's blobs are not followed"
        elif line.kind in _EMPTY:
            left |= (
                {}
                if line.kind in ("Input", "Split")
                else {line.name: f"{line.kind}: only recurrent layers are read"}
            )
        else:
            raise ConventionError(
                f"{line.name} is {line.kind}, expected recurrent layers, dense layers and layers without weights: its place "
                "in the .bin file is not known here; cut the recurrent part out of the .param file"
            )
    if not parts:
        kinds = ", ".join(sorted({line.kind for line in lines}))
        raise DataError(f"{path.name} has no recurrent layer, expected GRU, LSTM or RNN: it has {kinds}")
    connected = all(ends[k][1] == ends[k + 1][0] for k in range(len(ends) - 1))
    networks = {"main": chain(parts)} if connected else {part.name: chain([part]) for part in parts}
    return Contents("ncnn", networks, left)


def _read_param(path: Path) -> list[_Line]:
    try:
        rows = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}): expected ncnn's text .param file") from None
    if rows[0].strip() != _MAGIC:
        raise DataError(f"{path} begins with {rows[0][:20]!r}, expected {_MAGIC}: is it ncnn's text format?")
    lines = []
    for number, row in enumerate(rows[2:], 3):
        words = row.split()
        if not words:
            continue
        try:
            inputs = 4 + int(words[2])
            skip = inputs + int(words[3])
            values = {int(key): value for key, value in (word.split("=", 1) for word in words[skip:])}
            lines.append(_Line(words[0], words[1], values, tuple(words[4:inputs]), tuple(words[inputs:skip])))
        except (ValueError, IndexError):
            raise DataError(
                f"{path} line {number}: {row[:40]!r} is no layer, expected type name counts blobs key=value"
            ) from None
    counts = rows[1].split() if len(rows) > 1 else []
    if not counts or counts[0] != str(len(lines)):
        raise DataError(
            f"{path} has {len(lines)} layers, expected {' '.join(counts[:1]) or 'their number in line 2'}: copy it again"
        )
    return lines


class _Bin:
    """The weights file, read front to back."""

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0
        try:
            self.content = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path} cannot be read ({error.strerror}), expected the weights beside .param"
            ) from None

    def tagged(self, shape: tuple[int, ...], name: str) -> Array:
        """An array after its four bytes."""
        (tag,) = self._take(4, "<u4", name)
        if tag == _FLOAT16:
            count = int(np.prod(shape))
            values = self._take(2 * count, "<f2", name).astype(np.float32)
            self.position += -(2 * count) % 4
            return values.reshape(shape)
        if tag != _FLOAT32:
            raise ConventionError(
                f"{name} has weights of the mark 0x{tag:08x}, expected float32 or half: convert before quantisation"
            )
        return self.plain(shape, name)

    def plain(self, shape: tuple[int, ...], name: str) -> Array:
        """An array without the four bytes."""
        return self._take(4 * int(np.prod(shape)), "<f4", name).astype(np.float32).reshape(shape)

    def _take(self, size: int, dtype: str, name: str) -> Array:
        part = self.content[self.position : self.position + size]
        if len(part) < size:
            raise DataError(
                f"{self.path} ends inside {name}, expected {size - len(part)} bytes more: copy it again"
            )
        self.position += size
        return np.frombuffer(part, dtype)


def with_zeros(part: Any) -> tuple[Any, Any, Any, Any]:
    """(W, U, b_i, b_h) with zeros where there is no bias: ncnn's layers always have them."""
    W, U, b_i, b_h = part
    zeros = np.zeros(len(W), np.float32)
    return W, U, zeros if b_i is None else b_i, zeros if b_h is None else b_h


def format_ncnn(node: RecurrentNode, weights: Any) -> tuple[bytes, bytes]:
    """The .param and .bin of one recurrent node: one ncnn layer for each of its layers.

    Raises ConventionError for a form ncnn has not (reset before).
    """
    kind = {cell: name for name, (cell, _, _) in _KINDS.items()}[node.type]
    flat, D = node.direction_weights(weights), node.num_directions
    lines = ["Input input 0 1 in0"]
    content = b""
    for depth in range(node.num_layers):
        ways = [
            from_canonical("ncnn", with_zeros(part), node.reset_first, cell=node.type).arrays
            for part in flat[depth * D : (depth + 1) * D]
        ]
        joined = {key: np.concatenate([way[key] for way in ways]) for key in ways[0]}
        size = joined["weight_xc"].size
        name = f"{node.name}_{depth}" if node.num_layers > 1 else node.name
        before, after = f"in{depth}", "out0" if depth == node.num_layers - 1 else f"in{depth + 1}"
        lines.append(
            f"{kind} {name} 1 1 {before} {after} 0={node.hidden_size} 1={size} 2={2 if D == 2 else 0}"
        )
        for key in ("weight_xc", "bias_c", "weight_hc"):
            content += b"\0\0\0\0" + np.ascontiguousarray(joined[key], "<f4").tobytes()
    counts = f"{len(lines)} {len(lines)}"
    return ("\n".join([_MAGIC, counts, *lines]) + "\n").encode(), content
