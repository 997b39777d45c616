"""WebAssembly has the bits of a session without fused multiply-add, for the networks of every task and every option."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.export.exporter import export_model
from congru.export.wasm import target
from congru.kernels import binding
from congru.runtime.folder import load
from congru.runtime.network import Network
from congru.runtime.session import Session
from export_cases import ALL, STREAMING, save_networks, task_networks
from nodes_cases import one
from wasm_run import in_chromium, needs_node, run_node

STEPS = 60
TASKS = task_networks()
INEXACT = {"attention", "attention_pool"}  # NumPy's products, sums and exponentials are in them


@pytest.fixture(autouse=True)
def separate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The core multiplies and adds with two roundings, as WebAssembly does."""
    monkeypatch.setattr(target, "TIMED_MS", 1)
    if not binding.is_available():
        pytest.skip(f"no C core: {binding._REASON}")
    core = binding.extension()
    before = core.isa()
    if platform.machine() != "x86_64":
        pytest.skip("the core multiplies and adds with one rounding here; to run this: a processor of x86")
    core.set_isa("baseline")
    yield
    core.set_isa(before)


def inputs_of(network: Network, steps: int) -> list[dict[str, Any]]:
    """The inputs of every step of a stream, constants among them; now and then large ones."""
    rng, graph = np.random.default_rng(0), network.graph
    rows: list[dict[str, Any]] = []
    for t in range(steps):
        row: dict[str, Any] = {}
        for name, spec in graph.inputs.items():
            if spec.tokens is not None:
                row[name] = [int(rng.integers(count)) for count in spec.tokens]
            elif spec.axes == "steps" or not rows:
                shape = (3, *spec.size) if spec.axes == "memory" else spec.size
                row[name] = (rng.standard_normal(shape) * (30 if t % 10 == 9 else 1)).astype(np.float32)
            else:
                row[name] = rows[0][name]
        rows.append(row)
    return rows


def session_outputs(network: Network, rows: list[dict[str, Any]]) -> list[dict[str, np.ndarray]]:
    """What a session answers, or a network without steps."""
    graph = network.graph
    constants = {name: np.asarray(rows[0][name])[None] for name in graph.constant_inputs}
    if not graph.step_inputs:
        out = network.run(constants if len(constants) > 1 else next(iter(constants.values())))[0]
        return [{name: value[0] for name, value in graph.named_outputs(out).items()}]
    session, answers = Session(network, constants=constants), []
    for row in rows:
        x = {}
        for name in graph.step_inputs:
            value = np.asarray(row[name])
            x[name] = (
                value[0] if graph.inputs[name].tokens is not None and not graph.inputs[name].size else value
            )
        out = session.step(x if len(x) > 1 else next(iter(x.values())))
        answers.append(out if isinstance(out, dict) else {next(iter(graph.outputs)): out})
    return answers


def above(floor: float, values: Any) -> np.ndarray:
    """The values, those below the floor as zeros."""
    flat = np.float32(values).ravel()
    return np.where(np.abs(flat) < floor, np.float32(0), flat)


Inputs = Callable[[Network, int], list[dict[str, Any]]]
SCRIPT = """
const answers = Object.fromEntries(Object.entries(asked).map(([name, rows]) => {
  const session = model.session(name), [first] = Object.keys(model.networks[name].outputs);
  return [name, rows.map((row) => {
    const out = session.step(row), named = out instanceof Float32Array ? { [first]: out } : out;
    return Object.fromEntries(Object.entries(named).map(([key, value]) => [key, Array.from(value)]));
  })];
}));
"""


Rows = list[dict[str, Any]]


def answers_of(
    folder: Path, *, in_browser: bool = False, inputs: Inputs = inputs_of
) -> dict[str, tuple[Rows, Rows]]:
    """What WebAssembly and what sessions answer, by network."""
    model = load(folder / "model")
    export = export_model(folder / "model", "wasm", folder / "out")
    networks = {entry.network: model.networks[entry.network] for entry in export.written}
    rows = {
        name: inputs(network, STEPS if network.graph.step_inputs else 1) for name, network in networks.items()
    }
    asked = {
        name: [{key: np.ravel(value).tolist() for key, value in row.items()} for row in some]
        for name, some in rows.items()
    }
    if in_browser:
        opening = "async (asked) => { const { load } = await import('/congru.js'); const model = await load(location.origin);"
        told = in_chromium(folder / "out", f"{opening}{SCRIPT}return answers; }}", asked)
    else:
        (folder / "asked.json").write_text(json.dumps(asked))
        opening = (
            f"const asked = JSON.parse(readFileSync({json.dumps(str(folder / 'asked.json'))}).toString());\n"
        )
        script = f"{opening}const model = await load(files);{SCRIPT}console.log(JSON.stringify(answers));"
        told = run_node(folder / "out", script)
    return {name: (told[name], session_outputs(network, rows[name])) for name, network in networks.items()}


def same(told: Rows, expected: Rows, floor: float = 0.0) -> bool:
    """Whether all bits are, but those of values below the floor."""
    return all(
        np.array_equal(above(floor, actual[key]), above(floor, value))
        for actual, outputs in zip(told, expected, strict=True)
        for key, value in outputs.items()
    )


def differing(folder: Path, *, in_browser: bool = False) -> list[str]:
    """The networks with other bits; those that hold what NumPy computes are left out."""
    networks = load(folder / "model").networks
    return [
        name
        for name, answers in answers_of(folder, in_browser=in_browser).items()
        if not same(*answers) and not INEXACT & {node.type for node, _, _ in networks[name].graph.placed}
    ]


@needs_node
@pytest.mark.parametrize("task", [task for task in TASKS if "whole" not in task])
def test_the_networks_of_a_task_have_the_bits_of_a_session(task: str, tmp_path: Path) -> None:
    save_networks(tmp_path / "model", TASKS[task])
    assert differing(tmp_path) == []


@needs_node
def test_every_streaming_node_and_option_has_the_bits_of_a_session(tmp_path: Path) -> None:
    names = [name for name in STREAMING if name != "rows beside a memory"]
    save_networks(tmp_path / "model", {f"n{k}": ALL[name] for k, name in enumerate(names)})
    assert [names[int(name[1:])] for name in differing(tmp_path)] == []


@needs_node
def test_wide_layers_have_the_bits_of_a_session(tmp_path: Path) -> None:
    """Whole panels of rows, panels that are not whole, and every form of a cell on them."""
    head = {"type": "linear", "name": "head", "size": 75}
    cells: list[tuple[str, dict[str, Any]]] = [
        ("gru", {"num_layers": 2}),
        ("gru", {"layer_norm": True, "num_heads": 3}),
        ("gru", {"reset_before": True, "zoneout": 0.1}),
        ("lstm", {"layer_norm": True}),
        ("rnn", {}),
        ("mingru", {}),
    ]
    networks = {}
    for k, (cell, options) in enumerate(cells):
        config = one(cell, {"x": {"features": 70}}, hidden_size=45, **options)
        networks[f"n{k}"] = {**config, "nodes": [*config["nodes"], head], "outputs": ["head"]}
    save_networks(tmp_path / "model", networks)
    assert differing(tmp_path) == []


@needs_node
def test_a_state_that_fades_has_the_bits_of_a_session(tmp_path: Path) -> None:
    """Zero in the end; products below 2^-126, which count as zero in a session only, show where all is below 2^-100."""

    def fading(network: Network, steps: int) -> list[dict[str, Any]]:
        x = np.random.default_rng(1).standard_normal((400, 6)).astype(np.float32)
        x[3:] = 0
        return [{"x": row} for row in x]

    config = one("gru", hidden_size=5, bias=False)
    folder = save_networks(tmp_path / "model", {"main": config})
    network = load(folder).networks["main"]
    sizes = [
        max(np.abs(y).max() for y in row.values()) for row in session_outputs(network, fading(network, 0))
    ]
    assert any(0 < size < 1e-35 for size in sizes)
    assert sizes[-1] == 0
    told, expected = answers_of(tmp_path, inputs=fading)["main"]
    assert same(told, expected, 2.0**-100)
    values = np.abs(np.float32([list(row.values()) for row in told]))
    assert values[(values > 0) & (values < 2.0**-126)].size == 0


@needs_node
def test_the_networks_of_every_task_have_the_bits_of_a_session_in_chromium(tmp_path: Path) -> None:
    networks = {
        f"n{k}_{j}": config
        for k, declared in enumerate(TASKS.values())
        for j, config in enumerate(declared.values())
    }
    save_networks(tmp_path / "model", networks)
    assert differing(tmp_path, in_browser=True) == []
