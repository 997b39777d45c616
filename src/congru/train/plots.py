"""Curves of a run as SVG files: training loss, every validation metric with its baselines, timescales."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from congru.errors import require
from congru.gates.monitor import timescale_growth
from congru.train.folder import Metric, RunFolder

_COLOURS = ("#1b6ca8", "#c8553d", "#4c8c4a", "#7b5ea7", "#8a6d3b")


def curves_svg(
    title: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    lines: Mapping[str, float] | None = None,
    x_label: str = "step",
) -> str:
    """An SVG picture of curves.

    Args:
        title: what the vertical axis shows.
        series: name -> (x values, y values).
        lines: name -> height of a horizontal line, for example a baseline.
        x_label: what the horizontal axis shows.
    """
    matplotlib: Any = require("matplotlib", "train")
    figures: Any = require("matplotlib.figure", "train")
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 9}):
        figure = figures.Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        for number, (name, (x, y)) in enumerate(series.items()):
            marker = "o" if len(x) <= 30 else None
            axes.plot(
                x, y, color=_COLOURS[number % 5], linewidth=1.4, marker=marker, markersize=3, label=name
            )
        for number, (name, height) in enumerate((lines or {}).items()):
            style = ("--", ":", "-.")[number % 3]
            axes.axhline(
                height, color="#666666", linewidth=1.0, linestyle=style, label=f"{name} {height:.4g}"
            )
        axes.set(xlabel=x_label, ylabel=title)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def draw_plots(
    folder: RunFolder, rows: Sequence[Metric], metric: str, baselines: Mapping[str, float]
) -> None:
    """Write ``plots/loss.svg`` (training), one ``plots/validation-NAME.svg`` per validation metric, and after
    ``--monitor`` ``plots/timescales.svg``; a plain RNN has no timescales, so none is drawn.
    """
    loss = {"training": _series(rows, "train", "loss")}
    folder.write_text("plots/loss.svg", curves_svg("loss", loss))
    for name in dict.fromkeys(row.name for row in rows if row.split == "validation"):
        lines = baselines if name == metric else {}
        picture = curves_svg(name, {"validation": _series(rows, "validation", name)}, lines)
        folder.write_text(f"plots/validation-{name}.svg", picture)
    if any((row.split, row.name) == ("gates", "tau_50") for row in rows):
        folder.write_text("plots/timescales.svg", timescale_growth(_gates(rows)).draw("svg").decode("utf-8"))


def _gates(rows: Sequence[Metric]) -> list[tuple[int, dict[str, float]]]:
    """The gate statistics of each evaluation, by its step."""
    found: dict[int, dict[str, float]] = {}
    for row in rows:
        if row.split == "gates":
            found.setdefault(row.step, {})[row.name] = row.value
    return list(found.items())


def _series(rows: Sequence[Metric], split: str, name: str) -> tuple[list[float], list[float]]:
    chosen = [row for row in rows if row.split == split and row.name == name]
    return [row.step for row in chosen], [row.value for row in chosen]
