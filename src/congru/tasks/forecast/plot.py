"""Pictures of forecasts: the last values of a series, its forecast, its intervals."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import require
from congru.report.style import INK, ORANGE, in_both_modes, new_figure, styled
from congru.tasks.forecast.store import SeriesStore
from congru.tasks.forecast.window import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 6  # panels by default


class Curve(NamedTuple):
    """One panel: times [T] and values [T] of the past, times [h] and forecast [h, 1 + 2 levels] ahead."""

    title: str
    past_times: NDArray[Any]
    past: NDArray[Any]
    times: NDArray[Any]
    forecast: NDArray[Any]


def curve(store: SeriesStore, number: int, forecast: Array) -> Curve:
    """The panel of series `number` of a store with its forecast [h, 1 + 2 levels]."""
    horizon = store.window.horizon
    shown = min(store.history.shape[1], max(3 * horizon, 30))
    past = store.times(number, store.length[number] + np.arange(-shown, 0))
    ahead = store.times(number, store.length[number] + np.arange(horizon))
    return Curve(
        title=str(store.names[number]),
        past_times=store.format.wall(past),
        past=store.history[number, -shown:],
        times=store.format.wall(ahead),
        forecast=forecast,
    )


def draw(curves: Sequence[Curve], name: str, levels: Sequence[int] = ()) -> Figure:
    """One panel per curve; `name` is the legend of the forecast, `levels` are those of its intervals, in per cent.

    Raises MissingPackageError without matplotlib.
    """
    with styled() as matplotlib:
        dates = require("matplotlib.dates", "plots")
        figure: Figure = new_figure(matplotlib, 6.4, 2.4 * len(curves))
        axes = figure.subplots(len(curves), 1, squeeze=False)[:, 0]
        for axis, curve in zip(axes, curves):
            axis.plot(curve.past_times, curve.past, color=INK, linewidth=1.0, label="past")
            axis.plot(curve.times, curve.forecast[:, 0], color=ORANGE, linewidth=1.6, label=name)
            for number, level in enumerate(levels):
                low, high = curve.forecast[:, 1 + 2 * number], curve.forecast[:, 2 + 2 * number]
                axis.fill_between(
                    curve.times, low, high, color=ORANGE, alpha=0.2, linewidth=0, label=f"{level} %"
                )
            axis.set_title(curve.title)
            if np.issubdtype(curve.times.dtype, np.datetime64):
                axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(axis.xaxis.get_major_locator()))
        axes[0].legend(ncols=4)
    return figure


def as_svg(figure: Figure, title: str) -> str:
    """The figure as an SVG that follows light and dark."""
    text = io.StringIO()
    with styled(title):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return in_both_modes(text.getvalue(), title)


def save(figure: Figure, path: str | os.PathLike[str], title: str) -> None:
    """Write the figure; its suffix chooses the format. An SVG follows light and dark, others are on white."""
    if str(os.fspath(path)).endswith(".svg"):
        Path(path).write_text(as_svg(figure, title), encoding="utf-8")
    else:
        figure.savefig(path, facecolor="white")
