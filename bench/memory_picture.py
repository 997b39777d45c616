"""docs/memory.svg from results/memory.json: who learns at which lag, and by which path the gradient gets there."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from congru.contest.copying import LENGTH, Copying, unordered_loss
from congru.report.style import GREY, INK, LINES, Picture, new_figure, styled

NAMES = {"gru": "GRU", "lstm": "LSTM", "mingru": "minGRU", "rnn": "RNN"}
COLORS = dict(zip(NAMES, LINES))
MARKS = {"gru": "o", "lstm": "s", "mingru": "^", "rnn": "D"}
QUESTION = "Who still learns when what matters is long ago, and by which path?"


def draw(record: dict[str, Any], lag: int, path: Path) -> Path:
    """Draw it, with the gradient flow measured at `lag`, and return `path`."""
    figures = record["figures"]
    limit = (
        f"Left, middle: test loss over that of remembering nothing, after {figures['steps']['adding']:,} (adding) and "
        f"{figures['steps']['copy']:,} (copy) steps of {figures['batch_size']} sequences, equal parameters; solid: chrono "
        "start, dashed: torch's (the RNN has no gate to start); on copy, torch's start and minGRU up to lag 200. "
        "Right: the gradient by the state in "
        f"the networks trained on adding at lag {lag} (RNN: torch's start, others: chrono), by every path (solid) and along "
        "the keep gates alone (dotted), relative to lag 0."
    )
    with styled() as matplotlib:
        figure = new_figure(matplotlib, 9.2, 3.9)
        adding, copy, flow = figure.subplots(1, 3)
        _losses(adding, figures["parts"], "adding", "adding problem: loss / baseline")
        _losses(copy, figures["parts"], "copy", "copy task: loss / baseline")
        adding.set_yscale("log")
        adding.set_ylim(1e-3, 2)
        adding.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        copy.set_ylim(0, 1.1)
        _flow(flow, figures["parts"], lag)
        handles = [
            matplotlib.lines.Line2D([], [], color=COLORS[cell], marker=MARKS[cell], markersize=4, label=name)
            for cell, name in NAMES.items()
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=4, fontsize=8.5)
        for axes in (adding, copy, flow):
            axes.minorticks_off()
    return Picture("memory", figure, QUESTION, limit).save(path)


def _parts(parts: dict[str, Any], task: str, init: str) -> list[dict[str, Any]]:
    """The parts of one task and start: all lags, and minGRU."""
    return [part for name, part in parts.items() if name.startswith(f"{task}, {init},")]


def _losses(axes: Any, parts: dict[str, Any], task: str, title: str) -> None:
    """Median share of the baseline over the seeds against the lag, a line per cell and start."""
    lags = sorted({run["lag"] for part in parts.values() for run in part["runs"]})
    _level(axes, 1.0, "remembers nothing", len(lags) - 1)
    if task == "copy":
        _level(
            axes, unordered_loss() / Copying(LENGTH).baseline, "the symbols, not their order", len(lags) - 1
        )
    for init, style in (("default", "--"), ("chrono", "-")):
        for part in _parts(parts, task, init):
            for cell in dict.fromkeys(run["cell"] for run in part["runs"]):
                shares: dict[int, list[float]] = {}
                for run in part["runs"]:
                    if run["cell"] == cell:
                        shares.setdefault(run["lag"], []).append(run["share"])
                axes.plot(
                    [lags.index(lag) for lag in shares],
                    [statistics.median(values) for values in shares.values()],
                    style,
                    color=COLORS[cell],
                    marker=MARKS[cell],
                    markersize=4,
                    markerfacecolor=COLORS[cell] if init == "chrono" else "none",
                    linewidth=1.6 if init == "chrono" else 1.1,
                )
    axes.set_xticks(range(len(lags)), [f"{lag:,}" for lag in lags])
    axes.set_xlabel("lag in steps")
    axes.set_title(title, color=INK)


def _level(axes: Any, height: float, words: str, right: int) -> None:
    """A grey line with words above it."""
    axes.axhline(height, color=GREY, linewidth=0.8)
    axes.annotate(
        words, (right, height), (0, 7), textcoords="offset points", ha="right", fontsize=7.5, color=GREY
    )


def _flow(axes: Any, parts: dict[str, Any], lag: int) -> None:
    """|d| and |B| against the lag in the networks trained on the adding problem."""
    flows: dict[str, Any] = {}
    for init in ("default", "chrono"):  # the later start wins where a cell has both
        for part in _parts(parts, "adding", init):
            flows.update(part["flow"])
    for cell, flow in flows.items():
        axes.plot(flow["lag"], flow["gradient"], "-", color=COLORS[cell], linewidth=1.6)
        if flow["carry"] is not None:
            axes.plot(flow["lag"], flow["carry"], ":", color=COLORS[cell], linewidth=1.6)
    axes.set_yscale("log")
    axes.set_ylim(1e-6, 10)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}" if value < 0.01 else f"{value:g}")
    axes.set_xlabel("steps back")
    axes.set_title(f"gradient that gets there (lag {lag})", color=INK)
