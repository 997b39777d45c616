"""Which matrices of a node become int8, by node type; a node without any stays as it is.

GRUs without layer norm, heads and zoneout compute in integers (`congru.runtime.integer`); of other nodes only the weights are
rounded, and the arithmetic stays float32.
"""

from __future__ import annotations

from congru.export.emitters import Emitters
from congru.runtime.nodes import Node, Spec
from congru.runtime.nodes.recurrent import RecurrentNode

INT8 = Emitters("int8")


@INT8.emits("embedding", "linear", "causal_conv")
def matrices(node: Node, inputs: tuple[Spec, ...]) -> list[str]:
    """Its tables, or its matrix."""
    return [name for name, shape in node.weights(*inputs).items() if len(shape) == 2]


@INT8.emits("gru", "lstm", "rnn", "mingru")
def recurrent(node: Node, inputs: tuple[Spec, ...]) -> list[str]:
    """The matrices of every layer and direction; those of heads, which are small, stay."""
    assert isinstance(node, RecurrentNode)
    if node.heads > 1:
        return []
    return [f"{stem}_{end}" for end in node.ends for stem in node.stems if stem.startswith("weight")]


@INT8.emits(
    "layer_norm",
    "relu",
    "tanh",
    "sigmoid",
    "dropout",
    "add",
    "concat",
    "flatten",
    "row_max",
    "last",
    "mean",
    "max",
    "stack",
)
def without_matrices(node: Node, inputs: tuple[Spec, ...]) -> list[str]:
    """It has none."""
    return []


@INT8.emits("attention", "attention_pool", "conv2d", "conv_gru")
def kept(node: Node, inputs: tuple[Spec, ...]) -> list[str]:
    """Their weights are few, and stay float32."""
    return []
