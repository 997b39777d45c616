"""A network one step at a time on the native core: weights packed once, the state held inside the steppers.

What a session runs where every recurrent layer can; the outputs are, bit for bit, those of `Network.run`. Rows are [B, F].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.kernels import native, packed
from congru.runtime.cells import Array
from congru.runtime.declaration import GATE_ROWS, POOLINGS, Layer, input_size
from congru.runtime.layers import pointwise
from congru.runtime.recurrent import State, Weights, depth_weights, state_names

Stage = Callable[[Array], Array]


class Steps:
    """The layers of a streaming network, packed; its state is what was written last, and the steps since."""

    def __init__(
        self, layers: Sequence[Layer], weights: Weights, batch_size: int, weight_dtype: str = "float32"
    ) -> None:
        self._batch_size, self._weight_dtype = batch_size, weight_dtype
        self._steppers: list[tuple[list[str], int, list[Any]]] = []  # state names, H, one stepper per depth
        tokens = layers[0]["type"] == "embedding"
        self._table = weights[f"{layers[0]['name']}.weight"] if tokens else None
        self._input_size, self._is_row = input_size(list(layers)), native.extension().is_row
        self.stages = self._chain(layers[1:] if tokens else layers, weights)

    def row(self, x: Any) -> Array | None:
        """The row that enters `stages` for one step of one stream, where x is plainly right: a token in range, a finite
        float32 vector. None asks for a closer look.
        """
        if self._table is not None:
            if type(x) is int and 0 <= x < len(self._table):
                return self._table[x : x + 1]
        elif self._is_row(x, self._input_size):
            row: Array = x[None]
            return row
        return None

    def rows(self, x: NDArray[Any]) -> Array:
        """The rows that enter `stages` for checked tokens [B] or vectors [B, I]."""
        rows: Array = x if self._table is None else self._table[x]
        return rows

    def run(self, x: NDArray[Any]) -> Array:
        """The outputs [T, B, O] for checked tokens [T, B] or vectors [T, B, I], T >= 1."""
        outputs = []
        for step in x:
            row = self.rows(step)
            for stage in self.stages:
                row = stage(row)
            outputs.append(row.copy())
        return np.stack(outputs)

    def read(self) -> State:
        """The state, "<layer>.h" (and "<layer>.c") -> [L, B, H], in arrays of its own."""
        state: State = {}
        for names, hidden, steppers in self._steppers:
            parts = [np.empty((len(steppers), self._batch_size, hidden), np.float32) for _ in names]
            for depth, stepper in enumerate(steppers):
                stepper.read(*(part[depth] for part in parts))
            state.update(zip(names, parts))
        return state

    def write(self, state: State) -> None:
        """Go on from a state as `read` returns it."""
        for names, _, steppers in self._steppers:
            for depth, stepper in enumerate(steppers):
                stepper.write(*(state[name][depth] for name in names))

    def _chain(self, layers: Sequence[Layer], weights: Weights) -> list[Stage]:
        stages: list[Stage] = []
        for layer in layers:
            kind = layer["type"]
            if kind in GATE_ROWS:
                stages += self._pack(layer, weights)
            elif kind == "residual":
                stages.append(_residual(self._chain(layer["layers"], weights)))
            elif kind not in POOLINGS:  # the last step, the only pooling that can stream, is this one
                stages.append(pointwise(layer, weights))
        return stages

    def _pack(self, layer: Layer, weights: Weights) -> list[Stage]:
        form: dict[str, Any] = {
            key: layer[key] for key in ("reset_before", "layer_norm", "num_heads", "zoneout") if key in layer
        }
        if self._weight_dtype != "float32":
            form["weight_dtype"] = self._weight_dtype
        steppers = [
            packed.pack(layer["type"], parts, **form).stepper(self._batch_size)
            for parts in depth_weights(layer, weights)
        ]
        self._steppers.append((state_names(layer), layer["hidden_size"], steppers))
        return [stepper.step for stepper in steppers]


def _residual(stages: list[Stage]) -> Stage:
    def run_residual(x: Array) -> Array:
        y = x
        for stage in stages:
            y = stage(y)
        return x + y

    return run_residual
