"""Pictures of forecasts: the last values of a series, its forecast, its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import require
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
    require("matplotlib", "plots")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 2.6 * len(curves)), layout="constrained")
    axes = figure.subplots(len(curves), 1, squeeze=False)[:, 0]
    for axis, curve in zip(axes, curves):
        axis.plot(curve.past_times, curve.past, color="#333333", linewidth=1.0, label="past")
        axis.plot(curve.times, curve.forecast[:, 0], color="#c44e52", linewidth=1.5, label=name)
        for number, level in enumerate(levels):
            low, high = curve.forecast[:, 1 + 2 * number], curve.forecast[:, 2 + 2 * number]
            axis.fill_between(curve.times, low, high, color="#c44e52", alpha=0.15, label=f"{level} %")
        axis.set_title(curve.title, loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8, ncols=4)
    return figure
