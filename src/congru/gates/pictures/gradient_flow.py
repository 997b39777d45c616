"""The gradient flow: where does the gradient vanish, and by which path does it survive?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from congru.gates.flow import Flow
from congru.report.style import LINES, WIDTH, Picture, new_figure, styled

QUESTION = "Is the gradient vanishing, and which path saves it?"
LIMIT = (
    "Solid: the true gradient by the state at that lag, relative to lag 0; dashed: what came along the "
    "keep gates. Measured on this input and this output; a small gradient now does not say what training did."
)
FLOOR = 1e-12


def gradient_flow(flows: Mapping[str, Flow], *, width: float = WIDTH, steps: str = "steps") -> Picture:
    """|d| and |B| against the lag, one colour per name, on a log scale from 1 down to 1e-12."""
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 3.3)
        axes = figure.subplots()
        lowest = 1.0
        for index, (name, flow) in enumerate(flows.items()):
            color = LINES[index % len(LINES)]
            first = max(float(flow.gradient[0]), 1e-300)
            gradient = np.maximum(flow.gradient / first, FLOOR)
            lowest = min(lowest, float(gradient.min()))
            axes.plot(flow.lag, gradient, color=color, linewidth=1.8, label=name)
            if flow.carry is not None:
                carried = np.maximum(flow.carry / first, FLOOR)
                label = f"{name}, carry path" if len(flows) <= 3 else None
                axes.plot(flow.lag, carried, color=color, linewidth=1.3, linestyle="--", label=label)
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}" if value < 0.01 else f"{value:g}")
        top = max(
            float(flow.gradient.max() / max(float(flow.gradient[0]), 1e-300)) for flow in flows.values()
        )
        axes.set_ylim(max(FLOOR, min(lowest * 0.5, 1e-3)), max(2.0, 2 * top))
        alive = max(
            int(np.flatnonzero(flow.gradient >= FLOOR * flow.gradient[0]).max()) for flow in flows.values()
        )
        axes.set_xlim(-0.02 * alive - 0.1, 1.05 * alive + 1)
        axes.set_xlabel(f"{steps} back")
        axes.set_ylabel("gradient, relative to the last")
        axes.legend(loc="upper right" if lowest < 1e-2 else "lower left")
    return Picture("flow", figure, QUESTION, LIMIT)
