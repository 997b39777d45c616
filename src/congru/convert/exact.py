"""A network in float64 by the reference equations: what a conversion's own folder must equal, and its golden cases.

The runtime computes in float32; here every node is one line of NumPy float64, and recurrent nodes are
`congru.reference.stack`, so that a difference from the source's own equations is a wrong conversion and not a rounding.
Arrays are [B, T, F]; a row is [B, F]. Legend: B batch, T time, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.errors import SettingsError
from congru.reference import stack
from congru.reference.activations import sigmoid
from congru.runtime.graph import Graph
from congru.runtime.nodes.node import Node
from congru.runtime.nodes.pointwise import Embedding, Linear
from congru.runtime.nodes.recurrent import RecurrentNode

Array: TypeAlias = npt.NDArray[Any]

# Nodes without weights and state, by type; each takes its inputs.
_PLAIN: dict[str, Callable[..., Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "dropout": lambda x: x,
    "add": lambda *x: np.asarray(sum(_with_steps(x))),
    "concat": lambda *x: np.concatenate(_broadcast(_with_steps(x)), axis=-1),
}


def run(
    graph: Graph,
    weights: Mapping[str, Array],
    x: Any,
    state: Mapping[str, Array] | None = None,
    lengths: Any = None,
) -> tuple[Any, dict[str, Array]]:
    """Return the output (a dictionary where there are several) and the state after, as `Network.run` does, in float64.

    Raises SettingsError for a node whose equation is not written here.

    >>> graph = Graph({"inputs": {"x": {"features": 1}}, "nodes": [{"type": "tanh", "name": "a"}], "outputs": ["a"]})
    >>> run(graph, {}, np.array([[[0.0]]]))
    (array([[[0.]]]), {})
    """
    values: dict[str, Array] = dict(graph.named_inputs(x))
    wide = {name: np.asarray(weight, np.float64) for name, weight in weights.items()}
    after: dict[str, Array] = {}
    for node, inputs, _ in graph.placed:
        own = graph.weights_of(node, inputs, wide)
        arguments = [np.asarray(values[name]) for name in node.of]
        if isinstance(node, RecurrentNode):
            values[node.name], parts = _recurrent(node, own, arguments[0], state, lengths)
            after |= {f"{node.name}.{part}": value for part, value in parts.items()}
        else:
            values[node.name] = _value(node, own, arguments, lengths)
    outputs = {name: values[name] for name in graph.outputs}
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs, after


def _recurrent(
    node: RecurrentNode, own: Mapping[str, Array], x: Array, state: Mapping[str, Array] | None, lengths: Any
) -> tuple[Array, dict[str, Array]]:
    if node.norm or node.heads != 1 or float(getattr(node, "zoneout", 0)):
        raise SettingsError(
            f"{node} has options, expected a plain cell: train it with congru, which saves it"
        )
    flat, ways = node.direction_weights(own), node.num_directions
    parts = [flat[depth * ways : (depth + 1) * ways] for depth in range(node.num_layers)]
    start = None
    if state is not None:
        start = tuple(state[f"{node.name}.{part}"] for part in node.state_parts)
    elif node.learn_h0:
        start = tuple(np.repeat(own[f"{part}0"][:, None], len(x), axis=1) for part in node.state_parts)
    y, final, _ = stack.forward(node.type, x, start, parts, lengths=lengths, reset_before=node.reset_first)
    return y, dict(zip(node.state_parts, final))


def _value(node: Node, own: Mapping[str, Array], x: list[Array], lengths: Any) -> Array:
    if node.type in _PLAIN:
        return _PLAIN[node.type](*x)
    if isinstance(node, Embedding) and "weight" in own:
        return own["weight"][x[0]]
    if isinstance(node, Linear):
        return np.asarray(x[0] @ own["weight"].T + own.get("bias", 0.0))
    if node.type == "layer_norm":
        centred = x[0] - x[0].mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return np.asarray(centred / spread * own["weight"] + own["bias"])
    if node.type in ("last", "mean", "max") and not getattr(node, "running", False):
        return _pooled(node.type, x[0], lengths)
    raise SettingsError(f"{node} has no equation here, expected one of a converted model's: leave it out")


def _pooled(kind: str, x: Array, lengths: Any) -> Array:
    """The last step, mean or maximum of the first lengths[b] steps; zeros for a row without steps."""
    counts = np.full(len(x), x.shape[1]) if lengths is None else np.asarray(lengths)
    pool: dict[str, Callable[[Array], Array]] = {
        "last": lambda steps: np.asarray(steps[-1]),
        "mean": lambda steps: np.asarray(steps.mean(axis=0)),
        "max": lambda steps: np.asarray(steps.max(axis=0)),
    }
    return np.stack(
        [pool[kind](row[:count]) if count else np.zeros(row.shape[1]) for row, count in zip(x, counts)]
    )


def _with_steps(x: tuple[Array, ...]) -> list[Array]:
    """Rows [B, F] beside sequences [B, T, F] as [B, 1, F]."""
    most = max(part.ndim for part in x)
    return [part[:, None] if part.ndim < most else part for part in x]


def _broadcast(x: list[Array]) -> list[Array]:
    lead = np.broadcast_shapes(*(part.shape[:-1] for part in x))
    return [np.broadcast_to(part, (*lead, part.shape[-1])) for part in x]
