"""Scores of the legal moves of one position, with the layers of the network "move" folded into tables.

    score = query . W_2 relu(W_1 sum_k E_k[token_k] + b_1) / sqrt(K)
          = relu(sum_k (W_1 E_k)[token_k] + b_1) . W_2^T query / sqrt(K)

W_1 E_k is computed once, and the last layer once a position instead of once a move. Equal to the network up to rounding and,
where an older model's keys have a bias, a number that is the same for all moves.

Legend: C legal moves, K size of a move's vector.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from congru.runtime.network import Network
from congru.tasks.chess.attacks import Ints

Floats = NDArray[np.float32]


class FoldedKeys:
    """The network "move", for one query at a time."""

    def __init__(self, network: Network) -> None:
        weights = network.weights
        tables = [weights[f"rows.{name}"] for name in _parts(network)]
        self._rows = np.concatenate(tables) @ weights["inner.weight"].T
        self._begins = np.cumsum([0, *(len(table) for table in tables[:-1])])
        self._inner_bias = weights["inner.bias"]
        self._key = weights["key.weight"]  # a bias, in older models, adds the same to every move

    def scores(self, query: Floats, tokens: Ints) -> Floats:
        """The scores [C] of moves with tokens [C, columns] for a query [K]."""
        hidden = self._rows[tokens + self._begins].sum(axis=1)
        hidden += self._inner_bias
        np.maximum(hidden, 0, out=hidden)
        scores: Floats = hidden @ (query @ self._key)
        return scores / np.float32(len(query) ** 0.5)


def _parts(network: Network) -> list[str]:
    """The names of the tables, in the order of the columns."""
    columns = network.graph.inputs["tokens"].size[0]
    return [f"weight_{column}" for column in range(columns)]
