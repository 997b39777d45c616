"""``report.html`` of a run: one file that needs no network; made from the files of the run folder alone."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from congru.train.wording import duration

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem 1rem .15rem 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: #f5f5f2; padding: .6rem; overflow-x: auto; white-space: pre-wrap; }
.plots svg { width: 100%; max-width: 30rem; height: auto; }
""".strip()


@dataclass(frozen=True)
class Section:
    """A chapter of the report: ``body`` is HTML, already escaped, with nothing fetched from elsewhere."""

    title: str
    body: str


def report_html(folder: Path, sections: Sequence[Section] = ()) -> str:
    """The report of the run in ``folder``, with further ``sections`` after the samples."""
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    title = f"{status['task']}: {folder.name}"
    chapters = [
        Section("Result", _result(status)),
        Section("Curves", _plots(folder)),
        Section("Samples", _samples(folder)),
        *sections,
        Section("What to type next", _next_lines(status)),
        Section("Data", _pairs(json.loads((folder / "data.json").read_text(encoding="utf-8")))),
        Section("Settings", _settings(folder)),
        Section("Made with", _pairs(json.loads((folder / "env.json").read_text(encoding="utf-8")))),
    ]
    body = "\n".join(f"<h2>{escape(c.title)}</h2>\n{c.body}" for c in chapters if c.body)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>\n{_STYLE}\n</style></head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def escape(value: object) -> str:
    """Text that is safe inside HTML.

    >>> escape("<b>")
    '&lt;b&gt;'
    """
    return html.escape(str(value))


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """An HTML table; numbers stand to the right."""
    lines = ["<table>"]
    if header:
        lines.append("<tr>" + "".join(f"<th>{escape(name)}</th>" for name in header) + "</tr>")
    for row in rows:
        cells = (
            f'<td class="number">{cell:.4f}</td>' if isinstance(cell, float) else f"<td>{escape(cell)}</td>"
            for cell in row
        )
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _result(status: dict[str, Any]) -> str:
    rows: list[tuple[object, object]] = [(f"model (step {status['best_step']})", status["best"])]
    rows += list(status["baselines"].items())
    spent = (
        f"{status['reason']}: {status['step']:,} steps in {duration(status['seconds'])}, "
        f"{status['num_parameters']:,} parameters."
    )
    return f"<p>{escape(spent)} {escape(status['verdict'])}</p>\n{table(rows, ('', status['metric']))}"


def _plots(folder: Path) -> str:
    pictures = [path.read_text(encoding="utf-8") for path in sorted((folder / "plots").glob("*.svg"))]
    return "<div class=plots>" + "\n".join(text[text.index("<svg") :] for text in pictures) + "</div>"


def _samples(folder: Path) -> str:
    paths = sorted((folder / "samples").glob("step-*.txt"))
    shown = paths[:1] + paths[-2:] if len(paths) > 3 else paths
    return "\n".join(
        f"<p>{escape(path.stem)}</p><pre>{escape(path.read_text(encoding='utf-8'))}</pre>" for path in shown
    )


def _next_lines(status: dict[str, Any]) -> str:
    return f"<pre>{escape(chr(10).join(status['next']))}</pre>"


def _settings(folder: Path) -> str:
    return f"<pre>{escape((folder / 'config.yaml').read_text(encoding='utf-8'))}</pre>"


def _pairs(values: dict[str, object]) -> str:
    return table((key, json.dumps(value, ensure_ascii=False)) for key, value in values.items())
