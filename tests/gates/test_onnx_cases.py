"""ONNX's official cases of GRU, LSTM and RNN, read and traced; what differs on purpose stands in one list with its reason."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import congru
from congru.errors import CongruError, ConventionError

# Name of the case -> why it is refused, a part of the message.
INTENDED_DIFFERENCES = {
    "test_lstm_with_peepholes": "has peepholes (its input P), expected none: there the cell state enters the gates",
}
_BOTH = ("defaults", "with_initial_bias", "batchwise", "reverse", "bidirectional")
NAMES = [
    *(f"test_gru_{name}" for name in (*_BOTH, "seq_length")),
    *(f"test_lstm_{name}" for name in (*_BOTH, "with_peepholes")),
    *(f"test_simple_rnn_{name}" for name in _BOTH),
    "test_rnn_seq_length",
]


class Case(NamedTuple):
    """A node with what goes in and what ONNX's own program gives, in the order of its names."""

    node: Any
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]


@cache
def cases() -> dict[str, Case]:
    """The cases of the installed onnx: its modules make them by calling `expect`."""
    by_name = {}
    for name in ("gru", "lstm", "rnn"):
        module = import_module(f"onnx.backend.test.case.node.{name}")
        kind = getattr(module, name.upper())

        def keep(node, inputs, outputs, name, **_):
            by_name[name] = Case(
                node, [np.asarray(part) for part in inputs], [np.asarray(part) for part in outputs]
            )

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(module, "expect", keep)
            for export in [key for key in vars(kind) if key.startswith("export")]:
                getattr(kind, export)()
    return by_name


def test_every_official_case_is_run():
    assert set(NAMES) == set(cases())


@pytest.mark.parametrize("name", NAMES)
def test_the_official_case(name):
    node, inputs, outputs = cases()[name]
    fed = dict(zip([part for part in node.input if part], inputs))
    types = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int32): TensorProto.INT32}
    graph = helper.make_graph(
        [node], name,
        [helper.make_tensor_value_info(key, types[value.dtype], value.shape) for key, value in fed.items()],
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, None) for key in node.output if key],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    if name in INTENDED_DIFFERENCES:
        with pytest.raises(ConventionError) as caught:
            congru.inspect(model, fed)
        assert INTENDED_DIFFERENCES[name] in str(caught.value)
        return
    trace = congru.inspect(model, fed)
    trace.check()
    batch_first = any(part.name == "layout" and part.i == 1 for part in node.attribute)
    for key, expected in zip([part for part in node.output if part], outputs):
        is_cell_state = len(node.output) > 2 and key == node.output[2]
        ours = [way.memory if is_cell_state else way.y for way in trace.layers[0]]
        if key == node.output[0]:
            whole = np.stack(ours)  # [D, B, T, H]
            wanted = np.moveaxis(expected, 2, 0) if batch_first else expected.transpose(1, 2, 0, 3)
        else:
            whole = np.stack([y[:, 0] if way.reverse else y[:, -1] for y, way in zip(ours, trace.layers[0])])
            wanted = expected.swapaxes(0, 1) if batch_first else expected
        np.testing.assert_allclose(whole, wanted, rtol=0, atol=1e-6)


def model_of(kind, inputs, arrays, outputs=("y",), sizes=("T", 2, 3), **attributes):
    node = helper.make_node(kind, inputs, outputs, hidden_size=4, **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs if name],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def drawn(gates, ways=1):
    random = np.random.default_rng(0)
    return {
        name: (0.5 * random.normal(size=size)).astype(np.float32)
        for name, size in (
            ("W", (ways, gates * 4, 3)),
            ("R", (ways, gates * 4, 4)),
            ("B", (ways, 2 * gates * 4)),
        )
    }


X = np.random.default_rng(1).normal(size=(6, 2, 3)).astype(np.float32)


def test_relu_rnn_in_both_directions():
    model = model_of(
        "RNN", ["x", "W", "R", "B"], drawn(1, 2), direction="bidirectional", activations=["Relu", "Relu"]
    )
    trace = congru.inspect(model, X)
    assert (trace.cell, trace.shape) == ("rnn_relu", (1, 2, 2, 6, 4))
    assert trace.state.min() == 0 < trace.state.max()
    trace.check()
    mixed = model_of(
        "RNN", ["x", "W", "R", "B"], drawn(1, 2), direction="bidirectional", activations=["Relu", "Tanh"]
    )
    with pytest.raises(ConventionError, match=r"activations is \['Relu', 'Tanh'\], expected"):
        congru.inspect(mixed, X)


def test_a_node_without_its_states_is_seen_whole():
    """torch exports a model that uses h alone so: the node's Y is not asked for."""
    both = congru.inspect(model_of("GRU", ["x", "W", "R", "B"], drawn(3), linear_before_reset=1), X)
    alone = model_of("GRU", ["x", "W", "R", "B"], drawn(3), outputs=("", "h"), linear_before_reset=1)
    np.testing.assert_array_equal(congru.inspect(alone, X).state, both.state)


def test_the_batch_first_layout_is_the_other_one_turned():
    arrays = {**drawn(4), "h": np.full((1, 2, 4), 0.3, np.float32), "c": np.full((1, 2, 4), -0.7, np.float32)}
    names = ["x", "W", "R", "B", "", "h", "c"]
    late = congru.inspect(model_of("LSTM", names, arrays), X)
    arrays |= {"h": arrays["h"].swapaxes(0, 1), "c": arrays["c"].swapaxes(0, 1)}
    early = model_of("LSTM", names, arrays, ("y", "last", "cell"), (2, "T", 3), layout=1)
    trace = congru.inspect(early, X.swapaxes(0, 1))
    trace.check()
    np.testing.assert_allclose(trace.state, late.state, atol=1e-7)


def test_no_word_of_onnxruntime_reaches_the_user(capfd, tmp_path):
    model = model_of("GRU", ["x", "W", "R", "B"], {**drawn(3), "W": np.ones((1, 12, 5), np.float32)})
    with pytest.raises(
        CongruError, match=r"the ONNX file cannot be run \(.*\), expected one that onnxruntime runs"
    ):
        congru.inspect(model, X)
    with pytest.raises(CongruError, match="x has 'z', expected x: name the inputs of the ONNX file"):
        congru.inspect(model_of("GRU", ["x", "W", "R", "B"], drawn(3)), {"z": X})
    (tmp_path / "no.onnx").write_bytes(b"hello")
    with pytest.raises(CongruError, match=r"the ONNX file cannot be run|has no recurrent node"):
        congru.inspect(tmp_path / "no.onnx", X)
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


def test_peepholes_of_zeros_are_no_peepholes():
    arrays = {**drawn(4), "P": np.zeros((1, 12), np.float32)}
    names = ["x", "W", "R", "B", "", "", "", "P"]
    congru.inspect(model_of("LSTM", names, arrays), X).check()
    with pytest.raises(ConventionError, match=r"has peepholes \(its input P\), expected none"):
        congru.inspect(model_of("LSTM", names, {**arrays, "P": np.ones((1, 12), np.float32)}), X)
