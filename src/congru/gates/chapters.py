"""The chapters of the report, in the order one reads them; each has a question, pictures, and the limit of
its reading.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from congru.gates.chapter import Chapter, figure_html, heading, paragraphs, picture_html, table_html
from congru.gates.equations import KEEP, TITLES
from congru.gates.layer import Layer
from congru.gates.pictures import age_ribbon, film, landscape, memory_map, saturation, timescale
from congru.gates.pictures.trust import trust_view
from congru.gates.pictures.views import draw
from congru.gates.target import top_states
from congru.gates.trace import Trace

if TYPE_CHECKING:
    from congru.gates.report import Context

EQUATIONS = {
    "gru": "r = sigmoid(W_r x + b_ir + U_r h + b_hr)            reset\n"
    "z = sigmoid(W_z x + b_iz + U_z h + b_hz)            keep\n"
    "n = tanh   (W_n x + b_in + r * (U_n h + b_hn))      candidate\n"
    "h' = (1 - z) * n + z * h                            new state",
    "lstm": "i, f, o = sigmoid(W x + b_i + U h + b_h)   input, keep (forget), output\n"
    "g = tanh(W_g x + b_ig + U_g h + b_hg)      candidate\n"
    "c' = f * c + i * g                         cell\n"
    "h' = o * tanh(c')                          new state",
    "rnn": "h' = tanh(W x + b_i + U h + b_h)            nothing is kept by a gate",
    "rnn_relu": "h' = relu(W x + b_i + U h + b_h)            nothing is kept by a gate",
    "mingru": "z = sigmoid(W_z x + b_z)     keep, from the input alone\n"
    "n = g(W_n x + b_n)           candidate, g(a) = a + 0.5 if a >= 0 else sigmoid(a)\n"
    "h' = (1 - z) * n + z * h     new state",
}
BEFORE = "n = tanh   (W_n x + b_in + U_n (r * h) + b_hn)      candidate, reset before"
STARTS = 16  # of the search for fixed points


def every(trace: Trace, context: Context) -> list[Chapter]:
    """All chapters this trace allows."""
    written = [_about(trace, context)]
    for number, (title, sentence, svg) in enumerate(context.extra):
        written.append(Chapter(f"extra{number}", title, sentence, figure_html(svg)))
    written.append(_film(trace, context))
    if trace.cell in KEEP:
        written.append(_memory(trace, context))
        written.append(_timescales(trace, context))
    written.append(_saturation(trace))
    written.append(_flow(trace, context))
    written.append(_stability(trace, context))
    return written


def asked(trace: Trace, context: Context) -> tuple[Any, str]:
    """The target that memory map and gradient flow explain, and a sentence where it is not an output of the
    model.

    Without a linear read-out the last state itself is explained: u = h_T / |h_T|, so that u . h_T = |h_T|.
    """
    if trace.readout is not None:
        return context.target, ""
    last = top_states(trace, context.row)[trace.lengths[context.row] - 1]
    words = (
        "No linear read-out was found between these states and the model's output, so this explains the "
        "last state itself: its length |h|. It is exact for the state, not for what later layers make of it."
    )
    return last / max(float(np.linalg.norm(last)), 1e-12), words


def _each(trace: Trace) -> Iterator[tuple[int, int, Layer, bool]]:
    """(depth, direction, layer, whether there are several), bottom up."""
    several = trace.shape[0] * trace.shape[1] > 1
    for depth, ways in enumerate(trace.layers):
        for way, layer in enumerate(ways):
            yield depth, way, layer, several


def _about(trace: Trace, context: Context) -> Chapter:
    depth, ways, batch, steps, hidden = trace.shape
    layer = trace.layers[0][0]
    rows = [
        *((str(name), value) for name, value in context.about.items()),
        ("model", trace.title),
        ("layers shown", f"{depth} x {ways} {TITLES[trace.cell]} of {hidden} units"),
        ("input", f"{batch} row(s), {steps} steps of {layer.x.shape[2]} features"),
        ("shown", f"row {context.row}, {trace.lengths[context.row]} steps"),
        ("how far the equations miss the layer's own output", f"{trace.residual:.1e}"),
    ]
    if len(trace.found) > 1:
        rows.append(("recurrent layers found", ", ".join(trace.found)))
    text = EQUATIONS[trace.cell]
    if layer.reset_before:
        lines = text.split("\n")
        text = "\n".join([*lines[:2], BEFORE, lines[3]])
    note = "keep is the share of the old memory that stays; 1 - keep is written. Products are per unit."
    if trace.cell == "lstm":
        note = "The forget gate f keeps; the input gate i writes. Products are per unit."
    body = f'{table_html(rows)}<pre>{html.escape(text)}</pre><p class="note">{note}</p>'
    return Chapter("about", "What it is", "", body)


def _film(trace: Trace, context: Context) -> Chapter:
    parts = ['<div id="cell" class="interactive" hidden></div>']
    for depth, way, layer, several in _each(trace):
        drawn = film.film(layer, trace.tokens[context.row], context.row, prefix=f"film-{depth}-{way}")
        parts.append(heading(layer.title, several) + picture_html(drawn))
    return Chapter("film", "Gate film", film.QUESTION, "\n".join(parts), film.LIMIT)


def _memory(trace: Trace, context: Context) -> Chapter:
    target, words = asked(trace, context)
    memory = trace.memory(target, row=context.row, on="cell" if trace.cell == "lstm" else "state")
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


def _timescales(trace: Trace, context: Context) -> Chapter:
    scales = {
        layer.name: trace.timescales(layer=depth, direction=way, series=context.series)
        for depth, way, layer, _ in _each(trace)
    }
    lines = [f"{name}: {scale.sentence()}" for name, scale in scales.items()]
    reach = max(scale.longest for scale in scales.values())
    data = next(iter(scales.values())).data
    if np.isfinite(data) and reach < data:
        lines.append(
            f"The longest timescale, {reach:.3g} steps, is shorter than the data's {data:.3g}: start the "
            "keep bias higher (chrono initialisation) or give it longer sequences."
        )
    histogram = timescale.timescale_histogram(scales, int(trace.lengths[context.row]))
    ages = [
        heading(layer.title, several)
        + picture_html(
            age_ribbon.age_ribbon(
                trace.age(layer=depth, direction=way, row=context.row), trace.tokens[context.row]
            )
        )
        for depth, way, layer, several in _each(trace)
        if depth == len(trace.layers) - 1
    ]
    body = picture_html(histogram) + paragraphs(lines) + "".join(ages)
    limit = f"{timescale.LIMIT} {age_ribbon.LIMIT}"
    question = f"{timescale.QUESTION} {age_ribbon.QUESTION}"
    return Chapter("timescales", "Timescales", question, body, limit)


def _saturation(trace: Trace) -> Chapter:
    parts = []
    for depth, way, layer, several in _each(trace):
        use = trace.saturation(layer=depth, direction=way)
        advice = "".join(f"<li>{html.escape(line)}</li>" for line in use.advice)
        drawn = picture_html(saturation.saturation_scatter(use))
        parts.append(f'{heading(layer.title, several)}{drawn}<ul class="advice">{advice}</ul>')
    return Chapter("saturation", "Saturation", saturation.QUESTION, "\n".join(parts), saturation.LIMIT)


def _flow(trace: Trace, context: Context) -> Chapter:
    target, words = asked(trace, context)
    drawn = draw(trace, "flow", row=context.row, target=target)
    flow = trace.gradient_flow(target, row=context.row)
    lines = [words] if words else []
    reached = flow.half_lag()
    if reached < len(flow.gradient):
        lines.append(f"The gradient has fallen below one half after {reached} step(s) back.")
    else:
        lines.append(f"The gradient stays above one half over all {reached} steps back.")
    if trace.cell not in KEEP:
        lines.append(
            f"A {TITLES[trace.cell]} has no carry path: nothing is kept by a gate, all is recomputed."
        )
    return Chapter(
        "flow", "Gradient flow", drawn.question, picture_html(drawn) + paragraphs(lines), drawn.limit
    )


def _stability(trace: Trace, context: Context) -> Chapter:
    disc = draw(trace, "eigenvalues", row=context.row)
    lines = [trace.lyapunov(1, row=context.row).sentence() + "."]
    points = trace.fixed_points(row=context.row, starts=STARTS)
    lines.append(f"Under the mean input: {points.sentence()}.")
    states = trace.top.y[context.row, : trace.lengths[context.row]].astype(np.float64)
    places = landscape.landscape(states, trace.tokens[context.row], points)
    body = picture_html(disc) + paragraphs(lines) + picture_html(places)
    question = f"{disc.question} {places.question}"
    return Chapter("stability", "Stability", question, body, f"{disc.limit} {places.limit}")
