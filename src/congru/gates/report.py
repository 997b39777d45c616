"""One offline page about a trace: static views that need no script, and a script that fills in the numbers.

    report(record, "report.html", title="Shakespeare, 128 units", context={"about": {"data":
    "shakespeare.txt"}})

Everything is inside the file: pictures as SVG, numbers as scaled 16-bit integers, one style, one script. No
request leaves the page.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from congru.errors import CongruError
from congru.gates import chapters
from congru.gates.context import Context
from congru.gates.payload import Payload, payload_of
from congru.gates.record import Record
from congru.gates.target import find_output
from congru.report.markup import data_block
from congru.report.page import page as offline_page
from congru.runtime.atomic import write_whole

_HERE = Path(__file__).parent
KNOWN = ("about", "series", "extra", "row", "target")


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
    *sections, last = [chapter.section() for chapter in chapters.every(record, context)]
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    numbers = data_block("congru-data", _payload(record, context))
    last = replace(last, html=f"{last.html}\n{numbers}", script=script, style=style)
    return offline_page(title, [*sections, last])


def _payload(record: Record, context: Context) -> Payload:
    at = int(record.lengths[context.row]) - 1
    if record.readout is None:
        return payload_of(record, context.row, None, at)
    output, at = find_output(record, context.target, None, context.row)
    return payload_of(record, context.row, output, at)
