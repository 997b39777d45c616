"""The timescale histogram: can the layer reach as far back as its data asks?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from congru.gates.timescales import Timescales
from congru.gates.weights import Array
from congru.report.style import DASHES, GREY, INK, LINES, WIDTH, Picture, new_figure, styled

QUESTION = "Can it reach far enough back?"
LIMIT = (
    "tau = -1 / mean(ln keep) is the carry path alone, averaged over this input; a unit can also hand "
    "content on through its candidate. The data's line is where its autocorrelation falls below 1/e: a "
    "linear measure."
)


def timescale_histogram(
    layers: Mapping[str, Timescales], num_steps: int, *, width: float = WIDTH, steps: str = "steps"
) -> Picture:
    """Units per timescale, one outline per layer; `num_steps` marks the length of the input."""
    every = np.concatenate([scales.tau for scales in layers.values()])
    finite = every[np.isfinite(every) & (every > 0)]
    low = min(0.5, float(finite.min())) if len(finite) else 0.5
    high = max(2.0 * num_steps, float(finite.max()) * 1.2) if len(finite) else 2.0 * num_steps
    high = min(high, max(20.0 * num_steps, 100.0))
    low = max(low, 0.05)
    bins = np.geomspace(low, high, 30)
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 2.9)
        axes = figure.subplots()
        for index, (name, scales) in enumerate(layers.items()):
            _outline(axes, np.clip(scales.tau, low, high), bins, name, index, len(layers))
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlim(low, high)
        axes.set_ylim(0, axes.get_ylim()[1] * 1.22)
        data = next(iter(layers.values())).data
        if np.isfinite(data):
            _line(axes, data, f"data {data:.3g}", INK, "-")
        _line(axes, num_steps, f"input {num_steps}", GREY, ":")
        axes.set_xlabel(f"timescale tau in {steps} (log scale; at the ends: beyond)")
        axes.set_ylabel("units")
        axes.yaxis.get_major_locator().set_params(integer=True)
        if len(layers) > 1:
            axes.legend(loc="upper right")
    return Picture("timescales", figure, QUESTION, LIMIT)


def _outline(axes: Any, tau: Array, bins: Array, name: str, index: int, count: int) -> None:
    color = LINES[index % len(LINES)]
    heights, _ = np.histogram(tau, bins)
    if count == 1:
        axes.stairs(heights, bins, fill=True, color=color, alpha=0.85, label=name)
    else:
        axes.stairs(
            heights, bins, color=color, linestyle=DASHES[index % len(DASHES)], linewidth=1.8, label=name
        )


def _line(axes: Any, at: float, text: str, color: str, style: str) -> None:
    axes.axvline(at, color=color, linestyle=style, linewidth=1.3)
    axes.annotate(
        text, (at, 1), xytext=(4, 0), xycoords=("data", "axes fraction"), textcoords="offset points", ha="left",
        va="top", color=color, fontsize=8,
    )  # fmt: skip
