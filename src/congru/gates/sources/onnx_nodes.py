"""The GRU, LSTM and RNN nodes of an ONNX file: onnxruntime runs it once with their inputs added to its outputs.

Both `linear_before_reset` (1: reset after, 0: reset before), every `direction`, `layout` 0 and 1, tanh and relu RNNs, and nodes
that give their final state only are read. `congru.reference.onnx_call` reads the attributes, `congru.reference.conventions` the
weights; peepholes, `clip` and other activations are refused by name: the gates would not follow these equations.
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
from congru.reference.onnx_call import INPUTS, KINDS, read_call
from congru.runtime.reading import read_file

_MOST_BYTES = 2 << 30  # of a file; protobuf reads no larger one
_MOST_NUMBERS = 1 << 24  # of an input that starts from zeros


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
    nodes = [_node(onnx, node, k) for k, node in enumerate(model.graph.node) if node.op_type in KINDS]
    if not nodes:
        kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
        raise CongruError(f"the ONNX file has no recurrent node, expected GRU, LSTM or RNN: it has {kinds}")
    values = _run(onnx, model, nodes, x)
    traced = {node.name: _trace_node(node, values) for node in nodes}
    first = values[model.graph.output[0].name]
    return traced, first if first.dtype.kind == "f" else None


def _node(onnx: Any, node: Any, k: int) -> Node:
    attributes = {part.name: onnx.helper.get_attribute_value(part) for part in node.attribute}
    first_output = next((output for output in node.output if output), "")
    name = node.name or first_output or f"{node.op_type.lower()}_{k}"
    inputs = dict(zip(INPUTS, [*node.input, *[""] * len(INPUTS)]))
    output = node.output[0] if node.output and node.output[0] else f"{name}/every_state"
    return Node(name, node.op_type, attributes, inputs, output)


def _run(onnx: Any, model: Any, nodes: list[Node], x: Any) -> dict[str, Array]:
    """The value of every tensor the nodes read or give, and of the file's outputs."""
    onnxruntime = require("onnxruntime", "export")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _give_every_state(onnx, copy, nodes)
    initializers = {part.name: onnx.numpy_helper.to_array(part) for part in model.graph.initializer}
    fed = _feed(model, x, set(initializers))
    known = {part.name for part in model.graph.output}
    wanted = [name for node in nodes for name in (*node.inputs.values(), node.output) if name]
    for name in dict.fromkeys(wanted):
        if name not in known and name not in initializers and name not in fed:
            copy.graph.output.append(onnx.ValueInfoProto(name=name))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # its warnings are coloured lines on the user's screen
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs = [part.name for part in session.get_outputs()]
    results = session.run(outputs, fed)
    return {**initializers, **fed, **dict(zip(outputs, results))}


def _give_every_state(onnx: Any, copy: Any, nodes: list[Node]) -> None:
    """Let every recurrent node of the copy give Y; a node with the batch first runs time first between transposes.

    onnxruntime has no `layout` 1.
    """
    ours = iter(nodes)
    rewritten = []
    for node in copy.graph.node:
        if node.op_type not in KINDS:
            rewritten.append(node)
            continue
        one = next(ours)
        if not node.output:
            node.output.append("")
        node.output[0] = one.output
        if one.attributes.get("layout", 0) != 1:
            rewritten.append(node)
            continue
        kept = [part for part in node.attribute if part.name != "layout"]
        del node.attribute[:]
        node.attribute.extend(kept)
        before, after = [], []
        for index in (0, 5, 6):  # X [B, T, I], initial_h and initial_c [B, D, H]
            if index < len(node.input) and node.input[index]:
                name = f"{one.name}/time_first_{index}"
                before.append(onnx.helper.make_node("Transpose", [node.input[index]], [name], perm=[1, 0, 2]))
                node.input[index] = name
        for index, order in ((0, [2, 0, 1, 3]), (1, [1, 0, 2]), (2, [1, 0, 2])):  # Y, Y_h, Y_c
            if index < len(node.output) and node.output[index]:
                name = f"{one.name}/time_first_output_{index}"
                after.append(onnx.helper.make_node("Transpose", [name], [node.output[index]], perm=order))
                node.output[index] = name
        rewritten += [*before, node, *after]
    whole = [onnx.NodeProto.FromString(node.SerializeToString()) for node in rewritten]
    del copy.graph.node[:]
    copy.graph.node.extend(whole)


def _feed(model: Any, x: Any, initializers: set[str]) -> dict[str, Any]:
    """The file's inputs: x for the first (or by name), zeros for initial states of known size."""
    inputs = [part for part in model.graph.input if part.name not in initializers]
    values = dict(x) if isinstance(x, dict) else {inputs[0].name: x}
    unknown = sorted(set(values) - {part.name for part in inputs})
    if unknown:
        raise CongruError(
            f"x has {unknown[0]!r}, expected {', '.join(part.name for part in inputs)}: name the inputs of the ONNX file"
        )
    fed = {}
    for part in inputs:
        tensor = part.type.tensor_type
        sizes = [size.dim_value for size in tensor.shape.dim]
        dtype = _DTYPES.get(tensor.elem_type, np.float32)
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


# Numbers of onnx.TensorProto.DataType.
_DTYPES: dict[int, type[np.generic]] = {
    1: np.float32,
    6: np.int32,
    7: np.int64,
    10: np.float16,
    11: np.float64,
}


def _trace_node(node: Node, values: dict[str, Array]) -> tuple[tuple[Layer, ...], ...]:
    tensors = {role: values[name] for role, name in node.inputs.items() if name}
    call = read_call(node.name, node.kind, node.attributes, tensors.get("P"))
    x, y = tensors["X"], values[node.output]
    if call.batch_first:
        y = np.moveaxis(y, 2, 0)  # [B, T, D, H] -> [D, B, T, H]
    else:
        x, y = x.swapaxes(0, 1), y.transpose(1, 2, 0, 3)  # [T, D, B, H] -> [D, B, T, H]
    arrays: dict[str, Any] = {role: tensors[role] for role in ("W", "R", "B") if role in tensors}
    read = [
        conventions.to_canonical("onnx", arrays, cell=call.cell, direction=way, **call.options)
        for way in range(len(y))
    ]
    state = None
    starts = ("initial_h", "initial_c") if call.cell == "lstm" else ("initial_h",)
    if any(name in tensors for name in starts):
        start = next(tensors[name] for name in starts if name in tensors)
        parts = [tensors.get(name, np.zeros_like(start)) for name in starts]
        state = tuple(part.swapaxes(0, 1) if call.batch_first else part for part in parts)
    stack = Stack(
        call.cell,
        [[part.weights for part in read]],
        read[0].reset_before,
        node.name,
        backward=call.direction == "reverse",
    )
    lengths = tensors.get("sequence_lens")
    return trace_stack(stack, x, state=state, y=np.concatenate(list(y), axis=-1), lengths=lengths)
