"""One offline page about a trace: static views that need no script, and a script that fills in the numbers.

    report(trace, "report.html", title="Shakespeare, 128 units", context={"about": {"data":
    "shakespeare.txt"}})

Everything is inside the file: pictures as SVG, numbers as scaled 16-bit integers, one style, one script. No
request leaves the page.
"""

from __future__ import annotations

import html
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from congru.errors import CongruError
from congru.gates import chapters
from congru.gates.payload import Payload, payload_of
from congru.gates.target import find_output
from congru.gates.trace import Trace

# The page may use what it holds, and fetch nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_HERE = Path(__file__).parent
KNOWN = ("about", "series", "extra", "row", "target")


@dataclass(frozen=True)
class Context:
    """What a task adds to the page.

    about: lines of the first table; series [T, F]: the data whose autocorrelation is the yardstick
    (default: the trace's input); extra: (title, sentence, svg text) chapters put first; row: the row shown;
    target: the output that the memory map explains (a number or a name; default: the largest).
    """

    about: Mapping[str, Any]
    series: Any = None
    extra: Sequence[tuple[str, str, str]] = ()
    row: int = 0
    target: Any = None


def report(
    trace: Trace,
    path: str | os.PathLike[str],
    title: str = "Gates",
    context: Mapping[str, Any] | None = None,
) -> Path:
    """Write the page and return its path; see :class:`Context` for the keys of `context`.

    Raises CongruError for an unknown key, MissingPackageError without matplotlib.
    """
    given = dict(context or {})
    unknown = sorted(set(given) - set(KNOWN))
    if unknown:
        raise CongruError(
            f"context has the key {unknown[0]!r}, expected some of {', '.join(KNOWN)}: remove it"
        )
    told = Context(given.pop("about", {}), **given)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target, page(trace, title, told))
    return target


def page(trace: Trace, title: str, context: Context) -> str:
    """The whole page as text."""
    trace.check_row(context.row)
    written = chapters.every(trace, context)
    links = "".join(f'<a href="#{chapter.key}">{html.escape(chapter.title)}</a>' for chapter in written)
    body = "\n".join(chapter.html() for chapter in written)
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    numbers = json.dumps(_payload(trace, context), ensure_ascii=False, separators=(",", ":")).replace(
        "</", "<\\/"
    )
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<style>\n{style}</style></head>\n<body>\n<h1>{html.escape(title)}</h1>\n<nav>{links}</nav>\n"
        f"{body}\n"
        f'<script type="application/json" id="congru-data">{numbers}</script>\n<script>\n{script}</script>\n'
        "</body></html>\n"
    )


def _payload(trace: Trace, context: Context) -> Payload:
    at = int(trace.lengths[context.row]) - 1
    if trace.readout is None:
        return payload_of(trace, context.row, None, at)
    output, at = find_output(trace, context.target, None, context.row)
    return payload_of(trace, context.row, output, at)


def _write(target: Path, text: str) -> None:
    """Whole or not at all: a temporary file beside the target takes its place."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
