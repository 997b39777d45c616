"""Labelled texts made ready: read, cleaned, split; with notes on every oddity, counted.

* Rows without a text or a label are left out, so are classes with a single row, and exact repeats in training.
* The same text with two labels stays, and is counted.
* Without validation rows of their own a tenth of each class is kept, chosen by the sha256 of the text: the same rows on
  every machine, and all copies of a text on one side.
* Validation and test rows that stand in train (without case and punctuation) are counted and shown as a warning.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.parts import is_whole, part_to_score, parts_there
from congru.tasks.sentiment.folders import read_parts
from congru.tasks.sentiment.labels import LabelRules, make_rules
from congru.tasks.sentiment.rows import Rows, read_rows
from congru.tasks.sentiment.settings import RowSettings

_SHOWN = 3  # examples in a remark


@dataclass(frozen=True)
class Part:
    """N texts and the numbers of their classes [N]."""

    texts: list[str]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class SentimentData:
    """The parts of a set; `notes` says what is odd about the rows, by kind."""

    source: str
    rules: LabelRules
    train: Part
    validation: Part
    test: Part | None
    split: str
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """The names of the classes in the order of their numbers."""
        return self.rules.classes


def prepare(source: str, settings: RowSettings) -> SentimentData:
    """Read, clean and split.

    Raises:
        DataError: no rows, one class only, or a label in validation or test that training has not seen.
    """
    parts = read_parts(Path(source), settings.text_column, settings.label_column)
    for name in ("validation", "test"):
        path = settings.valid if name == "validation" else settings.test
        if path is not None:
            parts[name] = read_rows(path, settings.text_column, settings.label_column)
    notes: dict[str, Any] = {}
    full = {name: drop_empty(rows, notes) for name, rows in parts.items()}
    train, rules = _classes(full["train"], settings, notes)
    pool = as_part(train, rules)
    remarks = [remark for rows in parts.values() for remark in rows.remarks]
    if remarks:
        notes["files"] = _some(remarks)
    pool = _without_repeats(pool, rules.classes, notes)
    test = as_part(full["test"], rules) if "test" in full else None
    if "validation" in full:
        split, validation = "as given", as_part(full["validation"], rules)
    else:
        pool, validation = split_by_text(pool, settings.validation)
        split = f"{settings.validation:.0%} of each class for validation, by the sha256 of the text"
    _check_parts(source, pool, validation, rules.classes)
    warnings = [
        warning
        for name, part in (("validation", validation), ("test", test))
        if part is not None and (warning := overlap(pool, part, name))
    ]
    if warnings:
        notes["warning"] = "; ".join(warnings)
    return SentimentData(source, rules, pool, validation, test, split, notes)


def drop_empty(rows: Rows, notes: dict[str, Any]) -> Rows:
    """The rows with a text and a label; the others are counted, with their locations.

    Raises:
        DataError: none is left.
    """
    texts = [location for location, text in zip(rows.locations, rows.texts) if not text.strip()]
    labels = [
        location
        for location, text, label in zip(rows.locations, rows.texts, rows.labels)
        if text.strip() and not label
    ]
    for locations, what in ((texts, "no text"), (labels, "no label")):
        if locations:
            notes[f"left out, {what}"] = f"{len(locations)} in {rows.source}: {_some(locations)}"
    keep = [k for k in range(len(rows)) if rows.texts[k].strip() and rows.labels[k]]
    if not keep:
        raise DataError(
            f"{rows.source} has {len(rows)} rows, none with both text and label, expected some: fill them, or name"
            " other columns with --text-column and --label-column"
        )
    return _chosen(rows, keep)


def _chosen(rows: Rows, keep: Sequence[int]) -> Rows:
    locations, texts, labels = ([part[k] for k in keep] for part in (rows.locations, rows.texts, rows.labels))
    return Rows(rows.source, locations, texts, labels, rows.remarks)


def _classes(rows: Rows, settings: RowSettings, notes: dict[str, Any]) -> tuple[Rows, LabelRules]:
    """The classes of the training rows, without those of one row."""
    rules, remarks = make_rules(rows.labels, rows.source, settings.rename, settings.bands)
    if remarks:
        notes["labels"] = _some(remarks, 6)
    names = [rules.class_of(label) for label in rows.labels]
    counts = Counter(names)
    single = [name for name in rules.classes if counts[name] == 1]
    if len(rules.classes) - len(single) < 2:
        shown = ", ".join(f"{name} ({counts[name]} rows)" for name in rules.classes)
        raise DataError(
            f"{rows.source} has only one class with several rows: {shown}; expected at least two: there is nothing"
            " to tell apart, add rows of another class"
        )
    if single:
        notes["left out, class of one row"] = ", ".join(single)
        keep = [k for k, name in enumerate(names) if name not in single]
        rows = _chosen(rows, keep)
    classes = [name for name in rules.classes if name not in single]
    return rows, LabelRules(classes, rules.spelling, rules.bands)


def as_part(rows: Rows, rules: LabelRules) -> Part:
    """Texts and class numbers of rows.

    Raises:
        DataError: a label that training has not seen, by its location.
    """
    numbers = {name: number for number, name in enumerate(rules.classes)}
    labels = np.zeros(len(rows), np.int64)
    for k, label in enumerate(rows.labels):
        name = rules.class_of(label)
        if name is None:
            shown = ", ".join(rules.classes[:8]) + (", ..." if len(rules.classes) > 8 else "")
            raise DataError(
                f"{rows.source} {rows.locations[k]}: label {label!r} was never seen in training, expected one of {shown}:"
                f" fix the row, or pass --rename {label}=CLASS in training"
            )
        labels[k] = numbers[name]
    return Part(rows.texts, labels)


def same_text(text: str) -> str:
    """What two copies of a text share: letters and digits, without case.

    >>> same_text("A film!") == same_text("a  film .")
    True
    """
    key = re.sub(r"[\W_]+", " ", text.lower()).strip()
    return key or " ".join(text.split())


def _without_repeats(part: Part, classes: Sequence[str], notes: dict[str, Any]) -> Part:
    """Each (text, label) once; texts with several labels are counted."""
    first: dict[tuple[str, int], int] = {}
    for k, (text, label) in enumerate(zip(part.texts, part.labels.tolist())):
        first.setdefault((text.strip(), label), k)
    repeats = len(part) - len(first)
    if repeats:
        notes["left out, exact repeats"] = repeats
    times = Counter(text for text, _ in first)
    conflicting = [text for text, count in times.items() if count > 1]
    if conflicting:
        notes["conflicting labels"] = (
            f"{len(conflicting)} texts with more than one label, kept: {conflicting[0][:60]!r}"
        )
    keep = list(first.values())
    return Part([part.texts[k] for k in keep], part.labels[keep])


def split_by_text(part: Part, share: float) -> tuple[Part, Part]:
    """Train and validation: of each class the texts with the smallest sha256, all copies of a text on one side."""
    digests = [hashlib.sha256(same_text(text).encode()).digest() for text in part.texts]
    chosen: set[bytes] = set()
    for label in np.unique(part.labels):
        own = sorted({digests[k] for k in np.flatnonzero(part.labels == label)})
        wanted = max(1, round(share * len(own))) if len(own) > 1 else 0
        chosen.update(own[:wanted])
    held = np.array([digest in chosen for digest in digests])
    parts = [
        Part([part.texts[k] for k in rows], part.labels[rows]) for rows in map(np.flatnonzero, (~held, held))
    ]
    return parts[0], parts[1]


def choose_part(parts: Mapping[str, Part], wanted: str, share: float, source: str) -> tuple[str, Part]:
    """A part of a set by its name, and what it is called; where it is not given, by the rule of training.

    See `congru.tasks.parts` for `wanted`.

    Raises:
        DataError: there is no such part, or no row in it.
    """
    wanted = part_to_score(wanted, parts_there(parts), source)
    if wanted == "all":
        texts = [text for part in parts.values() for text in part.texts]
        chosen = Part(texts, np.concatenate([part.labels for part in parts.values()]))
    elif is_whole(wanted, parts):
        chosen = parts[wanted]
    else:
        chosen = split_by_text(parts["train"], share)[wanted == "validation"]
        wanted += " by the rule of training"
    if not len(chosen):
        raise DataError(f"{source} has no row in its part {wanted}, expected some: pass --part all")
    return wanted, chosen


def _check_parts(source: str, train: Part, validation: Part, classes: Sequence[str]) -> None:
    present = np.unique(train.labels)
    if len(present) < 2 or not len(validation):
        kept = ", ".join(f"{classes[label]} {int((train.labels == label).sum())}" for label in present)
        raise DataError(
            f"{source} leaves {kept or 'no rows'} for training and {len(validation)} rows for validation, expected at"
            " least two classes and one row: add rows, or change --validation"
        )


def overlap(train: Part, other: Part, name: str) -> str:
    """A warning where rows of another part stand in train; empty where none does."""
    known = {same_text(text) for text in train.texts}
    twice = [text for text in other.texts if same_text(text) in known]
    if not twice:
        return ""
    return f"{len(twice)} of {len(other)} {name} rows also stand in train, such as {twice[0][:50]!r}"


def class_counts(part: Part, classes: Sequence[str]) -> str:
    """How many rows each class has, in words."""
    counts = np.bincount(part.labels, minlength=len(classes))
    return ", ".join(f"{name} {count}" for name, count in zip(classes, counts))


def _some(items: Iterable[str], most: int = _SHOWN) -> str:
    listed = list(items)
    more = f", and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more
