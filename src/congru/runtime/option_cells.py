"""A cell with layer norm, heads or zoneout in NumPy float32: the equations of `congru.reference.options`, step by step.

Zoneout is its expectation here, h' = p h + (1 - p) h~. Both products are taken per step, so any chunking gives the same bits.
"""

from __future__ import annotations

import numpy as np

from congru.reference import option_equations, options
from congru.reference.option_equations import CELLS
from congru.runtime.cells import Array, State
from congru.runtime.form import Form


class OptionCell:
    """One direction of one layer; see `congru.runtime.cells.Cell`."""

    def __init__(self, form: Form, weights: tuple[Array | None, ...]) -> None:
        self.gate_rows = len(CELLS[form.cell].gates)
        self._form = option_equations.Form(form.cell, form.reset_before, form.layer_norm, form.num_heads)
        self._keep = np.float32(form.zoneout)
        W, U, *rest = weights
        assert U is not None
        whole = options.dense(U.astype(np.float64), self.gate_rows, form.num_heads)
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
