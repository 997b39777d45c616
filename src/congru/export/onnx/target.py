"""`--to onnx`: NETWORK.onnx over sequences, and NETWORK.step.onnx where the network can run step by step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from congru.errors import require
from congru.export.cases import Case, golden_cases, replay_sequences, replay_steps
from congru.export.onnx.program import OPSET, onnx_model
from congru.export.onnx.runner import Runner
from congru.export.record import Refused, Written, time_beside
from congru.export.source import metadata, source_sequence, source_step
from congru.runtime.model import Model
from congru.runtime.network import Network


def write(
    model: Model, folder: Path, samples: Mapping[str, Any]
) -> tuple[list[Written], list[Refused], list[str]]:
    """Write and replay every network in both forms. Raises :class:`ExportError` where one differs from its golden cases."""
    require("onnxruntime", "export")
    written, refused = list[Written](), list[Refused]()
    props, cases = metadata(model), golden_cases(model)
    for name, network in model.networks.items():
        written.append(_sequence_form(network, name, folder, props, cases[name]))
        problem = network.stream_problem()
        if problem:
            refused.append(Refused(name, "step", problem))
        elif network.graph.step_inputs:  # without steps the two forms are one
            written.append(_step_form(network, name, folder, props, cases[name]))
    return written, refused, [f"opset {OPSET}, onnxruntime on one thread"]


def _sequence_form(
    network: Network, name: str, folder: Path, props: dict[str, str], cases: list[Case]
) -> Written:
    path = folder / f"{name}.onnx"
    runner = _saved(network, name, path, props, stepwise=False)
    error = replay_sequences(network, cases, runner.sequence, path.name)
    row = next(cases[0].rows(network))
    times = time_beside(
        {"target": lambda: runner.sequence(row), "source": source_sequence(network, cases[0])}
    )
    steps = row.inputs[network.graph.step_inputs[0]].shape[1] if network.graph.step_inputs else 1
    each = {key: value / steps for key, value in times.items()}
    return Written(name, "sequence", path.name, path.stat().st_size, error, each["target"], each["source"])


def _step_form(
    network: Network, name: str, folder: Path, props: dict[str, str], cases: list[Case]
) -> Written:
    path = folder / f"{name}.step.onnx"
    runner = _saved(network, name, path, props, stepwise=True)
    error = replay_steps(network, cases, runner.step, path.name)
    times = time_beside({"target": runner.repeated_step(cases[0]), "source": source_step(network, cases[0])})
    return Written(name, "step", path.name, path.stat().st_size, error, times["target"], times["source"])


def _saved(network: Network, name: str, path: Path, props: dict[str, str], *, stepwise: bool) -> Runner:
    onnx = require("onnx", "export")
    program = onnx_model(network, name, props, stepwise=stepwise)
    onnx.checker.check_model(program, full_check=True)
    path.write_bytes(program.SerializeToString())
    return Runner(network, path)
