"""What a comparison of cells says: its verdict, what to type next, and its report, one offline page.

The page shows who won and whether that is more than the spread of the seeds, the curves, how long each cell remembers, and
the gates of all of them on the same input.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from congru.gates.flow import Flow, flow_of
from congru.gates.form import KEEP, TITLES
from congru.gates.pictures.gradient_flow import gradient_flow
from congru.gates.reading import Reading
from congru.gates.record import Record
from congru.gates.strips import strips_of, unit_order
from congru.gates.summary import timescales_with_data
from congru.gates.target import top_states
from congru.report.charts import line_chart
from congru.report.colors import color, reach_of
from congru.report.markup import escape, figure, paragraphs, preformatted
from congru.report.page import Section, page
from congru.report.png import data_uri
from congru.report.steps import average, columns_of, named, shorten, tick_labels
from congru.report.table import Cell, html_table
from congru.report.verdict import verdict
from congru.runtime.atomic import write_whole
from congru.train.compare import Comparison, Row
from congru.train.folder import STATUS, read_metrics
from congru.train.report import METRICS
from congru.train.wording import duration

_ROOMS = {"wide": 130, "narrow": 46}  # characters of the labels' type on a page and on a phone
_LONGEST = 12  # characters of a label that is not cut
UNEQUAL = 1.1  # steps whose ratio is above this are not told as equal


class Seen(NamedTuple):
    """What one cell did with the input that all of them read."""

    record: Record
    reading: Reading


def ordered(comparison: Comparison) -> list[Row]:
    """The cells, best first."""
    return sorted(comparison.rows, key=lambda row: row.mean, reverse=not comparison.minimize)


def verdict_lines(comparison: Comparison) -> list[str]:
    """Who won and by how much beside the spread, whether that beats the baselines, and what was not equal."""
    rows = ordered(comparison)
    first = rows[0]
    many = f"{len(comparison.seeds)} seed{'s' if len(comparison.seeds) > 1 else ''}"
    equal = "parameters" if comparison.match == "parameters" else "units"
    value = _value(first, comparison.metric)
    text = f"Best is the {_title(first.cell)}: {value}, at equal {equal}, {many}, on the validation data."
    if len(rows) > 1:
        second = rows[1]
        gap = abs(second.mean - first.mean)
        spread = max((row.spread for row in (first, second) if row.spread is not None), default=None)
        if spread is None:
            inside = "one seed cannot say whether that is luck"
        elif gap <= 2 * spread:
            inside = "that is within the spread of the seeds: call it a draw"
        else:
            inside = "that is more than twice the spread of the seeds"
        text += f" The {_title(second.cell)} follows at {second.mean:.4f}; {inside}."
    best = verdict(
        comparison.metric,
        first.mean,
        comparison.baselines,
        comparison.minimize,
        model=f"the {_title(first.cell)}",
    )
    return [text, best, *unequal_steps(comparison)]


def unequal_steps(comparison: Comparison) -> list[str]:
    """A line where equal seconds gave unequal steps, else none."""
    rows = ordered(comparison)
    counts = [row.steps for row in rows]
    if max(counts) <= UNEQUAL * min(counts):
        return []
    steps = ", ".join(f"{_title(row.cell)} {row.steps:,.0f}" for row in rows)
    return [f"Equal time gave unequal steps ({steps}): a cell that steps faster has learnt from more data."]


def next_lines(comparison: Comparison) -> list[str]:
    """What to type next with the best model: what its own run printed."""
    folder = Path(best_folder(ordered(comparison)[0], comparison.minimize))
    lines: list[str] = json.loads((folder / STATUS).read_text(encoding="utf-8"))["next"]
    return lines


def best_folder(row: Row, minimize: bool) -> str:
    """The run folder of a cell's best seed."""
    return row.folders[row.values.index((min if minimize else max)(row.values))]


def write_page(
    comparison: Comparison, folder: Path, seen: Mapping[str, Seen], title: str | None = None
) -> Path:
    """Write `compare.html` into the folder of the comparison and return its path.

    seen: by cell, what its best model did with one input; may lack cells.
    """
    sections = [
        Section("Verdict", paragraphs(verdict_lines(comparison), "question") + _table(comparison)),
        Section("Curves", _curves(comparison)),
        Section("Who remembers how far", _memory(seen)),
        Section("The same input, their gates", _gates(seen)),
        Section("What to type next", preformatted("\n".join(next_lines(comparison)))),
    ]
    names = ", ".join(_title(row.cell) for row in comparison.rows)
    path = folder / "compare.html"
    write_whole(path, page(title or f"{comparison.task}: {names}", sections).encode(), sync=False)
    return path


def _title(cell: str) -> str:
    return TITLES.get(cell, cell)


def _value(row: Row, metric: str) -> str:
    spread = "" if row.spread is None else f" ± {row.spread:.4f}"
    return f"{metric} {row.mean:.4f}{spread}"


def _table(comparison: Comparison) -> str:
    rows: list[tuple[Cell, ...]] = [
        (
            _title(row.cell),
            row.mean,
            "" if row.spread is None else f"±\N{NO-BREAK SPACE}{row.spread:.4f}",
            row.num_parameters,
            str(row.hidden_size),
            f"{row.steps:,.0f}",
            duration(row.seconds),
        )
        for row in ordered(comparison)
    ]
    rows += [(name, value, "", None, "", "", "") for name, value in comparison.baselines.items()]
    rows.sort(key=lambda row: float(str(row[1])), reverse=not comparison.minimize)
    header = ("", comparison.metric, "spread", "parameters", "units", "steps", "time")
    better = f"{'Less' if comparison.minimize else 'More'} is better; the best stands in bold."
    meaning = METRICS.get(comparison.metric)
    note = paragraphs(
        [f"What is measured, {comparison.metric}: {meaning} {better}" if meaning else better], "note"
    )
    return html_table(rows, header, best={comparison.metric: "min" if comparison.minimize else "max"}) + note


def _curves(comparison: Comparison) -> str:
    """The validation value against the seconds of training: mean over the seeds, their range as a band."""
    series, bands = {}, {}
    for row in comparison.rows:
        runs = []
        for folder in row.folders:
            points = [
                (one.time, one.value)
                for one in read_metrics(Path(folder) / "metrics.csv")
                if one.split == "validation" and one.name == comparison.metric
            ]
            if len(points) > 1:
                runs.append(np.array(points, np.float64))
        if not runs:
            continue
        ends = min(run[-1, 0] for run in runs)
        grid = np.linspace(max(run[0, 0] for run in runs), ends, 40)
        every = np.stack([np.interp(grid, run[:, 0], run[:, 1]) for run in runs])
        series[_title(row.cell)] = (grid.tolist(), every.mean(axis=0).tolist())
        bands[_title(row.cell)] = (every.min(axis=0).tolist(), every.max(axis=0).tolist())
    if not series:
        return ""
    best = min if comparison.minimize else max
    lines = {}
    if comparison.baselines:
        name = best(comparison.baselines, key=lambda key: comparison.baselines[key])
        lines = {name: comparison.baselines[name]}
    drawn = line_chart(
        series, f"{comparison.metric}, validation", x_label="seconds of training", bands=bands, lines=lines
    )
    return figure(drawn) + paragraphs(
        ["Lines are means over the seeds, bands reach from the lowest to the highest."], "note"
    )


def _memory(seen: Mapping[str, Seen]) -> str:
    """Half-lives of the units where a gate keeps, and how far back a prediction still feels, for every cell."""
    if not seen:
        return ""
    flows: dict[str, Flow] = {}
    rows: list[tuple[Cell, ...]] = []
    steps = next(iter(seen.values())).reading.steps
    for cell, (record, reading) in seen.items():
        last = top_states(record, 0)[record.lengths[0] - 1]
        target = (
            reading.target if record.readout is not None else last / max(float(np.linalg.norm(last)), 1e-12)
        )
        flow = flow_of(record, target)
        flows[_title(cell)] = flow
        kept = ("", "")
        if record.cell in KEEP:
            half = timescales_with_data(record).half_life
            kept = (f"{statistics.median(half):.1f}", f"{max(half):.1f}")
        reached = flow.half_lag()
        far = f"{reached}" if reached < len(flow.gradient) else f"all {reached}"
        rows.append((_title(cell), *kept, far))
    header = (
        "",
        f"median half-life, {steps}",
        f"longest half-life, {steps}",
        f"half of the gradient, {steps} back",
    )
    words = [
        f"The half-life is how many {steps} it takes until half of what a unit held is gone; a plain RNN has no gate that keeps."
        " The gradient says how much the prediction would change with the memory so far back, by whatever path;"
        " dashed is what came along the keep gates."
    ]
    return (
        paragraphs(words)
        + html_table(rows, header)
        + figure(gradient_flow(flows, steps=steps).draw(caption=False))
    )


def _gates(seen: Mapping[str, Seen]) -> str:
    """The keep gate of every cell over the steps of the same input, one under the other; of a plain RNN its state."""
    parts: list[str] = []
    labels: Sequence[str] = ()
    for cell, (record, reading) in seen.items():
        strips = {strip.key: strip for strip in strips_of(record.top, 0)}
        strip = strips.get("keep", strips["state"])
        values = average(strip.values, columns_of(len(strip.values))).T[unit_order(record.top)]
        pixels = color(values, strip.signed, reach_of(values) if strip.signed else 1.0)
        name = escape(f"{_title(cell)}: {strip.title}")
        parts.append(f'<h3>{name}</h3><img class="strip" alt="{name}" src="{data_uri(pixels)}">')
        labels = labels or [str(token) for token in reading.tokens]
    if not parts:
        return ""
    ticks = "".join(
        f'<div class="ticks {width}">{_ticks(labels, room)}</div>' for width, room in _ROOMS.items()
    )
    style = (
        "<style>.strip{width:100%;height:90px;image-rendering:pixelated;display:block;border-radius:.3rem}"
        ".ticks{position:relative;height:1.6em;font-size:.75rem;overflow:hidden}.ticks span{position:absolute;white-space:pre}"
        ".ticks.narrow{display:none}"
        "@media(max-width:44rem){.ticks.wide{display:none}.ticks.narrow{display:block}}</style>"
    )
    note = (
        "Each row is a unit, longest memory on top; yellow keeps, dark blue replaces. For the plain RNN, which has no gate: its"
        " state."
    )
    return f"{style}{''.join(parts)}{ticks}{paragraphs([note], 'note')}"


def _ticks(labels: Sequence[str], room: int) -> str:
    """Labels under the strips that stand side by side in `room` characters."""
    at, texts, upright = tick_labels(labels, room)
    if upright:  # never here: fewer of them, lying
        every = -(-len(labels) * (_LONGEST + 2) // room)
        at = list(range(0, len(labels), every))
        texts = [shorten(named(labels[step]), _LONGEST) for step in at]
    return "".join(
        f'<span style="left:{100 * step / len(labels):.1f}%">{escape(text)}</span>'
        for step, text in zip(at, texts)
        if step == 0 or 100 * step / len(labels) < 100 * (1 - len(text) / room)
    )
