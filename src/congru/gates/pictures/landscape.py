"""The state landscape: where do the states go, and where would they rest?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from congru.gates.dynamics import FixedPoints
from congru.gates.weights import Array
from congru.report.steps import named
from congru.report.style import INK, ORANGE, PALE, WIDTH, Picture, color_map, new_figure, styled

QUESTION = "What does the state hold, and where does it come to rest?"
LIMIT = (
    "Two directions out of many: states that touch here may be far apart. Fixed points belong to one "
    "constant input; a real input pushes the state on before it arrives."
)
MARKS = {"stable": "o", "marginal": "D", "repeller": "X"}


def landscape(
    states: Array,
    tokens: Sequence[str],
    points: FixedPoints | None = None,
    *,
    width: float = WIDTH,
    step: str = "step",
) -> Picture:
    """The run's states [T, H] in their two main directions (PCA), coloured by step; fixed points where given."""
    centre = states.mean(axis=0)
    _, sizes, axes_of_state = np.linalg.svd(states - centre, full_matrices=False)
    plane = axes_of_state[:2]
    seen = 100 * float((sizes[:2] ** 2).sum() / max(float((sizes**2).sum()), 1e-12))
    flat = _flatten(states - centre, plane)
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, width * 0.72)
        axes = figure.subplots()
        axes.plot(
            flat[:, 0], flat[:, 1], color=PALE, linewidth=0.7, alpha=min(1.0, 100 / len(flat)), zorder=1
        )
        dots = axes.scatter(
            flat[:, 0],
            flat[:, 1],
            c=np.arange(len(flat)),
            cmap=color_map(matplotlib, signed=False),
            s=14,
            linewidths=0,
            zorder=2,
        )
        bar = figure.colorbar(dots, ax=axes, fraction=0.04, pad=0.01)
        bar.set_label(step)
        bar.outline.set_visible(False)
        for at in _spread(flat, [named(token)[:10] for token in tokens], 24):
            axes.annotate(
                named(tokens[at])[:10], flat[at], xytext=(3, 3), textcoords="offset points",
                fontsize=7, color=INK, zorder=4,
            )  # fmt: skip
        if points is not None:
            _mark(axes, points, centre, plane)
        axes.set_xlabel(f"first direction (both show {seen:.0f} % of the variance)")
        axes.set_ylabel("second direction")
    return Picture("landscape", figure, QUESTION, LIMIT)


def _flatten(states: Array, plane: Array) -> Array:
    flat = states @ plane.T
    if flat.shape[1] == 2:
        return flat
    padded: Array = np.concatenate([flat, np.zeros((len(flat), 2 - flat.shape[1]))], axis=1)
    return padded


def _mark(axes: Any, points: FixedPoints, centre: Array, plane: Array) -> None:
    """Fixed points as marks with a light edge, one legend entry per kind."""
    shown = set()
    for point in points.points:
        kind = point.kind if point.kind in MARKS else "saddle"
        spot = _flatten(point.state[None, : len(centre)] - centre, plane)[0]
        label = None if kind in shown else f"{kind} fixed point"
        shown.add(kind)
        axes.scatter(
            *spot, marker=MARKS.get(kind, "P"), s=110, color=ORANGE, edgecolors="white", linewidths=1.4, zorder=5,
            label=label,
        )  # fmt: skip
    if shown:
        axes.legend(loc="best", frameon=False)


def _spread(flat: Array, labels: Sequence[str], count: int) -> list[int]:
    """Up to `count` points far from each other, farthest first: those whose labels do not overlap.

    A letter is about a sixtieth of the picture wide and a line a twentieth high.
    """
    wide, high = 1 / 60, 1 / 20
    chosen = [int(np.argmax(np.abs(flat - flat.mean(axis=0)).sum(axis=1)))]
    scale = np.maximum(np.ptp(flat, axis=0), 1e-12)
    spots = flat / scale
    gaps = np.full(len(flat), np.inf)
    while len(chosen) < min(count, len(flat)):
        gaps = np.minimum(gaps, np.hypot(*(spots - spots[chosen[-1]]).T))
        for other in np.flatnonzero(gaps > 0).tolist():
            right, up = spots[other] - spots[chosen[-1]]
            reach = len(labels[chosen[-1]] if right >= 0 else labels[other]) * wide
            if abs(right) < reach and abs(up) < high:
                gaps[other] = 0
        step = int(np.argmax(gaps))
        if gaps[step] < 0.06:
            break
        chosen.append(step)
    return chosen
