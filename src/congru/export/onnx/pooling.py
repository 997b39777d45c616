"""ONNX of the pools over time: at once over a sequence, or, running, by a loop over their step."""

from __future__ import annotations

import numpy as np

from congru.export.onnx.builder import Builder, Call, Step
from congru.export.onnx.emitters import ONNX
from congru.runtime.nodes.pooling import LOWEST, AttentionPool, Max, Mean

TINY = np.finfo(np.float32).tiny


def over_time(b: Builder, call: Call, x: str, parts: tuple[str, ...], step: Step) -> str:
    """`step` once or in a loop over time; the parts of the state are [1, B, F]."""
    before = [b.op("Squeeze", call.state[part], b.whole(0)) for part in parts]
    if call.stepwise:
        y, after = step(b, x, before)
    else:
        assert call.valid
        y, after = b.scan(x, before, step, call.valid)
    call.after.update({part: b.op("Unsqueeze", value, b.whole(0)) for part, value in zip(parts, after)})
    return y


def _valid_or(b: Builder, call: Call, x: str, instead: float) -> str:
    assert call.valid
    return b.op("Where", call.valid, x, b.constant(instead))


def _some_steps(b: Builder, call: Call) -> str:
    """[B, 1]: whether a sequence has a step at all."""
    assert call.lengths
    return b.op("Reshape", b.op("Greater", call.lengths, b.constant(0, np.int64)), b.whole(-1, 1))


@ONNX.emits("last")
def last(b: Builder, call: Call, x: str) -> str:
    """The last valid step, zeros where there is none; in a stream the step itself."""
    if call.stepwise:
        return x
    assert call.lengths
    index = b.op("Max", b.op("Sub", call.lengths, b.constant(1, np.int64)), b.constant(0, np.int64))
    rows = b.op("Transpose", x, perm=[1, 0, 2])
    picked = b.op("GatherND", rows, b.op("Reshape", index, b.whole(-1, 1)), batch_dims=1)
    return b.op("Where", _some_steps(b, call), picked, b.constant(0.0))


@ONNX.emits("mean")
def mean(b: Builder, call: Call, x: str) -> str:
    """The sum over the valid steps, over their number."""
    assert isinstance(call.node, Mean)
    if call.node.running:
        return over_time(b, call, x, ("sum", "count"), _running_mean)
    assert call.lengths
    total = b.op("ReduceSum", _valid_or(b, call, x, 0.0), b.whole(0), keepdims=0)
    count = b.op("Max", b.op("Cast", call.lengths, to=b.onnx.TensorProto.FLOAT), b.constant(1.0))
    return b.op("Div", total, b.op("Reshape", count, b.whole(-1, 1)))


def _running_mean(b: Builder, x: str, states: list[str]) -> tuple[str, list[str]]:
    total, count = b.op("Add", states[0], x), b.op("Add", states[1], b.constant(1.0))
    return b.op("Div", total, count), [total, count]


@ONNX.emits("max")
def largest(b: Builder, call: Call, x: str) -> str:
    """The maximum over the valid steps, zeros where there is none."""
    assert isinstance(call.node, Max)
    if call.node.running:
        return over_time(b, call, x, ("max",), _running_max)
    top = b.op("ReduceMax", _valid_or(b, call, x, float(LOWEST)), axes=[0], keepdims=0)
    return b.op("Where", _some_steps(b, call), top, b.constant(0.0))


def _running_max(b: Builder, x: str, states: list[str]) -> tuple[str, list[str]]:
    y = b.op("Max", states[0], x)
    return y, [y]


@ONNX.emits("attention_pool")
def attention_pool(b: Builder, call: Call, x: str) -> str:
    """softmax over time of v . tanh(A y + a), as the weights of a sum."""
    node = call.node
    assert isinstance(node, AttentionPool)
    weight, bias, query = (call.weights[part] for part in ("weight", "bias", "query"))
    hidden = b.op("Tanh", b.dense(x, weight, bias, node.name))
    scores = b.matmul(hidden, query[None], f"{node.name}.query")
    if node.running:
        joined = b.op("Concat", scores, x, axis=-1)
        return over_time(b, call, joined, ("largest", "total", "sum"), _running_attention)
    scores = _valid_or(b, call, scores, float(LOWEST))
    top = b.op("ReduceMax", scores, axes=[0])
    weights = _valid_or(b, call, b.op("Exp", b.op("Sub", scores, top)), 0.0)
    total = b.op("Max", b.op("ReduceSum", weights, b.whole(0)), b.constant(TINY))
    shares = b.op("Div", weights, total)
    return b.op("ReduceSum", b.op("Mul", shares, _valid_or(b, call, x, 0.0)), b.whole(0), keepdims=0)


def _running_attention(b: Builder, joined: str, states: list[str]) -> tuple[str, list[str]]:
    """A softmax that goes on: [score, x] and (largest score, sum of weights, weighted sum)."""
    score, x = b.take(joined, 0, 1, -1), b.take(joined, 1, np.iinfo(np.int64).max, -1)
    top, total, weighted = states
    higher = b.op("Max", top, score)
    fade, w = b.op("Exp", b.op("Sub", top, higher)), b.op("Exp", b.op("Sub", score, higher))
    total = b.op("Add", b.op("Mul", total, fade), w)
    weighted = b.op("Add", b.op("Mul", weighted, fade), b.op("Mul", w, x))
    return b.op("Div", weighted, total), [higher, total, weighted]
