"""int8: one integer result in NumPy and in C, every node type, how far from float32, and what is said of the task's scores."""

from __future__ import annotations

import ctypes
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import congru
from congru.cli.main import main
from congru.errors import ExportError, ModelFolderError
from congru.export.c import target as c_target
from congru.export.c.compiler import STRICT, compile_c
from congru.export.exporter import export_model
from congru.export.int8 import target
from congru.export.record import time_beside
from congru.runtime import integer
from congru.runtime.integer import INTEGER, quantise, sigmoid, tanh, to_state
from congru.runtime.network import Network
from congru.tasks.registry import TASKS
from export_cases import ALL, TEXT, save_networks, task_networks
from nodes_cases import one

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler is here; to run this: apt-get install gcc"
)
GRU_64 = one("gru", {"x": {"features": 64}}, hidden_size=64)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (target, c_target):
        monkeypatch.setattr(module, "time_beside", partial(time_beside, seconds=0.002))


def test_the_table_follows_the_functions() -> None:
    x = np.linspace(-12, 12, 4001)
    sums = np.round(x * 2**16).astype(np.int64)
    np.testing.assert_allclose(sigmoid(sums) / 2**15, 1 / (1 + np.exp(-x)), atol=6e-5)
    np.testing.assert_allclose(tanh(sums) / 2**15, np.tanh(x), atol=1.2e-4)
    assert (sigmoid(sums) + sigmoid(-sums))[sums != 0].tolist() == [2**15] * int((sums != 0).sum())


def test_rounding_of_weights() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 40)).astype(np.float32)
    q, scale = quantise(weight)
    assert q.dtype == np.int8
    assert np.abs(q).max(axis=1).tolist() == [127] * 5
    assert (np.abs(q * scale[:, None] - weight) <= scale[:, None] * 0.501).all()


@pytest.mark.parametrize("name", ["gru before", "gru both ways"])
def test_an_integer_gru_is_near_the_gru(name: str, tmp_path: Path) -> None:
    config = {**ALL[name], "nodes": [{**ALL[name]["nodes"][0], "zoneout": 0.0}]}
    folder = save_networks(tmp_path / "model", {"main": config})
    export_model(folder, "int8", tmp_path / "small")
    before, after = congru.load(folder).network, congru.load(tmp_path / "small").network
    assert set(after.integers.scales) == {"node"}
    x = np.random.default_rng(3).standard_normal((4, 20, 6)).astype(np.float32).clip(-2, 2)
    lengths = np.array([20, 0, 7, 19])
    (y, state), (near, near_state) = (network.run(x, lengths=lengths) for network in (before, after))
    assert np.abs(y - near).max() < 0.05
    assert np.abs(state["node.h"] - near_state["node.h"]).max() < 0.05
    assert (near_state["node.h"] * 2**15 % 1 == 0).all()
    gates = after.trace(x)[2]["node"]
    np.testing.assert_allclose(gates, before.trace(x)[2]["node"], atol=0.1)
    if after.stream_problem() is None:  # any cutting gives the same bits
        session = congru.load(tmp_path / "small").session()
        rows = [session.step(row) for row in x[0]]
        np.testing.assert_array_equal(np.stack(rows), after.run(x[:1])[0][0])


class Library:
    """An exported C file in this process: its state, and steps."""

    def __init__(self, folder: Path, name: str, size: int) -> None:
        compile_c(["cc"], [*STRICT, "-O2", "-shared", "-fPIC"], [folder / f"{name}.c"], folder / "lib.so")
        library = ctypes.CDLL(str(folder / "lib.so"))
        self.step_of, reset = (getattr(library, f"{name}_main_{what}") for what in ("step", "reset"))
        self.state, self.y = np.zeros(size, np.int16), np.zeros(size, np.float32)
        reset(ctypes.c_void_p(self.state.ctypes.data))

    def step(self, x: np.ndarray) -> None:
        self.step_of(*(ctypes.c_void_p(array.ctypes.data) for array in (self.state, x, self.y)))


@needs_compiler
@pytest.mark.parametrize("reset_before", [False, True])
def test_c_gives_the_same_integers_for_thousands_of_steps(reset_before: bool, tmp_path: Path) -> None:
    config = one("gru", hidden_size=19, num_layers=2, reset_before=reset_before, learn_h0=True)
    folder = save_networks(tmp_path / "model", {"main": config})
    export_model(folder, "int8", tmp_path / "small")
    export = export_model(tmp_path / "small", "c", tmp_path / "c")
    assert export.written[0].error == 0.0
    network = congru.load(tmp_path / "small").network
    library, x = Library(tmp_path / "c", "small", 38), np.random.default_rng(0).standard_normal((2000, 6))
    x = (3 * x).astype(np.float32)
    y, after = network.run(x[None])
    for row, expected in zip(x, y[0]):
        library.step(row)
        assert (library.y[:19] == expected).all()
    np.testing.assert_array_equal(library.state, to_state(after["node.h"]).ravel())


@needs_compiler
def test_a_gru_of_64_fits_where_it_must(tmp_path: Path) -> None:
    folder = save_networks(tmp_path / "model", {"main": GRU_64})
    small = export_model(folder, "int8", tmp_path / "small")
    assert small.written[0].bytes < 30_000 < congru.load(folder).weights["main.node.weight_hh_l0"].nbytes * 2
    export = export_model(tmp_path / "small", "c", tmp_path / "c")
    flash = int(export.notes[0].split(": ")[1].split(" ")[0].replace(",", ""))
    assert flash < 30_000
    assert export.written[0].facts["RAM, B"] < 1_000


@needs_compiler
@pytest.mark.parametrize("task", ["music"])
def test_networks_of_tasks_in_int8_and_in_c(task: str, tmp_path: Path) -> None:
    folder = save_networks(tmp_path / "model", task_networks()[task], files={"labels.json": b'["a"]'})
    export_model(folder, "int8", tmp_path / "small")
    small = congru.load(tmp_path / "small")
    assert small.labels == ["a"]
    export = export_model(tmp_path / "small", "c", tmp_path / "c")
    assert all(entry.error < 1e-5 for entry in export.written)
    for entry in export.written:
        assert entry.facts["weights, B"] < 0.6 * sum(
            w.nbytes for w in small.networks[entry.network].weights.values()
        )


@pytest.mark.parametrize(
    "name",
    ["lstm", "mingru", "embedding summed", "linear tied", "causal_conv", "gru dreamer", "attention bilinear"],
)
def test_other_nodes_round_their_weights_alone(name: str, tmp_path: Path) -> None:
    folder = save_networks(tmp_path / "model", {"main": ALL[name]})
    export_model(folder, "int8", tmp_path / "small")
    network = congru.load(tmp_path / "small").network
    assert not set(network.integers.scales) - {"rnn"}
    rounded = dict(congru.load(folder).network.weights)
    for key, matrix in network.integers.matrices.items():
        rounded[key] = (matrix.q * matrix.scale[:, None]).astype(np.float32)
    for key, value in Network(ALL[name], rounded).weights.items():
        np.testing.assert_array_equal(network.weights[key], value)


def test_a_broken_side_file_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content, message in (
        (b'{"main": {"rnn": [0.0]}}', r"the scales of 'rnn' are \[0.0\], expected positive numbers"),
        (b'{"main": {"rnn": [0.1]}}', "main has no int8 weights for 'rnn'"),
        (b"[]", "does not fit its model"),
    ):
        with pytest.raises(ModelFolderError, match=message):
            save_networks(tmp_path / "broken", {"main": TEXT}, files={INTEGER: content})


def test_a_mistaken_shift_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_networks(tmp_path / "model", {"main": TEXT})
    export_model(folder, "int8", tmp_path / "small")
    monkeypatch.setattr(integer, "SUM_BITS", 15)
    with pytest.raises(ModelFolderError, match="differs from the replay"):
        congru.load(tmp_path / "small")


@pytest.mark.parametrize("to", ["onnx", "numpy", "torch", "keras", "int8"])
def test_targets_without_integers_say_so(to: str, tmp_path: Path) -> None:
    folder = save_networks(tmp_path / "model", {"main": TEXT})
    export_model(folder, "int8", tmp_path / "small")
    line = (
        "is int8 already"
        if to == "int8"
        else f"computes in integers, which {to} does not: export the float32"
    )
    with pytest.raises(ExportError, match=line):
        export_model(tmp_path / "small", to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_task_says_of_which_scores_more_is_better() -> None:
    rising = {
        (name, score)
        for name in TASKS
        for score in ("accuracy", "top1", "bleu", "wer")
        if TASKS[name].is_rising(score)
    }
    assert rising == {
        ("sentiment", "accuracy"),
        ("video", "accuracy"),
        ("chess", "top1"),
        ("translate", "bleu"),
    }


def test_the_command_scores_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = json.dumps({"type": "char", "symbols": list("abcdefghij ")}).encode()
    folder = save_networks(tmp_path / "model", {"main": TEXT}, files={"tokenizer.json": tokenizer})
    (tmp_path / "a.txt").write_text("abc def ghi jab " * 20)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(["export", str(folder), *words, "--out", str(tmp_path / "small")])
        out = capsys.readouterr()
        return done.value.code, out.out, out.err

    code, _, error = run("--to", "int8", "--data", str(tmp_path / "a.txt"), "--max-change", "-100")
    assert code == 2
    assert "int8 changes nats_per_char from" in error
    assert not (tmp_path / "small").exists()
    code, out, _ = run("--to", "int8", "--data", str(tmp_path / "a.txt"), "--max-change", "50")
    assert (code, "nats_per_char" in out) == (0, True)
    assert run("--to", "onnx", "--data", "x")[2].startswith(
        "congru: data and max_change are given, expected them with --to int8"
    )
    assert run("--to", "int8", "--max-change", "1")[2].startswith("congru: max_change is 1.0 without data")
