"""The model card: the README.md of a model folder, written from what training knows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from congru.runtime.graph import Graph


def write_card(
    config: Mapping[str, Any],
    training: Mapping[str, Any],
    *,
    uses: str,
    limits: str,
    run: Sequence[str] = (),
) -> str:
    """The text of README.md.

    `config` is what goes to `save_model` (task, cell, networks); `training` is the card of the training loop:
    metric, value, baselines {name: value}, step, seconds, data (a summary) and settings, each where known;
    `uses` and `limits` are sentences of the task; `run` are the commands that run the model (MODEL stands for
    its folder).
    """
    graphs = [Graph(network) for network in config["networks"].values()]
    sizes = [f"{node.num_layers} x {node.hidden_size}" for graph in graphs for node in graph.recurrent]
    count = sum(math.prod(shape) for graph in graphs for shape in graph.weight_shapes.values())
    sizes.append(f"{count:,} parameters")
    sections = [
        f"# {config['task']}: {config['cell']}",
        f"A `{config['cell']}` network ({', '.join(sizes)})"
        f" trained with congru for the task `{config['task']}`.",
        "## Run it",
        _block(run or ["python -c 'import congru; print(congru.load(\"MODEL\"))'"]),
        "## Measured",
        _metrics(training),
        "## Trained on",
        _listing(training.get("data")),
        "## Settings",
        _listing(training.get("settings")),
        f"## Meant for\n\n{uses}",
        f"## Limits\n\n{limits}",
    ]
    return "\n\n".join(sections) + "\n"


def _block(lines: Sequence[str]) -> str:
    return "\n".join(["```sh", *lines, "```"])


def _metrics(training: Mapping[str, Any]) -> str:
    """The validation metric beside its baselines, one row each, this model first."""
    if "metric" not in training:
        return "No metric was recorded."
    rows = [("this model", training["value"]), *training.get("baselines", {}).items()]
    table = [f"| validation | {training['metric']} |", "|---|---|"]
    table += [f"| {name} | {value:.6g} |" for name, value in rows]
    spent = [
        f"{training[key]:,} {unit}"
        for key, unit in (("step", "steps"), ("seconds", "seconds"))
        if key in training
    ]
    return "\n".join(table) + (f"\n\nAfter {' in '.join(spent)} of training." if spent else "")


def _listing(values: Any) -> str:
    """A mapping as one line per key, inner mappings and lists in short; anything else as it reads."""
    if not values:
        return "Not recorded."
    if not isinstance(values, Mapping):
        return str(values)
    return "\n".join(f"- {key}: {_short(value)}" for key, value in values.items() if value is not None)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_short, value[:4])) + (f"; and {len(value) - 4} more" if len(value) > 4 else "")
    return str(value)
