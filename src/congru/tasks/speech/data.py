"""A speech corpus made ready: read, split by speakers, its alphabet and the statistics of its frames.

* Parts as given (a split column, folders or arrays called train, valid, test), else a share of the speakers for validation,
  chosen by the sha256 of their names; where no speaker is known, of the texts, all copies of a text on one side.
* The alphabet is that of the training texts; a validation text with another character is a fault.
* A text that cannot be said in so few steps (CTC needs one per character, two between equal ones) is a fault.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.parts import ALL, is_whole, part_to_score, parts_there
from congru.tasks.speech.front_end import FROM_FILE
from congru.tasks.speech.settings import CorpusSettings, FeatureSettings
from congru.tasks.speech.stages import deviation_of
from congru.tasks.speech.texts import Alphabet, alphabet_of, choose_case
from congru.tasks.speech.transcripts import read_rows
from congru.tasks.speech.utterances import (
    Reading,
    Utterance,
    is_features,
    kind_of,
    rate_of,
    read_utterances,
    speakers_of,
)


@dataclass(frozen=True)
class Corpus:
    """The parts of a corpus; `notes` says what is odd about the utterances, by kind."""

    source: str
    reading: Reading
    alphabet: Alphabet
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    train: list[Utterance]
    validation: list[Utterance]
    num_test: int
    split: str
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """F of a frame."""
        return len(self.mean)


def prepare(source: str, settings: FeatureSettings) -> Corpus:
    """Read and split.

    Raises:
        DataError: nothing usable, or no training or validation utterance is left.
    """
    path = Path(source)
    reading = make_reading(path, settings)
    notes: dict[str, Any] = {}
    utterances = read_utterances(path, reading, notes)
    size = utterances[0].frames.shape[1]
    if reading.kind != FROM_FILE:
        kind_of(path, reading.kind, size)
    held = None if settings.valid is None else read_utterances(settings.valid, reading, notes)
    train, validation, num_test, split = split_parts(utterances, held, settings.validation)
    if not train or not validation:
        raise DataError(
            f"{source} leaves {len(train)} utterances for training and {len(validation)} for validation, expected some"
            " of each: add utterances or speakers, or change --validation"
        )
    alphabet = Alphabet(alphabet_of((one.text for one in train), settings.alphabet or ""))
    train = usable(train, alphabet, settings, notes)
    validation = usable(validation, alphabet, settings, notes)
    if not train or not validation:
        raise DataError(
            f"{source} has no usable utterance for {'validation' if train else 'training'}, expected some:"
            f" {next(iter(notes.values()))}"
        )
    frames = np.concatenate([one.frames for one in train]).astype(np.float64)
    return Corpus(
        source=source,
        reading=reading,
        alphabet=alphabet,
        mean=frames.mean(0),
        deviation=deviation_of(frames),
        train=train,
        validation=validation,
        num_test=num_test,
        split=split,
        notes=notes,
    )


def make_reading(path: Path, settings: FeatureSettings) -> Reading:
    """How a source is read under the settings."""
    kind = kind_of(path, settings.features)
    case = settings.case
    if case == "auto":
        texts = [] if is_features(path) else [row.text for row in read_rows(path)]
        case = "keep" if is_features(path) else choose_case(texts)  # type: ignore[assignment]
    return Reading(
        kind=kind,
        rate_hz=rate_of(path, kind, settings.rate_hz),
        case=case,
        alphabet=settings.alphabet,
        bad=settings.bad,
        speaker=settings.speaker,
    )


def split_parts(
    utterances: Sequence[Utterance], held: list[Utterance] | None, share: float
) -> tuple[list[Utterance], list[Utterance], int, str]:
    """Train, validation, the number of test utterances (left alone), and the rule in words."""
    by_part: dict[str, list[Utterance]] = {"train": [], "validation": [], "test": []}
    for one in utterances:
        by_part[one.part or "train"].append(one)
    train, validation, num_test = by_part["train"], by_part["validation"], len(by_part["test"])
    if held is not None:
        return train + validation, held, num_test, "validation from a source of its own"
    if validation:
        return train, validation, num_test, "as given"
    chosen = chosen_for_validation(train, share)
    what = "speakers" if speakers_of(train) else "texts"
    split = f"{share:.0%} of the {what} for validation, by their sha256"
    kept = [one for one in train if _group(one) not in chosen]
    return kept, [one for one in train if _group(one) in chosen], num_test, split


def _group(utterance: Utterance) -> str:
    return f"s {utterance.speaker}" if utterance.speaker else f"t {utterance.text}"


def chosen_for_validation(utterances: Sequence[Utterance], share: float) -> set[str]:
    """The groups (speakers, else texts) with the smallest sha256, at least one, never all."""
    groups = sorted(
        {_group(one) for one in utterances}, key=lambda name: hashlib.sha256(name.encode()).digest()
    )
    return set(groups[: min(len(groups) - 1, max(1, round(share * len(groups))))])


def usable(
    utterances: Sequence[Utterance], alphabet: Alphabet, settings: FeatureSettings, notes: dict[str, Any]
) -> list[Utterance]:
    """The utterances whose text can be written and fits into their steps; the others stop or are counted."""
    kept, faults = [], []
    for one in utterances:
        missing, steps = alphabet.missing(one.text), -(-len(one.frames) // settings.stack)
        if missing:
            faults.append(f"{one.location} text holds {' '.join(missing)!r}, which no training text does")
        elif steps_needed(one.text) > steps:
            faults.append(f"{one.location} has {steps} steps for a text that needs {steps_needed(one.text)}")
        else:
            kept.append(one)
    if faults and settings.bad == "stop":
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise DataError(
            f"{'; '.join(faults[:3])}{more}, expected another text: correct these, pass --alphabet, a smaller --stack"
            " or --bad skip"
        )
    if faults:
        notes["left out"] = "; ".join(
            filter(None, [notes.get("left out"), f"{len(faults)}: {'; '.join(faults)}"])
        )
    return kept


def steps_needed(text: str) -> int:
    """The fewest steps in which CTC can write a text.

    >>> steps_needed("ALL")
    4
    """
    return len(text) + sum(a == b for a, b in itertools.pairwise(text))


def part_of(
    utterances: Sequence[Utterance], wanted: str, share: float, source: str
) -> tuple[str, list[Utterance]]:
    """A part of a source by its name; where it is not given, by the rule of training; see `congru.tasks.parts`.

    Raises:
        DataError: there is no such part.
    """
    own: dict[str, list[Utterance]] = {}
    for one in utterances:
        own.setdefault(one.part or "train", []).append(one)
    wanted = part_to_score(wanted, parts_there(own), source)
    if wanted == ALL:
        return wanted, list(utterances)
    if is_whole(wanted, own):
        return wanted, own[wanted]
    train, validation, _, _ = split_parts(utterances, None, share)
    chosen = validation if wanted == "validation" else train
    return f"{wanted} by the rule of training", chosen


__all__ = ["Corpus", "CorpusSettings", "part_of", "prepare"]
