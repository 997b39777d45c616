"""ONNX of attention over a memory with lengths of its own."""

from __future__ import annotations

import numpy as np

from congru.export.onnx.builder import Builder, Call
from congru.export.onnx.emitters import ONNX
from congru.export.onnx.pooling import TINY
from congru.runtime.nodes.attention import Attention
from congru.runtime.nodes.pooling import LOWEST


@ONNX.emits("attention")
def attention(b: Builder, call: Call, query: str, memory: str) -> str:
    """The mean of the memory [B, S, M], weighted by the softmax of the scores of each query [.., B, Q]."""
    scores = _scores(b, call, query, memory)  # [.., B, S]
    assert call.memory_lengths
    length = b.take(b.op("Shape", memory), 1, 2, 0)
    positions = b.op("Range", b.constant(0, np.int64), b.op("Squeeze", length), b.constant(1, np.int64))
    valid = b.op("Less", positions, b.op("Unsqueeze", call.memory_lengths, b.whole(1)))  # [B, S]
    scores = b.op("Where", valid, scores, b.constant(float(LOWEST)))
    top = b.op("ReduceMax", scores, axes=[-1])
    weights = b.op("Where", valid, b.op("Exp", b.op("Sub", scores, top)), b.constant(0.0))
    total = b.op("Max", b.op("ReduceSum", weights, b.whole(-1)), b.constant(TINY))
    row = b.op("Unsqueeze", b.op("Div", weights, total), b.whole(-2))
    return b.op("Squeeze", b.op("MatMul", row, memory), b.whole(-2))


def _scores(b: Builder, call: Call, query: str, memory: str) -> str:
    node, name = call.node, call.node.name
    assert isinstance(node, Attention)
    if node.score == "additive":
        keys = b.matmul(memory, call.weights["memory_weight"], f"{name}.memory_weight")
        asked = b.op(
            "Unsqueeze", b.matmul(query, call.weights["query_weight"], f"{name}.query_weight"), b.whole(-2)
        )
        hidden = b.op("Tanh", b.op("Add", asked, keys))
        scores = b.matmul(hidden, call.weights["score_weight"][None], f"{name}.score_weight")
        return b.op("Squeeze", scores, b.whole(-1))
    if node.score == "bilinear":
        query = b.matmul(query, call.weights["weight"].T, f"{name}.weight")
    turned = b.op("Transpose", memory, perm=[0, 2, 1])
    return b.op("Squeeze", b.op("MatMul", b.op("Unsqueeze", query, b.whole(-2)), turned), b.whole(-2))
