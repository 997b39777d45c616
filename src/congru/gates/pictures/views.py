"""Every view by its name, drawn from a trace: what `Trace.picture` and the report call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from congru.errors import CongruError
from congru.gates.dynamics import spectrum_of
from congru.gates.layer import Layer
from congru.gates.memory import Memory
from congru.gates.pictures.age_ribbon import age_ribbon
from congru.gates.pictures.dictionary import dictionary
from congru.gates.pictures.eigenvalues import eigenvalue_disc
from congru.gates.pictures.film import film
from congru.gates.pictures.gradient_flow import gradient_flow
from congru.gates.pictures.landscape import landscape
from congru.gates.pictures.memory_map import memory_map
from congru.gates.pictures.saturation import saturation_scatter
from congru.gates.pictures.timescale import timescale_histogram
from congru.gates.pictures.trust import trust_view
from congru.gates.pictures.whatif import what_if
from congru.report.style import Picture

if TYPE_CHECKING:
    from congru.gates.trace import Trace

EXPONENTS = 16


class Request(NamedTuple):
    """What a view is asked for: the trace, the row, layer and direction, the output, and options of its
    own.
    """

    trace: Trace
    row: int
    layer: int
    direction: int
    target: Any
    at: int | None
    series: Any
    options: dict[str, Any]

    @property
    def place(self) -> dict[str, int]:
        """Layer and direction, as keywords."""
        return {"layer": self.layer, "direction": self.direction}

    @property
    def chosen(self) -> Layer:
        """The layer asked about."""
        return self.trace.layer(self.layer, self.direction)

    def memory(self) -> Memory:
        """The shares of the output asked about."""
        return self.trace.memory(self.target, self.at, row=self.row, **self.options)


def draw(
    trace: Trace,
    view: str,
    *,
    row: int = 0,
    layer: int = -1,
    direction: int = 0,
    target: Any = None,
    at: int | None = None,
    series: Any = None,
    **options: Any,
) -> Picture:
    """The picture of that name; `options` go on to the question behind it (clamp's gate, units, steps,
    value; ...).
    """
    if view not in VIEWS:
        raise CongruError(f"view is {view!r}, expected one of {', '.join(VIEWS)}: pass one of these names")
    request = Request(trace, trace.check_row(row), layer, direction, target, at, series, options)
    return VIEWS[view](request)


def _film(asked: Request) -> Picture:
    return film(asked.chosen, asked.trace.tokens[asked.row], asked.row, **asked.options)


def _memory(asked: Request) -> Picture:
    return memory_map(asked.memory())


def _trust(asked: Request) -> Picture:
    return trust_view(asked.memory())


def _age(asked: Request) -> Picture:
    age = asked.trace.age(**asked.place, row=asked.row)
    return age_ribbon(age, asked.trace.tokens[asked.row], **asked.options)


def _timescales(asked: Request) -> Picture:
    scales = {
        layer.name: asked.trace.timescales(layer=depth, direction=way, series=asked.series)
        for depth, ways in enumerate(asked.trace.layers)
        for way, layer in enumerate(ways)
    }
    return timescale_histogram(scales, int(asked.trace.lengths[asked.row]), **asked.options)


def _saturation(asked: Request) -> Picture:
    return saturation_scatter(asked.trace.saturation(**asked.place), **asked.options)


def _flow(asked: Request) -> Picture:
    flow = asked.trace.gradient_flow(asked.target, asked.at, row=asked.row, direction=asked.direction)
    return gradient_flow({asked.trace.top.title: flow}, **asked.options)


def _eigenvalues(asked: Request) -> Picture:
    count = min(EXPONENTS, asked.chosen.hidden_size * (2 if asked.trace.cell == "lstm" else 1))
    exponents = asked.trace.lyapunov(count, **asked.place, row=asked.row)
    return eigenvalue_disc(spectrum_of(asked.chosen, asked.row), exponents, **asked.options)


def _landscape(asked: Request) -> Picture:
    length = asked.trace.lengths[asked.row]
    points = asked.trace.fixed_points(**asked.place, row=asked.row, **asked.options)
    states = asked.chosen.y[asked.row, :length].astype(np.float64)
    return landscape(states, asked.trace.tokens[asked.row], points)


def _units(asked: Request) -> Picture:
    options = {"top": 4, "width": 16, "count": 6, **asked.options}
    count = options.pop("count")
    return dictionary(
        asked.trace.units(layer=asked.layer, direction=asked.direction, **options).liveliest(count)
    )


def _whatif(asked: Request) -> Picture:
    tokens = asked.trace.tokens[asked.row][: asked.trace.lengths[asked.row]]
    return what_if(
        asked.trace.clamp(layer=asked.layer, direction=asked.direction, **asked.options), tokens, asked.row
    )


VIEWS: dict[str, Callable[[Request], Picture]] = {
    "film": _film,
    "memory": _memory,
    "trust": _trust,
    "age": _age,
    "timescales": _timescales,
    "saturation": _saturation,
    "flow": _flow,
    "eigenvalues": _eigenvalues,
    "landscape": _landscape,
    "units": _units,
    "whatif": _whatif,
}
