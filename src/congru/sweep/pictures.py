"""The pictures of a sweep: how the best value fell, how much each setting matters, and all trials as lines over the settings."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from congru.report.charts import line_chart
from congru.report.colors import SHARE
from congru.report.style import BLUE, WIDTH, in_both_modes, new_figure, styled
from congru.sweep.slots import SLOT
from congru.sweep.space import Dimension, Space

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def progress(
    trials: Sequence[FrozenTrial], metric: str, minimize: bool, baselines: Mapping[str, float]
) -> str:
    """An SVG picture of the value of each trial that trained to the end, and the best so far."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.value is not None]
    numbers = [float(trial.user_attrs[SLOT]) for trial in complete]
    values = [float(trial.value or 0.0) for trial in complete]
    best = (np.minimum if minimize else np.maximum).accumulate(values).tolist() if values else []
    return line_chart(
        {"each trial": (numbers, values), "best so far": (numbers, best)},
        metric,
        lines=baselines,
        x_label="trial",
    )


def importance(shares: Mapping[str, float]) -> str:
    """An SVG picture of bars: the share of each setting, the largest on top."""
    with styled(salt="importance") as matplotlib:
        chart = new_figure(matplotlib, WIDTH, 0.5 + 0.27 * len(shares))
        axes = chart.subplots()
        names = sorted(shares, key=lambda name: shares[name])
        axes.barh(names, [shares[name] for name in names], color=BLUE, height=0.62)
        axes.set(xlabel="share of what decides whether a trial is among the best", xlim=(0, 1))
        text = io.StringIO()
        chart.savefig(text, format="svg", metadata={"Date": None})
    return in_both_modes(text.getvalue(), "Importance of each setting")


def parallel(trials: Sequence[FrozenTrial], space: Space, metric: str, minimize: bool) -> str:
    """An SVG picture of parallel coordinates: an axis for every setting, a line for every trial, the best in yellow."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.value is not None]
    values = np.array([float(trial.value or 0.0) for trial in complete])
    ranks = np.argsort(np.argsort(values if minimize else -values)) / max(1, len(values) - 1)
    with styled(salt="parallel") as matplotlib:
        scale = matplotlib.colors.LinearSegmentedColormap.from_list("share", SHARE)
        chart = new_figure(matplotlib, max(WIDTH, 0.95 * (len(space) + 1)), 3.4)
        axes = chart.subplots()
        for number in np.argsort(-ranks):  # the best last, on top
            trial = complete[number]
            heights = [height(dimension, trial.params[dimension.name]) for dimension in space]
            color = scale(1 - ranks[number])
            line = [*heights, _share(values, values[number])]
            axes.plot(range(len(line)), line, color=color, linewidth=1.1 + (ranks[number] < 0.1), alpha=0.85)
        for column, dimension in enumerate(space):
            _axis(axes, column, ticks(dimension))
        ends = (values.min(), values.max()) if len(values) else (0.0, 1.0)
        _axis(axes, len(space), [(0.0, f"{ends[0]:.4g}"), (1.0, f"{ends[1]:.4g}")])
        names = [dimension.name.replace("_", "\n") for dimension in space]
        axes.set_xticks(range(len(space) + 1), [*names, metric], fontsize=7.5)
        axes.set_yticks([])
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.set_xlim(-0.2, len(space) + 0.45)
        text = io.StringIO()
        chart.savefig(text, format="svg", metadata={"Date": None})
    return in_both_modes(text.getvalue(), "Every trial as a line over the settings")


def height(dimension: Dimension, value: Any) -> float:
    """Where a value lies on its axis, from 0 to 1.

    >>> height(Dimension("rate", low=0.001, high=0.1, log=True), 0.01)
    0.5
    """
    if dimension.choices:
        return dimension.labels.index(value) / max(1, len(dimension.choices) - 1)
    bounds = np.array([dimension.low, dimension.high, float(value)])
    low, high, at = np.log(bounds) if dimension.log else bounds
    return round(float((at - low) / (high - low)), 6)


def ticks(dimension: Dimension) -> list[tuple[float, str]]:
    """What is written on an axis: height and text."""
    if dimension.choices:
        return [(height(dimension, label), str(label)) for label in dimension.labels]
    return [(0.0, f"{dimension.low:g}"), (1.0, f"{dimension.high:g}")]


def _share(values: Any, value: float) -> float:
    reach = float(values.max() - values.min())
    return 0.5 if reach == 0 else float((value - values.min()) / reach)


def _axis(axes: Any, column: int, marks: Sequence[tuple[float, str]]) -> None:
    axes.axvline(column, color="#7d7d7d", linewidth=0.8, zorder=0)
    for at, text in marks:
        axes.annotate(text, (column, at), xytext=(3, 0), textcoords="offset points", fontsize=7, va="center")
