"""ONNX of GRU, LSTM, tanh RNN and minGRU: its own operators where they compute the same, else a loop over the cell's step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.export.onnx.builder import Builder, Call
from congru.export.onnx.cells import CellStep, Weights, named_weights
from congru.export.onnx.emitters import ONNX
from congru.kernels.cells import CELLS
from congru.runtime.form import Form
from congru.runtime.nodes.recurrent import RecurrentNode

# Our blocks of rows in the order of ONNX: z, r, n of a GRU; i, o, f, g of an LSTM.
ORDER = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2), "rnn": (0,)}


@ONNX.emits("gru", "lstm", "rnn", "mingru")
def recurrent(b: Builder, call: Call, x: str) -> str:
    """All layers and directions, one layer after the other."""
    node = call.node
    assert isinstance(node, RecurrentNode)
    form, ways = node.form(), node.num_directions
    weights = [named_weights(form, parts) for parts in node.direction_weights(call.weights)]
    finals: dict[str, list[str]] = {part: [] for part in node.state_parts}
    for layer in range(node.num_layers):
        own = weights[layer * ways : (layer + 1) * ways]
        names = [f"{node.name}.{end}" for end in node.ends[layer * ways : (layer + 1) * ways]]
        states = [b.take(call.state[part], layer * ways, (layer + 1) * ways, 0) for part in node.state_parts]
        write = _operator if _has_operator(form) else _loop
        x, after = write(b, call, form, own, names, x, states)
        for part, value in zip(node.state_parts, after):
            finals[part].append(value)
    for part, values in finals.items():
        call.after[part] = values[0] if len(values) == 1 else b.op("Concat", *values, axis=0)
    return x


def _has_operator(form: Form) -> bool:
    return form.cell in ORDER and not form.layer_norm and form.zoneout == 0


def _operator(
    b: Builder, call: Call, form: Form, weights: list[Weights], names: list[str], x: str, states: list[str]
) -> tuple[str, list[str]]:
    """One layer by ONNX's GRU, LSTM or RNN; states [D, B, H]."""
    ways = len(weights)
    W = np.stack([_ordered(form, w["W"]) for w in weights])
    R = np.stack([_ordered(form, w["U"]) for w in weights])
    biases = np.stack(
        [np.concatenate([_ordered(form, _bias(w, part)) for part in ("b_i", "b_h")]) for w in weights]
    )
    inputs = [
        b.op("Unsqueeze", x, b.whole(0)) if call.stepwise else x,
        b.constant(W, name=f"{names[0]}.W"),
        b.constant(R, name=f"{names[0]}.R"),
        b.constant(biases, name=f"{names[0]}.B"),
        b.op("Cast", call.lengths, to=b.onnx.TensorProto.INT32) if call.lengths else "",
        *states,
    ]
    attributes: dict[str, Any] = {"hidden_size": form.hidden_size}
    if ways == 2:
        attributes["direction"] = "bidirectional"
    if form.cell == "gru":
        attributes["linear_before_reset"] = 0 if form.reset_before else 1
    y, *after = b.ops(form.cell.upper(), *inputs, outputs=1 + len(states), **attributes)
    if call.lengths:  # runtimes differ in what they return of a sequence without steps
        some = b.op("Reshape", b.op("Greater", call.lengths, b.constant(0, np.int64)), b.whole(1, -1, 1))
        after = [b.op("Where", some, new, old) for new, old in zip(after, states)]
    if call.stepwise:
        return b.op("Squeeze", y, b.whole(0, 1)), after
    if ways == 1:
        return b.op("Squeeze", y, b.whole(1)), after
    turned = b.op("Transpose", y, perm=[0, 2, 1, 3])
    return b.op("Reshape", turned, b.whole(0, 0, 2 * form.hidden_size)), after


def _ordered(form: Form, value: NDArray[Any] | None) -> NDArray[Any]:
    assert value is not None
    blocks = value.reshape(len(ORDER[form.cell]), form.hidden_size, *value.shape[1:])
    return blocks[list(ORDER[form.cell])].reshape(value.shape)


def _bias(weights: Weights, part: str) -> NDArray[Any]:
    bias, W = weights[part], weights["W"]
    assert W is not None
    return np.zeros(len(W), np.float32) if bias is None else bias


def _loop(
    b: Builder, call: Call, form: Form, weights: list[Weights], names: list[str], x: str, states: list[str]
) -> tuple[str, list[str]]:
    """One layer by its step: once, or in a loop over time for each direction; states [D, B, H]."""
    outputs, finals = [], list[list[str]]()
    for way, (own, name) in enumerate(zip(weights, names)):
        step = CellStep(form, own, name)
        before = [b.op("Gather", state, b.constant(way, np.int64), axis=0) for state in states]
        if call.stepwise:
            y, after = step(b, x, before)
        else:
            assert call.valid
            y, after = b.scan(x, before, step, call.valid, reverse=way == 1)
        outputs.append(y)
        finals.append([b.op("Unsqueeze", part, b.whole(0)) for part in after])
    joined = [parts[0] if len(parts) == 1 else b.op("Concat", *parts, axis=0) for parts in zip(*finals)]
    assert len(joined) == len(CELLS[form.cell].states)
    return outputs[0] if len(outputs) == 1 else b.op("Concat", *outputs, axis=-1), joined
