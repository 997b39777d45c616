"""The saturation scatter: are the gates used, stuck or redundant?"""

from __future__ import annotations

import numpy as np

from congru.gates.saturation import HIGH, LOW, Saturation
from congru.report.style import BLUE, GREY, INK, PALE, Picture, new_figure, styled

QUESTION = "Are the gates used, stuck, or redundant?"
LIMIT = (
    "Shares are over the steps of this input only: feed typical data. A gate at its end is a decision, "
    "not a fault, unless it never moves."
)


def saturation_scatter(use: Saturation, *, width: float = 9.0) -> Picture:
    """One dot per unit and gate: share of steps nearly closed against nearly open; keep against reset where both."""
    panels = len(use.gates) + (use.correlation is not None)
    with styled() as matplotlib:
        figure = new_figure(matplotlib, min(width, 3.1 * panels), 3.2)
        every = figure.subplots(1, panels, squeeze=False)[0]
        for axes, gate in zip(every, use.gates.values()):
            axes.plot([0, 1], [1, 0], color=PALE, linewidth=1)
            axes.scatter(gate.closed, gate.open, s=16, color=BLUE, alpha=0.55, linewidths=0)
            axes.set_title(f"{gate.name} gate" if gate.letter != "n" else "candidate")
            axes.set_xlim(-0.04, 1.04)
            axes.set_ylim(-0.04, 1.04)
            axes.set_xlabel(f"share of steps below {LOW:g}")
            axes.text(0.97, 0.97, "always\none or the\nother", ha="right", va="top", fontsize=7, color=GREY)
            axes.text(
                0.1, 0.3, "nearer to the corner:\nin between", ha="left", va="bottom", fontsize=7, color=GREY
            )
        every[0].set_ylabel(f"share of steps above {HIGH:g}")
        if use.correlation is not None:
            axes = every[-1]
            axes.hist(use.correlation, np.linspace(-1, 1, 21), color=BLUE, alpha=0.85)
            axes.axvline(0, color=INK, linewidth=0.8)
            axes.set_title("keep and reset: correlation")
            axes.set_xlabel("near -1 or 1: one gate would do")
            axes.set_ylabel("units")
    return Picture("saturation", figure, QUESTION, LIMIT)
