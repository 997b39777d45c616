"""The heat maps of a film, whoever draws them: which gates a cell has, their titles, their values, their unit order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from congru.gates.form import GATES, KEEP
from congru.gates.layer import Layer
from congru.gates.timescales import timescales_of
from congru.gates.weights import Array


class Strip(NamedTuple):
    """One heat map: its key, a title, values [T, H], and whether they are signed."""

    key: str
    title: str
    values: Array
    signed: bool


def strips_of(layer: Layer, row: int) -> list[Strip]:
    """The heat maps of a layer's cell for one row, valid steps only, in input order."""
    steps = np.sort(layer.order(row))
    gate = {name: layer.gate(name)[row, steps] for name in GATES[layer.cell]}
    strips = []
    if layer.cell == "lstm":
        strips = [
            Strip("keep", "keep (forget gate f): 1 = the old cell stays", layer.keep[row, steps], False),
            Strip("input", "input gate i: 1 = the candidate is written", gate["i"], False),
            Strip("output", "output gate o: 1 = the cell is shown", gate["o"], False),
            Strip("candidate", "candidate g", gate["g"], True),
            Strip("cell", "cell state c", layer.memory[row, steps], True),
        ]
    elif layer.cell in ("gru", "mingru"):
        strips = [
            Strip(
                "keep", "keep: 1 = the old state stays, 0 = it is overwritten", layer.keep[row, steps], False
            )
        ]
        if layer.cell == "gru":
            strips.append(
                Strip("reset", "reset: how much of the old state the candidate reads", gate["r"], False)
            )
        strips.append(Strip("candidate", "candidate n: what is offered for writing", gate["n"], True))
    strips.append(Strip("state", "state h after the step", layer.y[row, steps], True))
    return strips


def unit_order(layer: Layer) -> npt.NDArray[np.intp]:
    """Units by timescale, longest first; a plain RNN, which has none, keeps its numbering."""
    if layer.cell not in KEEP:
        return np.arange(layer.hidden_size)
    return np.argsort(-timescales_of(layer).tau, kind="stable")
