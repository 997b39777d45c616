"""C of the nodes that treat every step by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.export.c.emitters import C
from congru.export.c.writer import Call, Value, Writer, literal
from congru.runtime.nodes.pointwise import EPSILON


@C.emits("embedding")
def embedding(c: Writer, call: Call, tokens: Value) -> Value:
    """A row of the table; of K tokens the sum or the concatenation of K rows."""
    node: Any = call.node
    names = list(node.weights(*call.inputs))
    tables = [c.array(f"{node.name}.{part}", call.weights[part]) for part in names]
    if not call.inputs[0].size:
        return Value(f"{tables[0]} + {tokens.text} * {node.size}", node.size)
    rows = [f"{table} + {tokens.text}[{k}] * {node.size}" for k, table in enumerate(tables)]
    wide = node.combine == "concat"
    y = c.result(call, node.size * (len(rows) if wide else 1))
    for k, row in enumerate(rows):
        if wide or k == 0:
            c.line(
                "copy",
                f"copy({y.text} + {k * node.size}, {row}, {node.size});"
                if wide
                else f"copy({y.text}, {row}, {node.size});",
            )
        else:
            c.line("add", f"add({y.text}, {row}, {node.size});")
    return y


@C.emits("linear")
def linear(c: Writer, call: Call, x: Value) -> Value:
    """dense."""
    weight = call.weights["weight"]
    y = c.result(call, len(weight))
    names = [c.array(f"{call.node.name}.{part}", call.weights.get(part)) for part in ("weight", "bias")]
    c.line(
        "dense", f"dense({y.text}, {names[0]}, {names[1]}, {x.text}, {weight.shape[0]}, {weight.shape[1]});"
    )
    c.macs += weight.size
    return y


@C.emits("layer_norm")
def layer_norm(c: Writer, call: Call, x: Value) -> Value:
    """norm of the whole vector."""
    y = c.result(call, x.size)
    gain, bias = (c.array(f"{call.node.name}.{part}", call.weights[part]) for part in ("weight", "bias"))
    c.line("norm", f"norm({y.text}, {x.text}, {gain}, {bias}, 1, {x.size}, {literal(float(EPSILON))});")
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
