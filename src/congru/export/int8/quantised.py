"""A network in int8: its rounded weights, the scales of what its integer nodes read, and golden cases of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.export.cases import Arrays, Case
from congru.export.int8.emitters import INT8
from congru.runtime.golden import make_golden
from congru.runtime.graph import alone
from congru.runtime.integer import IntegerRecurrent, Integers, Quantised, quantise, runs_in_integers
from congru.runtime.network import Network
from congru.runtime.tensors import SCALE, widened

_MARGIN = (
    1e-4  # of golden inputs: how near they may come to the middle of two steps, where a last bit decides
)
_SEEDS = 40
_SMALLEST = 1e-6


def quantised_network(
    network: Network, calibration: Iterable[Case]
) -> tuple[Network, dict[str, NDArray[Any]]]:
    """The network in int8 and its tensors as a model folder holds them; `calibration` are inputs as it meets them."""
    matrices: dict[str, Quantised] = {}
    for node, inputs, _ in network.graph.placed:
        for part in INT8.of(node)(node, inputs):
            matrices[f"{node.name}.{part}"] = quantise(network.weights[f"{node.name}.{part}"])
    tensors: dict[str, NDArray[Any]] = {name: array for name, array in network.weights.items()}
    for name, matrix in matrices.items():
        tensors |= {name: matrix.q, name + SCALE: matrix.scale}
    scales = input_scales(network, calibration)
    made = Network.of_checked(network.graph, widened(tensors), "auto", integers=Integers(matrices, scales))
    return made, tensors


def input_scales(network: Network, calibration: Iterable[Case]) -> dict[str, list[float]]:
    """s_x of every node that computes in integers: the largest value it reads, over 127."""
    nodes = [node for node in network.graph.recurrent if runs_in_integers(node)]
    largest = {node.name: _SMALLEST for node in nodes}
    for case in calibration:
        lengths = case.lengths if set(case.lengths) - {"steps"} else case.lengths.get("steps")
        seen = network.record(alone(case.inputs), case.state, lengths, gates=False).seen
        for name in largest:
            largest[name] = max(largest[name], float(np.abs(seen[name][0]).max(initial=0.0)))
    return {node.name: [float(np.float32(largest[node.name] / 127))] * node.num_directions for node in nodes}


def own_golden(network: Network, declaration: Mapping[str, Any]) -> Arrays:
    """Golden cases of a network in int8, whose inputs no last bit of another machine rounds the other way."""
    watched = Network.of_checked(network.graph, network.weights, "numpy", integers=network.integers)
    cells = [
        cell
        for compute in watched.computes.values()
        if isinstance(compute, IntegerRecurrent)
        for cell in compute.cells
    ]
    best, best_margin = 0, -1.0
    for seed in range(_SEEDS):
        for cell in cells:
            cell.margin = 0.5
        make_golden(declaration, watched.run, seed=seed)
        margin = min((cell.margin for cell in cells), default=0.5)
        if margin > best_margin:
            best, best_margin = seed, margin
        if margin >= _MARGIN:
            break
    return make_golden(declaration, network.run, seed=best)
