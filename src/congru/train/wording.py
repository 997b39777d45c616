"""The text before and after a run: settings, data, estimates; model and baselines, what to type next."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

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


def aligned(rows: Sequence[tuple[str, ...]], indent: str = "  ") -> list[str]:
    """Rows as lines with aligned columns.

    >>> aligned([("a", "1"), ("long", "2")], indent="")
    ['a     1', 'long  2']
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]


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
    lines += aligned(chosen)
    lines += _wrapped("defaults: " + ", ".join(defaults))
    lines.append("data")
    lines += aligned([(key, str(value)) for key, value in summary.data.items() if key != "files"])
    lines.append("model")
    lines += aligned(
        [
            ("parameters", f"{summary.num_parameters:,}"),
            ("memory", f"{size(summary.memory_bytes)} (measured over three trial steps)"),
            ("step", f"{summary.step_ms:.1f} ms"),
            ("time", f"{duration(summary.total_seconds)}, about {summary.num_steps:,} steps"),
        ]
    )
    if summary.baselines:
        lines.append(f"baselines ({summary.metric} on validation)")
        lines += aligned([(name, f"{value:.4f}") for name, value in summary.baselines.items()])
    return "\n".join(lines)


def after_text(ending: Ending) -> str:
    """The model beside its baselines, and what to type next."""
    rows = [("", ending.metric)]
    if ending.best is not None:
        rows.append((f"model (step {ending.best_step})", f"{ending.best:.4f}"))
    rows += [(name, f"{value:.4f}") for name, value in ending.baselines.items()]
    lines = [
        f"{ending.status}: {ending.steps:,} steps in {duration(ending.seconds)}, "
        f"{ending.num_parameters:,} parameters"
    ]
    lines += aligned(rows)
    lines.append(verdict(ending.best, ending.baselines, ending.minimize))
    lines.append("next")
    lines += [f"  {line}" for line in ending.next_lines]
    return "\n".join(lines)


def verdict(best: float | None, baselines: Mapping[str, float], minimize: bool) -> str:
    """Whether the model beats its best baseline, said plainly.

    >>> verdict(2.0, {"last value": 2.5, "zero": 4.0}, minimize=True)
    'The model beats its best baseline, last value.'
    """
    if best is None or not baselines:
        return "There is no baseline to compare with."
    name = (min if minimize else max)(baselines, key=lambda key: baselines[key])
    if best < baselines[name] if minimize else best > baselines[name]:
        return f"The model beats its best baseline, {name}."
    return f"The model does NOT beat {name}: train longer, or use {name}."


def _wrapped(text: str, width: int = 110) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="    ")
