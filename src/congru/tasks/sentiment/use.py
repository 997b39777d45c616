"""What a user does with a classifier, without torch: classes of texts with their words, running probabilities, scores."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.data.files import decode
from congru.errors import DataError
from congru.report.page import Section, page
from congru.report.table import text_table
from congru.runtime import plain_json
from congru.runtime.model import Model
from congru.tasks.class_scores import (
    accuracy_verdict,
    calibration_error,
    confusion,
    confusion_table,
    scores_of,
    scores_with_calibration,
)
from congru.tasks.parts import Part
from congru.tasks.sentiment.attribution import STYLE, Explained, as_html, attribute_text, colored, colorless
from congru.tasks.sentiment.classifier import Classifier
from congru.tasks.sentiment.classifier import reply as reply
from congru.tasks.sentiment.data import as_part, choose_part, drop_empty
from congru.tasks.sentiment.folders import read_parts
from congru.tasks.sentiment.rows import read_bytes

RISING = ("accuracy",)  # scores of which more is better
_BARS = 30


def run(
    model: Path,
    /,
    text: str | None = None,
    *,
    file: Path | None = None,
    stream: bool = False,
    target: str | None = None,
    page_file: Annotated[Path | None, Parameter(name="--page")] = None,
    json_lines: Annotated[bool, Parameter(name="--json", negative=())] = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> int:
    """Say the class of a text, with what every word gives under it.

    Parameters
    ----------
    model:
        A model folder.
    text:
        The text; without it and without --file, lines are read from the standard input.
    file:
        A file with one text a line.
    stream:
        Print the probability after every word; for models trained with --streaming.
    target:
        The class whose evidence is shared out among the words; default: the most probable one.
    page_file:
        Also write the texts with their words as one offline page.
    json_lines:
        Print one JSON object per text.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    classifier = Classifier.load(model, weight_dtype)
    explained = []
    for one in _texts(text, file):
        if stream:
            _stream(classifier, one, json_lines)
            continue
        attribution = attribute_text(classifier, one, target)
        explained.append((one, attribution))
        if json_lines:
            print(plain_json.as_json(as_json(one, attribution)))
        else:
            print((colored if sys.stdout.isatty() else colorless)(attribution) + "\n")
    if page_file is not None:
        write_page(page_file, explained)
        print(f"wrote {page_file}")
    return 0


def _texts(text: str | None, file: Path | None) -> Iterator[str]:
    if text is not None:
        if not text.strip():
            raise DataError("text is empty, expected at least one word: write some")
        yield text
        return
    if file is None:
        lines = iter(sys.stdin)
    else:
        lines = iter(decode(read_bytes(file), file.name)[0].split("\n"))
    yield from (line.strip() for line in lines if line.strip())


def _stream(classifier: Classifier, text: str, json_lines: bool) -> None:
    """One line per step: what it covers, the most probable class, its probability as number and bar."""
    for moment in classifier.stream(text):
        if json_lines:
            known = dict(zip(classifier.classes, moment.probabilities.round(4).tolist()))
            print(plain_json.as_json({"word": moment.piece, "probabilities": known}))
            continue
        best = int(moment.probabilities.argmax())
        p = float(moment.probabilities[best])
        print(f"{moment.piece:<18} {classifier.classes[best]:<12} {p:6.1%} {'#' * round(_BARS * p)}")
    if not json_lines:
        print()


def as_json(text: str, explained: Explained) -> dict[str, Any]:
    """An answer for machines."""
    words = zip(explained.pieces, explained.written.tolist(), explained.counted.tolist())
    return {
        "text": text,
        "class": max(explained.probabilities, key=lambda name: explained.probabilities[name]),
        "probabilities": {name: round(p, 6) for name, p in explained.probabilities.items()},
        "target": explained.target,
        "evidence": explained.evidence,
        "words": [{"word": word, "written": w, "naive_bayes": nb} for word, w, nb in words],
        "start": explained.start,
        "constant": explained.constant,
        "residual": explained.residual,
    }


def write_page(path: Path, explained: list[tuple[str, Explained]]) -> None:
    """One offline page with a section per text."""
    sections = [
        Section(f"{number}. {text[:60]}", as_html(one), style=STYLE, key=f"text-{number}")
        for number, (text, one) in enumerate(explained, 1)
    ]
    path.write_text(page("Texts and their words", sections), encoding="utf-8")


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Part = "auto",
    text_column: str | None = None,
    label_column: str | None = None,
    quiet: bool = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> dict[str, dict[str, float]]:
    """Score labelled texts: accuracy, macro F1, nats and calibration beside naive Bayes and the most frequent class.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A table or folder as for training.
    part:
        auto: the test part where there is one, else the validation part; all: everything, for data that training has not read.
    text_column:
        Column of the text; default: as in training.
    label_column:
        Column of the label; default: as in training.
    quiet:
        Print nothing.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    classifier = Classifier.load(model, weight_dtype)
    config, notes = classifier.config, dict[str, Any]()
    columns = (text_column or config["text_column"], label_column or config["label_column"])
    rows_by_part = {name: drop_empty(rows, notes) for name, rows in read_parts(Path(data), *columns).items()}
    parts = {name: as_part(rows, classifier.rules) for name, rows in rows_by_part.items()}
    name, chosen = choose_part(parts, part, float(config["validation"]), data)
    logits = classifier.logits(chosen.texts)
    counts = np.log(np.array(config["class_counts"]) + 1.0).astype(np.float32)
    rows = {
        "model": {
            **scores_of(logits / classifier.temperature, chosen.labels),
            "calibration": calibration_error(classifier.soften(logits), chosen.labels),
        }
    }
    bayes = classifier.naive_bayes.scores(chosen.texts)
    for title, scores in (
        (f"naive Bayes, {classifier.naive_bayes.kind} grams", bayes),
        ("most frequent class", np.tile(counts, (len(chosen), 1))),
    ):
        rows[title] = scores_with_calibration(scores, chosen.labels)
    if not quiet:
        print(f"{data}, {name}: {len(chosen)} texts")
        for what, words in notes.items():
            print(f"{what}: {words}")
        names = list(rows["model"])
        best = {n: "max" if n in ("accuracy", "macro_f1") else "min" for n in names}
        print(text_table([(t, *(row[n] for n in names)) for t, row in rows.items()], ("", *names), best=best))
        matrix = confusion(logits.argmax(1), chosen.labels, len(classifier.classes))
        print(confusion_table(matrix, classifier.classes))
        print(accuracy_verdict(rows, f"{len(chosen):,} texts"))
    return rows


def inspect_inputs(
    model: Model, source: str | None = None, *, limit: int = 400
) -> tuple[NDArray[np.int64], list[str]]:
    """The steps of a text, or of the first line of a file, as x [1, T] for ``model.run``; a label for each.

    Without ``source`` the first text of the model's stored answer is read.

    Raises:
        DataError: nothing to read.
    """
    encoded = Classifier.of(model).steps.encode(text_of(model, source), limit=limit)
    return encoded.ids[None], encoded.pieces


def text_of(model: Model, source: str | None = None) -> str:
    """A text as given, the first line of a file, or the first text of the model's stored answer."""
    if source is None:
        from congru.runtime.answer import ANSWER
        from congru.runtime.tensors import parse_tensors

        texts = parse_tensors(model.files[ANSWER])["input.texts"].tobytes().decode()
        return str(texts.split("\n")[0])
    return next(iter(_texts(None, Path(source))), "") if os.path.isfile(source) else source
