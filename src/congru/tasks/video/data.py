"""Labelled clips made ready: listed, read, split; with notes on what is odd about them, counted.

* Clips that cannot be used stop the training with one line; with --bad skip they are left out and counted.
* Groups (people) named by --leave-out are kept for the test. Validation clips are a part where there is one, else whole
  groups where the table has groups, else a share of each class, chosen by the sha256 of the name: the same on every machine.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.parts import ALL, part_to_score
from congru.tasks.video.clips import Clip, ClipSet, ReadReport, load_clips, some
from congru.tasks.video.frames import Look
from congru.tasks.video.listing import Entry, Listing, list_clips
from congru.tasks.video.moving_digits import CLASSES, DigitClips
from congru.tasks.video.settings import ClipSettings, FrameSettings, PictureSettings


class Clips(Protocol):
    """N labelled clips: of files, or made (`moving_digits`)."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The numbers of their classes [N]."""
        ...

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many frames each has [N]."""
        ...

    def __len__(self) -> int: ...

    def clip(self, row: int, draw: int = 0) -> Clip:
        """Clip `row`; `draw` chooses one where clips are made."""
        ...


@dataclass(frozen=True)
class VideoData:
    """The parts of a set; `notes` says what is odd about the clips, by kind."""

    source: str
    classes: list[str]
    train: Clips
    validation: Clips
    shape: tuple[int, ...]
    split: str
    test: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


def look_of(settings: PictureSettings) -> Look:
    """How the settings have pictures read."""
    return Look(
        settings.height,
        settings.width,
        settings.color,
        settings.rate,
        settings.max_frames,
        settings.figure,
    )


def prepare(source: str, settings: FrameSettings) -> VideoData:
    """List, read and split.

    Raises:
        DataError: clips that cannot be used (unless they are skipped), fewer than two classes, nothing for validation.
    """
    if settings.moving_digits is not None:
        return _made(source, settings.moving_digits, settings)
    labelled = settings.predict == "class"
    listing = list_clips(source, labelled=labelled)
    parts = dict(listing.parts)
    left_out = _leave_out(parts, settings, source)
    test = parts.pop("test", [])
    report, notes = ReadReport(list(listing.faults)), dict[str, Any]()
    entries = [entry for part in parts.values() for entry in part]
    part_of = {id(entry): name for name, part in parts.items() for entry in part}
    good, clips, lengths = load_clips(
        entries,
        look_of(settings),
        processes=settings.decoders,
        memory_bytes=settings.memory_mb * 2**20,
        report=report,
    )
    add_notes(report, notes, len(entries) + len(listing.faults), settings.bad, source)
    chosen = [part_of[id(entry)] for entry in good]
    rule = "as given"
    if "validation" not in parts and parts.get("train"):
        chosen, rule = split(good, settings.validation, settings.fold)
    if left_out:
        rule += f"; {', '.join(left_out)} left out for the test"
    classes = sorted({entry.label for entry in good}, key=_label_key)
    whole = as_set(good, clips, lengths, classes, look_of(settings))
    rows = {name: [k for k, part in enumerate(chosen) if part == name] for name in ("train", "validation")}
    _check(source, whole, rows, classes, least=2 if labelled else 1)
    shape = tuple(whole.clip(0).shape[1:])
    return VideoData(
        source,
        classes,
        whole.chosen(rows["train"]),
        whole.chosen(rows["validation"]),
        shape,
        rule,
        f"{len(test)} clips, not looked at" if test else "",
        notes,
    )


def _made(source: str, kind: str, settings: PictureSettings) -> VideoData:
    """Clips of moving digits: new ones every epoch to train on, fixed ones of other digits for validation."""
    look = look_of(settings)
    counts = {"train": settings.made_clips, "validation": max(2, settings.made_clips // 8)}
    made = {part: DigitClips(Path(source), kind, part, count, look) for part, count in counts.items()}
    rule = "8 of 10 pictures of digits to train, 1 to validate, 1 to test; training clips are new every epoch"
    return VideoData(source, list(CLASSES[kind]), made["train"], made["validation"], look.shape, rule)


def _leave_out(parts: dict[str, list[Entry]], settings: ClipSettings, source: str) -> tuple[str, ...]:
    """Move the clips of the groups that are left out to the test part."""
    if not settings.leave_out:
        return ()
    groups = {entry.group for part in parts.values() for entry in part} - {""}
    for name in settings.leave_out:
        if name not in groups:
            raise DataError(
                f"leave_out is {name!r}, expected a group of {source}: {', '.join(sorted(groups)) or 'it has none'}"
            )
    for name in ("train", "validation"):
        for entry in [entry for entry in parts.get(name, []) if entry.group in settings.leave_out]:
            parts[name].remove(entry)
            parts.setdefault("test", []).append(entry)
    return settings.leave_out


def add_notes(report: ReadReport, notes: dict[str, Any], total: int, bad: str, source: str) -> None:
    """Write the report into notes; raise where clips are bad and not to be skipped."""
    if report.bad and bad == "stop":
        raise DataError(
            f"{source}: {len(report.bad)} of {total} clips cannot be used ({some(report.bad)}): mend them, or pass --bad skip"
        )
    if report.bad:
        notes["left out"] = f"{len(report.bad)} of {total} clips: {some(report.bad)}"
    if report.cut:
        notes["cut"] = f"{report.cut} clips are longer than max_frames"
    if report.damaged:
        notes["damaged"] = some(report.damaged)
    if len(report.sizes) > 1:
        low, high = (f"{columns} x {rows}" for rows, columns in (min(report.sizes), max(report.sizes)))
        notes["sizes"] = (
            f"{len(report.sizes)} of pictures, {low} to {high}; all are scaled with their proportions"
        )
    if report.uneven:
        notes["uneven times"] = f"{some(report.uneven)} between frames; --rate takes frames by their times"
    if report.not_kept:
        notes["memory"] = (
            f"{report.not_kept} clips exceed memory_mb and are decoded anew each time; --workers helps"
        )


def split(entries: Sequence[Entry], share: float, fold: int) -> tuple[list[str], str]:
    """ "train" or "validation" for every clip, and the rule in words."""
    groups = sorted({entry.group for entry in entries} - {""}, key=_hash)
    if len(groups) >= 2:
        size = max(1, round(share * len(groups)))
        kept = {groups[(fold * size + k) % len(groups)] for k in range(size)}
        words = f"{', '.join(sorted(kept))} of {len(groups)} groups for validation"
        return ["validation" if entry.group in kept else "train" for entry in entries], words
    parts = ["train"] * len(entries)
    for label in {entry.label for entry in entries}:
        rows = sorted(
            (row for row, entry in enumerate(entries) if entry.label == label),
            key=lambda row: _hash(entries[row].location),
        )
        size = max(1, round(share * len(rows))) if len(rows) > 1 else 0
        for k in range(size):
            parts[rows[(fold * size + k) % len(rows)]] = "validation"
    return parts, f"{share:.0%} of each class for validation, by the sha256 of the name"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _label_key(label: str) -> tuple[float, str]:
    """Numbers by size, then names."""
    return (float(label), "") if label.isdigit() else (float("inf"), label)


def as_set(
    entries: list[Entry],
    clips: Sequence[Clip | None],
    lengths: Sequence[int],
    classes: Sequence[str],
    look: Look,
) -> ClipSet:
    """Clips with the numbers of their classes.

    Raises:
        DataError: a label that is no class.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    for entry in entries:
        if entry.label not in numbers:
            raise DataError(
                f"{entry.location} has the label {entry.label!r}, expected one of {', '.join(classes[:8])}: it was never learnt"
            )
    kept = {row: clip for row, clip in enumerate(clips) if clip is not None}
    labels = np.array([numbers[entry.label] for entry in entries], np.int64)
    return ClipSet(list(entries), labels, np.array(lengths, np.int64), kept, look)


def _check(
    source: str, whole: ClipSet, rows: Mapping[str, Sequence[int]], classes: Sequence[str], least: int
) -> None:
    counts = Counter(whole.labels[np.array(rows["train"], np.int64)].tolist())
    if len(counts) < least or not rows["validation"]:
        shown = (
            ", ".join(f"{classes[label]} {count}" for label, count in sorted(counts.items())) or "no clips"
        )
        raise DataError(
            f"{source} leaves {shown} for training and {len(rows['validation'])} clips for validation, expected at"
            " least two classes and one clip: add clips"
        )


def class_counts(labels: NDArray[np.int64], classes: Sequence[str]) -> str:
    """How many clips each class has, in words.

    >>> class_counts(np.array([0, 1, 1]), ["walk", "run"])
    'walk 1, run 2'
    """
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    listed = ", ".join(f"{name} {count}" for name, count in list(zip(classes, counts))[:12])
    return listed + (f", .. ({len(classes)} classes)" if len(classes) > 12 else "")


def chosen_part(listing: Listing, part: str, config: Mapping[str, Any]) -> tuple[str, list[Entry]]:
    """The clips of a part, see `congru.tasks.parts`; those of groups that training left out belong to the test part.

    Raises:
        DataError: a part that is not there.
    """
    parts, leave_out = dict(listing.parts), tuple(config["leave_out"])
    held = [entry for entry in listing.entries if entry.group and entry.group in leave_out]
    if held:
        parts = {
            name: [entry for entry in entries if entry.group not in leave_out]
            for name, entries in parts.items()
        }
        parts["test"] = parts.get("test", []) + held
    if "validation" not in parts:
        chosen, _ = split(parts["train"], float(config["validation"]), int(config["fold"]))
        for name in ("validation", "train"):
            parts[name] = [entry for entry, own in zip(parts["train"], chosen) if own == name]
    there = [name for name in ("train", "validation", "test") if parts.get(name)]
    part = part_to_score(part, there, str(listing.source))
    return part, listing.entries if part == ALL else parts[part]
