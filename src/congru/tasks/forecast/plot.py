"""Pictures of forecasts: the last values of a series, its forecast, its intervals."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from congru.errors import SettingsError, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from congru.tasks.forecast.forecaster import Forecaster

_MOST = 6


def draw(forecaster: Forecaster, path: str | os.PathLike[str] | None, series: Sequence[Any] | None) -> Figure:
    """One panel per series (`series` by name; default: the first six); written to `path` where given (.svg,
    .png).

    Raises :class:`SettingsError` for an unknown series, and where the model needs known covariates.
    """
    require("matplotlib", "train")
    from matplotlib.figure import Figure

    store, window = forecaster.store, forecaster.window
    names = list(series) if series is not None else store.names[:_MOST]
    for name in names:
        if name not in store.names:
            raise SettingsError(
                f"series holds {name!r}, expected one of {len(store.names)} known: see store.names"
            )
    values = forecaster.values()
    shown = min(store.history.shape[1], max(3 * window.horizon, 30))
    figure = Figure(figsize=(9.0, 2.6 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 1, squeeze=False)[:, 0]
    for axis, name in zip(axes, names):
        number = store.names.index(name)
        past = store.times(number, store.length[number] + np.arange(-shown, 0))
        ahead = store.times(number, store.length[number] + np.arange(window.horizon))
        axis.plot(past, store.history[number, -shown:], color="#333333", linewidth=1.0, label="past")
        axis.plot(ahead, values[number, :, 0], color="#c44e52", linewidth=1.5, label=forecaster.name)
        for place, level in enumerate(window.levels):
            low, high = values[number, :, 1 + 2 * place], values[number, :, 2 + 2 * place]
            axis.fill_between(ahead, low, high, color="#c44e52", alpha=0.15, label=f"{level} %")
        axis.set_title(str(name), loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8, ncols=4)
    if path is not None:
        figure.savefig(path)
    return figure
