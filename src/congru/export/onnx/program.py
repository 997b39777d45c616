"""A network as an ONNX model: the sequence form over [B, T, ..], or the step form over [B, ..]; both carry their state.

    inputs    those of the network by name; "steps.lengths" [B] and "<memory>.lengths" [B], valid steps and positions;
              every part of the state, "<node>.<part>" [N, B, F]
    outputs   those of the network by name; "<node>.<part>.next", the state after

B, T and S are free. The network's own initial state stands in the metadata under "initial_state" where it is not zeros.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from congru.errors import ExportError
from congru.export.onnx import (
    attention,
    convolution,
    pointwise,
    pooling,
    recurrent,
)  # they register their emitters
from congru.export.onnx.builder import Builder, Call
from congru.export.onnx.emitters import ONNX
from congru.runtime.network import Network
from congru.runtime.nodes import Spec
from congru.version import __version__

__all__ = [
    "IR_VERSION",
    "OPSET",
    "STEPS",
    "attention",
    "convolution",
    "onnx_model",
    "pointwise",
    "pooling",
    "recurrent",
]

OPSET, IR_VERSION = 17, 8
STEPS = "steps.lengths"


def onnx_model(network: Network, name: str, metadata: Mapping[str, str], *, stepwise: bool) -> Any:
    """The ModelProto of one network. Raises :class:`ExportError` where the step form of it cannot be."""
    graph, b = network.graph, Builder()
    problem = network.stream_problem()
    if stepwise and problem:
        raise ExportError(f"{name} has no step form, {problem}: use the sequence form")
    values = {key: _entering(b, key, spec, stepwise) for key, spec in graph.inputs.items()}
    lengths = valid = None
    if graph.step_inputs and not stepwise:
        lengths = STEPS
        valid = _valid_steps(b, values[graph.step_inputs[0]])
    after: dict[str, str] = {}
    for node, inputs, _ in graph.placed:
        source = next((spec.source for spec in inputs if spec.axes == "memory"), "")
        call = Call(
            node,
            inputs,
            graph.weights_of(node, inputs, network.weights),
            stepwise,
            {part: f"{node.name}.{part}" for part in node.state(*inputs)},
            {},
            lengths,
            valid,
            f"{source}.lengths" if source else None,
        )
        values[node.name] = ONNX.of(node)(b, call, *(values[key] for key in node.of))
        after.update({f"{node.name}.{part}": value for part, value in call.after.items()})
    for key, spec in graph.outputs.items():
        _leaving(b, key, spec, values[key], stepwise)
    for key, value in after.items():
        b.op("Identity", value, name=f"{key}.next")
    return _assembled(b, network, name, metadata, stepwise)


def _entering(b: Builder, name: str, spec: Spec, stepwise: bool) -> str:
    """The time-major value of an input."""
    if spec.axes != "steps" or stepwise:
        return name
    return b.op("Transpose", name, perm=[1, 0, *range(2, 2 + len(spec.size))])


def _leaving(b: Builder, name: str, spec: Spec, value: str, stepwise: bool) -> None:
    if spec.axes == "steps" and not stepwise:
        b.op("Transpose", value, perm=[1, 0, *range(2, 2 + len(spec.size))], name=name)
    else:
        b.op("Identity", value, name=name)


def _valid_steps(b: Builder, x: str) -> str:
    """[T, B, 1]: not padding."""
    steps = b.op("Gather", b.op("Shape", x), b.constant(0, np.int64))
    time = b.op("Range", b.constant(0, np.int64), steps, b.constant(1, np.int64))
    valid = b.op("Less", b.op("Unsqueeze", time, b.whole(1)), b.op("Unsqueeze", STEPS, b.whole(0)))
    return b.op("Unsqueeze", valid, b.whole(2))


def _assembled(b: Builder, network: Network, name: str, metadata: Mapping[str, str], stepwise: bool) -> Any:
    graph, kinds, helper = network.graph, b.onnx.TensorProto, b.onnx.helper
    info = helper.make_tensor_value_info

    def axes(spec: Spec, key: str) -> list[str | int]:
        lead: dict[str, list[str | int]] = {
            "steps": ["B"] if stepwise else ["B", "T"],
            "row": ["B"],
            "memory": ["B", f"S_{spec.source or key}"],
        }
        return [*lead[spec.axes], *((len(spec.tokens),) if spec.tokens and spec.size else spec.size)]

    def kind(spec: Spec) -> int:
        return int(kinds.FLOAT if spec.tokens is None else kinds.INT64)

    inputs = [info(key, kind(spec), axes(spec, key)) for key, spec in graph.inputs.items()]
    if graph.step_inputs and not stepwise:
        inputs.append(info(STEPS, kinds.INT64, ["B"]))
    inputs += [
        info(f"{key}.lengths", kinds.INT64, ["B"])
        for key, spec in graph.inputs.items()
        if spec.axes == "memory"
    ]
    states = {key: [depth, "B", size] for key, (depth, size) in graph.state_shapes.items()}
    inputs += [info(key, kinds.FLOAT, shape) for key, shape in states.items()]
    outputs = [info(key, kinds.FLOAT, axes(spec, key)) for key, spec in graph.outputs.items()]
    outputs += [info(f"{key}.next", kinds.FLOAT, shape) for key, shape in states.items()]
    tensors = [b.onnx.numpy_helper.from_array(value, key) for key, value in b.initializers.items()]
    model = helper.make_model(
        helper.make_graph(b.nodes, name, inputs, outputs, tensors),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="congru",
        producer_version=__version__,
    )
    helper.set_model_props(model, {**metadata, **_form(network, name, stepwise)})
    return model


def _form(network: Network, name: str, stepwise: bool) -> dict[str, str]:
    """What a user of the file must know of the network: its form, its delay, where its state begins."""
    initial = {key: value[:, 0].tolist() for key, value in network.initial_state(1).items() if value.any()}
    props = {"network": name, "form": "step" if stepwise else "sequence", "delay": str(network.graph.delay)}
    return {**props, "initial_state": json.dumps(initial)} if initial else props
