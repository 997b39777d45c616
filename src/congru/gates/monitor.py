"""Gates while a model trains: a few numbers per evaluation, and the picture of how its timescales grew.

    rows.append((step, gate_statistics(record)))          at each evaluation, on the same small input
    timescale_growth(rows).save("plots/timescales.svg")  at the end

`congru train TASK DATA --monitor` does this: see `congru.train.trainer` and `congru.train.plots`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from congru.errors import CongruError, require
from congru.gates.form import KEEP
from congru.gates.record import Record
from congru.gates.saturation import saturation_of
from congru.gates.timescales import timescales_of
from congru.report.style import BLUE, GREY, INK, WIDTH, Picture, new_figure, styled

QUANTILES = {"tau_10": 0.1, "tau_50": 0.5, "tau_90": 0.9}
QUESTION = "How did its timescales change while it trained?"
LIMIT = "Timescales of one fixed input, by the carry path alone; a flat line is no fault where the task needs no memory."


def gate_statistics(record: Record) -> dict[str, float]:
    """Numbers of the top layer for metrics.csv: quantiles of tau, and each gate's mean and shares closed and open.

    Keys such as `tau_50`, `keep_mean`, `reset_open`; a plain RNN has only those of its candidate.
    """
    statistics: dict[str, float] = {}
    layer = record.top
    if layer.cell in KEEP:
        tau = np.minimum(timescales_of(layer).tau, 1e9)
        statistics |= {name: float(np.quantile(tau, level)) for name, level in QUANTILES.items()}
    for use in saturation_of(layer).gates.values():
        name = use.name.split()[0]
        statistics[f"{name}_mean"] = float(use.mean.mean())
        statistics[f"{name}_closed"] = float(use.closed.mean())
        statistics[f"{name}_open"] = float(use.open.mean())
    return statistics


def timescale_growth(rows: Sequence[tuple[int, Mapping[str, float]]], *, width: float = WIDTH) -> Picture:
    """The 10, 50 and 90 % quantiles of tau over training steps; rows are (step, what gate_statistics gave)."""
    kept = [(step, row) for step, row in rows if "tau_50" in row]
    if not kept:
        raise CongruError(
            f"rows has {len(rows)} rows without tau_50, expected some: a plain RNN has no timescales"
        )
    steps = [step for step, _ in kept]
    low, middle, high = ([row[name] for _, row in kept] for name in QUANTILES)
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 2.9)
        axes = figure.subplots()
        axes.fill_between(
            steps, low, high, color=BLUE, alpha=0.25, linewidth=0, label="10 to 90 % of the units"
        )
        axes.plot(
            steps,
            middle,
            color=BLUE,
            linewidth=1.8,
            marker="." if len(steps) < 40 else None,
            label="median unit",
        )
        axes.set_yscale("log")
        if max(high) < 100 * min(low):
            axes.yaxis.set_major_locator(require("matplotlib.ticker", "plots").LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.tick_params(axis="y", which="minor", labelleft=False, color=GREY)
        axes.set_xlabel("training step")
        axes.set_ylabel("timescale tau in steps", color=INK)
        axes.legend(loc="best")
    return Picture("growth", figure, QUESTION, LIMIT)
