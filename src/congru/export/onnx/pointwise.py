"""ONNX of the nodes that treat every step by itself; the same nodes serve sequences and single steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.export.onnx.builder import Builder, Call
from congru.export.onnx.emitters import ONNX
from congru.runtime.nodes.pointwise import EPSILON


@ONNX.emits("embedding")
def embedding(b: Builder, call: Call, tokens: str) -> str:
    """Gather; of K tokens side by side the sum or the concatenation of K rows."""
    node: Any = call.node
    tables = [
        b.constant(call.weights[part], name=f"{node.name}.{part}") for part in node.weights(*call.inputs)
    ]
    if not call.inputs[0].size:
        return b.op("Gather", tables[0], tokens)
    rows = [
        b.op("Gather", table, b.op("Gather", tokens, b.constant(k, np.int64), axis=-1))
        for k, table in enumerate(tables)
    ]
    if node.combine == "concat":
        return b.op("Concat", *rows, axis=-1)
    total = rows[0]
    for row in rows[1:]:
        total = b.op("Add", total, row)
    return total


@ONNX.emits("linear")
def linear(b: Builder, call: Call, x: str) -> str:
    """MatMul and Add."""
    return b.dense(x, call.weights["weight"], call.weights.get("bias"), call.node.name)


@ONNX.emits("layer_norm")
def layer_norm(b: Builder, call: Call, x: str) -> str:
    """LayerNormalization."""
    gain, bias = (
        b.constant(call.weights[part], name=f"{call.node.name}.{part}") for part in ("weight", "bias")
    )
    return b.op("LayerNormalization", x, gain, bias, axis=-1, epsilon=float(EPSILON))


@ONNX.emits("relu", "tanh", "sigmoid")
def activation(b: Builder, call: Call, x: str) -> str:
    """Relu, Tanh or Sigmoid."""
    return b.op(call.node.type.capitalize(), x)


@ONNX.emits("dropout")
def dropout(b: Builder, call: Call, x: str) -> str:
    """The value itself: in use nothing is dropped."""
    return x


@ONNX.emits("flatten")
def flatten(b: Builder, call: Call, x: str) -> str:
    """Reshape."""
    return _flat(b, call, x, int(np.prod(call.inputs[0].size)))


@ONNX.emits("row_max")
def row_max(b: Builder, call: Call, x: str) -> str:
    """ReduceMax over the columns, then Reshape."""
    channels, rows, _ = call.inputs[0].size
    return _flat(b, call, b.op("ReduceMax", x, axes=[-1], keepdims=0), channels * rows)


def _flat(b: Builder, call: Call, x: str, size: int) -> str:
    lead = {"steps": 1 if call.stepwise else 2, "row": 1, "memory": 2}[call.inputs[0].axes]
    return b.op("Reshape", x, b.whole(*[0] * lead, size))


def _beside_memory(b: Builder, call: Call, values: tuple[str, ...]) -> list[str]:
    """Rows [B, F] as [B, 1, F] where they stand beside memories."""
    memory = any(spec.axes == "memory" for spec in call.inputs)
    return [
        b.op("Unsqueeze", value, b.whole(1)) if memory and spec.axes == "row" else value
        for value, spec in zip(values, call.inputs)
    ]


@ONNX.emits("add")
def add(b: Builder, call: Call, *values: str) -> str:
    """Add, one after the other."""
    first, *others = _beside_memory(b, call, values)
    for other in others:
        first = b.op("Add", first, other)
    return first


@ONNX.emits("concat")
def concat(b: Builder, call: Call, *values: str) -> str:
    """Concat; rows beside steps or memories are repeated along them."""
    parts = _beside_memory(b, call, values)
    along = next((k for k, spec in enumerate(call.inputs) if spec.axes != "row"), None)
    if along is not None and not (call.stepwise and call.inputs[along].axes == "steps"):
        lead = b.take(b.op("Shape", parts[along]), 0, 2, 0)
        parts = [
            b.op("Expand", part, b.op("Concat", lead, b.whole(spec.features), axis=0))
            if spec.axes == "row"
            else part
            for part, spec in zip(parts, call.inputs)
        ]
    return b.op("Concat", *parts, axis=-1)
