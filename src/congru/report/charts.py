"""Curves as SVG pictures: a loss over training, a metric beside its baselines, a forecast beside what came."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from congru.errors import SettingsError
from congru.report.style import GREY, LINES, WIDTH, in_both_modes, new_figure, styled


def line_chart(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    y_label: str,
    *,
    lines: Mapping[str, float] | None = None,
    x_label: str = "step",
    log_y: bool = False,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    width: float = WIDTH,
    height: float = 2.9,
) -> str:
    """An SVG picture of curves; the same arguments give the same text.

    Args:
        series: name -> (x values, y values), as many of each.
        y_label: what the vertical axis shows.
        lines: name -> height of a horizontal line, for example a baseline.
        x_label: what the horizontal axis shows.
        log_y: whether the vertical axis is logarithmic.
        bands: name of a series -> (lowest, highest) values, its spread.
        width: in inches of 72 points, as `height`.

    Raises `SettingsError` where x and y differ in length, MissingPackageError without matplotlib.
    """
    for name, (x, y) in series.items():
        if len(x) != len(y):
            raise SettingsError(
                f"series {name!r} has {len(x)} x values and {len(y)} y values, expected as many: pass both"
            )
    with styled(salt=y_label) as matplotlib:
        chart = new_figure(matplotlib, width, height)
        axes = chart.subplots()
        for (name, (x, y)), color in zip(series.items(), LINES * (1 + len(series) // len(LINES))):
            marker = "o" if len(x) <= 30 else None
            axes.plot(x, y, color=color, linewidth=1.6, marker=marker, markersize=3, label=name)
            if name in (bands or {}):
                axes.fill_between(x, *bands[name], color=color, alpha=0.22, linewidth=0)  # type: ignore[index]
        for number, (name, value) in enumerate((lines or {}).items()):
            dashes = ("--", ":", "-.")[number % 3]
            label = f"{name} {value:.4g}"
            axes.axhline(value, color=GREY, linewidth=1.0, linestyle=dashes, label=label)
        axes.set(xlabel=x_label, ylabel=y_label, **({"yscale": "log"} if log_y else {}))
        if series or lines:
            axes.legend()
        text = io.StringIO()
        chart.savefig(text, format="svg", metadata={"Date": None})
    return in_both_modes(text.getvalue(), f"{y_label} against {x_label}: {', '.join(series)}")
