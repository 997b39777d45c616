"""onnx and onnxruntime, called so that no error or log line of theirs reaches the user as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from congru.convert.parts import Array
from congru.errors import ConventionError, DataError, require


def load_onnx(path: str | os.PathLike[str]) -> Any:
    """The model of a file; raises DataError where it is none."""
    onnx = require("onnx", "export")
    try:
        model = onnx.load(os.fspath(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}): check the path") from None
    except Exception as error:  # protobuf's own errors share no base class
        raise DataError(f"{path} is no ONNX file ({_line(error)}): export it again") from None
    if not model.graph.node:
        raise DataError(f"{path} is no ONNX file or has no nodes, expected a model: export it again")
    return model


def constants(model: Any, names: Sequence[str]) -> dict[str, Array]:
    """The values of tensors that don't depend on the input: initializers, Constant nodes, and what nodes make of them."""
    onnx = require("onnx", "export")
    known = {part.name: onnx.numpy_helper.to_array(part) for part in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            known[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    wanted = set(names) - set(known)
    if wanted:
        made = _without_input(onnx, model, set(known))
        computed = sorted(wanted & set(made))
        if computed:
            known |= _compute(onnx, model, made, computed)
    return {name: known[name] for name in names if name in known}


def _without_input(onnx: Any, model: Any, known: set[str]) -> dict[str, Any]:
    """The tensors that are made of known ones alone, with the nodes that make them."""
    made: dict[str, Any] = {}
    for node in model.graph.node:
        if (
            all(not name or name in known or name in made for name in node.input)
            and node.op_type != "Constant"
        ):
            made.update(dict.fromkeys(node.output, node))
    return made


def _compute(onnx: Any, model: Any, made: Mapping[str, Any], names: Sequence[str]) -> dict[str, Array]:
    keep = {id(node) for node in made.values()}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    nodes = [
        new
        for new, old in zip(copy.graph.node, model.graph.node)
        if id(old) in keep or old.op_type == "Constant"
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "constants",
        [],
        [onnx.ValueInfoProto(name=name) for name in names],
        list(copy.graph.initializer),
    )
    small = onnx.helper.make_model(graph, opset_imports=copy.opset_import, ir_version=copy.ir_version)
    return dict(zip(names, _run(small, {})))


def run_onnx(model: Any, x: Array) -> Array:
    """The first output of a model for its first input, other inputs zeros."""
    initializers = {part.name for part in model.graph.initializer}
    inputs = [part for part in model.graph.input if part.name not in initializers]
    fed = {inputs[0].name: x}
    if len(inputs) > 1:
        raise ConventionError(f"the file takes {len(inputs)} inputs")
    result: Array = np.asarray(_run(model, fed)[0])
    return result


def _run(model: Any, fed: dict[str, Any]) -> list[Any]:
    onnxruntime = require("onnxruntime", "export")
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        outputs: list[Any] = session.run(None, fed)
    except Exception as error:  # onnxruntime's errors share no base class
        raise ConventionError(f"onnxruntime does not run it ({_line(error)})") from None
    return outputs


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
