"""What a trace looks like in a notebook: static HTML below 100 kB, no script.

Its text takes the colour of the page around it, so that it can be read on light and on dark pages alike: what
the system prefers says nothing about the page of a notebook.
"""

from __future__ import annotations

import html

import numpy as np
import numpy.typing as npt

from congru.gates.record import Record
from congru.gates.strips import Strip, strips_of, unit_order
from congru.gates.summary import summary_of
from congru.report.colors import color, reach_of
from congru.report.png import data_uri
from congru.report.steps import average, columns_of, tick_labels

MOST_UNITS = 96
MOST_LINES = 8
STYLE = (
    ".congru-trace{font:13px/1.45 system-ui,sans-serif;color:inherit;max-width:900px}"
    ".congru-trace img{width:100%;height:110px;image-rendering:pixelated;display:block}"
    ".congru-trace .soft{opacity:.7}"
    ".congru-trace .axis{position:relative;height:1.5em;font:11px ui-monospace,monospace}"
    ".congru-trace .axis span{position:absolute;white-space:pre}"
    ".congru-trace ul{margin:.3em 0;padding-left:1.2em}"
)


def trace_html(record: Record, row: int = 0) -> str:
    """The top layer's keep gate and state as heat maps over the tokens, what stands out, and the equations' residual."""
    layer = record.top
    strips = [strip for strip in strips_of(layer, row) if strip.key in ("keep", "state")]
    parts = [f"<style>{STYLE}</style>", f"<p><b>{html.escape(repr(record)[1:-1])}</b></p>"]
    order = unit_order(layer)
    parts += [_strip(strip, order) for strip in strips]
    parts.append(_axis([record.tokens[row][step] for step in sorted(layer.order(row))]))
    lines = summary_of(record)
    shown = "".join(f"<li>{html.escape(line)}</li>" for line in lines[:MOST_LINES])
    more = f"<li>and {len(lines) - MOST_LINES} more: trace.summary()</li>" if len(lines) > MOST_LINES else ""
    parts.append(f"<ul>{shown}{more}</ul>")
    parts.append(
        '<p class="soft">Units are sorted by timescale, longest memory on top; a gate says how much passes, not what it '
        "means. All views: trace.report(&quot;report.html&quot;).</p>"
    )
    return f'<div class="congru-trace">{"".join(parts)}</div>'


def _strip(strip: Strip, order: npt.NDArray[np.intp]) -> str:
    columns = columns_of(len(strip.values))
    values = average(strip.values, columns).T[order]
    values = average(values, columns_of(len(values), MOST_UNITS))
    pixels = color(values, strip.signed, reach_of(values) if strip.signed else 1.0)
    scale = "blue negative, orange positive" if strip.signed else "dark 0, yellow 1"
    title = html.escape(strip.title)
    return (
        f'<div>{title} <span class="soft">({scale})</span></div><img alt="{title}" src="{data_uri(pixels)}">'
    )


def _axis(tokens: list[str]) -> str:
    columns_at, texts, _ = tick_labels([token if len(token) < 13 else token[:12] for token in tokens], 100)
    spans = "".join(
        f'<span style="left:{100 * column / len(tokens):.1f}%">{html.escape(text)}</span>'
        for column, text in zip(columns_at, texts)
    )
    return f'<div class="axis soft">{spans}</div>'
