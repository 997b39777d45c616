"""A trace: everything a stack of recurrent layers did with one input, and the questions one can ask of it.

Arrays are [L, D, B, T, H]: layer, direction (0 forward, 1 backward), row, step, unit. `keep` is the share
of the old memory that stays; authors disagree on the letter z, so nothing here is called by it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError, ShapeError
from congru.gates.age import Age, age_of, check_streaming
from congru.gates.dynamics import FixedPoints, Lyapunov, fixed_points_of, lyapunov_of
from congru.gates.flow import Flow, flow_of
from congru.gates.form import GATES
from congru.gates.jacobian import jacobians, steps_of
from congru.gates.memory import Memory, Shares, attribute, attribute_all
from congru.gates.notebook import trace_html
from congru.gates.pictures.views import draw
from congru.gates.record import Record
from congru.gates.report import report as write_report
from congru.gates.saturation import Saturation, saturation_of
from congru.gates.summary import summary_of, timescales_with_data
from congru.gates.terminal import film_text
from congru.gates.timescales import Timescales
from congru.gates.units import Units, units_of
from congru.gates.weights import Array
from congru.gates.whatif import WhatIf, clamp_gate
from congru.report.style import Picture

# An output's number or name, a weight per unit, or None for the largest output.
# Of `check`, by what a layer computed in: four times the worst of 20 layers of each cell.
TOLERANCES = {"float16": 2e-3, "bfloat16": 1.5e-2}
Target: TypeAlias = int | str | npt.NDArray[Any] | None


@dataclass(frozen=True, repr=False)
class Trace(Record):
    """What `congru.inspect` returns: the record of a run, with one method for each question about it."""

    @property
    def keep(self) -> Array:
        """The share of the old memory that stays (1 - keep is written), [L, D, B, T, H]; for an LSTM its forget gate."""
        return self.stacked("keep")

    @property
    def reset(self) -> Array:
        """The share of the old state the candidate reads, [L, D, B, T, H]; GRU only."""
        return self.stacked("reset")

    @property
    def candidate(self) -> Array:
        """What is offered for writing, [L, D, B, T, H]."""
        return self.stacked("candidate")

    @property
    def state(self) -> Array:
        """The state after each step, h, [L, D, B, T, H]."""
        return self.stacked("y")

    @property
    def memory_state(self) -> Array:
        """What the keep gate keeps, [L, D, B, T, H]: h, or the cell state c of an LSTM."""
        return self.stacked("memory")

    def gate(self, letter: str) -> Array:
        """One gate by its row letter, [L, D, B, T, H]: r, z, n of a GRU; i, f, g, o of an LSTM."""
        if letter not in GATES[self.cell]:
            known = ", ".join(GATES[self.cell])
            raise CongruError(f"gate is {letter!r}, expected one of {known}: this is a {self.cell}")
        return np.stack([[layer.gate(letter) for layer in row] for row in self.layers])

    def check(self, tolerance: float | None = None) -> float:
        """Return the residual, or raise CongruError where a layer did not compute these equations.

        The output is what the framework itself returned. Layers in float32 stay near 1e-7 for any weights, inputs and T, in
        float64 near 1e-16 (pass 1e-12 to hold them to it). `tolerance` None: 1e-6, for a layer that computed in float16 2e-3, in
        bfloat16 1.5e-2. More means another reset form, gate order or changed weights.
        """
        for row in self.layers:
            for layer in row:
                limit = TOLERANCES.get(layer.precision, 1e-6) if tolerance is None else tolerance
                if not layer.residual <= limit:
                    raise CongruError(
                        f"{layer.title}: the equations miss its output by {layer.residual:.1e}, expected "
                        f"at most {limit:g}: check the reset form, the gate order, h0, and that x "
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
        """tau per unit in steps, beside the autocorrelation length of `series` [T, F] (default: the input of row 0)."""
        return timescales_with_data(self, layer, direction, series)

    def saturation(self, *, layer: int = -1, direction: int = 0) -> Saturation:
        """Whether the gates are used, stuck or redundant, with advice in words."""
        return saturation_of(self.layer(layer, direction))

    def summary(self) -> list[str]:
        """What stands out, a line each: advice on every layer, then how far back it reaches, where it has a keep gate."""
        return summary_of(self)

    def memory(
        self, target: Target = None, at: int | None = None, *, row: int = 0, on: str | None = None
    ) -> Memory:
        """On which steps an output stands: exact shares, what is left over, and how far to trust them.

        target: an output's number or name, None = the largest; or a vector u [D*H] (or [T, D*H]), which
        asks about u . h. `at`: the step of the output, default the last. on: "state", or "cell" (the only one an LSTM
        has, u then asks about u . c); None = what the cell has.
        """
        return attribute(self, target, at, row, on)

    def memories(self, at: int | None = None, *, row: int = 0) -> Shares:
        """The exact shares of every output at once, [T, O]; as fast as one scan and one matrix product."""
        return attribute_all(self, at, row)

    def gradient_flow(
        self, target: Target = None, at: int | None = None, *, row: int = 0, direction: int = 0
    ) -> Flow:
        """How much an output feels of each step, against the lag: by every path, and by the carry path alone."""
        return flow_of(self, target, at, row, direction)

    def jacobians(
        self, steps: npt.ArrayLike | None = None, *, layer: int = -1, direction: int = 0, row: int = 0
    ) -> Array:
        """d(state after) / d(state before) of each step in closed form, [N, S, S]; S = H, for an LSTM 2H of (h, c).

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
        """One of the views film, memory, trust, age, timescales, saturation, flow, eigenvalues, landscape, units, whatif.

        options: row, layer, direction, target, at, and those of the question behind the view (for whatif:
        those of `clamp`). `.save("name.svg")` or "name.png" writes it with its question and the limit of
        its reading.
        """
        return draw(self, view, **options)

    def text(self, gates: Sequence[str] = ("keep", "state"), *, row: int = 0, **options: Any) -> str:
        """The top layer's film for a terminal; options width, height, colored."""
        return film_text(self.top, self.tokens[self.check_row(row)], row, gates=gates, **options)

    def report(
        self, path: str | os.PathLike[str], title: str | None = None, context: Mapping[str, Any] | None = None
    ) -> Path:
        """Write everything as one offline page; see `congru.gates.report.report`."""
        return write_report(self, path, title, context)

    def _repr_html_(self) -> str:
        return trace_html(self)


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
