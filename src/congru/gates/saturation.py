"""Are the gates used, stuck or redundant?

Per unit: the share of steps with a gate below 0.1 and above 0.9 (Karpathy et al. 2015, arXiv 1506.02078), the correlation of
keep and reset (Ravanelli et al. 2018), and advice in words.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from congru.gates.form import CANDIDATE, GATES, KEEP, TITLES
from congru.gates.layer import Layer
from congru.gates.weights import Array
from congru.report.cell import card
from congru.report.table import html_table

LOW, HIGH = 0.1, 0.9
NAMES = {"r": "reset", "z": "keep", "i": "input", "f": "keep (forget)", "o": "output", "n": "candidate"}
# A unit is stuck where its gate never leaves one side, and still where its memory hardly moves.
STILL = 0.01
MANY = 0.9


class GateUse(NamedTuple):
    """One gate: per unit the share of steps below 0.1 (`closed`) and above 0.9 (`open`), its mean and deviation, [H].

    For a plain RNN the "gate" is its candidate: closed and open are shares with |n| < 0.1 and |n| > 0.9.
    """

    letter: str
    name: str
    closed: Array
    open: Array
    mean: Array
    deviation: Array


class Saturation(NamedTuple):
    """Use of every gate, the correlation of keep and reset per unit [H] (GRU only), and advice, one line each."""

    gates: dict[str, GateUse]
    correlation: Array | None
    advice: list[str]

    def _repr_html_(self) -> str:
        rows = [
            (gate.name, float(gate.closed.mean()), float(gate.open.mean()), float(gate.mean.mean()))
            for gate in self.gates.values()
        ]
        header = ("gate", f"below {LOW:g}, share of steps", f"above {HIGH:g}, share of steps", "mean")
        return card("Are the gates used?", self.advice, html_table(rows, header, decimals=2))


def saturation_of(layer: Layer) -> Saturation:
    """How one layer used its gates over all valid steps of all rows."""
    valid = layer.recovered.valid
    letters = [letter for letter in GATES[layer.cell] if letter != CANDIDATE[layer.cell]] or ["n"]
    gates = {letter: _use(letter, layer.gate(letter)[valid]) for letter in letters}
    if layer.cell in KEEP:
        letter = KEEP[layer.cell]
        gates[letter] = _use(letter, layer.keep[valid])  # zoneout keeps more than the gate
    correlation = None
    if layer.cell == "gru":
        correlation = _correlation(layer.gate("z")[valid], layer.gate("r")[valid])
    return Saturation(gates, correlation, _advice(layer, gates, correlation))


def _use(letter: str, gate: Array) -> GateUse:
    size = np.abs(gate) if letter == "n" else gate
    return GateUse(
        letter,
        NAMES[letter],
        (size < LOW).mean(axis=0),
        (size > HIGH).mean(axis=0),
        gate.mean(axis=0, dtype=np.float64),
        gate.std(axis=0, dtype=np.float64),
    )


def _correlation(a: Array, b: Array) -> Array:
    """Pearson's correlation of the columns, 0 where one of them is constant."""
    a, b = a - a.mean(axis=0, dtype=np.float64), b - b.mean(axis=0, dtype=np.float64)
    scale = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    result: Array = np.where(scale > 1e-12, (a * b).sum(axis=0) / np.maximum(scale, 1e-12), 0.0)
    return result


def _advice(layer: Layer, gates: dict[str, GateUse], correlation: Array | None) -> list[str]:
    """What the numbers suggest, each a sentence that names the count and what to try; never empty."""
    size, name = layer.hidden_size, layer.spoken
    advice = []
    moving = layer.y[layer.recovered.valid].std(axis=0, dtype=np.float64)
    still = int((moving < STILL).sum())
    if still and layer.recovered.valid.sum() > 1:
        smaller = max(16, (size - still) // 16 * 16) if size > 16 else max(1, size - still)
        advice.append(
            f"{still} of {size} units of {name} never open: their state moves by less than {STILL:g}; "
            f"try hidden_size {smaller}"
        )
    if layer.cell in KEEP:
        keep = gates[KEEP[layer.cell]]
        blank = int((keep.closed > 0.99).sum())
        if blank:
            advice.append(
                f"{blank} of {size} units of {name} keep nothing (keep < {LOW:g} at 99 % of the steps): "
                "they pass the present on and hold no past; fine for a few, a plain layer does the same"
            )
    if layer.cell == "gru":
        advice += _reset_advice(layer, gates["r"], correlation)
    if layer.cell in ("rnn", "gru", "lstm"):
        candidate = np.abs(layer.candidate[layer.recovered.valid])
        full = int(((candidate > 0.99).mean(axis=0) > HIGH).sum())
        if full:
            advice.append(
                f"{full} of {size} units of {name} have a saturated candidate (|n| > 0.99 at 90 % of the "
                "steps): no gradient passes there; try a smaller learning rate or scaled inputs"
            )
    return advice or [f"{name}: every gate moves; nothing stands out ({TITLES[layer.cell]}, {size} units)"]


def _reset_advice(layer: Layer, reset: GateUse, correlation: Array | None) -> list[str]:
    """Whether the GRU's reset gate does anything, and anything that keep does not."""
    size, name = layer.hidden_size, layer.spoken
    unused = int(((reset.mean > 0.95) & (reset.deviation < 0.02)).sum())
    advice = []
    if unused >= MANY * size:
        advice.append(
            f"reset gate unused in {name}: above 0.95 and still in {unused} of {size} units; a cell "
            "without it (mingru) may do as well"
        )
    elif unused:
        advice.append(
            f"{unused} of {size} units of {name} do not use their reset gate (mean > 0.95, deviation < 0.02)"
        )
    if correlation is not None:
        twins = int((np.abs(correlation) > 0.9).sum())
        if twins >= size / 2:
            advice.append(
                f"keep and reset say the same in {twins} of {size} units of {name} (correlation above 0.9 "
                "in size): one gate would do"
            )
    return advice
