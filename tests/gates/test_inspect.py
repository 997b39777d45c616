"""One trace from every kind of model, to 1e-6, and one line for each model or input that cannot be traced."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.errors import CongruError, ConventionError
from congru.gates import Stack, Trace
from congru.gates.inspect import inspect
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.runtime.graph import Graph
from congru.runtime.network import Network
from gates_cases import random_stack
from golden.case_file import FOLDER, load
from runtime_models import recurrent, save, token_config

LENGTHS = [7, 3, 1, 5]


def export(module: torch.nn.Module, x: torch.Tensor, path: Path, **options: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (x,), path, dynamo=False, input_names=["x"], **options)
    return path


def assert_same(trace: Trace, other: Trace, tolerance: float = 1e-6) -> None:
    assert trace.shape == other.shape
    np.testing.assert_allclose(trace.state, other.state, atol=tolerance)
    for letter in congru.gates.form.GATES[trace.cell]:
        np.testing.assert_allclose(trace.gate(letter), other.gate(letter), atol=tolerance)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(4, 7, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("reset_before", [False, True])
def test_torch_our_layer_model_folder_and_onnx_give_one_trace(
    x: torch.Tensor, tmp_path: Path, reset_before: bool
) -> None:
    """The issue's bar: 1e-6 between torch layer, our layer, model folder and ONNX file."""
    torch.manual_seed(1)
    ours = congru.nn.GRU(3, 6, 2, batch_first=True, reset_before=reset_before)
    traces = [inspect(ours, x)]
    weights = {f"rnn.{name}": part.detach().numpy() for name, part in ours.named_parameters()}
    config = {"layers": [recurrent("gru", 3, 6, num_layers=2, reset_before=reset_before)]}
    golden = make_golden(config, Network(config, weights).run)
    model = save(tmp_path / "model", config, weights={"main": weights}, golden={"main": golden})
    traces.append(inspect(model, x.numpy()))
    traces.append(inspect(str(tmp_path / "model"), x.numpy()))
    if not reset_before:
        theirs = torch.nn.GRU(3, 6, 2, batch_first=True)
        theirs.load_state_dict(ours.state_dict())
        traces.append(inspect(theirs, x))
        path = export(theirs, x, tmp_path / "gru.onnx")
        traces.append(inspect(path, x.numpy()))
        traces.append(inspect(str(path), {"x": x.numpy()}))
    for trace in traces:
        assert trace.shape == (2, 1, 4, 7, 6)
        trace.check(1e-6)
        assert_same(trace, traces[0])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("form", ["GRU", "LSTM", "RNN"])
def test_every_way_to_call_torch(x: torch.Tensor, form: str, bidirectional: bool) -> None:
    """Stacked, train mode with dropout, batch first or not, packed or with lengths, from a given h0."""
    ways = 2 if bidirectional else 1
    module = getattr(torch.nn, form)(3, 5, 2, batch_first=True, bidirectional=bidirectional, dropout=0.5)
    late = getattr(torch.nn, form)(3, 5, 2, bidirectional=bidirectional)
    ours = getattr(congru.nn, form)(3, 5, 2, batch_first=True, bidirectional=bidirectional)
    late.load_state_dict(module.state_dict())
    ours.load_state_dict(module.state_dict())
    h = torch.randn(2 * ways, 4, 5)
    h0 = (h, 0.5 * h) if form == "LSTM" else h
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False
    )
    reference = inspect(module, x, h0=h0, lengths=LENGTHS)
    assert module.training
    assert reference.shape == (2, ways, 4, 7, 5)
    assert reference.lengths.tolist() == LENGTHS
    for other in (
        inspect(module, packed, h0=h0),
        inspect(late, x.transpose(0, 1), h0=h0, lengths=LENGTHS),
        inspect(ours, x, h0=h0, lengths=LENGTHS),
        inspect(ours, packed, h0=h0),
    ):
        other.check(1e-6)
        assert_same(other, reference)


def test_one_sequence_without_batch(x: torch.Tensor) -> None:
    module = torch.nn.GRU(3, 5)
    trace = inspect(module, x[0], tokens=list("abcdefg"))
    assert trace.shape == (1, 1, 1, 7, 5)
    assert trace.tokens == (tuple("abcdefg"),)
    assert_same(trace, inspect(module, x[:1].transpose(0, 1)))
    assert_same(trace, inspect(module, x[0].numpy()))


def test_resets_and_learned_starts_of_our_layers(x: torch.Tensor) -> None:
    reset = torch.rand(4, 7, generator=torch.Generator().manual_seed(2)) < 0.3
    for form in (congru.nn.GRU, congru.nn.LSTM, congru.nn.MinGRU):
        layer = form(3, 5, 2, batch_first=True, learn_h0=True, bidirectional=True)
        with torch.no_grad():
            for part in layer.parameters():
                part.uniform_(-0.6, 0.6)
        y, _, gates = layer(x, lengths=torch.tensor([7, 0, 3, 4]), reset=reset, return_gates=True)
        trace = inspect(layer, x, lengths=[7, 0, 3, 4], reset=reset)
        trace.check(1e-6)
        stacked = np.stack([[way.recovered.stacked() for way in row] for row in trace.layers])
        np.testing.assert_allclose(stacked, gates.detach().numpy(), atol=1e-6)
        np.testing.assert_allclose(trace.top.y, y[..., :5].detach().numpy(), atol=1e-6)


class Tagger(torch.nn.Module):
    """Embedding, GRU, and a head on what `pool` makes of its states."""

    def __init__(self, pool: str, bidirectional: bool = False) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(10, 4)
        self.rnn = torch.nn.GRU(4, 6, batch_first=True, bidirectional=bidirectional)
        self.head = torch.nn.Linear(12 if bidirectional else 6, 3)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, h = self.rnn(self.embed(x))
        if self.pool == "tanh":
            return self.head(torch.tanh(y))
        if self.pool == "log":
            return torch.log_softmax(self.head(y), -1)
        if self.pool == "final":
            return self.head(torch.cat([h[0], h[1]], -1))
        return self.head({"steps": y, "last": y[:, -1], "mean": y.mean(1)}[self.pool])


@pytest.mark.parametrize(
    ("pool", "bidirectional", "kind"),
    [
        ("steps", False, "steps"),
        ("last", False, "last"),
        ("mean", True, "mean"),
        ("final", True, "final"),
        ("log", False, "steps"),
    ],
)
def test_a_whole_model_shows_its_layer_and_its_readout(pool: str, bidirectional: bool, kind: str) -> None:
    torch.manual_seed(0)
    model = Tagger(pool, bidirectional)
    tokens = torch.randint(0, 10, (2, 8))
    trace = inspect(model, tokens, labels=["x", "y", "z"])
    assert trace.layer_names == ("rnn",)
    assert trace.readout.kind == kind
    assert trace.readout.name == "head"
    memory = trace.memory("y")
    assert abs(memory.residual) < 1e-5
    if pool != "log":
        expected = trace.output[0, 1] if trace.output.ndim == 2 else trace.output[0, -1, 1]
        assert memory.output == pytest.approx(expected, abs=1e-5)
    assert model.training
    assert not model.rnn._forward_hooks


def test_a_nonlinear_readout_offers_the_state_level_answer() -> None:
    trace = inspect(Tagger("tanh"), torch.randint(0, 10, (2, 8)))
    assert trace.readout is None
    message = r"target needs a linear read-out of Tagger.*no linear function of the top states: exact shares exist for"
    with pytest.raises(CongruError, match=message):
        trace.memory(0)
    assert abs(trace.memory(np.ones(6)).residual) < 1e-6


class Two(torch.nn.Module):
    """Two recurrent layers of different size, one of them called twice where asked."""

    def __init__(self, again: bool = False, same: bool = False) -> None:
        super().__init__()
        self.first = torch.nn.GRU(3, 6, batch_first=True)
        self.second = (
            torch.nn.LSTM(6, 4, batch_first=True) if not same else torch.nn.GRU(6, 6, batch_first=True)
        )
        self.again = again

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Any]:
        y, h = self.first(x)
        if self.again:
            y, h = self.first(x, h)
        return self.second(y)


def test_several_layers_are_found_and_chosen_by_name(x: torch.Tensor) -> None:
    model = Two()
    trace = inspect(model, x)
    assert trace.layer_names == ("first", "second")
    assert trace.cell == "lstm"
    assert inspect(model, x, layer="first").cell == "gru"
    assert inspect(Two(same=True), x).shape == (2, 1, 4, 7, 6)
    with pytest.raises(CongruError, match="layer is 'third', expected one of first, second"):
        inspect(model, x, layer="third")
    again = inspect(Two(again=True), x)  # the second call goes on where the first ended
    assert again.layer_names == ("first", "second")
    assert inspect(Two(again=True), x, layer="first").shape == (1, 1, 4, 14, 6)


def test_arguments_of_a_whole_model(x: torch.Tensor) -> None:
    layers = [recurrent("gru", 3, 6), {"type": "last"}, {"type": "linear", "name": "head", "in": 6, "out": 2}]
    network = congru.nn.Network({"layers": layers})
    trace = inspect(network, x, lengths=LENGTHS)
    assert trace.lengths.tolist() == LENGTHS
    assert trace.readout.kind == "last"
    assert abs(trace.memory(row=1).residual) < 1e-5
    model = Two()
    named = inspect(model, {"x": x.numpy()})
    assert_same(named, inspect(model, (x,)))


@pytest.mark.parametrize(
    "stem", ["keras_gru_reset_after_true", "keras_gru_reset_after_false", "keras_lstm", "keras_rnn"]
)
def test_keras_layers_by_their_weights(stem: str) -> None:
    """The golden case's y came from Keras; the layer here has only Keras' two methods."""
    case = load(FOLDER / f"{stem}.npz")
    kind = {"gru": "GRU", "lstm": "LSTM", "rnn": "SimpleRNN"}[case.about["cell"]]
    arrays = case.arrays[0]

    def get_weights(self: Any) -> list[np.ndarray]:
        return [arrays["kernel"], arrays["recurrent_kernel"], arrays["bias"]]

    config = {"use_bias": True, "activation": "tanh", **case.about["options"]}
    layer = type(kind, (), {"get_weights": get_weights, "get_config": lambda self: config, "name": "k"})()
    trace = inspect(layer, case.x, h0=tuple(case.state))
    np.testing.assert_allclose(trace.top.y, case.y, atol=1e-5)
    both = type("Bidirectional", (), {"forward_layer": layer, "backward_layer": layer, "name": "b"})
    both.get_weights, both.get_config = get_weights, lambda self: {}
    assert inspect(both(), case.x).shape[1] == 2
    config["activation"] = "elu"
    with pytest.raises(ConventionError, match="activation is 'elu'"):
        inspect(layer, case.x)


def test_other_keras_layers_have_their_line() -> None:
    dense = type("Dense", (), {"get_weights": lambda self: [], "get_config": lambda self: {}})()
    with pytest.raises(
        CongruError, match="Dense is no recurrent Keras layer, expected GRU, LSTM, SimpleRNN, RNN of"
    ):
        inspect(dense, np.ones((1, 2, 3)))


@pytest.mark.parametrize("linear_before_reset", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_onnx_nodes_of_both_reset_forms_and_every_direction(linear_before_reset: int, direction: str) -> None:
    model = onnx_model(linear_before_reset, direction)
    x = np.random.default_rng(1).normal(size=(6, 2, 3)).astype(np.float32)
    trace = inspect(model, x)
    assert trace.shape == (1, 2 if direction == "bidirectional" else 1, 2, 6, 4)
    assert trace.top.form.reset_before == (linear_before_reset == 0)
    assert trace.top.reverse == (direction == "reverse")
    trace.check(1e-6)


def onnx_model(linear_before_reset: int, direction: str, **attributes: Any) -> Any:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    D = 2 if direction == "bidirectional" else 1
    random = np.random.default_rng(0)
    arrays = {
        name: (0.5 * random.normal(size=size)).astype(np.float32)
        for name, size in (("W", (D, 12, 3)), ("R", (D, 12, 4)), ("B", (D, 24)), ("h0", (D, 2, 4)))
    }
    node = helper.make_node(
        "GRU", ["x", "W", "R", "B", "", "h0"], ["y"], name="gru", hidden_size=4, direction=direction,
        linear_before_reset=linear_before_reset, **attributes,
    )  # fmt: skip
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", 2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["T", D, 2, 4])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=onnx.IR_VERSION_2021_7_30
    )


def test_onnx_files_that_cannot_be_traced_have_their_line(x: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(ConventionError, match=r"clip is 1\.0, expected None"):
        inspect(onnx_model(1, "forward", clip=1.0), np.ones((6, 2, 3), np.float32))
    model = onnx_model(1, "forward")
    with pytest.raises(
        CongruError, match=r"x has shape \(6, 2, 4\), expected \('any', 2, 3\) for the ONNX input 'x'"
    ):
        inspect(model, np.ones((6, 2, 4), np.float32))
    with pytest.raises(CongruError, match=r"x has shape \(0, 2, 3\), expected at least one row and one step"):
        inspect(model, np.ones((0, 2, 3), np.float32))
    path = export(torch.nn.Linear(3, 2), x, tmp_path / "linear.onnx")
    with pytest.raises(CongruError, match="the ONNX file has no recurrent node, expected GRU, LSTM or RNN"):
        inspect(path, x.numpy())
    with pytest.raises(CongruError, match="h0 is given, expected None for this model"):
        inspect(model, np.ones((6, 2, 3), np.float32), h0=np.ones((1, 2, 4)))


def test_text_goes_through_a_models_tokenizer(tmp_path: Path) -> None:
    from runtime_models import char_file

    model = save(tmp_path / "model", token_config("gru"), {"tokenizer.json": char_file()})
    trace = inspect(tmp_path / "model", "abcé")
    assert trace.tokens == (tuple("abcé"),)
    assert trace.readout.labels[:3] == ("a", "b", "c")
    assert abs(trace.memory("b").residual) < 1e-5
    assert_same(trace, inspect(model, np.array([0, 1, 2, 7])))
    with pytest.raises(CongruError, match="x is text, expected an array: this model has no tokenizer"):
        inspect(save(tmp_path / "plain", token_config("gru")), "abc")


def test_layers_inside_a_residual_and_after_others(tmp_path: Path) -> None:
    config = {
        "layers": [
            {"type": "linear", "name": "in", "in": 3, "out": 6},
            {"type": "tanh"},
            {
                "type": "residual",
                "layers": [
                    {"type": "layer_norm", "name": "norm", "size": 6},
                    {"type": "dropout", "p": 0.1},
                    recurrent("gru", 6, 6, learn_h0=True),
                ],
            },
            {**recurrent("lstm", 6, 4, bidirectional=True), "name": "top"},
        ]
    }
    model = save(tmp_path / "model", config)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    assert inspect(model, x, lengths=[5, 3]).check(1e-6) < 1e-6
    inner = inspect(model, x, layer="rnn")
    inner.check(1e-6)
    torch_network = congru.nn.Network(config)
    torch_network.load_state_dict({name: torch.tensor(part) for name, part in model.network.weights.items()})
    assert_same(inner, inspect(torch_network, torch.tensor(x), layer="rnn"), 2e-6)


def test_an_activation_first_needs_no_network(tmp_path: Path) -> None:
    config = {"layers": [{"type": "relu"}, recurrent("gru", 3, 4)]}
    x = np.random.default_rng(0).normal(size=(1, 5, 3))
    trace = inspect(save(tmp_path / "model", config), x)
    np.testing.assert_allclose(trace.x[0], np.maximum(x[0], 0), atol=1e-6)


def bad_models(tmp_path: Path) -> dict[str, Any]:
    plain = {"layers": [{"type": "linear", "name": "head", "in": 3, "out": 2}]}
    (tmp_path / "notes.txt").write_text("no model")
    return {
        "no recurrent torch": torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU()),
        "no recurrent folder": save(tmp_path / "plain", plain),
        "projected": torch.nn.LSTM(3, 4, proj_size=2),
        "gru": torch.nn.GRU(3, 4, batch_first=True),
        "two": Two(),
        "stack": random_stack("gru"),
        "folder": save(tmp_path / "vectors", {"layers": [recurrent("gru", 3, 4)]}),
        "ours": congru.nn.GRU(3, 4, batch_first=True),
        "missing": tmp_path / "nowhere",
        "file": tmp_path / "notes.txt",
        "number": 3,
    }


@pytest.mark.parametrize(
    ("model", "x", "options", "message"),
    [
        (
            "no recurrent torch",
            (1, 4, 3),
            {},
            "Sequential has no recurrent layer, expected .*it holds Linear, ReLU",
        ),
        (
            "no recurrent folder",
            (1, 4, 3),
            {},
            "the model has no recurrent layer, expected a gru.*it has linear",
        ),
        ("projected", (4, 1, 3), {}, "lstm has proj_size 2, expected 0"),
        (
            "gru",
            (1, 4, 5),
            {},
            r"x has shape \(1, 4, 5\), expected \[B, T, I\] = \(any, any, 3\): pass 3 features",
        ),
        ("gru", (1, 0, 3), {}, r"x has shape \(1, 0, 3\), expected at least one row and one step \(T >= 1\)"),
        ("stack", (1, 0, 3), {}, "expected at least one row and one step"),
        ("stack", (1, 4, 5), {}, r"expected \[B, T, I\] = \(any, any, 3\)"),
        ("folder", (1, 0, 3), {}, "expected at least one row and one step"),
        ("folder", (1, 4, 5), {}, r"x has shape \(1, 4, 5\), expected"),
        ("two", (1, 0, 3), {}, "the input of first has shape .*expected at least one row"),
        ("two", (1, 4, 5), {}, r"Two does not take this x \(.*\), expected what its forward takes"),
        ("two", (1, 4, 3), {"h0": 1}, "h0 is given, expected None for this model"),
        ("gru", (2, 4, 3), {"reset": [[True] * 4] * 2}, "reset is given for torch.nn.GRU, expected None"),
        ("gru", (2, 4, 3), {"lengths": [0, 4]}, "lengths holds 0, expected at least 1 for torch.nn.GRU"),
        ("stack", (2, 4, 3), {"h0": (np.ones((1, 2, 5)),) * 2}, "h0 has 2 parts, expected h alone for gru"),
        (
            "stack",
            (2, 4, 3),
            {"h0": np.ones((2, 2, 5))},
            r"h0 has shape \(2, 2, 5\), expected \[L\*D, B, H\]",
        ),
        ("gru", (2, 4, 3), {"tokens": list("abc")}, "tokens has 3 labels, expected T = 4"),
        ("gru", (1, 4, 3), {"tokens": list("abc")}, "tokens has 3 labels, expected T = 4"),
        ("gru", (2, 4, 3), {"tokens": [list("abcd")] * 3}, "tokens has 3 rows, expected B = 2"),
        ("missing", (1, 4, 3), {}, "nowhere does not exist, expected a model folder or an .onnx file"),
        ("file", (1, 4, 3), {}, "notes.txt is a file, expected a model folder or an .onnx file"),
        ("number", (1, 4, 3), {}, "model is int, expected a torch module, a model folder"),
    ],
)
def test_bad_models_and_inputs_have_one_line(
    tmp_path: Path, model: str, x: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(CongruError, match=message) as caught:
        inspect(bad_models(tmp_path)[model], np.ones(x, np.float32), **options)
    assert "\n" not in str(caught.value)


def test_a_packed_input_has_its_own_lengths(x: torch.Tensor) -> None:
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False
    )
    for module in (torch.nn.GRU(3, 4), congru.nn.GRU(3, 4)):
        with pytest.raises(
            CongruError, match="lengths or reset is given with a PackedSequence, expected None"
        ):
            inspect(module, packed, lengths=LENGTHS)


def test_cells_say_what_they_do_not_have() -> None:
    x = np.ones((1, 4, 3))
    rnn, lstm, gru = (inspect(random_stack(cell), x) for cell in ("rnn", "lstm", "gru"))
    with pytest.raises(CongruError, match="keep is asked of a plain RNN, expected a cell with a keep gate"):
        rnn.keep  # noqa: B018
    with pytest.raises(
        CongruError, match="reset is asked of a LSTM, expected a GRU: it has the gates i, f, g, o"
    ):
        lstm.reset  # noqa: B018
    with pytest.raises(CongruError, match="gate is 'f', expected one of r, z, n: this is a gru"):
        gru.gate("f")
    assert lstm.gate("o").shape == lstm.memory_state.shape == (1, 1, 1, 4, 5)
    with pytest.raises(CongruError, match="layer is 1, expected -1 to 0: the trace has 1 layers"):
        gru.layer(1)
    with pytest.raises(CongruError, match="direction is 1, expected 0 to 0: the layer runs forward only"):
        gru.layer(0, 1)
    assert repr(gru).startswith("<Trace of layer: layer (GRU), L=1, D=1, B=1, T=4, H=5, residual ")


def test_stack_of_weights_alone_knows_its_sizes() -> None:
    stack = Stack("lstm", random_stack("lstm", layers=2, ways=2).weights)
    assert (stack.num_layers, stack.num_directions, stack.input_size, stack.hidden_size) == (2, 2, 3, 5)


def test_of_several_networks_the_one_with_these_inputs_is_traced(tmp_path: Path) -> None:
    nodes = [
        {"type": "linear", "name": "inner", "size": 4, "of": "x"},
        {"type": "add", "name": "sum", "of": ["inner", "y"]},
        {"type": "gru", "name": "rnn", "hidden_size": 5},
        {"type": "linear", "name": "head", "size": 2},
    ]
    inputs = {"x": {"features": 3}, "y": {"features": 4}}
    networks = {
        "other": {"inputs": {"z": {"features": 2}}, "nodes": [nodes[3]], "outputs": ["head"]},
        "main": {"inputs": inputs, "nodes": nodes, "outputs": ["head", "rnn"]},
    }
    rng = np.random.default_rng(0)
    weights, golden = {}, {}
    for name, config in networks.items():
        shapes = Graph(config).weight_shapes
        weights[name] = {part: rng.normal(size=shape).astype(np.float32) for part, shape in shapes.items()}
        golden[name] = make_golden(config, Network(config, weights[name]).run)
    config = {"task": "toy", "cell": "gru", "networks": networks, "task_config": {}}
    save_model(tmp_path / "model", config=config, weights=weights, golden=golden, files={}, card="")
    model = congru.load(tmp_path / "model")
    x = {name: rng.normal(size=(1, 6, size)).astype(np.float32) for name, size in (("x", 3), ("y", 4))}
    trace = congru.inspect(model, x)
    assert trace.check() <= 1e-5
    out, _ = model.networks["main"].run(x)
    np.testing.assert_allclose(trace.state[0, 0], out["rnn"], atol=1e-6)
    with pytest.raises(CongruError, match="x has the inputs q, expected those of a network"):
        congru.inspect(model, {"q": x["x"]})


def test_one_network_of_several_in_a_folder(tmp_path: Path) -> None:
    """A decoder that reads a memory: several inputs by name, its state from outside."""
    from runtime_models import random_weights

    config = {
        "inputs": {"x": {"features": 3}, "m": {"features": 5, "axes": "memory"}},
        "nodes": [
            {"type": "gru", "name": "rnn", "hidden_size": 5, "layer_norm": True, "of": "x"},
            {"type": "attention", "name": "read", "of": ["rnn", "m"], "score": "dot"},
            {"type": "linear", "name": "head", "size": 2, "of": "rnn"},
        ],
        "outputs": ["head", "read"],
    }
    network = Network(config, random_weights(config))
    random = np.random.default_rng(0)
    x, m, h = (random.normal(size=size).astype(np.float32) for size in ((2, 4, 3), (2, 6, 5), (1, 2, 5)))
    trace = inspect(network, {"x": x, "m": m}, h0={"rnn.h": h})
    assert trace.check() <= 1e-6
    np.testing.assert_array_equal(trace.top.start[0], h[0])
    outputs, _, gates = network.trace({"x": x, "m": m}, {"rnn.h": h})
    np.testing.assert_allclose(trace.top.recovered.stacked(), gates["rnn"][0, 0], atol=1e-6)
    assert trace.memory(1, at=2).output == pytest.approx(float(outputs["head"][0, 2, 1]), abs=1e-5)
