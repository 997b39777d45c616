"""The trust view: how far can the memory map be believed, and where not?"""

from __future__ import annotations

import numpy as np

from congru.gates.memory import Memory
from congru.gates.sensitivity import trust_sentence
from congru.report.style import BLUE, INK, ORANGE, PALE, WIDTH, Picture, new_figure, styled

QUESTION = "How far can the memory map be trusted?"
LIMIT = (
    "The share compares the carry path with the true first-order gradient on this input. It is no test "
    "of cause: a large change of a step can act differently from a small one; for that, hold gates with "
    "clamp()."
)


def trust_view(memory: Memory, *, width: float = WIDTH, step: str = "step", steps: str = "steps") -> Picture:
    """The trust share of each step against its distance from the step asked about; larger dots contribute more."""
    known = np.flatnonzero(~np.isnan(memory.trust))
    lag = np.abs(memory.at - known)
    size = np.abs(memory.contributions[known])
    area = 8 + 160 * size / max(float(size.max(initial=0.0)), 1e-12)
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 3.0)
        axes = figure.subplots()
        axes.axhspan(0.7, 1.3, color=PALE, alpha=0.6, linewidth=0)
        axes.axhline(0, color=INK, linewidth=0.6)
        colors = np.where(memory.contributions[known] >= 0, ORANGE, BLUE)
        axes.scatter(
            lag + 1,
            np.clip(memory.trust[known], -0.5, 2.0),
            s=area,
            color=colors,
            alpha=0.55,
            linewidths=0,
            rasterized=True,
        )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value - 1:g}")
        axes.set_xticks([1, 2, 3, 6, 11, 21, 51, 101, 201, 501, 1001])
        axes.minorticks_off()
        axes.set_xlim(0.8, max(2.5, float(lag.max(initial=0)) * 1.3 + 1))
        axes.set_ylim(-0.6, 2.1)
        axes.set_yticks([0, 1, 2], ["0", "1", "2+"])
        axes.set_xlabel(f"{steps} before the {step} asked about (log scale)")
        axes.set_ylabel("trust share")
        axes.set_title("orange for, blue against; grey band: a clean conveyor")
    sentence = f"{memory.share:.2f}: {trust_sentence(memory.share)}"
    return Picture("trust", figure, f"{QUESTION} {sentence}", LIMIT)
