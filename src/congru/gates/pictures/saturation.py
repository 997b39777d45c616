"""The saturation scatter: are the gates used, stuck or redundant?"""

from __future__ import annotations

import numpy as np

from congru.gates.saturation import HIGH, LOW, GateUse, Saturation
from congru.report.style import BLUE, GREY, INK, PALE, WIDTH, Picture, new_figure, styled

QUESTION = "Are the gates used, stuck, or redundant?"
LIMIT = (
    "Shares are over the steps of this input only: feed typical data. A gate at its end is a decision, "
    "not a fault, unless it never moves."
)


MOST_DOTS = 200  # of a gate drawn as shapes


def saturation_scatter(use: Saturation, *, width: float = WIDTH, steps: str = "steps") -> Picture:
    """One dot per unit and gate: share of steps nearly closed against nearly open; keep against reset where both."""
    gates = moving_gates(use)
    panels = len(gates) + (use.correlation is not None)
    rows = max(1, -(-panels // 2))
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 2.6 * rows)
        every = figure.subplots(rows, 2, squeeze=False).ravel()
        for axes in every[panels:]:
            axes.set_axis_off()
        for axes, gate in zip(every, gates):
            axes.plot([0, 1], [1, 0], color=PALE, linewidth=1)
            many = len(gate.closed) > MOST_DOTS  # as pixels, the file stays small
            axes.scatter(gate.closed, gate.open, s=22, color=BLUE, alpha=0.55, linewidths=0, rasterized=many)
            axes.set_title(title_of(gate))
            axes.set_xlim(-0.04, 1.04)
            axes.set_ylim(-0.04, 1.04)
            axes.set_xlabel(f"below {LOW:g}: share of {steps}")
            axes.set_ylabel(f"above {HIGH:g}: share")
            axes.text(
                1.0, 1.0, "on the line:\nalways at an end", ha="right", va="top", fontsize=7.5, color=GREY
            )
        if use.correlation is not None:
            axes = every[panels - 1]
            axes.hist(use.correlation, np.linspace(-1, 1, 21), color=BLUE, alpha=0.85)
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set_title("keep and reset alike?")
            axes.set_xlabel("correlation (1, -1: one would do)")
            axes.set_ylabel("units")
            axes.yaxis.get_major_locator().set_params(integer=True)
    return Picture("saturation", figure, QUESTION, LIMIT)


def moving_gates(use: Saturation) -> list[GateUse]:
    """The gates worth a picture: some unit is near an end at more than one step in twenty."""
    return [gate for gate in use.gates.values() if max(gate.closed.max(), gate.open.max()) > 0.05]


def title_of(gate: GateUse) -> str:
    """What a gate is called."""
    return f"{gate.name} gate" if gate.letter != "n" else "candidate"
