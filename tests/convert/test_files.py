"""Files of other libraries to model folders and back: names, whole layers, stacks, and one line for what can't be."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import congru
from cases import make_case
from congru.convert import to_file, to_folder
from congru.convert.writing import FORMATS
from congru.errors import ConventionError, DataError, SettingsError, ShapeError
from congru.export.exporter import export_model
from congru.reference.conventions import from_canonical
from congru.reference.systems import SYSTEMS
from export_cases import ALL, save_networks
from golden.case_file import FOLDER, draw, load

FILES = FOLDER / "files"
LAYERS = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}


class Tagger(torch.nn.Module):
    def __init__(self, cell: str = "gru", **options):
        super().__init__()
        ways = 2 if options.get("bidirectional") else 1
        self.embed = torch.nn.Embedding(9, 4)
        self.rnn = LAYERS[cell](4, 5, batch_first=True, **options)
        self.norm = torch.nn.LayerNorm(5 * ways)
        self.head = torch.nn.Linear(5 * ways, 3)

    def forward(self, x):
        return self.head(self.norm(self.rnn(self.embed(x))[0]))


def run_torch(module, x):
    with torch.no_grad():
        result = module.eval()(torch.from_numpy(x))
    return (result[0] if isinstance(result, tuple) else result).numpy()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".npz"])
@pytest.mark.parametrize("cell", LAYERS)
def test_a_state_dict_of_every_cell_in_every_file(tmp_path, cell, suffix):
    torch.manual_seed(0)
    layer = LAYERS[cell](3, 4, 2, bidirectional=True, batch_first=True)
    arrays = {f"encoder.{name}": part.detach().numpy() for name, part in layer.state_dict().items()}
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(
            {"epoch": 3, "state_dict": {name: torch.tensor(part) for name, part in arrays.items()}}, file
        )
    elif suffix == ".npz":
        np.savez(file, **arrays)
    else:
        save_file(arrays, file)
    report = to_folder(file, tmp_path / "model")
    assert report.worst < 1e-14
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    model = congru.load(tmp_path / "model")
    np.testing.assert_allclose(model.run(x)[0], run_torch(layer, x), atol=1e-6)
    # And the way back: the same arrays, bit for bit.
    to_file(model, tmp_path / "back.npz")
    with np.load(tmp_path / "back.npz") as back:
        for name, array in arrays.items():
            np.testing.assert_array_equal(
                back[name.replace("encoder", model.network.graph.recurrent[0].name)], array
            )


def test_half_precision_is_widened_exactly(tmp_path):
    layer = torch.nn.GRU(3, 4).to(torch.bfloat16)
    torch.save(layer.state_dict(), tmp_path / "half.pt")
    to_folder(tmp_path / "half.pt", tmp_path / "model")
    weights = congru.load(tmp_path / "model").weights
    np.testing.assert_array_equal(
        weights["main.rnn.weight_hh_l0"], layer.weight_hh_l0.float().detach().numpy()
    )


def test_an_order_wires_a_whole_state_dict(tmp_path):
    torch.manual_seed(0)
    model = Tagger("lstm", num_layers=2)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    alone = to_folder(tmp_path / "w.pt", tmp_path / "alone")
    assert set(alone.left) == {"embed.weight", "norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert "name the order with --chain" in str(alone)
    report = to_folder(tmp_path / "w.pt", tmp_path / "m", order=["embed", "rnn", "norm", "head"])
    assert report.left == {}
    x = np.random.default_rng(0).integers(0, 9, (2, 6))
    np.testing.assert_allclose(congru.load(tmp_path / "m").run(x)[0], run_torch(model, x), atol=1e-6)
    with pytest.raises(
        SettingsError, match=re.escape("order names 'hed', expected one of rnn, embed, head, norm, rel")
    ):
        to_folder(tmp_path / "w.pt", tmp_path / "m", order=["embed", "rnn", "hed"])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("cell", LAYERS)
def test_every_layout_there_and_back(tmp_path, cell, form):
    """A stack in both directions, written as the library stores it and read again by its names."""
    before = cell == "gru" and SYSTEMS[form].reset == "before"
    if cell not in SYSTEMS[form].rows:
        pytest.skip(f"{form} has no tanh RNN")
    arrays = {}
    for depth in range(2):
        for way in ("", "_reverse"):
            weights = list(make_case(cell, seed=depth + len(way), I=(3, 8)[depth], H=4).weights)
            if (cell, form) == ("gru", "flax_nnx"):
                weights[3][8:] = 0
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            arrays |= {f"{name}_l{depth}{way}": part.astype(np.float32) for name, part in zip(names, weights)}
    config = {"type": cell, "name": "stack", "hidden_size": 4, "num_layers": 2, "bidirectional": True}
    config |= {"reset_before": True} if before else {}
    folder = save_stack(tmp_path, config, arrays)
    assert to_file(folder, tmp_path / "out.npz", form).worst < 1e-5
    vague = {("haiku", "lstm"), ("tensorflow1", "lstm"), ("tensorflow1", "rnn")}
    hints = {"system": form, "cell": cell} if (form, cell) in vague else {}
    to_folder(tmp_path / "out.npz", tmp_path / "back", **hints)
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    expected = congru.load(folder).run(x)[0]
    np.testing.assert_allclose(congru.load(tmp_path / "back").run(x)[0], expected, atol=2e-6)


def save_stack(tmp_path, node, arrays):
    from congru.convert import exact
    from congru.convert.folder import write_folder
    from congru.convert.parts import Contents, SourceNetwork
    from congru.runtime.graph import Graph

    config = {"inputs": {"x": {"features": 3}}, "nodes": [node], "outputs": ["stack"]}
    weights = {f"stack.{name}": array for name, array in arrays.items()}
    own = lambda x, state: exact.run(Graph(config), weights, x, state)[0]  # noqa: E731
    write_folder(
        Contents("a test", {"main": SourceNetwork(config, weights, (), own)}, {}), tmp_path / "model"
    )
    return tmp_path / "model"


def test_keras_files_give_what_keras_gave(tmp_path):
    for stem in ("keras_chain.keras", "keras_functional.h5"):
        report = to_folder(FILES / stem, tmp_path / "model")
        with np.load((FILES / stem).with_suffix(".npz")) as file:
            case = dict(file)
        y = congru.load(tmp_path / "model").run(case["x"])[0]
        np.testing.assert_allclose(y, case["y"], atol=1e-6 * max(1, np.abs(case["y"]).max()))
    assert report.left == {"softmax of head": "the folder returns what goes into it"}


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_ncnn_files_give_what_ncnn_gave_and_go_back_bit_for_bit(tmp_path, kind):
    to_folder(FILES / f"ncnn_{kind}.param", tmp_path / "model")
    model = congru.load(tmp_path / "model")
    y = model.run(draw(100, 1, 5, 3))[0][0]
    np.testing.assert_allclose(y, np.load(FILES / f"ncnn_{kind}.npy"), atol=2e-6)
    to_file(model, tmp_path / "back.param")
    assert (tmp_path / "back.bin").read_bytes() == (FILES / f"ncnn_{kind}.bin").read_bytes()


def test_rtneural_there_and_back(tmp_path):
    """The layers of an RTNeural file are Keras' (RTNeural/model_loader.h): the golden cases of Keras are its own."""
    case = load(FOLDER / "keras_gru_reset_after_true.npz")
    names = ("kernel", "recurrent_kernel", "bias")
    rng = np.random.default_rng(0)
    layers = [
        {"type": "gru", "activation": "", "shape": [None, None, 4],
         "weights": [case.arrays[0][name].tolist() for name in names]},
        {"type": "dense", "activation": "relu", "shape": [None, None, 2],
         "weights": [rng.normal(size=(4, 2)).tolist(), [0.1, -0.2]]},
    ]  # fmt: skip
    (tmp_path / "net.json").write_text(json.dumps({"in_shape": [None, None, 3], "layers": layers}))
    to_folder(tmp_path / "net.json", tmp_path / "model")
    model = congru.load(tmp_path / "model")
    seen = model.network.record(case.x, {"gru_0.h": case.state[0]}).seen["gru_0"][1]
    np.testing.assert_allclose(seen, case.y, atol=1e-6)
    to_file(model, tmp_path / "back.json")
    back = json.loads((tmp_path / "back.json").read_text())
    assert [layer["type"] for layer in back["layers"]] == ["gru", "dense", "activation"]
    for layer, other in zip(back["layers"], layers):
        for a, b in zip(layer["weights"], other["weights"]):
            np.testing.assert_allclose(a, b, atol=1e-7)
    del layers[1]["weights"]
    (tmp_path / "net.json").write_text(json.dumps({"in_shape": [None, None, 3], "layers": layers}))
    with pytest.raises(DataError, match=r"net.json is no RTNeural model \(KeyError"):
        to_folder(tmp_path / "net.json", tmp_path / "m")
    layers[1] = {"type": "conv1d", "weights": []}
    (tmp_path / "net.json").write_text(json.dumps({"in_shape": [None, None, 3], "layers": layers}))
    with pytest.raises(ConventionError, match="layer 1 is 'conv1d', expected gru, lstm, dense or activation"):
        to_folder(tmp_path / "net.json", tmp_path / "m")


def gru_arrays(**changes):
    W, U, b_i, b_h = (part.astype(np.float32) for part in make_case("gru", I=3, H=4).weights)
    arrays = {"weight_ih_l0": W, "weight_hh_l0": U, "bias_ih_l0": b_i, "bias_hh_l0": b_h, **changes}
    return {name: array for name, array in arrays.items() if array is not None}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (gru_arrays(weight_hr_l0=np.ones((2, 4), np.float32)), "has weight_hr (proj_size), expected none: a projected"),
        (gru_arrays(weight_hh_l0=np.ones((12, 2), np.float32)), "weight_hh of shape (12, 2), expected [3H, H] (GRU), [4H,"),
        (gru_arrays(gain_ih_l0=np.ones(12, np.float32)), "has gain_ih_l0 (layer norm of congru.nn), expected a plain cell"),
        (gru_arrays(weight_ih_l0=np.ones((12, 3), np.int8)), "weight_ih_l0 has dtype int8, expected floating-point numbers"),
        (gru_arrays(weight_ih_l0=np.full((12, 3), np.nan, np.float32)), "weight_ih_l0 holds numbers that are NaN, infinite or"),
        (gru_arrays(weight_ih_l0=np.full((12, 3), 1e300)), "weight_ih_l0 holds numbers that are NaN, infinite or too large for"),
        ({**gru_arrays(), "weight_ih_l0_reverse": np.ones((12, 3), np.float32)}, "has one of weight_ih_l0_reverse and"),
        ({"kernel": np.ones((3, 12), np.float32), "recurrent_kernel": np.ones((4, 12), np.float32)}, "a GRU of Keras without"),
        ({**gru_arrays(), "weight_hh_l1": np.ones((12, 4), np.float32), "weight_ih_l1": np.ones((12, 5), np.float32)},
         "layer 1 of layer reads 5 features, expected 4, what the layer below gives"),
        ({"l.parametrizations.weight_hh_l0.original0": np.ones((12, 1), np.float32), **gru_arrays()},
         "belongs to a rewritten weight_hh_l0 (weight norm, pruning or a parametrization)"),
        ({**gru_arrays(), "weight_hh_l2": np.ones((12, 4), np.float32), "weight_ih_l2": np.ones((12, 4), np.float32)},
         "lacks weight_hh_l1, expected layers 0 to 2 in one direction"),
        ({"head.weight": np.ones((2, 3), np.float32)}, "it has head.weight; say whose it is with --from, one of pytorch"),
    ],
)  # fmt: skip
def test_what_is_no_cell_here_has_its_line(tmp_path, arrays, message):
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises((ConventionError, DataError, ValueError), match=re.escape(message)) as caught:
        to_folder(tmp_path / "w.npz", tmp_path / "m")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()


def test_files_that_are_broken_or_something_else_have_their_line(tmp_path):
    torch.save(Tagger(), tmp_path / "whole.pt")
    (tmp_path / "pickled.pt").write_bytes(pickle.dumps(Path(), 5))
    (tmp_path / "cut.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    (tmp_path / "x.npz").write_bytes(b"PK nothing")
    (tmp_path / "x.keras").write_bytes(b"no zip")
    (tmp_path / "x.json").write_text("[1, 2")
    (tmp_path / "x.param").write_text("hello\n")
    (tmp_path / "x.txt").write_text("")
    content = (FILES / "ncnn_lstm.bin").read_bytes()
    (tmp_path / "short.bin").write_bytes(content[:-8])
    lines = (FILES / "ncnn_lstm.param").read_text()
    (tmp_path / "short.param").write_text(lines)
    (tmp_path / "cut.param").write_text("\n".join(lines.splitlines()[:3]))
    (tmp_path / "odd.param").write_text(lines.replace(" 0=", " 0=x"))
    for name in ("cut", "odd"):
        (tmp_path / f"{name}.bin").write_bytes(content)
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "zip.json").write_bytes(b"PK\x03\xff")
    for name, line in (
        ("whole.pt", "holds more than tensors or is no torch file"),
        ("pickled.pt", "holds more than tensors or is no torch file, expected a state_dict"),
        ("cut.safetensors", "holds no recurrent layer|no complete .safetensors file"),
        ("x.npz", "no complete .npz file"),
        ("x.keras", "is no Keras model"),
        ("x.json", "is no RTNeural model"),
        ("x.param", "begins with 'hello', expected 7767517"),
        ("short.param", "short.bin ends inside layer, expected 8 bytes more"),
        ("cut.param", "has 1 layers, expected 2: copy it again"),
        ("odd.param", "has a layer whose numbers cannot be"),
        ("empty.npz", "is no complete .npz file"),
        ("zip.json", "is no RTNeural model .it is no text., expected in_shape"),
        ("x.txt", "ends in '.txt', expected one of .safetensors"),
        ("none.pt", "does not exist or is no file"),
    ):
        with pytest.raises(DataError, match=line) as caught:
            to_folder(tmp_path / name, tmp_path / "m")
        assert "\n" not in str(caught.value)


def test_parts_that_do_not_fit_each_other_have_their_line(tmp_path):
    """What stands in a chain has the sizes of what stands before it, or is named."""
    arrays = {f"rnn.{name}": array for name, array in gru_arrays().items()}
    arrays |= {"wide.weight": np.ones((2, 5), np.float32), "head.weight": np.ones((2, 4), np.float32)}
    arrays |= {"head.bias": np.ones(3, np.float32), "norm.weight": np.ones(5, np.float32)}
    np.savez(tmp_path / "w.npz", **arrays)
    for order, line in (
        (["rnn", "rnn"], "rnn_.weight_ih_l0 has shape (12, 3), expected (12, 4)"),
        (["rnn", "wide"], "wide.weight has shape (2, 5), expected (2, 4)"),
        (["rnn", "head"], "head.bias has shape (3,), expected (2,)"),
        (["rnn", "norm"], "norm.weight has shape (5,), expected (4,)"),
    ):
        with pytest.raises(ShapeError, match=re.escape(line)):
            to_folder(tmp_path / "w.npz", tmp_path / "m", order=order)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(("direction", "ways"), [("forward", 2), ("bidirectional", 1)])
def test_an_onnx_node_of_other_directions_than_its_weights_has_its_line(tmp_path, direction, ways):
    onnx = pytest.importorskip(
        "onnx", reason="onnx is not installed; to run this: pip install 'congru[export]'"
    )
    W, R = np.ones((ways, 12, 3), np.float32), np.ones((ways, 12, 4), np.float32)
    node = onnx.helper.make_node("GRU", ["X", "W", "R"], ["Y"], name="g", hidden_size=4, direction=direction)
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "XY")
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in (("W", W), ("R", R))]
    graph = onnx.helper.make_graph([node], "g", [x], [y], weights)
    onnx.save(onnx.helper.make_model(graph), tmp_path / "m.onnx")
    with pytest.raises(
        ShapeError, match=rf"node g is {direction} with W of shape \({ways}, 12, 3\), expected"
    ):
        to_folder(tmp_path / "m.onnx", tmp_path / "m")


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_shapes_that_two_cells_have_are_asked_for(tmp_path, cell):
    """TensorFlow 1 keeps x and h in one matrix: that of a plain RNN may be an LSTM's of a quarter of the units."""
    layer = LAYERS[cell](13, 4)
    torch.save(layer.state_dict(), tmp_path / "w.pt")
    to_folder(tmp_path / "w.pt", tmp_path / "m")
    to_file(tmp_path / "m", tmp_path / "back.npz", "tensorflow1")
    with pytest.raises(ConventionError, match="has the shapes of lstm and of rnn in tensorflow1"):
        to_folder(tmp_path / "back.npz", tmp_path / "again", system="tensorflow1")
    to_folder(tmp_path / "back.npz", tmp_path / "again", system="tensorflow1", cell=cell)
    x = np.random.default_rng(0).normal(size=(2, 5, 13)).astype(np.float32)
    first, again = (congru.load(tmp_path / name).run(x)[0] for name in ("m", "again"))
    np.testing.assert_allclose(again, first, atol=1e-6)


def test_a_learned_first_state_is_named(tmp_path):
    save_networks(tmp_path / "m", {"main": ALL["gru without bias"]})
    report = to_file(tmp_path / "m", tmp_path / "w.npz", "keras")
    assert report.left == {"node.h0": "the learned first state: pass it at the start of every sequence"}
    to_folder(tmp_path / "w.npz", tmp_path / "again")  # the zeros of its bias say that it resets after
    assert not congru.load(tmp_path / "again").network.graph.recurrent[0].reset_first


def test_impossible_ways_back_are_refused(tmp_path):
    np.savez(tmp_path / "w.npz", **gru_arrays())
    to_folder(tmp_path / "w.npz", tmp_path / "m")
    for form, line in (
        ("haiku", "reset_before is False, expected True for haiku, which resets before"),
        ("flax_nnx", "b_hn is not zero, expected zeros to merge it"),
        ("theano", "form is 'theano', expected one of pytorch, keras"),
    ):
        with pytest.raises((ConventionError, SettingsError), match=line):
            to_file(tmp_path / "m", tmp_path / "out.npz", form)
    export_model(tmp_path / "m", "int8", tmp_path / "small")
    with pytest.raises(
        ConventionError, match=r"'rnn' \(gru\) computes in integers, expected float32 weights"
    ):
        to_file(tmp_path / "small", tmp_path / "out.npz")
    for name in ("out.npz", "out.pt", "out.json", "out.safetensors"):
        with pytest.raises(DataError, match=r"nowhere.out\.\w+ cannot be written \(No such file"):
            to_file(tmp_path / "m", tmp_path / "nowhere" / name)
    with pytest.raises(SettingsError, match="congru export MODEL --to onnx writes ONNX"):
        to_file(tmp_path / "m", tmp_path / "out.onnx")
    assert not list(tmp_path.glob("out.*"))


def test_reset_before_is_read_and_written(tmp_path):
    weights = tuple(part.astype(np.float32) for part in make_case("gru", I=3, H=4).weights)
    np.savez(tmp_path / "w.npz", **from_canonical("haiku", weights, True).arrays)
    report = to_folder(tmp_path / "w.npz", tmp_path / "m")
    assert report.layers == ("layer: gru 1 x 4, 3 features, reset before",)
    with pytest.raises(
        ConventionError, match="resets before the recurrent product, expected after: RTNeural's GRU"
    ):
        to_file(tmp_path / "m", tmp_path / "o.json")


def test_a_converted_folder_loads_without_torch_and_the_command_says_what_it_did(tmp_path, capsys):
    from congru.cli.main import main

    np.savez(tmp_path / "w.npz", **gru_arrays())
    with pytest.raises(SystemExit) as stop:
        main(["convert", str(tmp_path / "w.npz"), "--to", str(tmp_path / "m")])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "layer: gru 1 x 4, 3 features, reset after" in shown
    assert re.search(r"checked: \d\.\de-1\d is the largest difference from the source's own equations", shown)
    code = (
        f"import sys; sys.modules['torch'] = None; import congru; print(congru.load({str(tmp_path / 'm')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "converted, gru 1 x 4, 3 features -> 4 outputs" in done.stdout
    np.save(tmp_path / "x.npy", np.zeros((1, 4, 3), np.float32))
    with pytest.raises(SystemExit) as stop:
        main(["inspect", str(tmp_path / "m"), str(tmp_path / "x.npy"), "-o", str(tmp_path / "page.html")])
    assert stop.value.code == 0
    with pytest.raises(SystemExit) as stop:
        main(["run", str(tmp_path / "m")])
    assert "a converted model without a task: run it in Python" in capsys.readouterr().err
    for words, line in (
        (["--to", str(tmp_path / "n"), "--format", "flax"], "--format is 'flax', expected none for a file"),
        (["--to", str(tmp_path / "n"), "--from", "theano"], "system is 'theano', expected one of pytorch"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["convert", str(tmp_path / "w.npz"), *words])
        assert stop.value.code == 2
        assert line in capsys.readouterr().err
