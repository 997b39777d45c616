"""``congru::forward`` as ONNX's GRU, LSTM and RNN nodes, in both of torch's exporters.

    torch.onnx.export(model, ..)                    a function of onnxscript for the operator
    torch.onnx.export(model, .., dynamo=False)      a symbolic of the operator

A node runs one layer in one direction over X [T, B, I]; its gates stand in another order (GRU z, r, n; LSTM i, o, f, g), and
linear_before_reset = 1 is the reset after. What no node computes is refused by name. Nothing of the exporters is loaded before
they are: the new one asks for our function when it loads its own, the old one's symbolic is registered while it traces.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from typing import Any

import torch

from congru.errors import SettingsError, require
from congru.kernels.native_equations import CELL_OF
from congru.kernels.tracing import constant_when_traced

# The rows of ours from which the rows of a node are taken, in its order.
_ROWS = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2), "rnn": (0,), "rnn_relu": (0,)}
_NODES = {"gru": "GRU", "lstm": "LSTM", "rnn": "RNN", "rnn_relu": "RNN"}
_OPSET = 14  # from which on the old exporter's symbolic is registered
# Arguments of the operator -> the option that gave them, which no node has.
_WITHOUT_NODE = {
    "g_i": "layer_norm",
    "reset": "reset",
    "h_mask": "recurrent_dropout",
    "zoneout": "zoneout",
}
# Emit(name of a node, inputs, number of outputs, attributes) -> its outputs.
Emit = Callable[..., Any]


def nodes(
    emit: Emit, cell: int, reverse: bool, gates: bool, sizes: tuple[int, int], arguments: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """Write y [B, T, H], h and c [B, H] of a call; `sizes` are (G*H, H), `arguments` the tensors of the operator by name."""
    name, reset_before = CELL_OF[cell]
    refuse(name, gates, {key for key, value in arguments.items() if value is not None})
    (rows, H), lengths, lstm = sizes, arguments["lengths"], name == "lstm"
    order = [block * H + k for block in _ROWS[name] for k in range(H)]
    index = emit("Constant", value_ints=order)
    first, second = emit("Constant", value_ints=[0]), emit("Constant", value_ints=[1])

    def ordered(part: Any) -> Any:
        if part is None:
            part = emit("CastLike", emit("Constant", value_floats=[0.0] * rows), arguments["W"])
        return emit("Gather", part, index, axis=0)

    def leading(part: Any) -> Any:
        return None if part is None else emit("Unsqueeze", part, first)

    bias = None
    if arguments["b_i"] is not None or arguments["b_h"] is not None:
        bias = leading(emit("Concat", ordered(arguments["b_i"]), ordered(arguments["b_h"]), axis=0))
    inputs = [
        emit("Transpose", arguments["x"], perm=[1, 0, 2]),
        leading(ordered(arguments["W"])),
        leading(ordered(arguments["U"])),
        bias,
        None if lengths is None else emit("Cast", lengths, to=6),  # int32
        leading(arguments["h0"]),
    ]
    attributes: dict[str, Any] = {"hidden_size": H, "direction": "reverse" if reverse else "forward"}
    if name == "gru":
        attributes["linear_before_reset"] = int(not reset_before)
    elif name != "lstm":
        attributes["activations"] = ["Relu" if name == "rnn_relu" else "Tanh"]
    if lstm:
        inputs.append(leading(arguments["c0"]))
    y, *final = emit(_NODES[name], *inputs, outputs=3 if lstm else 2, **attributes)
    y = emit("Transpose", emit("Squeeze", y, second), perm=[1, 0, 2])
    final = [emit("Squeeze", part, first) for part in final]
    if lengths is not None:  # of an empty row a node returns zeros, in place of the state it starts from
        nothing = emit("Unsqueeze", emit("Equal", lengths, emit("CastLike", first, lengths)), second)
        starts = (arguments["h0"], arguments["c0"])
        final = [
            part if start is None else emit("Where", nothing, start, part)
            for part, start in zip(final, starts)
        ]
    return y, final[0], final[1] if lstm else None


def refuse(cell: str, gates: bool, present: set[str]) -> None:
    """Raise `SettingsError` for an option that no node has."""
    options = [option for name, option in _WITHOUT_NODE.items() if name in present]
    if gates:  # the states of an LSTM at every step are among what is kept of its gates
        options.append("return_gates or return_states" if cell == "lstm" else "return_gates")
    if options:
        node = _NODES[cell]
        raise SettingsError(
            f"{options[0]} is given, expected none in ONNX: its {node} node has no such thing; export a plain layer"
        )


def refuse_mingru(*arguments: Any) -> None:
    """Stands for the translation of the minGRU's operator."""
    raise SettingsError(
        "cell is mingru, expected gru, lstm or rnn in ONNX: it has no node for a minGRU; train one of these"
    )


@constant_when_traced
def exporting() -> bool:
    """Whether torch.onnx.export is running; its old exporter then knows our operators too."""
    onnx = sys.modules.get("torch.onnx")
    if onnx is None or not onnx.is_in_onnx_export():
        return False
    if torch._C._get_tracing_state() is not None and not _registered:
        onnx.register_custom_op_symbolic("congru::forward", symbolic, _OPSET)
        onnx.register_custom_op_symbolic("congru::mingru", refuse_mingru, _OPSET)
        _registered.append(True)
    return True


_registered: list[bool] = []


def symbolic(g: Any, cell: Any, reverse: Any, time_first: Any, keep: Any, *tensors: Any) -> Any:
    """The symbolic of the old exporter."""
    from torch.onnx import symbolic_helper

    from congru.kernels.native_ops import ARGUMENTS, GATES

    def emit(name: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        kinds = {int: "i", str: "s", float: "f"}
        marked = {}
        for key, value in attributes.items():
            one = value[0] if isinstance(value, list) else value
            marked[f"{key}_{kinds[type(one)]}"] = value
        if name == "Constant":
            (value,) = attributes.values()
            return g.op("Constant", value_t=torch.tensor(value))
        present = [_absent(g) if part is None else part for part in inputs]
        while inputs and inputs[-1] is None:
            inputs, present = inputs[:-1], present[:-1]
        return g.op(name, *present, outputs=outputs, **marked)

    code, backwards, kept = (symbolic_helper._maybe_get_const(value, "i") for value in (cell, reverse, keep))
    arguments: dict[str, Any] = {
        name: None if _is_none(part) else part for name, part in zip(ARGUMENTS, tensors)
    }
    sizes: Any = tuple(symbolic_helper._get_tensor_sizes(arguments["U"]))
    y, h, c = nodes(emit, code, bool(backwards), bool(kept & GATES), sizes, arguments)
    nothing = emit("Constant", value_floats=[0.0])
    return y, h, nothing if c is None else c, nothing, nothing, nothing


def _absent(g: Any) -> Any:
    """An input that is not given."""
    value = g.op("prim::Constant")
    value.setType(torch._C.OptionalType.ofTensor())
    return value


def _is_none(value: Any) -> bool:
    return value is None or bool(value.node().mustBeNone())


def translation() -> Callable[..., Any]:
    """The function that writes ``torch.ops.congru.forward.default`` as nodes, for the `custom_translation_table` of an export.

    torch.onnx.export finds it by itself too. Raises `MissingPackageError` without onnxscript.
    """
    onnxscript = require("onnxscript", "export")
    from congru.kernels.native_ops import ARGUMENTS, GATES

    opset = onnxscript.opset18

    def emit(name: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        return getattr(opset, name)(*inputs, **attributes)

    def congru_forward(cell: int, reverse: bool, time_first: bool, keep: int, *tensors: Any) -> Any:
        arguments = dict(zip(ARGUMENTS, tensors))
        rows, H = (int(size) for size in arguments["U"].shape)
        y, h, c = nodes(emit, cell, reverse, bool(keep & GATES), (rows, H), arguments)
        nothing = emit("Constant", value_floats=[0.0])
        return y, h, nothing if c is None else c, nothing, nothing, nothing

    return congru_forward


_FUNCTIONS = "torch.onnx._internal.exporter._torchlib"


class _WithTorchsFunctions(MetaPathFinder):
    """Adds our functions to those of the new exporter when it first loads them; it finds no module itself."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == f"{_FUNCTIONS}.ops":
            sys.meta_path.remove(self)
            add_functions()


def add_functions() -> None:
    """Register our functions with the new exporter."""
    register = sys.modules[f"{_FUNCTIONS}._torchlib_registry"].onnx_impl
    register(torch.ops.congru.forward.default, no_compile=True)(translation())
    register(torch.ops.congru.mingru.default, no_compile=True)(refuse_mingru)


if f"{_FUNCTIONS}.ops" in sys.modules:
    add_functions()
else:
    sys.meta_path.insert(0, _WithTorchsFunctions())
