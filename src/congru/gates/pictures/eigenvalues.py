"""The eigenvalue disc: does a step forget, keep or amplify differences?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from congru.gates.dynamics import Lyapunov
from congru.report.style import BLUE, GREY, INK, ORANGE, WIDTH, Picture, new_figure, styled

QUESTION = "Forgetting, marginal or chaotic?"
LIMIT = (
    "Eigenvalues of single steps say what one step does; over many steps directions change, and only the "
    "Lyapunov exponents along the whole run tell growth from decay."
)


def eigenvalue_disc(
    spectrum: npt.NDArray[np.complex128],
    lyapunov: Lyapunov | None = None,
    *,
    width: float = WIDTH,
    steps: str = "steps",
) -> Picture:
    """Eigenvalues [N, S] of steps in the complex plane with the unit circle; exponents beside them where given."""
    values = spectrum.reshape(-1)
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width if lyapunov is not None else width / 2, width / 2 - 0.2)
        panels = figure.subplots(1, 2 if lyapunov is not None else 1, squeeze=False)[0]
        axes = panels[0]
        circle = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
        axes.plot(circle.real, circle.imag, color=INK, linewidth=1)
        outside = np.abs(values) > 1
        axes.scatter(
            values.real[~outside],
            values.imag[~outside],
            s=5,
            color=BLUE,
            alpha=0.3,
            linewidths=0,
            rasterized=True,
        )
        axes.scatter(
            values.real[outside],
            values.imag[outside],
            s=9,
            color=ORANGE,
            alpha=0.6,
            linewidths=0,
            rasterized=True,
        )
        reach = max(1.15, float(np.abs(values).max(initial=0.0)) * 1.08)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-reach, reach)
        axes.set_aspect("equal")
        share = 100 * float(outside.mean()) if len(values) else 0.0
        axes.set_title(f"eigenvalues,\n{share:.1f} % outside")
        axes.set_xlabel("real part: 1 keeps, 0 forgets")
        axes.set_ylabel("imaginary part: turns")
        if lyapunov is not None:
            ranks = np.arange(1, len(lyapunov.exponents) + 1)
            panels[1].axhline(0, color=GREY, linewidth=0.8)
            colors = np.where(lyapunov.exponents > 0, ORANGE, BLUE)
            panels[1].bar(ranks, lyapunov.exponents, color=colors, width=0.8)
            panels[1].set_title(f"Lyapunov exponents\nover {lyapunov.num_steps} {steps}")
            panels[1].set_xlabel("rank")
            panels[1].set_ylabel("growth (natural log)")
            panels[1].xaxis.get_major_locator().set_params(integer=True)
    return Picture("eigenvalues", figure, QUESTION, LIMIT)
