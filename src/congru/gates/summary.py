"""What stands out in a record, one line each: advice on the gates, and how far back each layer reaches."""

from __future__ import annotations

import numpy.typing as npt

from congru.gates.form import KEEP
from congru.gates.record import Record
from congru.gates.saturation import saturation_of
from congru.gates.timescales import Timescales, autocorrelation_length, timescales_of


def timescales_with_data(
    record: Record, layer: int = -1, direction: int = 0, series: npt.ArrayLike | None = None
) -> Timescales:
    """The timescales of one layer beside the autocorrelation length of `series` [T, F].

    Without a series the data is the input of row 0.
    """
    if series is None:
        series = record.x[0, : record.lengths[0]]
    return timescales_of(record.layer(layer, direction), autocorrelation_length(series))


def summary_of(record: Record, steps: str = "steps") -> list[str]:
    """Advice on every layer, then how far back it reaches, where it has a keep gate; `steps` is what steps are called."""
    lines = []
    for depth, directions in enumerate(record.layers):
        for way, layer in enumerate(directions):
            lines += saturation_of(layer).advice
            if record.cell in KEEP:
                lines.append(f"{layer.spoken}: {timescales_with_data(record, depth, way).sentence(steps)}")
    return lines
