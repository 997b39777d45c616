"""``report.html`` of a run: one file that needs no network; made from the files of the run folder alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from congru.report.markup import escape, figure, paragraphs, preformatted
from congru.report.page import Section, page
from congru.report.table import html_table
from congru.runtime.folder import called
from congru.train.folder import Metric, read_metrics
from congru.train.wording import duration

# What the metrics of the tasks mean, for a reader who meets them here.
METRICS = {
    "bleu": "how many word sequences of the translation stand in the reference too, of 100.",
    "exact": "the share of sentences with the intent and all slots right.",
    "wer": "the share of words that are wrong, missing or too many.",
    "accuracy": "the share that is right.",
    "bpc": "bits a character: how many yes-or-no questions the model would still have to ask for the next one.",
    "loss": "what training makes smaller.",
    "mae": "the mean absolute error.",
    "mase": "the mean absolute error, as a multiple of that of the simplest forecast on the training data.",
    "mse": "the mean squared error.",
    "nats": "the surprise per step, in natural logarithms: 0.69 is a coin, 0 is certainty.",
    "nats_per_char": "the surprise a character, in natural logarithms: 0.69 is a coin, 0 is certainty.",
    "nats_per_frame": "the surprise a frame, in natural logarithms: 0.69 is a coin, 0 is certainty.",
    "nats_per_note": "the surprise an event, in natural logarithms: 0.69 is a coin, 0 is certainty.",
    "mse_next": "the mean squared error of the next frame.",
    "macro_f1": "the F1 score, the mean over the classes.",
    "nll": "the surprise, -ln of the probability given to what came.",
    "top1": "the share of moves that were the model's first choice.",
}


def _learning(rows: Sequence[Metric], folder: Path) -> str:
    """Whether it was still learning at the end, had levelled off, or had begun to overfit, from its validation values."""
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    curve = [row for row in rows if row.split == "validation" and row.name == status["metric"]]
    if len(curve) < 4:
        return "Too few evaluations to say whether it was still learning."
    sign = 1 if status["minimize"] else -1
    values = [sign * row.value for row in curve]
    best = values.index(min(values))
    gained = max(values[0] - values[best], 1e-12)
    if best == 0:
        return "The validation value was best before training: training did not help."
    if (values[-1] - values[best]) / gained > 0.05:
        return (
            f"It overfits: after step {curve[best].step:,} the validation value gets worse while training goes on. The model"
            " of that step is the one kept."
        )
    if best == len(values) - 1:
        return "The last evaluation is the best: nothing speaks of overfitting, and a longer run may still be better."
    return f"The best came at step {curve[best].step:,}; what followed changed little."


def report_html(folder: Path, sections: Sequence[Section] = ()) -> str:
    """The report of the run in ``folder``, with further ``sections`` after the samples."""
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    return page(
        f"{status['task']}: {called(folder)}",
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
    rows = [(f"model (step {status['best_step']:,})", status["best"]), *status["baselines"].items()]
    spent = (
        f"{status['reason']}: {status['step']:,} steps in {duration(status['seconds'])}, "
        f"{status['num_parameters']:,} parameters."
    )
    best = {status["metric"]: "min" if status["minimize"] else "max"}
    table = html_table(rows, ("", status["metric"]), best=best)
    better = "Less is better." if status["minimize"] else "More is better."
    meaning = f"{METRICS[status['metric']]} {better}" if status["metric"] in METRICS else better
    lines = [status["verdict"], spent, f"What is measured, {status['metric']}: {meaning}"]
    return f"{paragraphs(lines[:1], 'question')}{paragraphs(lines[1:])}\n{table}"


def _plots(folder: Path) -> str:
    words = paragraphs([_learning(read_metrics(folder / "metrics.csv"), folder)])
    chosen = json.loads((folder / "status.json").read_text(encoding="utf-8"))["metric"]
    paths = sorted((folder / "plots").glob("*.svg"), key=lambda path: path.stem != f"validation-{chosen}")
    first, others = paths[:2], paths[2:]
    shown = [figure(path.read_text(encoding="utf-8")) for path in first]
    more = [figure(path.read_text(encoding="utf-8")) for path in others]
    rest = f"<details><summary>{len(more)} more curves</summary>{''.join(more)}</details>" if more else ""
    return words + "\n".join(shown) + rest


def _samples(folder: Path) -> str:
    """The last sample: its text, and the pictures and sounds beside it; the first and the one before it folded."""
    texts = sorted((folder / "samples").glob("step-???????.txt"))
    shown = texts[:1] + texts[-2:] if len(texts) > 3 else texts
    parts = [
        f"<p>After step {int(path.stem.split('-')[1]):,}</p><pre>{escape(path.read_text(encoding='utf-8'))}</pre>"
        + "".join(map(_sample_file, sorted(path.parent.glob(f"{path.stem}-*"))))
        for path in shown
    ]
    if len(parts) < 2:
        return "".join(parts)
    return f"{parts[-1]}<details><summary>Earlier samples</summary>{''.join(parts[:-1])}</details>"


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
    """What was set, and folded away what stands as it comes."""
    lines = (folder / "config.yaml").read_text(encoding="utf-8").splitlines()
    default = [line for line in lines if line.endswith("# default")]
    chosen = [line for line in lines if not line.endswith("# default")]
    rest = preformatted("\n".join(line.removesuffix("# default").rstrip() for line in default))
    return f"{preformatted(chr(10).join(chosen))}<details><summary>{len(default)} as they come</summary>{rest}</details>"


def _pairs(values: dict[str, object]) -> str:
    return html_table([(key.replace("_", " "), _words(value)) for key, value in values.items()])


def _words(value: object) -> str:
    """A value of a JSON file as one reads it; of a file its name, size and the beginning of its checksum.

    >>> _words({"numpy": "2.4", "torch": "2.13"}), _words([{"path": "a.pgn", "sha256": "eed80acc19", "bytes": 12355}])
    ('numpy 2.4, torch 2.13', 'a.pgn (12,355 bytes, SHA-256 eed80acc…)')
    """
    if isinstance(value, dict) and {"path", "sha256", "bytes"} <= value.keys():
        return f"{value['path']} ({value['bytes']:,} bytes, SHA-256 {value['sha256'][:8]}…)"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
