"""The age ribbon: how old is what it remembers, step by step?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from congru.gates.age import Age
from congru.report.steps import average, columns_of, label_axis
from congru.report.style import BLUE, GREY, INK, WIDTH, Picture, new_figure, styled

QUESTION = "How old is what it remembers?"
LIMIT = (
    "The age counts what was written into a unit, weighted by what is left of it; content handed on "
    "through the candidate counts as new. The dotted line is the oldest possible: everything kept since "
    "the start."
)


def age_ribbon(age: Age, tokens: Sequence[str], *, width: float = WIDTH, steps: str = "steps") -> Picture:
    """10, 50 and 90 % of the units' mean ages over the steps, on a log scale."""
    order = np.argsort(age.steps)
    quantiles = age.quantiles()[:, order].T
    columns = columns_of(len(order))
    low, middle, high = average(quantiles, columns).T
    columns_at = np.arange(len(low))
    oldest = average(np.arange(1, len(order) + 1, dtype=np.float64), columns)
    if age.steps[0] > age.steps[-1]:
        oldest = oldest[::-1]
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 2.9)
        axes = figure.subplots()
        axes.fill_between(
            columns_at, low, high, color=BLUE, alpha=0.25, linewidth=0, label="10 to 90 % of the units"
        )
        axes.plot(columns_at, middle, color=BLUE, linewidth=1.8, label="median unit")
        axes.plot(columns_at, oldest, color=GREY, linewidth=1, linestyle=":", label="oldest possible")
        axes.set_yscale("symlog", linthresh=1.0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(0, max(2.0, float(oldest.max()) * 1.3))
        axes.set_xlim(-0.5, len(low) - 0.5)
        axes.set_ylabel(f"age in {steps}", color=INK)
        axes.legend(loc="upper left")
        label_axis(axes, [tokens[step] for step in age.steps[order]], columns, int(width * 11), steps=steps)
    return Picture("age", figure, QUESTION, LIMIT)
