"""The torch twin of every node of a network: the same parameters under the same names, batch-first.

`congru.runtime.nodes` declares the nodes and runs them in NumPy; a test holds both equal and demands a twin of every type.
The twins of each kind stand in a file of `congru.nn.twins`; importing this one registers them all.
Legend: B batch, T time, S memory positions, F features.
"""

from __future__ import annotations

from congru.nn.twins import attention, convolution, pointwise, pooling, recurrent
from congru.nn.twins.twin import TWINS, Run, twin_of

__all__ = ["TWINS", "Run", "attention", "convolution", "pointwise", "pooling", "recurrent", "twin_of"]
