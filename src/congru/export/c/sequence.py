"""C of the nodes that look along a stream: running pools, windows, attention over a memory."""

from __future__ import annotations

import numpy as np

from congru.export.c.emitters import C
from congru.export.c.writer import Call, Value, Writer
from congru.runtime.nodes.attention import Attention
from congru.runtime.nodes.convolution import CausalConvolution, Stack


@C.emits("mean")
def mean(c: Writer, call: Call, x: Value) -> Value:
    """The sum so far over the count."""
    y, (total, count) = c.result(call, x.size), call.state.values()
    c.line("mean", f"running_mean({y.text}, {x.text}, {total.text}, {count.text}, {x.size});")
    return y


@C.emits("max")
def largest(c: Writer, call: Call, x: Value) -> Value:
    """The largest so far."""
    y, (most,) = c.result(call, x.size), call.state.values()
    c.line("max", f"running_max({y.text}, {x.text}, {most.text}, {x.size});")
    return y


@C.emits("attention_pool")
def attention_pool(c: Writer, call: Call, x: Value) -> Value:
    """A softmax over the steps so far that goes on."""
    weight, query, name = call.weights["weight"], call.weights["query"], call.node.name
    hidden, y = c.buffer(len(weight)), c.result(call, x.size)
    c.dense(hidden, f"{name}.weight", weight, c.array(f"{name}.bias", call.weights["bias"]), x.text)
    c.line("all_tanh", f"all_tanh({hidden}, {hidden}, {len(weight)});")
    top, total, weighted = call.state.values()
    score = f"dot({c.array(f'{name}.query', query)}, {hidden}, {len(query)})"
    c.need("dot")
    c.line(
        "running_softmax",
        f"running_softmax({weighted.text}, {top.text}, {total.text}, {x.text}, {score}, {x.size});",
    )
    c.line("divide", f"divide({y.text}, {weighted.text}, {total.text}[0], {x.size});")
    c.macs += query.size
    return y


@C.emits("causal_conv")
def causal_convolution(c: Writer, call: Call, x: Value) -> Value:
    """A product with the last inputs, then the oldest leaves."""
    node = call.node
    assert isinstance(node, CausalConvolution)
    weight = call.weights["weight"]
    y = c.result(call, len(weight))
    bias = c.array(f"{node.name}.bias", call.weights.get("bias"))
    if node.kernel == 1:
        c.dense(y.text, f"{node.name}.weight", weight, bias, x.text)
        return y
    (past,) = call.state.values()
    window = c.buffer(past.size + x.size)
    c.line("copy", f"copy({window}, {past.text}, {past.size});")
    c.line("copy", f"copy({window} + {past.size}, {x.text}, {x.size});")
    c.dense(y.text, f"{node.name}.weight", weight, bias, window)
    c.line("shift", f"shift({past.text}, {x.text}, {node.kernel - 1}, {x.size});")
    return y


@C.emits("stack")
def stack(c: Writer, call: Call, x: Value) -> Value:
    """The last inputs and this one."""
    node = call.node
    assert isinstance(node, Stack)
    (past,) = call.state.values()
    y = c.result(call, node.frames * x.size)
    c.line("copy", f"copy({y.text}, {past.text}, {past.size});")
    c.line("copy", f"copy({y.text} + {past.size}, {x.text}, {x.size});")
    c.line("shift", f"shift({past.text}, {x.text}, {node.frames - 1}, {x.size});")
    return y


@C.emits("attention")
def attention(c: Writer, call: Call, query: Value, memory: Value) -> Value:
    """The memory is read once, with a softmax that goes on: a memory of any length needs no working memory."""
    node, name = call.node, call.node.name
    assert isinstance(node, Attention)
    y = c.result(call, memory.size)
    if node.score == "additive":
        A, v = call.weights["query_weight"], call.weights["score_weight"]
        asked = c.buffer(len(A))
        names = [c.array(f"{name}.{part}", call.weights[part]) for part in ("memory_weight", "score_weight")]
        c.dense(asked, f"{name}.query_weight", A, "0", query.text)
        sizes = f"{memory.length}, {memory.size}, {len(v)}"
        c.line(
            "additive_attention",
            f"attend_additive({y.text}, {asked}, {names[0]}, {names[1]}, {memory.text}, {sizes});",
        )
        return y
    turned = query.text
    if node.score == "bilinear":
        weight = np.ascontiguousarray(call.weights["weight"].T)
        turned = c.buffer(len(weight))
        c.dense(turned, f"{name}.weight", weight, "0", query.text)
    c.line("attention", f"attend({y.text}, {turned}, {memory.text}, {memory.length}, {memory.size});")
    return y
