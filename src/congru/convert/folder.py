"""Writes the networks of a file as a model folder, checks it, and reports what was converted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from congru.convert import exact
from congru.convert.check import self_check
from congru.convert.parts import Contents, SourceNetwork, as_name
from congru.errors import ConventionError
from congru.runtime.card import write_card
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.runtime.graph import Graph

TASK = "converted"


class Report(NamedTuple):
    """What a conversion did.

    `worst` is the largest difference between the folder's equations and the source's own program, in float64; `layers` one line
    for each part, `left` what was left out and why, `remarks` what else is to be known; `where` the folder or file written.
    """

    source: str
    layers: tuple[str, ...]
    left: Mapping[str, str]
    remarks: tuple[str, ...]
    worst: float
    where: str

    def __str__(self) -> str:
        lines = [f"{self.source}:", *(f"  {line}" for line in self.layers)]
        lines += [f"  left out: {name} ({why})" for name, why in _grouped(self.left).items()]
        lines += [f"  note: {remark}" for remark in self.remarks]
        lines.append(
            f"checked: {self.worst:.1e} is the largest difference from the source's own equations (random and saturating inputs)"
        )
        return "\n".join([*lines, f"wrote {self.where}"])


def _grouped(left: Mapping[str, str]) -> dict[str, str]:
    """Names with the same reason on one line, the first few of them."""
    by_reason: dict[str, list[str]] = {}
    for name, why in left.items():
        by_reason.setdefault(why, []).append(name)
    return {
        ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else ""): why
        for why, names in by_reason.items()
    }


def write_folder(contents: Contents, folder: str | os.PathLike[str]) -> Report:
    """Check every network, write the folder, load it, and report.

    Golden cases are computed by the reference equations in float64, so that every later `congru.load` compares the runtime
    with them. Raises ConventionError where a network is not what its source computes, ModelFolderError where the folder
    can't be written.
    """
    networks = {as_name(name, "main"): network for name, network in contents.networks.items()}
    if len(networks) == 1:
        networks = {"main": next(iter(networks.values()))}
    worst = max(self_check(name, network) for name, network in networks.items())
    config = {
        "task": TASK,
        "cell": _cell(networks),
        "networks": {name: network.config for name, network in networks.items()},
        "task_config": {"source": contents.source},
    }
    golden = {name: _golden(network) for name, network in networks.items()}
    save_model(
        folder,
        config=config,
        weights={name: dict(network.weights) for name, network in networks.items()},
        golden=golden,
        files={},
        card=write_card(
            config,
            {"data": f"converted from {contents.source}; not trained here"},
            uses="What the model it was converted from is meant for.",
            limits=f"Equal to its source to {worst:.1e} on random and saturating inputs, in float64.",
        ),
    )
    titles = [part.title for network in networks.values() for part in network.parts]
    if len(networks) > 1:
        titles = [
            f"network {name}: {part.title}" for name, network in networks.items() for part in network.parts
        ]
    return Report(contents.source, tuple(titles), contents.left, contents.remarks, worst, f"{folder}")


def _cell(networks: Mapping[str, SourceNetwork]) -> str:
    for network in networks.values():
        for node in Graph(network.config).recurrent:
            return str(node.type)
    raise ConventionError(
        "nothing here is recurrent, expected a GRU, LSTM or RNN: convert a model that has one"
    )


def _golden(network: SourceNetwork) -> dict[str, exact.Array]:
    graph = Graph(network.config)
    return make_golden(
        network.config, lambda x, state, lengths: exact.run(graph, network.weights, x, state, lengths)
    )
