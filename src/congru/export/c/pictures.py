"""C of the nodes that read pictures: a convolution, the largest of every row, and a GRU whose state is a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.export.c.emitters import C
from congru.export.c.writer import Call, Value, Writer
from congru.runtime.nodes.convolution import ConvolutionalGru, PictureConvolution


def _convolve(
    c: Writer,
    y: str,
    x: str,
    weight: NDArray[Any],
    names: list[str],
    sides: tuple[int, ...],
    stride: int,
    padding: int,
) -> None:
    outputs, channels, kernel = weight.shape[:3]
    sizes = f"{outputs}, {channels}, {sides[0]}, {sides[1]}, {kernel}, {stride}, {padding}"
    c.line("conv2d", f"conv2d({y}, {names[0]}, {names[1]}, {x}, {sizes});")
    down, across = ((side + 2 * padding - kernel) // stride + 1 for side in sides)
    c.macs += weight.size * down * across


@C.emits("conv2d")
def picture_convolution(c: Writer, call: Call, x: Value) -> Value:
    """conv2d."""
    node = call.node
    assert isinstance(node, PictureConvolution)
    y = c.result(call, int(np.prod(node.infer(*call.inputs).size)))
    names = [c.array(f"{node.name}.{part}", call.weights.get(part)) for part in ("weight", "bias")]
    sides = call.inputs[0].size[1:]
    _convolve(c, y.text, x.text, call.weights["weight"], names, sides, node.stride, node.padding)
    return y


@C.emits("row_max")
def row_max(c: Writer, call: Call, x: Value) -> Value:
    """row_max."""
    channels, rows, columns = call.inputs[0].size
    y = c.result(call, channels * rows)
    c.line("row_max", f"row_max({y.text}, {x.text}, {channels * rows}, {columns});")
    return y


@C.emits("conv_gru")
def convolutional_gru(c: Writer, call: Call, x: Value) -> Value:
    """Two convolutions, then the GRU of every pixel."""
    node = call.node
    assert isinstance(node, ConvolutionalGru)
    (h,), sides = call.state.values(), call.inputs[0].size[1:]
    sums = []
    for side, value in (("ih", x), ("hh", h)):
        names = [
            c.array(f"{node.name}.{part}_{side}", call.weights[f"{part}_{side}"])
            for part in ("weight", "bias")
        ]
        sums.append(c.buffer(3 * h.size))
        _convolve(c, sums[-1], value.text, call.weights[f"weight_{side}"], names, sides, 1, node.kernel // 2)
    c.line("gru_after", f"gru_after({h.text}, {sums[0]}, {sums[1]}, {h.size}, 0.0f);")
    return h
