"""``report.html`` of a run: one file that needs no network; made from the files of the run folder alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from congru.report.markup import escape, figure
from congru.report.page import Section, page
from congru.report.table import html_table
from congru.train.wording import duration


def report_html(folder: Path, sections: Sequence[Section] = ()) -> str:
    """The report of the run in ``folder``, with further ``sections`` after the samples."""
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    return page(
        f"{status['task']}: {folder.name}",
        [
            Section("Result", _result(status)),
            Section("Curves", _plots(folder)),
            Section("Samples", _samples(folder)),
            *sections,
            Section("What to type next", _next_lines(status)),
            Section("Data", _pairs(json.loads((folder / "data.json").read_text(encoding="utf-8")))),
            Section("Settings", _settings(folder)),
            Section("Made with", _pairs(json.loads((folder / "env.json").read_text(encoding="utf-8")))),
        ],
    )


def _result(status: dict[str, Any]) -> str:
    rows = [(f"model (step {status['best_step']})", status["best"]), *status["baselines"].items()]
    spent = (
        f"{status['reason']}: {status['step']:,} steps in {duration(status['seconds'])}, "
        f"{status['num_parameters']:,} parameters."
    )
    best = {status["metric"]: "min" if status["minimize"] else "max"}
    table = html_table(rows, ("", status["metric"]), best=best)
    return f"<p>{escape(spent)} {escape(status['verdict'])}</p>\n{table}"


def _plots(folder: Path) -> str:
    pictures = [path.read_text(encoding="utf-8") for path in sorted((folder / "plots").glob("*.svg"))]
    return "\n".join(map(figure, pictures))


def _samples(folder: Path) -> str:
    """The first and the last two samples: their text, and the pictures and sounds beside it."""
    texts = sorted((folder / "samples").glob("step-???????.txt"))
    shown = texts[:1] + texts[-2:] if len(texts) > 3 else texts
    return "\n".join(
        f"<p>{escape(path.stem)}</p><pre>{escape(path.read_text(encoding='utf-8'))}</pre>"
        + "".join(map(_sample_file, sorted(path.parent.glob(f"{path.stem}-*"))))
        for path in shown
    )


def _sample_file(path: Path) -> str:
    if path.suffix == ".svg":
        return figure(path.read_text(encoding="utf-8"))
    if path.suffix == ".wav":
        sound = base64.b64encode(path.read_bytes()).decode("ascii")
        return f'<audio controls src="data:audio/wav;base64,{sound}"></audio>'
    return f"<p>samples/{escape(path.name)}</p>"


def _next_lines(status: dict[str, Any]) -> str:
    return f"<pre>{escape(chr(10).join(status['next']))}</pre>"


def _settings(folder: Path) -> str:
    return f"<pre>{escape((folder / 'config.yaml').read_text(encoding='utf-8'))}</pre>"


def _pairs(values: dict[str, object]) -> str:
    return html_table([(key, json.dumps(value, ensure_ascii=False)) for key, value in values.items()])
