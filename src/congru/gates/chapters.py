"""The chapters of the report, in the order one reads them; each has a question, pictures, and the limit of its reading."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from congru.gates.age import age_of
from congru.gates.chapter import Chapter, heading, picture_html
from congru.gates.context import Context
from congru.gates.dynamics import fixed_points_of, lyapunov_of
from congru.gates.flow import flow_of
from congru.gates.form import KEEP, TITLES
from congru.gates.formulas import formulas_of
from congru.gates.layer import Layer
from congru.gates.memory import attribute
from congru.gates.pictures import age_ribbon, film, landscape, memory_map, saturation, timescale
from congru.gates.pictures.trust import trust_view
from congru.gates.pictures.views import draw
from congru.gates.record import Record
from congru.gates.saturation import saturation_of
from congru.gates.summary import timescales_with_data
from congru.gates.target import top_states
from congru.report.markup import figure, paragraphs, preformatted
from congru.report.table import html_table

_DIRECTIONS = {1: "in one direction", 2: "in both directions"}
STARTS = 16  # of the search for fixed points


def every(record: Record, context: Context) -> list[Chapter]:
    """All chapters this record allows."""
    written = [_about(record, context)]
    for number, (title, sentence, svg) in enumerate(context.extra):
        written.append(Chapter(f"extra{number}", title, sentence, figure(svg)))
    written.append(_film(record, context))
    if record.cell in KEEP:
        written.append(_memory(record, context))
        written.append(_timescales(record, context))
    written.append(_saturation(record))
    written.append(_flow(record, context))
    written.append(_stability(record, context))
    return written


def asked(record: Record, context: Context) -> tuple[Any, str]:
    """The target that memory map and gradient flow explain, and a sentence where it is not an output of the model.

    Without a linear read-out the last state itself is explained: u = h_T / |h_T|, so that u . h_T = |h_T|.
    """
    if record.readout is not None:
        return context.target, ""
    last = top_states(record, context.row)[record.lengths[context.row] - 1]
    words = (
        "No linear read-out was found between these states and the model's output, so this explains the "
        "last state itself: its length |h|. It is exact for the state, not for what later layers make of it."
    )
    return last / max(float(np.linalg.norm(last)), 1e-12), words


def _cell_itself(record: Record, row: int) -> tuple[Any, str]:
    """The last cell state as the target: what an LSTM has exact shares of, whatever reads it."""
    last = np.concatenate([way.memory[row, way.order(row)[-1]] for way in record.layers[-1]]).astype(
        np.float64
    )
    why = (
        "Layer norm mixes the units between cell and state, so an output has no exact shares here"
        if record.top.form.layer_norm
        else "No linear read-out was found between these states and the model's output"
    )
    words = f"{why}: this explains the last cell state itself, its length |c|."
    return last / max(float(np.linalg.norm(last)), 1e-12), words


def _each(record: Record) -> Iterator[tuple[int, int, Layer, bool]]:
    """(depth, direction, layer, whether there are several), bottom up."""
    several = record.shape[0] * record.shape[1] > 1
    for depth, ways in enumerate(record.layers):
        for way, layer in enumerate(ways):
            yield depth, way, layer, several


def _about(record: Record, context: Context) -> Chapter:
    depth, ways, batch, steps, hidden = record.shape
    layer = record.layers[0][0]
    rows = [
        *((str(name), str(value)) for name, value in context.about.items()),
        ("model", record.title),
        ("layers shown", f"{depth}, {_DIRECTIONS[ways]}: {layer.form.title} of {hidden} units"),
        ("input", f"{batch} row(s), {steps} steps of {layer.x.shape[2]} features"),
        ("shown", f"row {context.row}, {record.lengths[context.row]} steps"),
        ("how far the equations miss the layer's own output", f"{record.residual:.1e}"),
    ]
    if record.num_calls > 1:
        rows.append(
            ("steps", f"joined from {record.num_calls} calls, each begun with the state of the one before")
        )
    if len(record.layer_names) > 1:
        rows.append(("recurrent layers of the model", _layer_names(record)))
    note = "keep is the share of the old memory that stays; 1 - keep is written. Products are per unit."
    if layer.form.zoneout:
        note = "keep is the share of the old memory that stays, zoneout's part with it: p + (1 - p) times the gate."
    elif record.cell == "lstm":
        note = "The forget gate f keeps; the input gate i writes. Products are per unit."
    equations = preformatted("\n".join(formulas_of(layer.form)))
    body = f'{html_table(rows)}{equations}<p class="note">{note}</p>'
    return Chapter("about", "What it is", "", body)


def _layer_names(record: Record) -> str:
    """All recurrent layers of the model, and which of them this page shows."""
    drawn = {layer.name for ways in record.layers for layer in ways}
    shown = [name for name in record.layer_names if any(f"{one} ".startswith(f"{name} ") for one in drawn)]
    text = ", ".join(record.layer_names)
    if len(shown) < len(record.layer_names):
        text += f"; shown here: {', '.join(shown)}, another with layer=NAME"
    return text


def _film(record: Record, context: Context) -> Chapter:
    parts = ['<div id="cell" class="interactive" hidden></div>']
    for depth, way, layer, several in _each(record):
        drawn = film.film(layer, record.tokens[context.row], context.row, prefix=f"film-{depth}-{way}")
        parts.append(heading(layer.title, several) + picture_html(drawn))
    return Chapter("film", "Gate film", film.QUESTION, "\n".join(parts), film.LIMIT)


def _memory(record: Record, context: Context) -> Chapter:
    target, words = asked(record, context)
    name = "the length of the last state, |h|" if words else ""
    if record.cell == "lstm" and (words or record.top.form.layer_norm):
        target, words = _cell_itself(record, context.row)
        name = "the length of the last cell state, |c|"
    memory = attribute(record, target, row=context.row)
    memory = replace(memory, target=name) if name else memory
    drawn, trust = memory_map.memory_map(memory), trust_view(memory)
    lines = [words] if words else []
    lines.append(str(memory).split("\n")[0] + ".")
    lines.append(str(memory).split("\n")[1].capitalize() + ".")
    pick = (
        '<div id="pick" class="interactive" hidden><label>output <select></select></label>'
        '<label>at step <input type="number" step="1"></label><div></div></div>'
    )
    body = paragraphs(lines) + picture_html(drawn) + pick + picture_html(trust)
    limit = f"{memory.note[0].upper()}{memory.note[1:]}. {trust.limit}"
    return Chapter(
        "memory", "What this prediction stands on", "On which past steps does it stand?", body, limit
    )


def _timescales(record: Record, context: Context) -> Chapter:
    scales = {
        layer.name: timescales_with_data(record, depth, way, context.series)
        for depth, way, layer, _ in _each(record)
    }
    lines = [f"{name}: {scale.sentence()}" for name, scale in scales.items()]
    reach = max(scale.longest for scale in scales.values())
    data = next(iter(scales.values())).data
    if np.isfinite(data) and reach < data:
        lines.append(
            f"The longest timescale, {reach:.3g} steps, is shorter than the data's {data:.3g}: start the "
            "keep bias higher (chrono initialisation) or give it longer sequences."
        )
    histogram = timescale.timescale_histogram(scales, int(record.lengths[context.row]))
    ages = [
        heading(layer.title, several)
        + picture_html(age_ribbon.age_ribbon(age_of(layer, context.row), record.tokens[context.row]))
        for depth, way, layer, several in _each(record)
        if depth == len(record.layers) - 1
    ]
    body = picture_html(histogram) + paragraphs(lines) + "".join(ages)
    limit = f"{timescale.LIMIT} {age_ribbon.LIMIT}"
    question = f"{timescale.QUESTION} {age_ribbon.QUESTION}"
    return Chapter("timescales", "Timescales", question, body, limit)


def _saturation(record: Record) -> Chapter:
    parts = []
    for _, _, layer, several in _each(record):
        use = saturation_of(layer)
        advice = "".join(f"<li>{html.escape(line)}</li>" for line in use.advice)
        drawn = picture_html(saturation.saturation_scatter(use))
        parts.append(f'{heading(layer.title, several)}{drawn}<ul class="advice">{advice}</ul>')
    return Chapter("saturation", "Saturation", saturation.QUESTION, "\n".join(parts), saturation.LIMIT)


def _flow(record: Record, context: Context) -> Chapter:
    target, words = asked(record, context)
    drawn = draw(record, "flow", row=context.row, target=target)
    flow = flow_of(record, target, row=context.row)
    lines = [words] if words else []
    reached = flow.half_lag()
    if reached < len(flow.gradient):
        lines.append(f"The gradient has fallen below one half after {reached} step(s) back.")
    else:
        lines.append(f"The gradient stays above one half over all {reached} steps back.")
    if record.cell not in KEEP:
        lines.append(
            f"A {TITLES[record.cell]} has no carry path: nothing is kept by a gate, all is recomputed"
            + (
                f" but for the {record.top.form.zoneout:g} that zoneout keeps."
                if record.top.form.zoneout
                else "."
            )
        )
    return Chapter(
        "flow", "Gradient flow", drawn.question, picture_html(drawn) + paragraphs(lines), drawn.limit
    )


def _stability(record: Record, context: Context) -> Chapter:
    disc = draw(record, "eigenvalues", row=context.row)
    lines = [lyapunov_of(record.top, context.row, 1).sentence() + "."]
    points = fixed_points_of(record.top, context.row, starts=STARTS)
    lines.append(f"Under the mean input: {points.sentence()}.")
    states = record.top.y[context.row, : record.lengths[context.row]].astype(np.float64)
    map_of_states = landscape.landscape(states, record.tokens[context.row], points)
    body = picture_html(disc) + paragraphs(lines) + picture_html(map_of_states)
    question = f"{disc.question} {map_of_states.question}"
    return Chapter("stability", "Stability", question, body, f"{disc.limit} {map_of_states.limit}")
