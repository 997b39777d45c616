"""ONNX in onnxruntime: every node type and option, every task's networks, any batch and time, and what is refused."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from congru.cli.main import main
from congru.errors import CongruError, ExportError, SettingsError
from congru.export.cases import replay_sequences, replay_steps
from congru.export.exporter import export_model
from congru.export.onnx import target
from congru.export.onnx.emitters import ONNX
from congru.export.onnx.program import OPSET, onnx_model
from congru.export.onnx.runner import Runner
from congru.export.record import time_beside
from congru.runtime.folder import load
from export_cases import (
    ALL,
    STREAMING,
    TEXT,
    cases_of,
    random_network,
    save_networks,
    task_networks,
    without_steps,
)

onnx = pytest.importorskip("onnx", reason="onnx is not installed; to run this: pip install 'congru[export]'")
pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed; to run this: pip install 'congru[export]'"
)

TASKS = task_networks()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "time_beside", partial(time_beside, seconds=0.002))


def written(name: str, folder: Path, *, stepwise: bool) -> tuple[Runner, list]:
    network = random_network(ALL[name])
    program = onnx_model(network, "main", {}, stepwise=stepwise)
    onnx.checker.check_model(program, full_check=True)
    (folder / "m.onnx").write_bytes(program.SerializeToString())
    return Runner(network, folder / "m.onnx"), cases_of(network, ALL[name])


@pytest.mark.parametrize("name", ALL)
def test_every_node_over_sequences(name: str, tmp_path: Path) -> None:
    runner, cases = written(name, tmp_path, stepwise=False)
    if runner.network.graph.step_inputs:
        cases.append(without_steps(runner.network, cases[1]))
    assert replay_sequences(runner.network, cases, runner.sequence, name) < 2e-6


@pytest.mark.parametrize("name", STREAMING)
def test_every_streaming_node_step_by_step(name: str, tmp_path: Path) -> None:
    runner, cases = written(name, tmp_path, stepwise=True)
    assert replay_steps(runner.network, cases, runner.step, name) < 2e-6


@pytest.mark.parametrize("name", ["gru", "attention additive", "causal_conv", "max running"])
def test_a_batch_steps_together(name: str, tmp_path: Path) -> None:
    runner, _ = written(name, tmp_path, stepwise=True)
    network = runner.network
    case = cases_of(network, ALL[name], batch_size=5, steps=3)[2]
    constants = {key: case.inputs[key] for key in network.graph.constant_inputs}
    state = case.state
    for t in range(3):
        steps = {key: case.inputs[key][:, t] for key in network.graph.step_inputs}
        outputs, state = runner.step(steps, constants, state)
        for key, expected in case.outputs.items():
            np.testing.assert_allclose(outputs[key], expected[:, t], atol=1e-5)
    for key, expected in case.after.items():
        np.testing.assert_allclose(state[key], expected, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_every_network_of_every_task(task: str, tmp_path: Path) -> None:
    folder = save_networks(tmp_path / "model", TASKS[task])
    export = export_model(folder, "onnx", tmp_path / "out")
    forms = {(entry.network, entry.form) for entry in (*export.written, *export.refused)}
    assert {(name, "sequence") for name in TASKS[task]} <= forms
    for entry in export.written:
        assert entry.error < 1e-5
        assert (tmp_path / "out" / entry.file).stat().st_size == entry.bytes
        assert entry.step_us > 0 < entry.source_us
    model = load(folder)
    for entry in export.refused:
        assert entry.reason == model.networks[entry.network].stream_problem()
    rng = np.random.default_rng(1)
    for name, network in model.networks.items():  # other sizes than those of the golden cases
        (case, _, _) = cases_of(network, TASKS[task][name], seed=int(rng.integers(99)), batch_size=3, steps=7)
        outputs, _ = Runner(network, tmp_path / "out" / f"{name}.onnx").sequence(case)
        for key, expected in case.outputs.items():
            np.testing.assert_allclose(outputs[key], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_file_says_what_goes_in(tmp_path: Path) -> None:
    files = {
        "labels.json": b'["no", "yes"]',
        "tokenizer.json": json.dumps({"type": "char", "symbols": list("abcdefghijk")}).encode(),
    }
    config = {**TEXT, "nodes": [TEXT["nodes"][0], {**TEXT["nodes"][1], "learn_h0": True}, TEXT["nodes"][2]]}
    folder = save_networks(tmp_path / "model", {"main": config}, files=files)
    export_model(folder, "onnx", tmp_path / "out")
    for name, form in (("main.onnx", "sequence"), ("main.step.onnx", "step")):
        program = onnx.load(tmp_path / "out" / name)
        props = {entry.key: entry.value for entry in program.metadata_props}
        assert json.loads(props["labels"]) == ["no", "yes"]
        assert json.loads(props["tokenizer"])["type"] == "char"
        assert json.loads(props["task_config"]) == {"levels": [80], "validation": 0.5}
        assert (props["form"], props["network"], props["delay"]) == (form, "main", "0")
        h0 = load(folder).weights["main.rnn.h0"]
        np.testing.assert_array_equal(np.float32(json.loads(props["initial_state"])["rnn.h"]), h0)
        assert program.opset_import[0].version == OPSET
        assert [entry.name for entry in program.graph.output] == ["head", "rnn.h.next"]


def test_a_file_that_differs_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_networks(tmp_path / "model", {"main": TEXT})
    right = ONNX.by_type["linear"]
    monkeypatch.setitem(
        ONNX.by_type, "linear", lambda b, call, x: b.op("Mul", right(b, call, x), b.constant(1.001))
    )
    message = (
        r"main.onnx differs from the golden cases of its folder: 'head' by 1.0e-03 .* expected 1e-04 at most"
    )
    with pytest.raises(ExportError, match=message):
        export_model(folder, "onnx", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("part", ["rnn", "lstm", "gru"])
def test_a_mistaken_order_of_gates_is_noticed(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from congru.export.onnx import recurrent

    if part == "rnn":
        monkeypatch.setattr(recurrent, "_bias", lambda w, name: np.zeros(len(w["W"]), np.float32))
    else:
        monkeypatch.setitem(recurrent.ORDER, part, tuple(range(4 if part == "lstm" else 3)))
    runner, cases = written(part if part != "gru" else "gru without bias", tmp_path, stepwise=False)
    with pytest.raises(ExportError, match="differs from the golden cases"):
        replay_sequences(runner.network, cases, runner.sequence, part)


def test_wrong_requests_have_their_line(tmp_path: Path) -> None:
    folder = save_networks(tmp_path / "model", {"main": TEXT})
    with pytest.raises(SettingsError, match=r"to is 'png', expected one of onnx"):
        export_model(folder, "png", tmp_path / "out")
    with pytest.raises(
        SettingsError, match=r"out is .*model', expected nothing, an empty folder or an older export"
    ):
        export_model(folder, "onnx", folder)
    network = random_network(ALL["gru both ways"])
    with pytest.raises(ExportError, match=r"main has no step form, the node 'node' \(gru\) is bidirectional"):
        onnx_model(network, "main", {}, stepwise=True)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_networks(tmp_path / "romeo", {"main": TEXT})
    for _ in range(2):  # the second replaces the first
        with pytest.raises(SystemExit) as done:
            main(["export", str(folder), "--to", "onnx"])
        assert done.value.code == 0
        assert "main.step.onnx" in capsys.readouterr().out
    with pytest.raises(SystemExit) as done:
        main(["export", str(folder), "--to", "onnx", "--json", "--out", str(tmp_path / "other")])
    record = json.loads(capsys.readouterr().out)
    assert (done.value.code, record["target"], len(record["written"])) == (0, "onnx", 2)
    assert json.loads((tmp_path / "other" / "export.json").read_text()) == record
    with pytest.raises(SystemExit) as done:
        main(["export", str(tmp_path / "nothing"), "--to", "onnx"])
    assert done.value.code == 2
    assert issubclass(ExportError, CongruError)
