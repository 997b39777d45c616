"""The self-check that ends every conversion: the folder's equations and the source's own program on the same inputs.

Both run in float64, over T = 8 steps of B = 3 rows: normal inputs, and inputs ten times as large, which saturate gates; from
a state that is not zero where the source takes one. Differences are relative to the largest value, or to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.convert import exact
from congru.convert.parts import Array, SourceNetwork
from congru.errors import ConventionError, DataError, ShapeError
from congru.runtime.graph import Graph
from congru.runtime.nodes.node import Spec

SATURATING = 10.0


def self_check(name: str, network: SourceNetwork, steps: int = 8, rows: int = 3) -> float:
    """The largest difference over all inputs; raises ConventionError where it is above the limit of `network`.

    Weights of other shapes than the network's raise ShapeError, those that are not finite DataError.
    """
    graph = Graph(network.config)
    _check_weights(graph, network)
    worst = 0.0
    for seed, scale in enumerate((1.0, SATURATING, 1.0)):
        random = np.random.default_rng(seed)
        inputs = {key: _draw(spec, random, rows, steps, scale) for key, spec in graph.inputs.items()}
        x = next(iter(inputs.values())) if len(inputs) == 1 else inputs
        state = None
        if network.takes_state and seed < 2:
            state = {
                key: random.uniform(-1, 1, (depth, rows, size))
                for key, (depth, size) in graph.state_shapes.items()
            }
        expected = network.own(x, state)
        actual, _ = exact.run(graph, network.weights, x, state)
        worst = max(worst, difference(graph, actual, expected))
    if not worst <= network.limit:
        raise ConventionError(
            f"{name} differs from its source by {worst:.1e}, expected at most {network.limit:.0e}: it computes another function "
            "than its names say, and nothing was written; congru doctor FILE says more"
        )
    return worst


def _check_weights(graph: Graph, network: SourceNetwork) -> None:
    for key, shape in graph.weight_shapes.items():
        weight = network.weights[key]
        if weight.shape != shape:
            raise ShapeError(
                f"{key} has shape {weight.shape}, expected {shape} after what stands before it in the chain: correct the order,"
                " or convert the layers apart"
            )
        if not np.isfinite(weight).all():
            raise DataError(
                f"{key} holds numbers that are NaN, infinite or too large for float32, expected finite ones: save the weights"
                " of a model that works"
            )


def difference(graph: Graph, actual: Any, expected: Any) -> float:
    """The largest |actual - expected| over all outputs, relative to the largest |expected| or 1; inf for other shapes."""
    pairs = zip(graph.named_outputs(actual).values(), graph.named_outputs(expected).values())
    worst = 0.0
    for one, other in pairs:
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        if one.shape != other.shape or not np.isfinite(other).all():
            return float("inf")
        if other.size:
            worst = max(worst, float(np.abs(one - other).max() / max(1.0, float(np.abs(other).max()))))
    return worst


def _draw(spec: Spec, random: np.random.Generator, rows: int, steps: int, scale: float) -> Array:
    shape = (rows,) if spec.axes == "row" else (rows, steps)
    if spec.tokens is None:
        return np.asarray(scale * random.standard_normal((*shape, *spec.size)))
    columns = [random.integers(0, count, shape) for count in spec.tokens]
    return np.stack(columns, axis=-1) if spec.size else columns[0]
