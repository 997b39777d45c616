"""ONNX of the nodes that look at neighbours: windows over time, convolutions of pictures, a GRU of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.export.onnx.builder import Builder, Call
from congru.export.onnx.emitters import ONNX
from congru.export.onnx.pooling import over_time
from congru.runtime.nodes.convolution import CausalConvolution, ConvolutionalGru, PictureConvolution, Stack

END = int(np.iinfo(np.int64).max)


@ONNX.emits("causal_conv")
def causal_convolution(b: Builder, call: Call, x: str) -> str:
    """A product with every window."""
    return b.dense(windows(b, call, x), call.weights["weight"], call.weights.get("bias"), call.node.name)


@ONNX.emits("stack")
def windows(b: Builder, call: Call, x: str) -> str:
    """The last K inputs of every step side by side; the last K - 1 of the sequence are the state after."""
    node = call.node
    assert isinstance(node, (CausalConvolution, Stack))
    taps = node.taps()
    if taps == 1:
        return x
    steps = b.op("Unsqueeze", x, b.whole(0)) if call.stepwise else x
    whole = b.op("Concat", call.state["past"], steps, axis=0)  # [K - 1 + T, B, F]
    if call.stepwise:
        call.after["past"] = b.take(whole, 1, END, 0)
    else:
        assert call.lengths
        rows = b.op(
            "Add", b.op("Unsqueeze", call.lengths, b.whole(1)), b.whole(*range(taps - 1))
        )  # [B, K - 1]
        picked = b.op(
            "GatherND",
            b.op("Transpose", whole, perm=[1, 0, 2]),
            b.op("Unsqueeze", rows, b.whole(2)),
            batch_dims=1,
        )
        call.after["past"] = b.op("Transpose", picked, perm=[1, 0, 2])
    parts = [b.take(whole, k, k - taps + 1 if k < taps - 1 else END, 0) for k in range(taps)]
    y = b.op("Concat", *parts, axis=-1)
    return b.op("Squeeze", y, b.whole(0)) if call.stepwise else y


@ONNX.emits("conv2d")
def picture_convolution(b: Builder, call: Call, x: str) -> str:
    """Conv over all pictures at once."""
    node = call.node
    assert isinstance(node, PictureConvolution)
    (spec,) = call.inputs
    single = call.stepwise and spec.axes == "steps"
    several = spec.axes != "row" and not single
    flat = b.op("Reshape", x, b.whole(-1, *spec.size)) if several else x
    y = _convolve(
        b, flat, call.weights["weight"], call.weights.get("bias"), node.name, node.stride, node.padding
    )
    if not several:
        return y
    lead = b.take(b.op("Shape", x), 0, 2, 0)
    return b.op("Reshape", y, b.op("Concat", lead, b.whole(*node.infer(spec).size), axis=0))


def _convolve(
    b: Builder, x: str, weight: NDArray[Any], bias: NDArray[Any] | None, name: str, stride: int, padding: int
) -> str:
    inputs = [x, b.constant(weight, name=f"{name}.weight")]
    if bias is not None:
        inputs.append(b.constant(bias, name=f"{name}.bias"))
    return b.op("Conv", *inputs, strides=[stride] * 2, pads=[padding] * 4)


@ONNX.emits("conv_gru")
def convolutional_gru(b: Builder, call: Call, x: str) -> str:
    """The inputs' convolution for all steps at once, the state's in a loop over time."""
    node = call.node
    assert isinstance(node, ConvolutionalGru)
    (spec,) = call.inputs
    edge, sides = node.kernel // 2, spec.size[1:]
    size = (node.channels, *sides)
    flat = x if call.stepwise else b.op("Reshape", x, b.whole(-1, *spec.size))
    driven = _convolve(
        b, flat, call.weights["weight_ih"], call.weights["bias_ih"], f"{node.name}.ih", 1, edge
    )
    if not call.stepwise:
        lead = b.take(b.op("Shape", x), 0, 2, 0)
        driven = b.op("Reshape", driven, b.op("Concat", lead, b.whole(3 * node.channels, *sides), axis=0))

    def step(body: Builder, a: str, states: list[str]) -> tuple[str, list[str]]:
        h = body.op("Reshape", states[0], body.whole(-1, *size))
        u = _convolve(body, h, call.weights["weight_hh"], call.weights["bias_hh"], f"{node.name}.hh", 1, edge)
        (i_r, i_z, i_n), (u_r, u_z, u_n) = (body.ops("Split", value, outputs=3, axis=1) for value in (a, u))
        r, z = body.op("Sigmoid", body.op("Add", i_r, u_r)), body.op("Sigmoid", body.op("Add", i_z, u_z))
        n = body.op("Tanh", body.op("Add", i_n, body.op("Mul", r, u_n)))
        new = body.op("Add", n, body.op("Mul", z, body.op("Sub", h, n)))
        rows = body.op("Reshape", new, body.whole(0, -1))
        return rows, [rows]

    y = over_time(b, call, driven, ("h",), step)
    return b.op("Reshape", y, b.whole(*[0] * (1 if call.stepwise else 2), *size))
