"""Writes the nodes of an ONNX graph: names for values, constants held once, and loops over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import require
from congru.runtime.nodes import Node, Spec

# One step of a loop: (builder of its body, x [B, ..], states before) -> (y [B, ..], states after).
Step = Callable[["Builder", str, list[str]], tuple[str, list[str]]]


class Call(NamedTuple):
    """What an emitter knows of its node beside the values it reads.

    Values are time-major as in the runtime: [T, B, ..], rows [B, F], memories [B, S, M]; in the step form [B, ..]. `state`
    names the parts of the state [N, B, F] by part, `after` takes those after the run. `lengths` [B] and `valid` [T, B, 1] are
    None in the step form; `memory_lengths` [B] belong to the memory the node reads.
    """

    node: Node
    inputs: tuple[Spec, ...]
    weights: dict[str, NDArray[Any]]
    stepwise: bool
    state: dict[str, str]
    after: dict[str, str]
    lengths: str | None = None
    valid: str | None = None
    memory_lengths: str | None = None


class Builder:
    """A list of ONNX nodes in the order they run; constants of loops lie in the outermost builder."""

    def __init__(self, parent: Builder | None = None) -> None:
        self.onnx: Any = require("onnx", "export")
        self.nodes: list[Any] = []
        self.root: Builder = self if parent is None else parent.root
        self.initializers: dict[str, NDArray[Any]] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def fresh(self) -> str:
        """A name that no other value has."""
        self.root._count += 1
        return f"value.{self.root._count}"

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """A node with one output, which is returned; an input "" is left out."""
        (output,) = self.ops(kind, *inputs, outputs=[name or self.fresh()], **attributes)
        return output

    def ops(self, kind: str, *inputs: str, outputs: int | Sequence[str], **attributes: Any) -> list[str]:
        """A node with several outputs."""
        names = [self.fresh() for _ in range(outputs)] if isinstance(outputs, int) else list(outputs)
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, value: Any, dtype: Any = np.float32, name: str | None = None) -> str:
        """The name of a constant array; equal ones are held once. `name`: what a weight is called."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        root = self.root
        if key not in root._constants:
            root._constants[key] = name if name and name not in root.initializers else root.fresh()
            root.initializers[root._constants[key]] = array
        return root._constants[key]

    def whole(self, *values: int) -> str:
        """A constant of whole numbers, one axis."""
        return self.constant(list(values), np.int64)

    def take(self, x: str, begin: int, end: int, axis: int) -> str:
        """x[begin:end] along an axis; `end` may be beyond it."""
        return self.op("Slice", x, self.whole(begin), self.whole(end), self.whole(axis))

    def matmul(self, x: str, weight: NDArray[Any], name: str) -> str:
        """x W^T of x [.., F] and weight [O, F]."""
        return self.op("MatMul", x, self.constant(np.ascontiguousarray(weight.T), name=name))

    def dense(self, x: str, weight: NDArray[Any], bias: NDArray[Any] | None, name: str) -> str:
        """W x + b of x [.., F]."""
        y = self.matmul(x, weight, f"{name}.weight")
        return y if bias is None else self.op("Add", y, self.constant(bias, name=f"{name}.bias"))

    def scan(
        self, x: str, states: list[str], step: Step, valid: str, *, reverse: bool = False
    ) -> tuple[str, list[str]]:
        """Run `step` over x [T, B, ..] from the states [B, ..]: y [T, B, ..] and the states after each sequence's last step.

        Where `valid` [T, B, 1] is false the states stay and y is zero.
        """
        helper, body = self.onnx.helper, Builder(self)
        before = [body.fresh() for _ in states]
        x_t, valid_t = body.fresh(), body.fresh()
        y, after = step(body, x_t, before)
        kept = [body.op("Where", valid_t, new, old) for new, old in zip(after, before)]
        shown = body.op("Where", valid_t, y, body.constant(0.0))
        kinds = self.onnx.TensorProto
        info = helper.make_tensor_value_info
        inputs = [info(name, kinds.FLOAT, None) for name in (*before, x_t)]
        graph = helper.make_graph(
            body.nodes,
            self.fresh(),
            [*inputs, info(valid_t, kinds.BOOL, None)],
            [info(name, kinds.FLOAT, None) for name in (*kept, shown)],
        )
        way = {"scan_input_directions": [1, 1], "scan_output_directions": [1]} if reverse else {}
        *finals, whole = self.ops(
            "Scan", *states, x, valid, outputs=len(states) + 1, body=graph, num_scan_inputs=2, **way
        )
        return whole, finals
