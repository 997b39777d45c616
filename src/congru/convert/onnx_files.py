"""ONNX files: their GRU, LSTM and RNN nodes, and the whole chain around them where running it proves the chain.

A file's layers are followed from its input: Gather of a table, Gemm and MatMul, the recurrent nodes, LayerNormalization,
Relu, Tanh, Sigmoid; glue between them (Transpose, Squeeze, Reshape, ...) is passed over. That reading is a guess until
onnxruntime has run the file and the chain gives its output, on random and saturating inputs; otherwise each recurrent node
is a network of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from congru.convert.check import self_check
from congru.convert.keras_files import norm_parts
from congru.convert.onnx_run import constants, load_onnx, run_onnx
from congru.convert.parts import (
    Array,
    Contents,
    Direction,
    Part,
    SourceNetwork,
    as_float32,
    chain,
    embedding_part,
    function_part,
    linear_part,
    recurrent_part,
)
from congru.errors import CongruError, ConventionError, DataError, ShapeError
from congru.reference.onnx_call import INPUTS, KINDS, read_call

_GLUE = {"Transpose", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Cast", "Dropout", "Flatten"}
_SHAPES = {"Constant", "Shape", "Gather", "Concat", "Slice", "Expand", "ConstantOfShape"}
_PLAIN = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid"}
# onnxruntime computes in float32, with its own polynomials for sigmoid and tanh.
_RUN_LIMIT = 1e-4


class Recurrent(NamedTuple):
    """One recurrent node: its arrays as the file has them, and its attributes."""

    name: str
    cell: str
    arrays: dict[str, Array]
    options: dict[str, Any]
    direction: str
    node: Any

    def part(self) -> Part:
        """The node of a network; raises ConventionError for a backward node."""
        if self.direction == "reverse":
            raise ConventionError(
                f"ONNX node {self.name} runs backward only, expected forward or bidirectional: a model folder has no such node; "
                "turn its input round"
            )
        ways = 2 if self.direction == "bidirectional" else 1
        if len(self.arrays["W"]) != ways:
            raise ShapeError(
                f"ONNX node {self.name} is {self.direction} with W of shape {self.arrays['W'].shape}, expected weights of"
                f" {ways} direction{'s' if ways > 1 else ''}: export it again"
            )
        layer = [Direction(self.arrays, {**self.options, "direction": way}) for way in range(ways)]
        return recurrent_part(self.name, "onnx", self.cell, [layer])


def recurrent_nodes(model: Any, source: str) -> list[Recurrent]:
    """The recurrent nodes of a file in order.

    Raises ConventionError for one that is no cell here, DataError where there is none.
    """
    nodes = [node for node in model.graph.node if node.op_type in KINDS]
    if not nodes:
        kinds = ", ".join(sorted({node.op_type for node in model.graph.node}))
        raise DataError(f"{source} has no recurrent node, expected GRU, LSTM or RNN: it has {kinds}")
    names = [name for node in nodes for name in node.input[1:4] if name] + [
        node.input[7] for node in nodes if len(node.input) > 7 and node.input[7]
    ]
    values = constants(model, names)
    return [_read(node, values, k) for k, node in enumerate(nodes)]


def _read(node: Any, values: Mapping[str, Array], k: int) -> Recurrent:
    import onnx

    name = node.name or f"{node.op_type.lower()}_{k}"
    inputs = dict(zip(INPUTS, node.input))
    attributes = {part.name: onnx.helper.get_attribute_value(part) for part in node.attribute}
    peepholes = values.get(inputs.get("P", ""))
    call = read_call(name, node.op_type, attributes, peepholes)
    missing = [role for role in ("W", "R") if inputs.get(role, "") not in values]
    if missing:
        raise ConventionError(
            f"ONNX node {name} takes {missing[0]} as an input of the model, expected weights: they are not in the file"
        )
    arrays = {role: values[inputs[role]] for role in ("W", "R", "B") if inputs.get(role)}
    return Recurrent(name, call.cell, as_float32(arrays, name), call.options, call.direction, node)


def read_onnx(path: Path) -> Contents:
    """The networks of an ONNX file: the whole chain, or its recurrent nodes."""
    model = load_onnx(path)
    nodes = recurrent_nodes(model, path.name)
    network, why = _whole(model, nodes)
    if network is not None:
        return Contents("ONNX", {"main": network}, {}, (why,))
    parts = [node.part() for node in nodes]
    networks = {part.name: chain([part]) for part in parts}
    kinds = {node.op_type for node in model.graph.node} - {*KINDS, *_GLUE, *_SHAPES}
    left = {kind: why for kind in sorted(kinds)}
    return Contents("ONNX", networks, left, _states(nodes))


def _states(nodes: list[Recurrent]) -> tuple[str, ...]:
    return tuple(
        f"{node.name} starts from initial_h: pass it as the state"
        for node in nodes
        if len(node.node.input) > 5 and node.node.input[5]
    )


def _whole(model: Any, nodes: list[Recurrent]) -> tuple[SourceNetwork | None, str]:
    """The whole file as one chain, and how that is known; or None and what stands in the way."""
    try:
        parts = _follow(model, nodes)
        network = chain(parts)
    except CongruError as error:
        return None, f"the chain of layers isn't followed: {error}"
    for time_first in (False, True):
        checked = network._replace(
            own=_program(model, network, time_first), takes_state=False, limit=_RUN_LIMIT
        )
        try:
            worst = self_check("the chain", checked)
        except CongruError as error:
            problem = str(error)
            continue
        order = "[T, B, ..]" if time_first else "[B, T, ..]"
        remark = (
            f"the whole file is one chain: onnxruntime's output differs by {worst:.1e} (its input is {order})"
        )
        return network, remark
    return None, f"the chain of layers that its nodes make is not what onnxruntime computes: {problem}"


def _program(model: Any, network: SourceNetwork, time_first: bool) -> Any:
    tokens = "tokens" in network.config["inputs"]["x"]

    def own(x: Any, state: Any) -> Any:
        value = np.asarray(x, np.int64 if tokens else np.float32)
        output = run_onnx(model, value.swapaxes(0, 1) if time_first else value)
        return output.swapaxes(0, 1) if time_first and output.ndim == 3 else output

    return own


def _follow(model: Any, nodes: list[Recurrent]) -> list[Part]:
    """The layers along the way from the input to the first output."""
    weights = constants(model, [part.name for part in model.graph.initializer])
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    initializers = {part.name for part in model.graph.initializer}
    (current, *_) = [part.name for part in model.graph.input if part.name not in initializers]
    end, parts = model.graph.output[0].name, []
    by_node = {id(node.node): node for node in nodes}
    passed: set[int] = set()
    while current != end:
        following = [
            n for n in readers.get(current, []) if n.op_type not in ("Shape", "Size") and id(n) not in passed
        ]
        if len(following) != 1:
            raise ConventionError(f"{current} is read by {len(following)} nodes")
        (node,) = following
        passed.add(id(node))
        more, current = _step(node, current, weights, by_node, readers)
        parts += more
    return parts


def _step(
    node: Any,
    current: str,
    weights: Mapping[str, Array],
    by_node: Mapping[int, Recurrent],
    readers: Mapping[str, Any],
) -> tuple[list[Part], str]:
    """The parts that a node stands for, and the name of what it gives."""
    import onnx

    name, kind = node.name or node.op_type.lower(), node.op_type
    attributes = {part.name: onnx.helper.get_attribute_value(part) for part in node.attribute}
    arrays = [weights.get(part) for part in node.input]
    if id(node) in by_node:
        part = by_node[id(node)].part()
        if node.output[0] and readers.get(node.output[0]):
            return [part], node.output[0]
        return [part, function_part("last", f"{name}_last")], node.output[1]
    if kind in _GLUE:
        return [], node.output[0]
    if kind == "Gather" and arrays[0] is not None and arrays[0].ndim == 2:
        return [embedding_part(name, arrays[0])], node.output[0]
    if kind in ("Gather", "Slice") and arrays[0] is None:
        return [function_part("last", f"{name}_last")], node.output[0]
    if kind == "ReduceMean":
        return [function_part("mean", name)], node.output[0]
    if kind in _PLAIN:
        return [function_part(_PLAIN[kind], name)], node.output[0]
    if kind in ("MatMul", "Gemm") and arrays[1] is not None and arrays[1].ndim == 2:
        matrix = arrays[1] if attributes.get("transB") else arrays[1].T
        bias, output = (arrays[2] if len(arrays) > 2 else None), node.output[0]
        after = readers.get(output, [])
        if kind == "MatMul" and len(after) == 1 and after[0].op_type == "Add":
            other = [weights.get(part) for part in after[0].input if part != output]
            if other and other[0] is not None:
                bias, output = other[0].reshape(-1), after[0].output[0]
        return [linear_part(name, np.ascontiguousarray(matrix), bias)], output
    if kind == "LayerNormalization" and arrays[1] is not None:
        bias = np.zeros_like(arrays[1]) if len(arrays) < 3 or arrays[2] is None else arrays[2]
        return norm_parts(name, arrays[1], bias, float(attributes.get("epsilon", 1e-5))), node.output[0]
    raise ConventionError(f"{name} is {kind}")
