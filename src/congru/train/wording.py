"""The text before and after a run: settings, data, estimates; model and baselines, what to type next."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from congru.report.table import Cell, text_table
from congru.report.verdict import verdict
from congru.train.events import Ending, Summary


def duration(seconds: float) -> str:
    """Seconds in words short enough for a line.

    >>> [duration(s) for s in (0.4, 42, 75, 3700)]
    ['0 s', '42 s', '1 min 15 s', '1 h 01 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(num_bytes: float) -> str:
    """Bytes in the unit that reads well.

    >>> size(52_400_000), size(3_100_000_000)
    ('52 MB', '3.1 GB')
    """
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def before_text(summary: Summary) -> str:
    """Settings and their origin, data, model size, memory and time."""
    chosen = [
        (key, str(value), f"({origin})") for key, value, origin in summary.settings if origin != "default"
    ]
    defaults = [
        f"{key} {value}"
        for key, value, origin in summary.settings
        if origin == "default" and value is not None and value is not False
    ]
    lines = [f"{summary.task}: training into {summary.out}", "settings"]
    lines += _table(chosen)
    lines += _wrapped("defaults: " + ", ".join(defaults))
    lines.append("data")
    lines += _table([(key, str(value)) for key, value in summary.data.items() if key != "files"])
    lines.append("model")
    lines += _table(
        [
            ("parameters", f"{summary.num_parameters:,}"),
            ("memory", f"{size(summary.memory_bytes)} (measured over three trial steps)"),
            ("step", f"{summary.step_ms:.1f} ms"),
            ("time", f"{duration(summary.total_seconds)}, about {summary.num_steps:,} steps"),
            *([("processes", summary.processes)] if summary.processes else []),
            *([("threads", summary.crowded)] if summary.crowded else []),
        ]
    )
    if summary.baselines:
        lines.append(f"baselines ({summary.metric} on validation)")
        lines += _table(list(summary.baselines.items()))
    return "\n".join(lines)


def verdict_of(ending: Ending) -> str:
    """Whether the model is worth having: on which data, at which step, and whether training had any part in it."""
    return verdict(
        ending.metric,
        ending.best,
        ending.baselines,
        ending.minimize,
        model=f"the model of step {ending.best_step:,}",
        windows=ending.validation,
        best_step=ending.best_step if ending.steps else None,
    )


def after_text(ending: Ending) -> str:
    """The model beside its baselines, and what to type next."""
    rows: list[tuple[str, float]] = []
    if ending.best is not None:
        rows.append((f"model (step {ending.best_step})", ending.best))
    rows += ending.baselines.items()
    lines = [
        f"{ending.status}: {ending.steps:,} steps in {duration(ending.seconds)}, {ending.num_parameters:,} parameters"
    ]
    best = {ending.metric: "min" if ending.minimize else "max"}
    lines.append(text_table(rows, ("", ending.metric), best=best, indent="  "))
    lines.append(verdict_of(ending))
    lines.append("next")
    lines += [f"  {line}" for line in ending.next_lines]
    lines.append(f"report: {ending.out}/report.html")
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[Cell]]) -> list[str]:
    return [text_table(rows, indent="  ")] if rows else []


def _wrapped(text: str, width: int = 110) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ")
