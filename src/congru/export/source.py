"""The model itself as the other side of an export: a step of it for timing, and what goes into the metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from congru.export.cases import Case
from congru.runtime.graph import alone
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.version import __version__

TEXT_FILES = ("labels", "scaler", "tokenizer")  # side files that say what goes in and comes out


def source_step(network: Network, case: Case) -> Callable[[], object]:
    """The first step of a case's first sequence, again and again: of a session where there are steps, else of a run."""
    graph, row = network.graph, next(case.rows(network))
    constants: dict[str, Any] = {name: row.inputs[name] for name in graph.constant_inputs}
    if not graph.step_inputs:
        return lambda: network.run(alone(constants))
    session = Session(network, constants=constants)
    session.state = row.state
    x = alone({name: row.inputs[name][0, 0] for name in graph.step_inputs})
    x = int(x) if getattr(x, "shape", None) == () else x
    return lambda: session.step(x)


def source_sequence(network: Network, case: Case) -> Callable[[], object]:
    """The first sequence of a case at once, again and again."""
    row = next(case.rows(network))
    return lambda: network.run(alone(row.inputs), row.state)


def model_name(model: Model) -> str:
    """What the model is called: its folder, or the run folder that holds it."""
    folder = model.folder.resolve()
    return folder.parent.name if folder.name == "model" and folder.parent.name else folder.name


def metadata(model: Model) -> dict[str, str]:
    """Task, settings of the task, labels, scaling and tokenizer, each as JSON text."""
    parts = {
        "congru_version": __version__,
        "task": model.task,
        "cell": model.cell,
        "task_config": json.dumps(model.task_config, ensure_ascii=False),
    }
    for name in TEXT_FILES:
        if f"{name}.json" in model.files:
            parts[name] = model.files[f"{name}.json"].decode()
    return parts
