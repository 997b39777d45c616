"""From files to examples for training and validation, names of intents and tags, and swapped slot values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from congru.errors import DataError
from congru.tasks.assistant.examples import Corpus, Example, spans_of
from congru.tasks.assistant.features import Vocabulary
from congru.tasks.assistant.formats import read_corpora, read_corpus
from congru.tasks.assistant.settings import Settings
from congru.tasks.parts import ALL, is_whole, part_to_score, parts_there

NO_INTENT = "(none)"
_TOLD = 8


@dataclass(frozen=True)
class AssistantData:
    """Examples of training and validation, and the names of intents and tags in the order of the outputs."""

    source: str
    train: list[Example]
    validation: list[Example]
    intents: list[str]
    tags: list[str]
    cut_by_blanks: bool
    warnings: list[str]
    min_count: int = 1

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Of the training part."""
        return Vocabulary.of([example.words for example in self.train], self.min_count)

    @cached_property
    def values(self) -> dict[str, list[tuple[str, ...]]]:
        """Slot -> its values in training, as often as they occur."""
        values: dict[str, list[tuple[str, ...]]] = {}
        for example in self.train:
            for slot, begin, end in spans_of(example.tags):
                values.setdefault(slot, []).append(example.words[begin:end])
        return values


def prepare(source: str, settings: Settings) -> AssistantData:
    """Read and split.

    Raises :class:`DataError` where there are fewer than two intents and no slot, or a validation part names what
    training never shows.
    """
    corpora = read_corpora(_part(source, "train"))
    corpus = corpora["train"]
    train, validation = _parts(source, corpora, settings)
    intents = sorted({example.intent or NO_INTENT for example in train})
    slots = sorted({slot for example in train for slot, _, _ in spans_of(example.tags)})
    if len(intents) < 2 and not slots:
        raise DataError(
            f"{source} has one intent ({intents[0]}) and no slot, expected two intents: add another"
        )
    if len({example.text for example in train}) < 2:
        raise DataError(f"{source} leaves one sentence for training, expected at least two: add some")
    tags = ["O", *(f"{kind}-{slot}" for slot in slots for kind in "BI")]
    warnings = list(corpus.warnings)
    if corpus.conflicts:
        warnings.append(
            f"{source}: {len(corpus.conflicts)} sentences stand under two intents, the first: {corpus.conflicts[0]!r}"
        )
    warnings += unknown_labels(validation, intents, tags, "validation")
    return AssistantData(
        source, train, validation, intents, tags, corpus.cut_by_blanks, warnings, settings.min_count
    )


def unknown_labels(
    examples: Sequence[Example], intents: Sequence[str], tags: Sequence[str], part: str
) -> list[str]:
    """One line for the intents and one for the slots that training never showed; they count as mistakes."""
    strange = {example.intent or NO_INTENT for example in examples} - set(intents)
    slots = {tag[2:] for example in examples for tag in example.tags if tag != "O"}
    missing = slots - {tag[2:] for tag in tags}
    return [
        f"{part} has {what} never seen in training: {_some(names)}; they count as mistakes"
        for what, names in (("intents", strange), ("slots", missing))
        if names
    ]


def _some(names: set[str]) -> str:
    """Eight names at most, and how many others there are."""
    told, more = ", ".join(sorted(names)[:_TOLD]), len(names) - _TOLD
    return f"{told} and {more} others" if more > 0 else told


_SHORT = {"train": "train", "validation": "val", "test": "test"}


def read_part(source: str, part: str, share: float) -> tuple[str, Corpus]:
    """The name of a part of a source, see `congru.tasks.parts`, and its examples, by the rule of training.

    Raises :class:`DataError` for a part that the source lacks.
    """
    if part == ALL:
        return part, read_corpus(source)
    folders = {name: _part(source, short) for name, short in _SHORT.items()}
    folders = {name: folder for name, folder in folders.items() if folder != source}
    corpora = {} if folders else read_corpora(source)
    own = [name for name, short in _SHORT.items() if name in folders or short in corpora]
    part = part_to_score(part, parts_there(own), source)
    if is_whole(part, own):
        return part, read_corpus(folders[part]) if folders else corpora[_SHORT[part]]
    corpus = read_corpora(folders["train"])["train"] if folders else corpora["train"]
    rows = split(corpus.examples, share)[part == "validation"]
    return part, Corpus([corpus.examples[row] for row in rows], corpus.cut_by_blanks, corpus.warnings)


def split(examples: Sequence[Example], share: float) -> tuple[list[int], list[int]]:
    """Rows for training and for validation: of every intent the same share, at least one where it has three.

    The same sentence never stands on both sides.
    """
    groups: dict[str | None, list[str]] = {}
    intents = {example.text: example.intent for example in examples}
    for text, intent in intents.items():
        groups.setdefault(intent, []).append(text)
    kept: set[str] = set()
    rng = np.random.default_rng(0)
    for intent in sorted(groups, key=str):
        texts = groups[intent]
        count = max(1, round(share * len(texts))) if len(texts) >= 3 else 0
        kept.update(texts[index] for index in rng.permutation(len(texts))[:count])
    train = [row for row, example in enumerate(examples) if example.text not in kept]
    return train, [row for row, example in enumerate(examples) if example.text in kept]


def swap_values(
    example: Example, values: dict[str, list[tuple[str, ...]]], share: float, rng: np.random.Generator
) -> tuple[list[str], list[str]]:
    """Words and tags with a share of the slot values replaced by other values of their slots."""
    words: list[str] = []
    tags: list[str] = []
    last = 0
    for slot, begin, end in spans_of(example.tags):
        words += example.words[last:begin]
        tags += example.tags[last:begin]
        own = example.words[begin:end]
        if rng.random() < share:
            own = values[slot][int(rng.integers(len(values[slot])))]
        words += own
        tags += [f"B-{slot}", *[f"I-{slot}"] * (len(own) - 1)]
        last = end
    return [*words, *example.words[last:]], [*tags, *example.tags[last:]]


def _parts(
    source: str, corpora: dict[str, Corpus], settings: Settings
) -> tuple[list[Example], list[Example]]:
    corpus = corpora["train"]
    validation_source = _part(source, "val")
    if validation_source != source:
        return corpus.examples, read_corpus(validation_source).examples
    if "val" in corpora:
        return corpus.examples, corpora["val"].examples
    train, validation = split(corpus.examples, settings.validation)
    if not validation or not train:
        raise DataError(
            f"{source} has {len(corpus.examples)} examples, expected three of an intent at least: add some"
        )
    return [corpus.examples[row] for row in train], [corpus.examples[row] for row in validation]


def _part(source: str, name: str) -> str:
    """The subfolder of a part, where the source is a folder that has one."""
    names = {"train": ("train",), "val": ("valid", "val", "dev"), "test": ("test",)}[name]
    return next((str(Path(source) / n) for n in names if (Path(source) / n).is_dir()), source)
