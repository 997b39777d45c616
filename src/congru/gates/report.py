"""One offline page about a trace: static views that need no script, and a script that fills in the numbers.

    report(record, "report.html", title="Shakespeare, 128 units", context={"about": {"data": "shakespeare.txt"}})

Everything is inside the file: pictures as SVG, numbers as scaled 16-bit integers, one style, one script. No request leaves the
page.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from congru.errors import CongruError
from congru.gates import chapters
from congru.gates.context import Context
from congru.gates.findings import findings_of
from congru.gates.payload import Payload, payload_of
from congru.gates.record import Record
from congru.gates.target import find_output
from congru.report.markup import data_block
from congru.report.page import page as offline_page
from congru.runtime.atomic import write_whole

_HERE = Path(__file__).parent
KNOWN = ("about", "series", "extra", "row", "target", "reading")


def report(
    record: Record,
    path: str | os.PathLike[str],
    title: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> Path:
    """Write the page and return its path; title None = "Gates of" what the record is of.

    `context`: see `congru.gates.context.Context` for its keys.

    Raises CongruError for an unknown key, MissingPackageError without matplotlib.
    """
    additions = dict(context or {})
    unknown = sorted(set(additions) - set(KNOWN))
    if unknown:
        raise CongruError(
            f"context has the key {unknown[0]!r}, expected some of {', '.join(KNOWN)}: remove it"
        )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = page(record, title or f"Gates of {record.title}", Context(**{"about": {}, **additions}))
    write_whole(target, text.encode(), sync=False)
    return target


def page(record: Record, title: str, context: Context) -> str:
    """The whole page as text."""
    record.check_row(context.row)
    record, context = in_units(record, context)
    findings = findings_of(record, context)
    *sections, last = [chapter.section() for chapter in chapters.every(record, context, findings)]
    style, script, view = (
        (_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js", "view.js")
    )
    numbers = data_block("congru-data", {**_payload(record, context), "step": findings.reading.step})
    style += findings.reading.style
    last = replace(last, html=f"{last.html}\n{numbers}", script=f"{view}{script}", style=style)
    return offline_page(title, [*sections, last])


def in_units(record: Record, context: Context) -> tuple[Record, Context]:
    """The record with outputs named and in the units of its reading, and the context with its target."""
    reading, readout = context.reading, record.readout
    if reading is None or readout is None:
        return record, context
    if context.target is None:
        context = replace(context, target=reading.target)
    if reading.outputs:
        readout = replace(readout, labels=tuple(reading.outputs))
    if reading.scale is not None:
        scale = np.asarray(reading.scale, np.float64)
        bias = scale * readout.bias + (0.0 if reading.shift is None else reading.shift)
        readout = replace(readout, weight=scale[:, None] * readout.weight, bias=bias)
    return replace(record, readout=readout), context


def _payload(record: Record, context: Context) -> Payload:
    at = int(record.lengths[context.row]) - 1
    if record.readout is None:
        return payload_of(record, context.row, None, at)
    output, at = find_output(record, context.target, None, context.row)
    return payload_of(record, context.row, output, at)
