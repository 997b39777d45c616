"""From the path that a user names to pieces by part: a file or a folder of MIDI, ABC, MusicXML and rolls, with what was left out.

A folder may hold folders train, valid and test; a roll file may name parts itself. Without them a share of the pieces is kept
for validation, chosen by the sha256 of their notes, so that copies of a piece stand on one side.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from congru.data.files import read_bytes
from congru.errors import DataError, MissingPackageError
from congru.tasks.music.abc_notation import read_abc
from congru.tasks.music.midi import read_midi
from congru.tasks.music.musicxml import read_musicxml
from congru.tasks.music.pieces import Piece
from congru.tasks.music.rolls import Parts, part_of_name, read_rolls

_MIDI = (".mid", ".midi", ".kar", ".rmi")
_ROLLS = (".mat", ".npz")
_SCORES = (".musicxml", ".mxl", ".xml")
_UNREAD = (".krn", ".mei", ".mscz", ".mscx", ".ly")
KNOWN = (*_MIDI, ".abc", *_SCORES, *_ROLLS)
PACKAGE = "music21:"
"""`music21:bach` is the folder `bach` of the scores that the package music21 carries; none of its code is loaded."""


@dataclass
class Source:
    """Pieces by part ("" where no part is named), and what a user should know of the reading."""

    path: str
    parts: Parts = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    drums: int = 0

    @property
    def rolls(self) -> bool:
        """Whether every piece came as a roll."""
        return all(piece.roll is not None for pieces in self.parts.values() for piece in pieces)


def read_source(path: str, bad: str = "stop") -> Source:
    """Every piece of a file or folder.

    Raises:
        DataError: nothing there, no file that can be read, or with bad="stop" one that cannot.
    """
    root, source = corpus_folder(path) if path.startswith(PACKAGE) else Path(path), Source(path)
    if root.is_dir():
        files = sorted(file for file in root.rglob("*") if file.suffix.lower() in (*KNOWN, *_UNREAD))
        if not files:
            raise DataError(
                f"{path} holds no music, expected files {', '.join(KNOWN)}: choose another folder"
            )
    else:
        files = [root]
    for file in files:
        inside = file.relative_to(root).parts[0] if root.is_dir() else ""
        try:
            pieces_by_part = _read_file(file, source, bad)
        except DataError as error:
            if bad == "stop" or not root.is_dir():
                raise
            source.skipped.append(str(error))
            continue
        for part, pieces in pieces_by_part.items():
            source.parts.setdefault(part or part_of_name(inside), []).extend(pieces)
    if not any(source.parts.values()):
        more = f" ({len(source.skipped)} skipped, first: {source.skipped[0]})" if source.skipped else ""
        raise DataError(f"{path} holds no piece with a pitched note{more}, expected some: choose other files")
    return source


def corpus_folder(path: str) -> Path:
    """The folder of music21's corpus that `music21:NAME` names, found without importing the package.

    Raises:
        MissingPackageError: it is not installed.
        DataError: it has no such folder.
    """
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError(
            f"music21 is not installed, expected for {path!r}: pip install --no-deps music21 (20 MB, only its scores are read)"
        )
    corpus = Path(next(iter(spec.submodule_search_locations))) / "corpus"
    name = path.removeprefix(PACKAGE)
    if name in ("", "..") or Path(name).name != name or not (corpus / name).is_dir():
        raise DataError(f"{path} is no folder of music21's corpus, expected one: for example {PACKAGE}bach")
    return corpus / name


def _read_file(file: Path, source: Source, bad: str) -> Parts:
    suffix = file.suffix.lower()
    if suffix in _UNREAD:
        raise DataError(
            f"{file} is a score of the kind {suffix}, expected {', '.join(KNOWN)}: export it as MusicXML or MIDI"
        )
    content = read_bytes(file, f"music ({', '.join(KNOWN)})")
    if suffix in _ROLLS:
        return read_rolls(file, content)
    if suffix == ".abc":
        pieces = [tune.piece for tune in read_abc(file, content, source.skipped if bad == "skip" else None)]
    elif suffix in _SCORES:
        pieces = [read_musicxml(file, content)]
    elif suffix in _MIDI or content[:4] == b"MThd":
        pieces = [read_midi(file, content)]
    else:
        raise DataError(
            f"{file} is no music that is read here, expected {', '.join(KNOWN)}: choose another file"
        )
    kept = []
    for piece in pieces:
        source.drums += piece.drums
        source.remarks += [f"{piece.name}: {remark}" for remark in piece.remarks]
        if piece.num_notes:
            kept.append(piece)
            continue
        drums = f" ({piece.drums} notes of drums)" if piece.drums else ""
        line = f"{file} has no pitched note{drums}, expected some: leave it out, or pass --bad skip"
        if bad == "stop":
            raise DataError(line)
        source.skipped.append(line)
    return {"": kept}


def split(source: Source, validation: float) -> tuple[Parts, str]:
    """Pieces by the parts train, valid and test, and the rule in words.

    Raises:
        DataError: no training or no validation piece.
    """
    parts = {name: list(pieces) for name, pieces in source.parts.items()}
    free = parts.pop("", [])
    rule = "as given"
    if "valid" not in parts:
        known = parts.pop("train", []) + free
        kept = choose(
            known,
            validation,
            lambda piece: repr(piece.notes) if piece.roll is None else piece.roll.tobytes().hex(),
        )
        parts["train"] = [piece for k, piece in enumerate(known) if k not in kept]
        parts["valid"] = [piece for k, piece in enumerate(known) if k in kept]
        rule = f"{validation:.0%} of the pieces for validation, by the sha256 of their notes"
    elif free:
        parts["train"] = parts.get("train", []) + free
    for name in ("train", "valid"):
        if not parts.get(name):
            count = sum(map(len, source.parts.values()))
            raise DataError(
                f"{source.path} gives no {name} piece of {count}, expected some: add pieces, or change --validation"
            )
    return {name: parts.get(name, []) for name in ("train", "valid", "test")}, rule


def choose(pieces: list[Piece], share: float, key: Callable[[Piece], str]) -> set[int]:
    """The numbers of a share of the pieces (at least one of several), lowest sha256 first; copies of one go together."""
    sums = [hashlib.sha256(key(piece).encode()).hexdigest() for piece in pieces]
    distinct = sorted(set(sums))
    chosen = set(distinct[: max(1, round(share * len(distinct)))]) if len(distinct) > 1 else set[str]()
    return {k for k, one in enumerate(sums) if one in chosen}


def first_lines(lines: Iterable[str], most: int = 3) -> str:
    """The first of some lines, and how many there are."""
    known = list(lines)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return "; ".join(known[:most]) + more
