"""The cells, once: their titles, gates, states and weights; and what an array is between a user and a kernel.

Everything here reads NumPy arrays and torch tensors without importing torch.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, TypeAlias

Array: TypeAlias = Any  # a NumPy array or a torch tensor; all arrays of one call are of one kind
State: TypeAlias = tuple[Array, ...]
Weights: TypeAlias = tuple[Array | None, ...]


class Cell(NamedTuple):
    """What a cell is called and what its parts are called.

    title: for captions. gates: in row order, one block of H rows of W each. keep: the gate that says how much of the old
    memory stays, None where no gate does. candidate: the row that is written. states and weights: in the order of calls.
    """

    title: str
    gates: tuple[str, ...]
    keep: str | None
    candidate: str
    states: tuple[str, ...] = ("h",)
    weights: tuple[str, ...] = ("W", "U", "b_i", "b_h")


CELLS = {
    "gru": Cell("GRU", ("r", "z", "n"), "z", "n"),
    "lstm": Cell("LSTM", ("i", "f", "g", "o"), "f", "g", states=("h", "c")),
    "rnn": Cell("plain RNN", ("n",), None, "n"),
    "rnn_relu": Cell("plain RNN (relu)", ("n",), None, "n"),  # torch.nn.RNN(nonlinearity="relu")
    "mingru": Cell("minGRU", ("z", "n"), "z", "n", weights=("W", "b_i")),
}


def is_tensor(array: object) -> bool:
    """Whether this is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)
