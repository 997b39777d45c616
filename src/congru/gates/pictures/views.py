"""Every view by its name, drawn from a record: what `Trace.picture` and the report call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from congru.errors import CongruError
from congru.gates.age import age_of
from congru.gates.dynamics import fixed_points_of, lyapunov_of, spectrum_of
from congru.gates.flow import flow_of
from congru.gates.layer import Layer
from congru.gates.memory import Memory, attribute
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
from congru.gates.record import Record
from congru.gates.saturation import saturation_of
from congru.gates.summary import timescales_with_data
from congru.gates.units import units_of
from congru.gates.whatif import clamp_gate
from congru.report.style import Picture

EXPONENTS = 16


class Request(NamedTuple):
    """What a view is asked for: the record, the row, layer and direction, the output, and options of its own."""

    record: Record
    row: int
    layer: int
    direction: int
    target: Any
    at: int | None
    series: Any
    options: dict[str, Any]

    @property
    def layer_choice(self) -> dict[str, int]:
        """Layer and direction, as keywords."""
        return {"layer": self.layer, "direction": self.direction}

    @property
    def chosen(self) -> Layer:
        """The layer asked about."""
        return self.record.layer(self.layer, self.direction)

    def memory(self) -> Memory:
        """The shares of the output asked about."""
        return attribute(self.record, self.target, self.at, self.row, **self.options)


def draw(
    record: Record,
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
    """The picture of that name; `options` go on to the question behind it (clamp's gate, units, steps, value; ...)."""
    if view not in VIEWS:
        raise CongruError(f"view is {view!r}, expected one of {', '.join(VIEWS)}: pass one of these names")
    request = Request(record, record.check_row(row), layer, direction, target, at, series, options)
    return VIEWS[view](request)


def _film(asked: Request) -> Picture:
    return film(asked.chosen, asked.record.tokens[asked.row], asked.row, **asked.options)


def _memory(asked: Request) -> Picture:
    return memory_map(asked.memory())


def _trust(asked: Request) -> Picture:
    return trust_view(asked.memory())


def _age(asked: Request) -> Picture:
    return age_ribbon(age_of(asked.chosen, asked.row), asked.record.tokens[asked.row], **asked.options)


def _timescales(asked: Request) -> Picture:
    scales = {
        layer.name: timescales_with_data(asked.record, depth, way, asked.series)
        for depth, ways in enumerate(asked.record.layers)
        for way, layer in enumerate(ways)
    }
    return timescale_histogram(scales, int(asked.record.lengths[asked.row]), **asked.options)


def _saturation(asked: Request) -> Picture:
    return saturation_scatter(saturation_of(asked.chosen), **asked.options)


def _flow(asked: Request) -> Picture:
    flow = flow_of(asked.record, asked.target, asked.at, asked.row, asked.direction)
    return gradient_flow({asked.record.top.title: flow}, **asked.options)


def _eigenvalues(asked: Request) -> Picture:
    count = min(EXPONENTS, asked.chosen.hidden_size * (2 if asked.record.cell == "lstm" else 1))
    exponents = lyapunov_of(asked.chosen, asked.row, count)
    return eigenvalue_disc(spectrum_of(asked.chosen, asked.row), exponents, **asked.options)


def _landscape(asked: Request) -> Picture:
    length = asked.record.lengths[asked.row]
    points = fixed_points_of(asked.chosen, asked.row, **asked.options)
    states = asked.chosen.y[asked.row, :length].astype(np.float64)
    return landscape(states, asked.record.tokens[asked.row], points)


def _units(asked: Request) -> Picture:
    options = {"top": 4, "width": 16, "count": 6, **asked.options}
    count, corpus = options.pop("count"), options.pop("corpus", [asked.record])
    return dictionary(units_of(corpus, asked.layer, asked.direction, **options).liveliest(count))


def _whatif(asked: Request) -> Picture:
    tokens = asked.record.tokens[asked.row][: asked.record.lengths[asked.row]]
    return what_if(
        clamp_gate(asked.record, layer=asked.layer, direction=asked.direction, **asked.options),
        tokens,
        asked.row,
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
