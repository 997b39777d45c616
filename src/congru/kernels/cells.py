"""The cells, once: names of their gates, states and weights; and what an array is between a user and a kernel.

Everything here reads NumPy arrays and torch tensors without importing torch.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, TypeAlias

Array: TypeAlias = Any  # a NumPy array or a torch tensor; all arrays of one call are of one kind
State: TypeAlias = tuple[Array, ...]
Weights: TypeAlias = tuple[Array | None, ...]


class Cell(NamedTuple):
    """Names of a cell's parts: gates in row order (one block of H rows of W each), state, weights."""

    gates: tuple[str, ...]
    states: tuple[str, ...]
    weights: tuple[str, ...] = ("W", "U", "b_i", "b_h")


CELLS = {
    "gru": Cell(("r", "z", "n"), ("h",)),
    "lstm": Cell(("i", "f", "g", "o"), ("h", "c")),
    "rnn": Cell(("n",), ("h",)),
    "rnn_relu": Cell(("n",), ("h",)),  # torch.nn.RNN(nonlinearity="relu")
    "mingru": Cell(("z", "n"), ("h",), ("W", "b_i")),
}


def is_tensor(array: object) -> bool:
    """Whether this is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)
