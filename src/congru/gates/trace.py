"""A trace: everything a stack of recurrent layers did with one input, and the questions one can ask of it.

Arrays are [L, D, B, T, H]: layer, direction (0 forward, 1 backward), row, step, unit. `keep` is the share
of the old memory that stays; authors disagree on the letter z, so nothing here is called by it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError, ShapeError
from congru.gates.age import Age, age_of, check_streaming
from congru.gates.dynamics import FixedPoints, Lyapunov, fixed_points_of, lyapunov_of
from congru.gates.equations import GATES, KEEP, Array
from congru.gates.flow import Flow, flow_of
from congru.gates.jacobian import jacobians, steps_of
from congru.gates.layer import Layer
from congru.gates.memory import Memory, Shares, attribute, attribute_all
from congru.gates.notebook import trace_html
from congru.gates.pictures.views import draw
from congru.gates.readout import Readout
from congru.gates.saturation import Saturation, saturation_of
from congru.gates.terminal import film_text
from congru.gates.timescales import Timescales, autocorrelation_length, timescales_of
from congru.gates.units import Units, units_of
from congru.gates.whatif import WhatIf, clamp_gate
from congru.report.style import Picture

# An output's number or name, a weight per unit, or None for the largest output.
Target: TypeAlias = int | str | npt.NDArray[Any] | None


@dataclass(frozen=True)
class Trace:
    """What `congru.inspect` returns. `layers[l][d]`; `tokens[b][t]` are the labels of the steps.

    `found` names every recurrent layer of the model, of which this trace shows those of one size; `output`
    is what the model returned, `readout` the linear map from the top states to it, where there is one.
    """

    layers: tuple[tuple[Layer, ...], ...]
    tokens: tuple[tuple[str, ...], ...]
    title: str = "model"
    found: tuple[str, ...] = ()
    output: Array | None = field(default=None, repr=False)
    readout: Readout | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        size = ", ".join(f"{letter}={count}" for letter, count in zip("LDBTH", self.shape))
        return f"<Trace of {self.title}: {self.top.title}, {size}, residual {self.residual:.1e}>"

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
    def keep(self) -> Array:
        """The share of the old memory that stays (1 - keep is written), [L, D, B, T, H]; for an LSTM its
        forget gate.
        """
        return self._stacked("keep")

    @property
    def reset(self) -> Array:
        """The share of the old state the candidate reads, [L, D, B, T, H]; GRU only."""
        return self._stacked("reset")

    @property
    def candidate(self) -> Array:
        """What is offered for writing, [L, D, B, T, H]."""
        return self._stacked("candidate")

    @property
    def state(self) -> Array:
        """The state after each step, h, [L, D, B, T, H]."""
        return self._stacked("y")

    @property
    def memory_state(self) -> Array:
        """What the keep gate keeps, [L, D, B, T, H]: h, or the cell state c of an LSTM."""
        return self._stacked("memory")

    def gate(self, letter: str) -> Array:
        """One gate by its row letter, [L, D, B, T, H]: r, z, n of a GRU; i, f, g, o of an LSTM."""
        if letter not in GATES[self.cell]:
            known = ", ".join(GATES[self.cell])
            raise CongruError(f"gate is {letter!r}, expected one of {known}: this is a {self.cell}")
        return np.stack([[layer.gate(letter) for layer in row] for row in self.layers])

    @property
    def residual(self) -> float:
        """How far the equations are from what the layers returned, as a relative backward error; see
        `Layer.residual`.
        """
        return max(layer.residual for row in self.layers for layer in row)

    def check(self, tolerance: float = 1e-6) -> float:
        """Return the residual, or raise CongruError where a layer did not compute these equations.

        Layers in float32 stay near 1e-7 for any weights, inputs and T, in float64 near 1e-16 (pass 1e-12 to
        hold them to it); bfloat16 needs 1e-2. More means another reset form, gate order or changed weights.
        """
        for row in self.layers:
            for layer in row:
                if not layer.residual <= tolerance:
                    raise CongruError(
                        f"{layer.title}: the equations miss its output by {layer.residual:.1e}, expected "
                        f"at most {tolerance:.0e}: check the reset form, the gate order, h0, and that x "
                        "is this layer's input"
                    )
        return self.residual

    def age(self, *, layer: int = -1, direction: int | None = None, row: int = 0) -> Age:
        """How old the content of each unit is after each step, in steps: A_t = keep_t (A_{t-1} + 1)."""
        way = check_streaming(self.shape[1], direction)
        return age_of(self.layer(layer, way), self.check_row(row))

    def timescales(
        self, *, layer: int = -1, direction: int = 0, series: npt.ArrayLike | None = None
    ) -> Timescales:
        """tau per unit in steps, beside the autocorrelation length of `series` [T, F] (default: the input
        of row 0).
        """
        if series is None:
            series = self.x[0, : self.lengths[0]]
        return timescales_of(self.layer(layer, direction), autocorrelation_length(series))

    def saturation(self, *, layer: int = -1, direction: int = 0) -> Saturation:
        """Whether the gates are used, stuck or redundant, with advice in words."""
        return saturation_of(self.layer(layer, direction))

    def summary(self) -> list[str]:
        """What stands out, a line each: advice on every layer, then how far back it reaches, where it has a
        keep gate.
        """
        lines = []
        for depth, ways in enumerate(self.layers):
            for way, layer in enumerate(ways):
                lines += self.saturation(layer=depth, direction=way).advice
                if self.cell in KEEP:
                    lines.append(f"{layer.name}: {self.timescales(layer=depth, direction=way).sentence()}")
        return lines

    def memory(
        self, target: Target = None, at: int | None = None, *, row: int = 0, on: str = "state"
    ) -> Memory:
        """On which steps an output stands: exact shares, what is left over, and how far to trust them.

        target: an output's number or name, None = the largest; or a vector u [D*H] (or [T, D*H]), which
        asks about u . h. `at`: the step of the output, default the last. An LSTM needs on="cell".
        """
        return attribute(self, target, at, row, on)

    def memories(self, at: int | None = None, *, row: int = 0) -> Shares:
        """The exact shares of every output at once, [T, O]; as fast as one scan and one matrix product."""
        return attribute_all(self, at, row)

    def gradient_flow(
        self, target: Target = None, at: int | None = None, *, row: int = 0, direction: int = 0
    ) -> Flow:
        """How much an output feels of each step, against the lag: by every path, and by the carry path
        alone.
        """
        return flow_of(self, target, at, row, direction)

    def jacobians(
        self, steps: npt.ArrayLike | None = None, *, layer: int = -1, direction: int = 0, row: int = 0
    ) -> Array:
        """d(state after) / d(state before) of each step in closed form, [N, S, S]; S = H, for an LSTM 2H of
        (h, c).

        `steps` picks some, counted in the order the layer processed them.
        """
        return jacobians(steps_of(self.layer(layer, direction), self.check_row(row)), steps)

    def lyapunov(self, k: int = 1, *, layer: int = -1, direction: int = 0, row: int = 0) -> Lyapunov:
        """The k largest Lyapunov exponents along the run, per step: do differences grow or die?"""
        return lyapunov_of(self.layer(layer, direction), self.check_row(row), k)

    def fixed_points(
        self,
        x: npt.ArrayLike | None = None,
        *,
        layer: int = -1,
        direction: int = 0,
        row: int = 0,
        starts: int = 32,
        seed: int = 0,
    ) -> FixedPoints:
        """Where the layer comes to rest under a constant input x [I] (default: the mean input), and how."""
        return fixed_points_of(self.layer(layer, direction), self.check_row(row), x, starts, seed)

    def clamp(
        self,
        gate: str,
        *,
        units: Any = None,
        steps: Any = None,
        value: float = 1.0,
        layer: int = -1,
        direction: int = 0,
        loss: Callable[[Array], float] | None = None,
    ) -> WhatIf:
        """Run again with a gate held at `value` in some units and steps (None = all), and compare.

        gate: keep, reset, candidate (LSTM also input, output). keep=1 over a window of steps freezes the
        state there. `loss` takes the outputs [B, T, O] or [B, O] of the linear read-out.
        """
        return clamp_gate(self, gate, units, steps, value, layer, direction, loss)

    def units(
        self,
        corpus: Sequence[Trace] | None = None,
        *,
        layer: int = -1,
        direction: int = 0,
        top: int = 5,
        width: int = 8,
    ) -> Units:
        """The unit dictionary over a corpus of traces of the same model (default: this trace alone)."""
        return units_of([self] if corpus is None else list(corpus), layer, direction, top, width)

    def picture(self, view: str, **options: Any) -> Picture:
        """One of the views film, memory, trust, age, timescales, saturation, flow, eigenvalues, landscape,
        units, whatif.

        options: row, layer, direction, target, at, and those of the question behind the view (for whatif:
        those of `clamp`). `.save("name.svg")` or "name.png" writes it with its question and the limit of
        its reading.
        """
        return draw(self, view, **options)

    def text(self, gates: Sequence[str] = ("keep", "state"), *, row: int = 0, **options: Any) -> str:
        """The top layer's film for a terminal; options width, height, colored."""
        return film_text(self.top, self.tokens[self.check_row(row)], row, gates=gates, **options)

    def report(
        self, path: str | os.PathLike[str], title: str = "Gates", context: Mapping[str, Any] | None = None
    ) -> Path:
        """Write everything as one offline page; see `congru.gates.report.report`."""
        from congru.gates.report import report

        return report(self, path, title, context)

    def _repr_html_(self) -> str:
        return trace_html(self)

    def layer(self, layer: int = -1, direction: int = 0) -> Layer:
        """One layer in one direction; negative numbers count from the top."""
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

    def _stacked(self, name: str) -> Array:
        return np.stack([[getattr(layer, name) for layer in row] for row in self.layers])


def label_steps(
    tokens: Sequence[str] | Sequence[Sequence[str]] | None, num_batch: int, num_steps: int
) -> tuple[tuple[str, ...], ...]:
    """The labels [B][T] of the steps: as given, one list for all rows, or the numbers 0, 1, 2, ...

    Lists per row may be shorter than T; padding has the label "".

    >>> label_steps(["a", "b"], 1, 3)
    Traceback (most recent call last):
    congru.errors.ShapeError: tokens has 2 labels, expected T = 3: pass one label per step of x
    """
    if tokens is None:
        tokens = [str(step) for step in range(num_steps)]
    if isinstance(tokens, str):
        tokens = list(tokens)
    shared = len(tokens) == 0 or isinstance(tokens[0], str)
    rows = [list(map(str, tokens))] * num_batch if shared else [list(map(str, row)) for row in tokens]
    if len(rows) != num_batch:
        raise ShapeError(f"tokens has {len(rows)} rows, expected B = {num_batch}: pass one list per row of x")
    for row in rows:
        if len(row) > num_steps or (len(row) < num_steps and shared):
            raise ShapeError(
                f"tokens has {len(row)} labels, expected T = {num_steps}: pass one label per step of x"
            )
    return tuple(tuple(row) + ("",) * (num_steps - len(row)) for row in rows)
