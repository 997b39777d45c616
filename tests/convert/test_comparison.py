"""Two models side by side: the swap of the two GRU equations, gates in another order, other weights; and the file set right."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest
import torch

import congru
from congru.cli.main import main
from congru.convert import compare, to_folder
from congru.convert.comparison import write_fixed
from congru.errors import ConventionError
from golden.case_file import FOLDER, load
from printed import type_next


def run(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main(["doctor", *map(str, words)])
    printed = capsys.readouterr()
    return stop.value.code, printed.out, printed.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """gru.pt, the ONNX file of the same layer, and that file as the faulty exporters wrote it."""
    folder = tmp_path_factory.mktemp("compare") / "our models"
    folder.mkdir()
    torch.manual_seed(0)
    layer = torch.nn.GRU(3, 4, 2, batch_first=True, bidirectional=True).eval()
    torch.save(layer.state_dict(), folder / "gru.pt")
    x = torch.randn(2, 5, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"x": {0: "batch", 1: "time"}}
        torch.onnx.export(
            layer, (x,), folder / "good.onnx", dynamo=False, input_names=["x"], dynamic_axes=axes
        )
    model = onnx.load(folder / "good.onnx")
    for node in model.graph.node:
        if node.op_type == "GRU":
            kept = [part for part in node.attribute if part.name != "linear_before_reset"]
            del node.attribute[:]
            node.attribute.extend(kept)
    onnx.save(model, folder / "bad.onnx")
    np.savez(folder / "x.npz", x=x.numpy(), y=layer(x)[0].detach().numpy())
    return folder


def test_the_swapped_equation_is_found_said_and_mended(folder, capsys, monkeypatch):
    status, shown, _ = run(capsys, folder / "bad.onnx", "--against", folder / "gru.pt")
    assert status == 1
    assert "reset before in bad.onnx, after in gru.pt" in shown
    assert "with onnxscript 0.5.7 to 0.7.0; onnxscript 0.7.1 and dynamo=False write 1" in shown
    monkeypatch.chdir(folder)
    type_next(shown, 1)
    shown = capsys.readouterr().out
    assert "wrote fixed.onnx" in shown
    assert shown.rstrip().endswith("equal: both compute the same")
    import onnxruntime

    with np.load(folder / "x.npz") as file:
        case = dict(file)
    for name, tolerance in (("fixed.onnx", 1e-6), ("bad.onnx", None)):
        session = onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        error = np.abs(session.run(None, {"x": case["x"]})[0] - case["y"]).max()
        assert error < tolerance if tolerance else error > 1e-2


def test_a_lone_file_of_pytorch_with_the_other_equation_is_doubted(folder, capsys):
    status, shown, _ = run(capsys, folder / "bad.onnx")
    assert status == 1
    assert "has linear_before_reset 0 in a file of pytorch" in shown
    status, shown, _ = run(capsys, folder / "good.onnx")
    assert (status, "DOUBTFUL" in shown) == (0, False)
    assert "onnxruntime's output differs by" in shown


def test_equal_models_in_three_forms(folder, capsys):
    to_folder(folder / "gru.pt", folder / "folder")
    for other in ("gru.pt", "folder"):
        comparison = compare(folder / "good.onnx", folder / other)
        assert comparison.equal
        assert max(pair.output for pair in comparison.pairs) < 1e-14
    status, shown, _ = run(capsys, folder / "folder")
    assert (status, "its golden cases were replayed" in shown) == (0, True)


def changed(folder, change):
    state = {name: change(name, part) for name, part in torch.load(folder / "gru.pt").items()}
    torch.save(state, folder / "other.pt")
    return compare(folder / "other.pt", folder / "gru.pt")


def test_other_accidents_are_told_apart(folder):
    def order(name, part):
        r, z, n = part.chunk(3)
        return torch.cat([z, r, n])

    def sense(name, part):
        r, z, n = part.chunk(3)
        return torch.cat([r, -z, n])

    def transposed(name, part):
        return torch.cat([block.T for block in part.chunk(3)]) if "weight_hh" in name else part

    for change, line in (
        (order, "the gates of other.pt stand in another order, z, r, n for r, z, n"),
        (sense, "its update gate has the other sense"),
        (transposed, "the recurrent matrix is transposed in one of them"),
        (lambda name, part: part * 1.001, "the weights are others: another model, or another step"),
    ):
        assert line in changed(folder, change).problem
    assert changed(folder, lambda name, part: part).equal


def test_another_network_and_files_that_need_no_fix(folder, tmp_path, capsys):
    case = load(FOLDER / "torch_lstm.npz")
    np.savez(tmp_path / "lstm.npz", **{f"{name}_l0": part for name, part in case.arrays[0].items()})
    assert "these are not the same network" in compare(folder / "gru.pt", tmp_path / "lstm.npz").problem
    with pytest.raises(
        ConventionError, match=r"good.onnx can't be fixed \(they are equal\), expected an ONNX file"
    ):
        write_fixed(folder / "good.onnx", folder / "gru.pt", tmp_path / "f.onnx")
    assert not (tmp_path / "f.onnx").exists()
    for words, line in (
        (("--fix", "a.onnx"), "--against or --fix is given without a file, expected one"),
        (
            (folder / "bad.onnx", "--fix", "a.onnx"),
            "--fix is given without --against, expected the model that is right",
        ),
    ):
        status, _, error = run(capsys, *words)
        assert status == 2
        assert line in error


def test_an_onnx_model_becomes_one_chain_that_onnxruntime_confirms(tmp_path):
    torch.manual_seed(0)

    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.rnn = torch.nn.Embedding(9, 4), torch.nn.GRU(4, 5, 2, batch_first=True)
            self.norm, self.head = torch.nn.LayerNorm(5), torch.nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.norm(self.rnn(self.embed(x))[0]))

    model, x = Tagger().eval(), torch.randint(0, 9, (2, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        axes = {"x": {0: "batch", 1: "time"}}
        torch.onnx.export(
            model, (x,), tmp_path / "m.onnx", dynamo=False, input_names=["x"], dynamic_axes=axes
        )
    report = to_folder(tmp_path / "m.onnx", tmp_path / "m")
    assert "the whole file is one chain" in report.remarks[0]
    with torch.no_grad():
        np.testing.assert_allclose(congru.load(tmp_path / "m").run(x.numpy())[0], model(x).numpy(), atol=1e-6)
