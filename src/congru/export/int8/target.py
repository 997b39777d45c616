"""`--to int8`: the same model folder with int8 weights, whose GRUs compute in integers when it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from congru.export.cases import Case, golden_cases
from congru.export.int8.quantised import own_golden, quantised_network
from congru.export.record import Refused, Written, time_beside
from congru.export.source import source_sequence, source_step
from congru.runtime.folder import CARD, TASK, declared_networks, save_model
from congru.runtime.graph import alone
from congru.runtime.integer import INTEGER
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.runtime.tensors import relative_error

_NOTE = """
## int8

Matrices are int8 with one scale per row. GRUs compute in integers (inputs in steps of {scales}, the state in steps of 1/127), one
result on every machine; other nodes compute in float32 on the rounded weights.
"""


def write(
    model: Model, folder: Path, samples: Mapping[str, Any]
) -> tuple[list[Written], list[Refused], list[str]]:
    """Write the folder; `samples` are inputs of networks by name, for calibration beside the golden ones."""
    cases = golden_cases(model)
    networks, weights, golden, scales = (
        dict[str, Network](),
        dict[str, Any](),
        dict[str, Any](),
        dict[str, Any](),
    )
    declared = declared_networks(model.config)
    for name, network in model.networks.items():
        extra = [sample_case(network, samples[name])] if name in samples else []
        networks[name], weights[name] = quantised_network(network, [*cases[name], *extra])
        golden[name] = own_golden(networks[name], declared[name])
        scales[name] = dict(networks[name].integers.scales)
    if model.task_weights:
        weights[TASK] = model.task_weights
    steps = sorted(
        {round(scale, 6) for nodes in scales.values() for values in nodes.values() for scale in values}
    )
    save_model(
        folder,
        config={"networks": declared, **{key: model.config[key] for key in ("task", "cell", "task_config")}},
        weights=weights,
        golden=golden,
        files={**_side_files(model), INTEGER: (json.dumps(scales, indent=1) + "\n").encode()},
        card=(model.folder / CARD).read_text(encoding="utf-8")
        + _NOTE.format(scales=", ".join(map(str, steps)) or "nothing"),
    )
    return (
        [
            _written(name, model.networks[name], networks[name], weights[name], cases[name])
            for name in declared
        ],
        [],
        [],
    )


def sample_case(network: Network, x: Any) -> Case:
    """Inputs [B, T, ..] of a network as a case, from its initial state."""
    inputs = network.graph.named_inputs(x)
    return Case(inputs, {}, network.initial_state(len(next(iter(inputs.values())))), {}, {})


def _side_files(model: Model) -> dict[str, bytes]:
    return {name: content for name, content in model.files.items() if name not in ("config.json", INTEGER)}


def _written(
    name: str, source: Network, made: Network, tensors: dict[str, Any], cases: list[Case]
) -> Written:
    """How far the outputs of the golden inputs are from the float ones, as a measure: the task's own metric decides."""
    error = 0.0
    for case in cases:
        lengths = case.lengths if set(case.lengths) - {"steps"} else case.lengths.get("steps")
        actual = made.graph.named_outputs(made.run(alone(case.inputs), case.state, lengths)[0])
        error = max(error, *(relative_error(actual[key], expected) for key, expected in case.outputs.items()))
    way = source_step if made.stream_problem() is None else source_sequence
    times = time_beside({"target": way(made, cases[0]), "source": way(source, cases[0])})
    size = sum(array.nbytes for array in tensors.values())
    before = sum(array.nbytes for array in source.weights.values())
    facts: dict[str, int | float | str] = {
        "float32, kB": f"{before / 1000:,.1f}",
        "in integers": ", ".join(made.integers.scales) or "-",
    }
    return Written(
        name, "model folder", "model.safetensors", size, error, times["target"], times["source"], facts
    )
