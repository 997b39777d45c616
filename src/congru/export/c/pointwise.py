"""C of the nodes that treat every step by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.export.c.emitters import C
from congru.export.c.writer import Call, Value, Writer, literal, offset
from congru.runtime.nodes.pointwise import EPSILON


@C.emits("embedding")
def embedding(c: Writer, call: Call, tokens: Value) -> Value:
    """A row of the table; of K tokens the sum or the concatenation of K rows."""
    node: Any = call.node
    names = list(node.weights(*call.inputs))
    if not call.inputs[0].size:
        return _row(c, call, names[0], tokens.text, None)
    wide = node.combine == "concat"
    y = c.result(call, node.size * (len(names) if wide else 1))
    for k, part in enumerate(names):
        part_of_y = offset(y.text, k * node.size if wide else 0)
        row = _row(c, call, part, f"{tokens.text}[{k}]", part_of_y if wide or k == 0 else None)
        if row.text != part_of_y:
            kernel = "copy" if wide or k == 0 else "add"
            c.line(kernel, f"{kernel}({part_of_y}, {row.text}, {node.size});")
    return y


def _row(c: Writer, call: Call, part: str, token: str, into: str | None) -> Value:
    """A row of a table: where it lies, or, of an int8 table, as floats written to `into`."""
    table, size = call.weights[part], call.weights[part].shape[1]
    name, matrix = f"{call.node.name}.{part}", c.int8.get(id(table))
    if matrix is None and id(table) not in c.tied:
        return Value(f"{c.array(name, table)} + {token} * {size}", size)
    y = into or c.buffer(size)
    if matrix is None:
        text = c.packed(name, table, 0, len(table))
        c.line("panel_row", f"panel_row({y}, {text}, {token}, {len(table)}, {size});")
        return Value(y, size)
    scale = c.array(f"{name}.scale", matrix.scale)
    c.line(
        "row_int8", f"row_int8({y}, {c.array(name, matrix.q)} + {token} * {size}, {scale}[{token}], {size});"
    )
    return Value(y, size)


@C.emits("linear")
def linear(c: Writer, call: Call, x: Value) -> Value:
    """dense."""
    weight = call.weights["weight"]
    y = c.result(call, len(weight))
    bias = c.array(f"{call.node.name}.bias", call.weights.get("bias"))
    c.dense(y.text, f"{call.node.name}.weight", weight, bias, x.text)
    return y


@C.emits("layer_norm")
def layer_norm(c: Writer, call: Call, x: Value) -> Value:
    """norm of the whole vector, its sums in sixteen lanes."""
    y = c.result(call, x.size)
    gain, bias = (c.array(f"{call.node.name}.{part}", call.weights[part]) for part in ("weight", "bias"))
    c.line(
        "norm", f"norm({y.text}, {x.text}, {gain}, {bias}, 1, {x.size}, {literal(float(EPSILON))}, 16, 0);"
    )
    return y


@C.emits("relu", "tanh", "sigmoid")
def activation(c: Writer, call: Call, x: Value) -> Value:
    """relu, all_tanh or all_sigmoid."""
    y = c.result(call, x.size)
    name = "relu" if call.node.type == "relu" else f"all_{call.node.type}"
    c.line(name, f"{name}({y.text}, {x.text}, {x.size});")
    return y


@C.emits("dropout", "flatten", "last")
def unchanged(c: Writer, call: Call, x: Value) -> Value:
    """The value itself: in use nothing is dropped, pictures lie flat, and the last step of a stream is the step."""
    return x


@C.emits("add")
def add(c: Writer, call: Call, *values: Value) -> Value:
    """The first, and the others added to it."""
    y = c.result(call, values[0].size)
    c.line("copy", f"copy({y.text}, {values[0].text}, {y.size});")
    for value in values[1:]:
        c.line("add", f"add({y.text}, {value.text}, {y.size});")
    return y


@C.emits("concat")
def concat(c: Writer, call: Call, *values: Value) -> Value:
    """One after the other."""
    y = c.result(call, int(np.sum([value.size for value in values])))
    at = 0
    for value in values:
        c.line("copy", f"copy({y.text} + {at}, {value.text}, {value.size});")
        at += value.size
    return y
