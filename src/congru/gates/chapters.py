"""The chapters of the report, in the order one reads them; each has a question, pictures, and the limit of its reading."""

from __future__ import annotations

import html
from collections.abc import Iterator

import numpy as np

from congru.gates.age import age_of
from congru.gates.chapter import Chapter, heading, picture_html
from congru.gates.context import Context
from congru.gates.dynamics import fixed_points_of, lyapunov_of
from congru.gates.findings import Findings
from congru.gates.form import KEEP, TITLES
from congru.gates.formulas import formulas_of
from congru.gates.inputview import input_view
from congru.gates.layer import Layer
from congru.gates.opening import opening
from congru.gates.pictures import (
    age_ribbon,
    film,
    gradient_flow,
    landscape,
    memory_map,
    saturation,
    timescale,
)
from congru.gates.pictures.trust import trust_view
from congru.gates.pictures.views import draw
from congru.gates.record import Record
from congru.gates.saturation import saturation_of
from congru.gates.sensitivity import trust_sentence
from congru.gates.summary import timescales_with_data
from congru.gates.terms import explained
from congru.report.markup import escape, figure, paragraphs, preformatted
from congru.report.table import html_table

_DIRECTIONS = {1: "in one direction", 2: "in both directions"}
STARTS = 16  # of the search for fixed points
FEWEST = 3  # dots or steps that make a picture; fewer are told in words


def every(record: Record, context: Context, findings: Findings) -> list[Chapter]:
    """All chapters this record allows."""
    written = [_summary(record, findings), _view(record, context, findings)]
    for number, (title, sentence, svg) in enumerate(context.extra):
        written.append(Chapter(f"extra{number}", title, sentence, figure(svg)))
    if findings.memory is not None:
        written.append(_memory(record, findings))
    written.append(_film(record, context, findings))
    if record.cell in KEEP:
        written.append(_timescales(record, context, findings))
    written.append(_saturation(record, findings))
    written.append(_flow(record, findings))
    written.append(_stability(record, context, findings))
    written.append(_about(record, context, findings))
    return written


def _summary(record: Record, findings: Findings) -> Chapter:
    lines = opening(
        record,
        findings.reading,
        findings.scales,
        findings.choice,
        findings.memory,
        findings.flow,
        not findings.words,
    )
    return Chapter("summary", "In three sentences", "", f'<div class="lead">{paragraphs(lines)}</div>')


def _view(record: Record, context: Context, findings: Findings) -> Chapter:
    reading, length = findings.reading, int(record.lengths[context.row])
    question = f"Which {reading.steps} does the prediction stand on?"
    colored = findings.choice is not None and findings.choice.shares is not None
    limit = (
        f"A colour means written at that {reading.step}, not caused by it: what is written already holds"
        " what was read before."
    )
    body = input_view(reading, findings.predictions, length)
    return Chapter("view", "What it read", question if colored else "", body, limit if colored else "")


def _each(record: Record) -> Iterator[tuple[int, int, Layer, bool]]:
    """(depth, direction, layer, whether there are several), bottom up."""
    several = record.shape[0] * record.shape[1] > 1
    for depth, ways in enumerate(record.layers):
        for way, layer in enumerate(ways):
            yield depth, way, layer, several


def _about(record: Record, context: Context, findings: Findings) -> Chapter:
    depth, ways, batch, _, hidden = record.shape
    layer, reading = record.layers[0][0], findings.reading
    length = int(record.lengths[context.row])
    rows = [
        *((str(name), str(value)) for name, value in context.about.items()),
        *reading.about,
        ("model", record.title),
        ("layers shown", f"{depth}, {_DIRECTIONS[ways]}: {layer.form.title} of {hidden} units"),
        ("input", f"{reading.count(length)} of {layer.x.shape[2]} numbers each"),
        *([("shown", f"row {context.row} of {batch}, {reading.count(length)}")] if batch > 1 else []),
        ("how far the equations miss the layer's own output", f"{record.residual:.1e}"),
    ]
    if record.num_calls > 1:
        rows.append(
            (
                reading.steps,
                f"joined from {record.num_calls} calls, each begun with the state of the one before",
            )
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


def _film(record: Record, context: Context, findings: Findings) -> Chapter:
    reading = findings.reading
    names = {"gru": ("keep", "reset"), "lstm": ("lstm",), "mingru": ("keep",)}.get(record.cell, ("rnn",))
    parts = [paragraphs([explained(name, reading) for name in names], "term")]
    parts.append('<div id="cell" class="interactive" hidden></div>')
    for depth, way, layer, several in _each(record):
        drawn = film.film(
            layer, record.tokens[context.row], context.row, prefix=f"film-{depth}-{way}", steps=reading.steps
        )
        parts.append(heading(layer.title, several) + picture_html(drawn))
    return Chapter("film", "Gate film", film.QUESTION, "\n".join(parts), film.LIMIT)


def _memory(record: Record, findings: Findings) -> Chapter:
    memory, reading = findings.memory, findings.reading
    assert memory is not None
    drawn = memory_map.memory_map(memory, steps=reading.steps)
    lines = [findings.words] if findings.words else []
    if not findings.words:
        lines.append(explained("share", reading))
    choice = findings.choice
    if not findings.words and choice is not None and choice.shares is None and choice.name != memory.target:
        lines.append(
            f"Explained here is the output “{memory_map.name_of(memory.target).strip('“”')}” after"
            f" “{reading.tokens[memory.at]}”, which is such a sum."
        )
    lines.append(
        f"In numbers, {memory_map.name_of(memory.target)}: {memory.output:+.4f} = {memory.contributions.sum():+.4f} written "
        f"{memory.start:+.4f} from the start {memory.bias:+.4f} constant (off by {memory.residual:.1e})."
    )
    lines.append(explained("trust", reading))
    lines.append(f"Here it is {memory.share:.2f} on average: {trust_sentence(memory.share)}.")
    pick = (
        '<div id="pick" class="interactive" hidden><label>prediction <select></select></label>'
        f'<label>after {escape(reading.step)} <input type="number" step="1"></label><div></div></div>'
    )
    body = paragraphs(lines) + picture_html(drawn) + pick
    limit = f"{memory.note[0].upper()}{memory.note[1:]}."
    if np.isfinite(memory.trust).sum() >= FEWEST:
        trust = trust_view(memory, step=reading.step, steps=reading.steps)
        body += picture_html(trust)
        limit = f"{limit} {trust.limit}"
    title = "What the last memory stands on" if findings.words else "What this prediction stands on"
    return Chapter("memory", title, "How much of it was written when?", body, limit)


def _timescales(record: Record, context: Context, findings: Findings) -> Chapter:
    reading = findings.reading
    scales = {
        layer.title: timescales_with_data(record, depth, way, context.series)
        for depth, way, layer, _ in _each(record)
    }
    lines = [f"{name}: {scale.sentence(reading.steps)}" for name, scale in scales.items()]
    reach = max(scale.longest for scale in scales.values())
    data = next(iter(scales.values())).data
    if np.isfinite(data) and reach < data:
        lines.append(
            f"The longest timescale, {reach:.3g} {reading.steps}, is shorter than the data's {data:.3g}: start the "
            "keep bias higher (chrono initialisation) or give it longer sequences."
        )
    histogram = timescale.timescale_histogram(scales, int(record.lengths[context.row]), steps=reading.steps)
    body = paragraphs([explained("timescale", reading)], "term") + picture_html(histogram) + paragraphs(lines)
    limit, question = timescale.LIMIT, timescale.QUESTION
    if record.lengths[context.row] >= FEWEST:
        body += paragraphs([explained("age", reading)], "term")
        for depth, _, layer, several in _each(record):
            if depth == len(record.layers) - 1:
                ribbon = age_ribbon.age_ribbon(
                    age_of(layer, context.row), record.tokens[context.row], steps=reading.steps
                )
                body += heading(layer.title, several) + picture_html(ribbon)
        limit, question = f"{limit} {age_ribbon.LIMIT}", f"{question} {age_ribbon.QUESTION}"
    return Chapter("timescales", "Timescales", question, body, limit)


def _saturation(record: Record, findings: Findings) -> Chapter:
    parts = [paragraphs([explained("saturation", findings.reading)], "term")]
    for _, _, layer, several in _each(record):
        use = saturation_of(layer)
        moving = saturation.moving_gates(use)
        between = [
            f"{saturation.title_of(gate)}: between its ends in all {layer.hidden_size} units, at nearly every "
            f"{findings.reading.step}"
            for gate in use.gates.values()
            if not any(gate is one for one in moving)
        ]
        advice = "".join(f"<li>{html.escape(line)}</li>" for line in [*use.advice, *between])
        drawn = (
            picture_html(saturation.saturation_scatter(use, steps=findings.reading.steps))
            if layer.hidden_size >= FEWEST and (moving or use.correlation is not None)
            else ""
        )
        parts.append(f'{heading(layer.title, several)}{drawn}<ul class="advice">{advice}</ul>')
    return Chapter("saturation", "Saturation", saturation.QUESTION, "\n".join(parts), saturation.LIMIT)


def _flow(record: Record, findings: Findings) -> Chapter:
    flow, reading = findings.flow, findings.reading
    lines = [findings.flow_words] if findings.flow_words else []
    reached = flow.half_lag()
    if reached < len(flow.gradient):
        lines.append(f"The gradient has fallen below one half after {reading.count(reached)} back.")
    else:
        lines.append(f"The gradient stays above one half over all {reading.count(reached)} back.")
    if record.cell not in KEEP:
        lines.append(
            f"A {TITLES[record.cell]} has no carry path: nothing is kept by a gate, all is recomputed"
            + (
                f" but for the {record.top.form.zoneout:g} that zoneout keeps."
                if record.top.form.zoneout
                else "."
            )
        )
    body = paragraphs([explained("flow", reading)], "term")
    if len(flow.lag) >= FEWEST:
        body += picture_html(gradient_flow.gradient_flow({record.top.title: flow}, steps=reading.steps))
    return Chapter(
        "flow", "Gradient flow", gradient_flow.QUESTION, body + paragraphs(lines), gradient_flow.LIMIT
    )


def _stability(record: Record, context: Context, findings: Findings) -> Chapter:
    reading, length = findings.reading, int(record.lengths[context.row])
    lines = [lyapunov_of(record.top, context.row, 1).sentence(reading.step, reading.steps) + "."]
    points = fixed_points_of(record.top, context.row, starts=STARTS)
    lines.append(f"Under the mean input: {points.sentence()}.")
    body, question, limit = (
        paragraphs([explained("stability", reading)], "term"),
        "Does it forget, hold, or grow wild?",
        "",
    )
    if length >= FEWEST:
        disc = draw(record, "eigenvalues", row=context.row, steps=reading.steps)
        states = record.top.y[context.row, :length].astype(np.float64)
        path = landscape.landscape(states, record.tokens[context.row], points, step=reading.step)
        body += picture_html(disc) + paragraphs(lines)
        body += paragraphs([explained("landscape", reading)], "term") + picture_html(path)
        question, limit = f"{disc.question} {path.question}", f"{disc.limit} {path.limit}"
    else:
        body += paragraphs(lines)
    return Chapter("stability", "Stability", question, body, limit)
