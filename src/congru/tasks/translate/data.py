"""From the files of a training to sentences: training pairs, validation sentences with their references, notes.

Without validation files some source sentences are kept, each once with all its translations as references; none of them stays in
training.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from congru.errors import DataError
from congru.tasks.parts import ALL
from congru.tasks.translate.pairs import Pairs, read_pairs
from congru.tasks.translate.settings import PairSettings

_NAMED = 20  # lines that are named one by one


@dataclass(frozen=True)
class Sentences:
    """N source sentences with their references; the first reference is the translation that a loss is taken of."""

    source: list[str]
    references: list[list[str]]

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class TranslateData:
    """What a training reads."""

    files: tuple[str, ...]
    split: str
    train: Pairs
    validation: Sentences
    notes: dict[str, Any] = field(default_factory=dict)


def prepare(files: tuple[Path, ...], settings: PairSettings) -> TranslateData:
    """Read the files and keep some sentences for validation.

    Raises:
        DataError: see `read_pairs`; or too few different source sentences to keep some.
    """
    pairs = read_pairs(files, settings)
    notes = findings(pairs)
    if settings.valid:
        held = read_pairs(tuple(settings.valid), settings)
        known = set(zip(pairs.source, pairs.target))
        repeated = sum(pair in known for pair in zip(held.source, held.target))
        if repeated:
            notes["validation pairs that also stand in training"] = repeated
        split = "validation files of their own"
        return TranslateData(
            tuple(map(str, files)),
            split,
            pairs,
            Sentences(held.source, [[one] for one in held.target]),
            notes,
        )
    train, validation = split_pairs(pairs, settings.validation, settings.max_validation)
    split = f"{len(validation)} source sentences drawn for validation, with all their translations"
    return TranslateData(tuple(map(str, files)), split, train, validation, notes)


def findings(pairs: Pairs) -> dict[str, Any]:
    """What a reader should know of the pairs: left-out lines, copies, repeated pairs, quotes that never close."""
    notes: dict[str, Any] = {}
    if pairs.bad:
        shown = "; ".join(pairs.bad[:_NAMED])
        notes["left out"] = f"{len(pairs.bad)} lines: {shown}{' ...' if len(pairs.bad) > _NAMED else ''}"
    if pairs.remarks:
        notes["reading"] = "; ".join(pairs.remarks)
    seen: set[tuple[str, str]] = set()
    copies, repeated, quotes = [], [], []
    for location, source, target in zip(pairs.locations, pairs.source, pairs.target):
        if source == target:
            copies.append(location)
        if (source, target) in seen:
            repeated.append(location)
        seen.add((source, target))
        if source.count('"') % 2 or target.count('"') % 2:
            quotes.append(location)
    for what, locations in (
        ("translation equal to its source", copies),
        ("pairs that stand there already", repeated),
        ("a quotation mark that never closes", quotes),
    ):
        if locations:
            shown = ", ".join(locations[:_NAMED])
            notes[what] = f"{len(locations)} ({shown}{', ...' if len(locations) > _NAMED else ''})"
    return notes


def sentences_of(pairs: Pairs, part: str, share: float, most: int) -> Sentences:
    """A part of some pairs (see `congru.tasks.parts`): validation as training keeps it, train without that, or all of them."""
    if part == ALL:
        return Sentences(pairs.source, [[one] for one in pairs.target])
    train, held = split_pairs(pairs, share, most)
    return held if part == "validation" else Sentences(train.source, [[one] for one in train.target])


def split_pairs(pairs: Pairs, share: float, most: int) -> tuple[Pairs, Sentences]:
    """Training pairs, and a share of the different source sentences with all their translations; the same at every call.

    Raises:
        DataError: fewer than two different source sentences.
    """
    distinct = list(dict.fromkeys(pairs.source))
    if len(distinct) < 2:
        raise DataError(
            f"{pairs.name} holds {len(distinct)} different source sentence, expected at least 2: add pairs, or pass --valid"
        )
    count = min(max(1, round(len(distinct) * share)), most)
    kept = np.random.default_rng(0).permutation(len(distinct))[:count]
    held: dict[str, list[str]] = {distinct[k]: [] for k in sorted(kept.tolist())}
    train = Pairs(pairs.name, bad=pairs.bad, remarks=pairs.remarks)
    for location, source, target in zip(pairs.locations, pairs.source, pairs.target):
        if source in held:
            held[source].append(target)
        else:
            train.add(location, source, target)
    return train, Sentences(list(held), list(held.values()))
