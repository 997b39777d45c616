"""The GRU, LSTM and RNN nodes of an ONNX file: onnxruntime runs it once with their inputs added to its outputs.

Both `linear_before_reset` (1: reset after, 0: reset before) and every `direction` are read.
`congru.reference.conventions` reads the weights, and refuses `clip` and other activations: the gates would
not follow these equations.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from congru.errors import CongruError, require
from congru.gates.layer import Layer
from congru.gates.sources.stack import Stack, trace_stack
from congru.gates.weights import Array
from congru.reference import conventions
from congru.runtime.reading import read_file

_KINDS = ("GRU", "LSTM", "RNN")
_MOST_BYTES = 2 << 30  # of a file; protobuf reads no larger one
_MOST_NUMBERS = 1 << 24  # of an input that starts from zeros
_OPTIONS = ("linear_before_reset", "clip", "activations", "input_forget")
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c")


class Node(NamedTuple):
    """One recurrent node: its ONNX operator, attributes, and the tensor names of its inputs ("" = not given)."""

    name: str
    kind: str
    attributes: dict[str, Any]
    inputs: dict[str, str]
    output: str


def trace_onnx(model: Any, x: Any) -> tuple[dict[str, tuple[tuple[Layer, ...], ...]], Array | None]:
    """Return the traced nodes by name and the file's first output; model is a path or a ModelProto.

    x feeds the first input, a dict feeds several by name; missing initial states are zeros.
    """
    onnx = require("onnx", "export")
    try:
        if isinstance(model, (str, os.PathLike)):
            model = _load(onnx, Path(model))
        return _traced(onnx, model, x)
    except CongruError:
        raise
    except Exception as error:  # onnx, protobuf and onnxruntime have classes of errors of their own
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"
        raise CongruError(
            f"the ONNX file cannot be run ({reason}), expected one that onnxruntime runs: check it with onnx.checker"
        ) from None


def _load(onnx: Any, path: Path) -> Any:
    """The model of a file, with its external data where that lies in the same folder."""
    try:
        content = read_file(path, _MOST_BYTES)
    except OSError as error:
        raise CongruError(
            f"{path} cannot be read ({error.strerror}), expected an ONNX file: check the path"
        ) from None
    model = onnx.ModelProto()
    model.ParseFromString(content)
    onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    return model


def _traced(onnx: Any, model: Any, x: Any) -> tuple[dict[str, tuple[tuple[Layer, ...], ...]], Array | None]:
    nodes = [_node(onnx, node) for node in model.graph.node if node.op_type in _KINDS]
    if not nodes:
        kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
        raise CongruError(f"the ONNX file has no recurrent node, expected GRU, LSTM or RNN: it has {kinds}")
    values = _run(onnx, model, nodes, x)
    traced = {node.name: _trace_node(node, values) for node in nodes}
    first = values[model.graph.output[0].name]
    return traced, first if first.dtype.kind == "f" else None


def _node(onnx: Any, node: Any) -> Node:
    attributes = {part.name: onnx.helper.get_attribute_value(part) for part in node.attribute}
    name = node.name or node.output[0] or node.op_type
    inputs = dict(zip(_INPUTS, [*node.input, *[""] * 7][:7]))
    if not node.output[0]:
        raise CongruError(
            f"ONNX node {name} gives no Y, expected the state of every step: export it with its outputs"
        )
    return Node(name, node.op_type, attributes, inputs, node.output[0])


def _run(onnx: Any, model: Any, nodes: list[Node], x: Any) -> dict[str, Array]:
    """The value of every tensor the nodes read or give, and of the file's outputs."""
    onnxruntime = require("onnxruntime", "export")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    initializers = {part.name: onnx.numpy_helper.to_array(part) for part in model.graph.initializer}
    fed = _feed(model, x, set(initializers))
    known = {part.name for part in model.graph.output}
    wanted = [name for node in nodes for name in (*node.inputs.values(), node.output) if name]
    for name in dict.fromkeys(wanted):
        if name not in known and name not in initializers and name not in fed:
            copy.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs = [part.name for part in session.get_outputs()]
    return {**initializers, **fed, **dict(zip(outputs, session.run(outputs, fed)))}


def _feed(model: Any, x: Any, initializers: set[str]) -> dict[str, Any]:
    """The file's inputs: x for the first (or by name), zeros for initial states of known size."""
    inputs = [part for part in model.graph.input if part.name not in initializers]
    values = dict(x) if isinstance(x, dict) else {inputs[0].name: x}
    fed = {}
    for part in inputs:
        tensor = part.type.tensor_type
        sizes = [size.dim_value for size in tensor.shape.dim]
        dtype = {1: np.float32, 6: np.int32, 7: np.int64, 11: np.float64}.get(tensor.elem_type, np.float32)
        if part.name in values:
            value = np.asarray(values[part.name], dtype)
        elif sizes and min(sizes) > 0:
            if math.prod(sizes) > _MOST_NUMBERS:
                raise CongruError(
                    f"the ONNX file starts {part.name!r} from {' x '.join(map(str, sizes))} zeros, expected at most"
                    f" {_MOST_NUMBERS}: pass its value in x as a dict of inputs"
                )
            value = np.zeros(sizes, dtype)
        else:
            raise CongruError(
                f"the ONNX file reads {part.name!r} too, expected its value: pass x as a dict of inputs"
            )
        if sizes and (value.ndim != len(sizes) or any(a and a != b for a, b in zip(sizes, value.shape))):
            shape = tuple(size or "any" for size in sizes)
            raise CongruError(f"x has shape {value.shape}, expected {shape} for the ONNX input {part.name!r}")
        if 0 in value.shape:
            raise CongruError(
                f"x has shape {value.shape}, expected at least one row and one step (T >= 1): there is "
                "nothing to see"
            )
        fed[part.name] = value
    return fed


def _trace_node(node: Node, values: dict[str, Array]) -> tuple[tuple[Layer, ...], ...]:
    tensors = {role: values[name] for role, name in node.inputs.items() if name}
    direction = node.attributes.get("direction", b"forward").decode()
    batch_first = node.attributes.get("layout", 0) == 1
    x, y = tensors["X"], values[node.output]
    if batch_first:
        y = np.moveaxis(y, 2, 0)  # [B, T, D, H] -> [D, B, T, H]
    else:
        x, y = x.swapaxes(0, 1), y.transpose(1, 2, 0, 3)  # [T, D, B, H] -> [D, B, T, H]
    cell = node.kind.lower()
    options = {name: node.attributes[name] for name in _OPTIONS if name in node.attributes}
    if "activations" in options:
        options["activations"] = [part.decode() for part in options["activations"]]
    arrays: dict[str, Any] = {role: tensors[role] for role in ("W", "R", "B") if role in tensors}
    read = [
        conventions.to_canonical("onnx", arrays, cell=cell, direction=way, **options) for way in range(len(y))
    ]
    state = None
    starts = ("initial_h", "initial_c") if cell == "lstm" else ("initial_h",)
    if any(name in tensors for name in starts):
        given = next(tensors[name] for name in starts if name in tensors)
        parts = [tensors.get(name, np.zeros_like(given)) for name in starts]
        state = tuple(part.swapaxes(0, 1) if batch_first else part for part in parts)
    stack = Stack(
        cell,
        [[part.weights for part in read]],
        read[0].reset_before,
        node.name,
        backward=direction == "reverse",
    )
    lengths = tensors.get("sequence_lens")
    return trace_stack(stack, x, state=state, y=np.concatenate(list(y), axis=-1), lengths=lengths)
