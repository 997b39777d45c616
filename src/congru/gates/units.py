"""The unit dictionary: on which snippets of a corpus is each unit at its ends, and which other moments look alike?

A unit's snippets are its highest and lowest states with the tokens around them, at least a snippet's width
apart. They show what a unit goes with, not what it is for: check with `clamp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError
from congru.gates.record import Record
from congru.gates.weights import Array


class Snippet(NamedTuple):
    """One moment: which trace, row and step, the unit's state there, and the tokens before, at and after it."""

    trace: int
    row: int
    step: int
    value: float
    before: tuple[str, ...]
    token: str
    after: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.value:+.2f}  {''.join(self.before)}[{self.token}]{''.join(self.after)}"


class Entry(NamedTuple):
    """One unit: its highest and lowest moments, and the range of its state over the corpus."""

    unit: int
    high: list[Snippet]
    low: list[Snippet]
    span: float


@dataclass(frozen=True)
class Units:
    """The dictionary of one layer over a corpus of traces: `entry(17)`, `nearest(step)`, `liveliest(8)`."""

    states: Array  # [N, H], every valid step of the corpus
    moments: tuple[tuple[int, int, int], ...]  # (record, row, step) of each
    tokens: tuple[tuple[tuple[str, ...], ...], ...]
    top: int
    width: int

    def entry(self, unit: int) -> Entry:
        """The snippets of one unit."""
        if not 0 <= unit < self.states.shape[1]:
            raise CongruError(
                f"unit is {unit}, expected 0 to {self.states.shape[1] - 1}: the layer has that many"
            )
        values = self.states[:, unit]
        high, low = (
            self._picked(np.argsort(-values, kind="stable")),
            self._picked(np.argsort(values, kind="stable")),
        )
        return Entry(
            unit,
            [self._snippet(moment, float(values[moment])) for moment in high],
            [self._snippet(moment, float(values[moment])) for moment in low],
            float(np.ptp(values)),
        )

    def liveliest(self, count: int) -> list[Entry]:
        """The entries of the units whose state varies most."""
        order = np.argsort(-self.states.std(axis=0), kind="stable")[:count]
        return [self.entry(int(unit)) for unit in order]

    def nearest(self, step: int, row: int = 0, trace: int = 0) -> list[Snippet]:
        """The moments whose whole state is most like the one given (cosine; `value` is the similarity)."""
        moment = self.moments.index((trace, row, step)) if (trace, row, step) in self.moments else -1
        if moment < 0:
            raise CongruError(
                f"step is {step} of row {row}, expected a step of the corpus: it is padding or outside"
            )
        size = np.linalg.norm(self.states, axis=1)
        alike = self.states @ self.states[moment] / np.maximum(size * size[moment], 1e-12)
        alike[moment] = -np.inf
        order = self._picked(np.argsort(-alike, kind="stable"), without=moment)
        return [self._snippet(other, float(alike[other])) for other in order]

    def _picked(self, order: npt.NDArray[np.intp], without: int | None = None) -> list[int]:
        """The first `top` moments of an order that are at least a snippet apart."""
        picked: list[int] = []
        taken = [] if without is None else [without]
        for moment in order:
            if all(not self._overlap(int(moment), other) for other in (*picked, *taken)):
                picked.append(int(moment))
                if len(picked) == self.top:
                    break
        return picked

    def _overlap(self, moment: int, other: int) -> bool:
        (trace_a, row_a, step_a), (trace_b, row_b, step_b) = self.moments[moment], self.moments[other]
        return (trace_a, row_a) == (trace_b, row_b) and abs(step_a - step_b) <= self.width

    def _snippet(self, moment: int, value: float) -> Snippet:
        trace, row, step = self.moments[moment]
        tokens = self.tokens[trace][row]
        before = tokens[max(0, step - self.width) : step]
        return Snippet(
            trace, row, step, value, before, tokens[step], tokens[step + 1 : step + 1 + self.width // 2]
        )


def units_of(records: Sequence[Record], layer: int, direction: int, top: int, width: int) -> Units:
    """The dictionary of one layer over several traces of the same model; see `Trace.units`."""
    sizes = {record.shape[4] for record in records}
    if len(sizes) != 1:
        raise CongruError(
            f"corpus has layers of {sorted(sizes)} units, expected one size: trace one model only"
        )
    states, moments = [], []
    for number, record in enumerate(records):
        chosen = record.layer(layer, direction)
        for row, length in enumerate(record.lengths):
            states.append(chosen.y[row, :length])
            moments += [(number, row, step) for step in range(int(length))]
    return Units(
        np.concatenate(states), tuple(moments), tuple(record.tokens for record in records), top, width
    )
