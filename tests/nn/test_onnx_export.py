"""torch.onnx.export of a model with our layers: ONNX's own nodes in both exporters, of any batch and time, run by onnxruntime."""

from __future__ import annotations

import io
import logging

import pytest
import torch

from congru import nn
from congru.kernels import binding

onnx = pytest.importorskip("onnx", reason="no onnx: pip install 'congru[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="no onnxruntime: pip install 'congru[export]'")
onnxscript = pytest.importorskip("onnxscript", reason="no onnxscript: pip install 'congru[export]'")
pytestmark = [
    pytest.mark.skipif(not binding.is_available(), reason=f"no C core: {binding.missing()}"),
    # What the exporters themselves do with torch, onnx and NumPy.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:. The axis name:UserWarning"),
]
I, H = 3, 4
SIZES = ((3, 1), (5, 2), (1, 3), (4, 8))  # B, T


class Everything(torch.nn.Module):
    """Every kind of layer that has a node, each in another form of call."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(I, H, 2, bidirectional=True, batch_first=True)
        self.before = nn.GRU(I, H, batch_first=True, reset_before=True, bias=False)
        self.lstm = nn.LSTM(I, H, 2, bidirectional=True)
        self.rnn = nn.RNN(I, H, batch_first=True, num_heads=2)
        self.relu = nn.RNN(I, H, batch_first=True, nonlinearity="relu", learn_h0=True)
        self.cell, self.lstm_cell = nn.GRUCell(I, H), nn.LSTMCell(I, H)

    def forward(self, x, h, lengths):
        return (
            *self.gru(x, h, lengths=lengths),
            *self.before(x),
            *self.flat(self.lstm(x.transpose(0, 1), lengths=lengths)),
            *self.rnn(x, h[:1]),
            *self.relu(x, lengths=lengths),
            self.cell(x[:, 0], h[0]),
            *self.lstm_cell(x[:, 0]),
        )

    @staticmethod
    def flat(results):
        return results[0], *results[1]


def arguments(B, T):
    return torch.randn(B, T, I), torch.randn(4, B, H), torch.randint(0, T + 1, (B,))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Everything().eval()


def of_new_exporter(model, example):
    B, T = torch.export.Dim("B"), torch.export.Dim("T")
    shapes = {"x": {0: B, 1: T}, "h": {1: B}, "lengths": {0: B}}
    program = torch.onnx.export(model, example, dynamic_shapes=shapes, verbose=False, optimize=True)
    return program.model_proto


def of_old_exporter(model, example):
    file, names = io.BytesIO(), ["x", "h", "lengths"]
    axes = {"x": {0: "B", 1: "T"}, "h": {1: "B"}, "lengths": {0: "B"}}
    torch.onnx.export(model, example, file, dynamo=False, input_names=names, dynamic_axes=axes)
    return onnx.load_from_string(file.getvalue())


EXPORTERS = {"new": of_new_exporter, "old": of_old_exporter}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_model_becomes_onnx_nodes_that_run_at_any_batch_and_time(exporter, model, caplog):
    caplog.set_level(logging.ERROR)
    proto = EXPORTERS[exporter](model, arguments(2, 5))
    onnx.checker.check_model(proto)
    nodes = [node for node in proto.graph.node if node.op_type in ("GRU", "LSTM", "RNN", "Scan", "Loop")]
    settings = {
        (node.op_type, key.name): onnx.helper.get_attribute_value(key)
        for node in nodes
        for key in node.attribute
    }
    kinds = [node.op_type for node in nodes]
    assert {kind: kinds.count(kind) for kind in kinds} == {"GRU": 4 + 1 + 1, "LSTM": 4 + 1, "RNN": 2 + 1}
    reset_after = [
        onnx.helper.get_attribute_value(key)
        for node in nodes
        for key in node.attribute
        if key.name == "linear_before_reset"
    ]
    assert sorted(reset_after) == [0, 1, 1, 1, 1, 1]
    assert settings["LSTM", "hidden_size"] == H
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for sizes in SIZES:
        given = arguments(*sizes)
        given[2][0] = 0  # an empty row keeps the state it starts from
        names = [entry.name for entry in session.get_inputs()]
        results = session.run(None, {name: part.numpy() for name, part in zip(names, given)})
        expected = model(*given)
        assert len(results) == len(expected)
        for a, b in zip(results, expected):
            torch.testing.assert_close(torch.as_tensor(a), b.detach(), rtol=1e-5, atol=1e-6)


REFUSED = {
    "layer_norm": (lambda: nn.GRU(I, H, layer_norm=True), {}),
    "reset": (lambda: nn.LSTM(I, H), {"reset": torch.zeros(2, 5, dtype=torch.bool)}),
    "zoneout": (lambda: nn.RNN(I, H, zoneout=0.1), {}),
    "return_gates": (lambda: nn.GRU(I, H, return_gates=True), {}),
    "return_gates or return_states": (lambda: nn.LSTM(I, H), {"return_states": True}),
    "mingru": (lambda: nn.MinGRU(I, H), {}),
}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("option", REFUSED)
def test_what_has_no_node_is_refused_by_name(option, exporter):
    build, given = REFUSED[option]
    if exporter == "new" and option != "mingru":
        pytest.skip("the same function as in the old exporter, which takes a tenth of the time")
    message = (
        "cell is mingru, expected gru" if option == "mingru" else f"{option} is given, expected none in ONNX"
    )
    layer, x = build().eval(), torch.randn(5, 2, I)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return self.layer(x, **given)

    with pytest.raises(Exception, match=message):
        torch.onnx.export(Model().eval(), (x,), io.BytesIO(), dynamo=exporter == "new", verbose=False)


def test_the_export_checks_itself_and_a_table_may_be_given():
    layer = nn.GRU(I, H, batch_first=True).eval()
    table = {torch.ops.congru.forward.default: nn.onnx_translation()}
    program = torch.onnx.export(
        layer, (torch.randn(2, 5, I),), custom_translation_table=table, verify=True, verbose=False
    )
    assert [node.op_type for node in program.model.graph].count("GRU") == 1


def test_padding_at_either_end_is_written_too():
    class Masked(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(I, H, batch_first=True, bidirectional=True)

        def forward(self, x, mask):
            return self.gru(x, mask=mask)

    model, mask = Masked().eval(), torch.tensor([[False, True, True], [True, False, False]])
    file, x = io.BytesIO(), torch.randn(2, 3, I)
    torch.onnx.export(model, (x, mask), file, dynamo=False, input_names=["x", "mask"])
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    mask = mask.roll(1, 0)
    results = session.run(None, {"x": x.numpy(), "mask": mask.numpy()})
    for a, b in zip(results, model(x, mask)):
        torch.testing.assert_close(torch.as_tensor(a), b.detach(), rtol=1e-5, atol=1e-6)
