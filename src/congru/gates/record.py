"""The record of a run through recurrent layers: arrays and names, nothing to compute with a model.

Every analysis and picture takes this record, or arrays of it; `congru.gates.trace.Trace` adds the questions as methods.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError
from congru.gates.layer import Layer
from congru.gates.readout import Readout
from congru.gates.weights import Array


@dataclass(frozen=True)
class Record:
    """Recurrent layers after one run. `layers[l][d]` is layer l in direction d (0 forward, 1 backward).

    tokens[b][t] label the steps; `layer_names` names every recurrent layer of the model, of which this record holds
    those of one size; `output` is what the model returned, `readout` the linear map from the top states to it, where
    there is one; `num_calls` says how many calls in a loop were joined into these steps.
    """

    layers: tuple[tuple[Layer, ...], ...]
    tokens: tuple[tuple[str, ...], ...]
    title: str = "model"
    layer_names: tuple[str, ...] = ()
    output: Array | None = field(default=None, repr=False)
    readout: Readout | None = field(default=None, repr=False)
    num_calls: int = 1

    def __repr__(self) -> str:
        size = ", ".join(f"{letter}={count}" for letter, count in zip("LDBTH", self.shape))
        kind = type(self).__name__
        return f"<{kind} of {self.title}: {self.top.title}, {size}, residual {self.residual:.1e}>"

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(L, D, B, T, H)."""
        batch, steps, hidden = self.top.y.shape
        return len(self.layers), len(self.layers[0]), batch, steps, hidden

    @property
    def top(self) -> Layer:
        """The last layer, forward direction."""
        return self.layers[-1][0]

    @property
    def cell(self) -> str:
        """gru, lstm, rnn, rnn_relu or mingru."""
        return self.top.cell

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of valid steps of each row, [B]."""
        return np.asarray(self.top.recovered.valid.sum(axis=1), np.int64)

    @property
    def x(self) -> Array:
        """The input of the first of these layers, [B, T, I]."""
        return self.layers[0][0].x

    @property
    def top_output(self) -> Array:
        """The states of the top layer, both directions side by side, [B, T, D*H]."""
        result: Array = np.concatenate([layer.y for layer in self.layers[-1]], axis=2)
        return result

    @property
    def residual(self) -> float:
        """How far the equations are from what the layers returned, as a relative backward error; see `Layer.residual`."""
        return max(layer.residual for row in self.layers for layer in row)

    def layer(self, layer: int = -1, direction: int = 0) -> Layer:
        """One layer in one direction; negative numbers count from the top. Raises CongruError outside."""
        depth, width = self.shape[:2]
        if not -depth <= layer < depth:
            raise CongruError(
                f"layer is {layer}, expected {-depth} to {depth - 1}: the trace has {depth} layers"
            )
        if not 0 <= direction < width:
            fix = "0 forward, 1 backward" if width == 2 else "the layer runs forward only"
            raise CongruError(f"direction is {direction}, expected 0 to {width - 1}: {fix}")
        return self.layers[layer][direction]

    def check_row(self, row: int) -> int:
        """Return `row`, or raise CongruError where the batch has no such row or the row has no valid step."""
        num_rows = self.shape[2]
        if not 0 <= row < num_rows:
            raise CongruError(f"row is {row}, expected 0 to {num_rows - 1}: the trace has B = {num_rows}")
        if self.lengths[row] == 0:
            raise CongruError(f"row {row} has length 0, expected at least one step: pick another row")
        return row

    def stacked(self, name: str) -> Array:
        """An array of every layer and direction by its attribute of `Layer`, [L, D, ...]."""
        parts: list[list[Any]] = [[getattr(layer, name) for layer in row] for row in self.layers]
        return np.stack(parts)
