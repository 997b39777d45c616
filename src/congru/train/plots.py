"""Curves of a run as SVG files: training loss, every validation metric with its baselines, timescales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from congru.gates.monitor import timescale_growth
from congru.report.charts import line_chart
from congru.train.folder import Metric, RunFolder


def draw_plots(
    folder: RunFolder, rows: Sequence[Metric], metric: str, baselines: Mapping[str, float]
) -> None:
    """Write ``plots/loss.svg`` (training), one ``plots/validation-NAME.svg`` per validation metric, and after
    ``--monitor`` ``plots/timescales.svg``; a plain RNN has no timescales, so none is drawn.
    """
    loss = {"training": _series(rows, "train", "loss")}
    folder.write_text("plots/loss.svg", line_chart(loss, "loss"))
    for name in dict.fromkeys(row.name for row in rows if row.split == "validation"):
        lines = baselines if name == metric else {}
        picture = line_chart({"validation": _series(rows, "validation", name)}, name, lines=lines)
        folder.write_text(f"plots/validation-{name}.svg", picture)
    if any((row.split, row.name) == ("gates", "tau_50") for row in rows):
        folder.write_text("plots/timescales.svg", timescale_growth(_gates(rows)).draw("svg").decode("utf-8"))


def _gates(rows: Sequence[Metric]) -> list[tuple[int, dict[str, float]]]:
    """The gate statistics of each evaluation, by its step."""
    by_step: dict[int, dict[str, float]] = {}
    for row in rows:
        if row.split == "gates":
            by_step.setdefault(row.step, {})[row.name] = row.value
    return list(by_step.items())


def _series(rows: Sequence[Metric], split: str, name: str) -> tuple[list[float], list[float]]:
    chosen = [row for row in rows if row.split == split and row.name == name]
    return [row.step for row in chosen], [row.value for row in chosen]
