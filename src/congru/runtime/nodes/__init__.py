"""The node types of a network, one class each; importing this package registers all of them.

Adding a node: a class in one of these files (its fields are its keys in config.json), its twin in `congru.nn.twins`, and an
entry in `tests/nodes_cases.py`: the tests of every node then run over it.
"""

from __future__ import annotations

from congru.runtime.nodes import attention, convolution, pointwise, pooling, recurrent
from congru.runtime.nodes.node import NODES, Node, Spec

__all__ = ["NODES", "Node", "Spec", "attention", "convolution", "pointwise", "pooling", "recurrent"]
