"""A cell with layer norm, heads or zoneout in NumPy float32: the equations of `congru.reference.options`, step by step.

Zoneout is its expectation here, h' = p h + (1 - p) h~. Both products are taken per step, so any chunking gives the same bits.
"""

from __future__ import annotations

import numpy as np

from congru.reference import options
from congru.reference.option_equations import CELLS, Form
from congru.runtime.cells import Array, State
from congru.runtime.declaration import Layer

# Keys of a recurrent layer that change what it computes in use, with the values that change nothing.
IN_USE: Layer = {"layer_norm": False, "num_heads": 1, "zoneout": 0.0}


def has_options(layer: Layer) -> bool:
    """Whether a recurrent layer computes more than its plain cell, in use."""
    return any(layer.get(key, plain) != plain for key, plain in IN_USE.items())


class OptionCell:
    """One direction of one layer; see `congru.runtime.cells.Cell`."""

    def __init__(self, layer: Layer, weights: tuple[Array | None, ...]) -> None:
        cell, num_heads = layer["type"], layer.get("num_heads", 1)
        self.gate_rows = len(CELLS[cell].gates)
        self._form = Form(cell, layer.get("reset_before", False), layer.get("layer_norm", False), num_heads)
        self._keep = np.float32(layer.get("zoneout", 0.0))
        W, U, *rest = weights
        assert U is not None
        whole = options.dense(U.astype(np.float64), self.gate_rows, num_heads)
        self._weights = (W, whole.astype(np.float32), *rest)

    def inputs(self, x: Array) -> Array:
        """The input itself: what it adds is normalised in its step."""
        return x

    def step(self, a: Array, state: State) -> tuple[State, State]:
        """From the state before to (state after, gates); `a` [B, I] is the input of this step."""
        new, gates = options.step(a, state, self._weights, form=self._form)  # type: ignore[arg-type]
        kept = tuple(self._keep * old + (1 - self._keep) * part for old, part in zip(state, new))
        after = tuple(part.astype(np.float32) for part in kept)
        return after, tuple(gates[:, row].astype(np.float32) for row in range(self.gate_rows))
