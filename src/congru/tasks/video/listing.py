"""Which clips a path names: class folders, a table of paths and labels, a .npz of many; by parts where there are parts.

clips/wave/1.mp4, clips/walk/2/001.png ..      the folder is the label; a clip is a file, or a folder of pictures
clips/train/wave/1.mp4, clips/test/..          the same by parts (train; valid, validation, val, dev; test)
clips.tsv (.csv)                               columns path and label; group (subject, person) and part if there are any;
                                               paths begin at the table's folder
hands.npz                                      many tracks, see `tracks`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from congru.data.files import read_bytes
from congru.data.separated import read_separated
from congru.errors import DataError
from congru.tasks.video import tracks
from congru.tasks.video.frames import PICTURE_SUFFIXES, natural, picture_files
from congru.tasks.video.tracks import Track

PART_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("valid", "validation", "dev", "val"),
    "test": ("test", "testing"),
}
_COLUMNS = {
    "path": ("path", "file", "filename", "clip", "video"),
    "label": ("label", "class", "category", "action"),
    "group": ("group", "subject", "person", "actor", "signer", "user"),
    "part": ("part", "split", "set"),
}
_PASSED_OVER = (".tsv", ".txt", ".md", ".json", ".csv", ".html", ".pdf")  # beside clips, in folders of videos


@dataclass(frozen=True)
class Entry:
    """One clip: how messages call it, where it is (or its numbers), its label, who or what it shows."""

    location: str
    path: Path
    label: str
    group: str = ""
    track: Track | None = None


@dataclass(frozen=True)
class Listing:
    """The clips of every part: "train" always; `faults` are clips of the table that cannot be used, with the reason."""

    source: str
    parts: dict[str, list[Entry]]
    faults: tuple[str, ...] = ()

    @property
    def entries(self) -> list[Entry]:
        """The clips of all parts."""
        return [entry for part in self.parts.values() for entry in part]


def list_clips(source: str | Path, *, labelled: bool = True) -> Listing:
    """The clips that a path names; not `labelled`: a folder may hold clips without class folders.

    Raises:
        DataError: nothing there, or nothing that is a labelled clip.
    """
    path = Path(source)
    if not path.exists():
        raise DataError(
            f"{source} does not exist, expected a folder of clips, a table or a .npz: check the path"
        )
    if path.is_dir():
        return Listing(str(source), _folders(path, labelled))
    if path.suffix.lower() == ".npz":
        return Listing(str(source), _set(path))
    if path.suffix.lower() in (".tsv", ".csv", ".txt"):
        return _table(path)
    raise DataError(
        f"{source} is a file, expected labelled clips: name the folder with one folder per class, a .tsv with path"
        " and label, or a .npz with X and y"
    )


def _set(path: Path) -> dict[str, list[Entry]]:
    if not tracks.is_set(path):
        raise DataError(
            f"{path} holds {', '.join(tracks.read_arrays(path, str(path))) or 'no arrays'}, expected X [N, T, I] and"
            " y [N] (or X_train, y_train, X_test, ..): name them so"
        )
    parts = tracks.read_set(path)
    parts.setdefault("train", [])
    return {
        part: [Entry(row.location, path, row.label, track=row.track) for row in rows]
        for part, rows in parts.items()
    }


def _folders(path: Path, labelled: bool) -> dict[str, list[Entry]]:
    folders = {entry.name.lower(): entry for entry in sorted(path.iterdir()) if entry.is_dir()}
    named = {
        part: next((folders[name] for name in names if name in folders), None)
        for part, names in PART_FOLDERS.items()
    }
    if named["train"] is not None:
        return {part: _classes(folder) for part, folder in named.items() if folder is not None}
    if not labelled and not any(clips_in(folder) for folder in folders.values() if not picture_files(folder)):
        return {"train": [Entry(clip.name, clip, "clip") for clip in clips_in(path)]}
    return {"train": _classes(path)}


def _classes(path: Path) -> list[Entry]:
    entries = []
    for folder in sorted(path.iterdir()):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        for clip in clips_in(folder):
            entries.append(Entry(str(clip.relative_to(path.parent)), clip, folder.name))
    if not entries:
        raise DataError(
            f"{path} holds no folder with clips, expected one folder per class with videos, folders of pictures or"
            " arrays in it: name another folder, or a .tsv with path and label"
        )
    return entries


def clips_in(folder: Path) -> list[Path]:
    """The clips of a class folder: files, and folders of pictures.

    Raises:
        DataError: pictures that lie in no folder of their own.
    """
    files = sorted(
        (path for path in folder.iterdir() if not path.name.startswith(".")),
        key=lambda path: natural(path.name),
    )
    loose = [path for path in files if path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES]
    if loose:
        raise DataError(
            f"{folder} holds pictures such as {loose[0].name}, expected clips: put the pictures of each clip into a"
            " folder of its own"
        )
    has_folders = any(path.is_dir() for path in files)
    known = {path.suffix.lower() for path in files if path.is_file()} - set(_PASSED_OVER)
    tables = not has_folders and not known  # a folder of .csv alone holds tracks
    return [
        path
        for path in files
        if (path.is_dir() and picture_files(path))
        or (
            path.is_file()
            and (
                path.suffix.lower() not in _PASSED_OVER or (tables and path.suffix.lower() in tracks.SUFFIXES)
            )
        )
    ]


def _table(path: Path) -> Listing:
    text = read_bytes(path, "a table of clips").decode("utf-8-sig", errors="replace")
    if not text.strip():
        raise DataError(f"{path} is empty, expected a header with path and label: write some lines")
    first = text.split("\n", 1)[0]
    delimiter = "\t" if "\t" in first else ";" if ";" in first else ","
    header, *rows = (row for _, row in read_separated(text, path.name, delimiter))
    columns = _columns(path, header)
    lines_of, labels = list[tuple[int, dict[str, str]]](), dict[str, dict[str, int]]()
    for number, row in enumerate(rows, 2):
        if any(cell.strip() for cell in row):
            cells = {name: row[index].strip() if index < len(row) else "" for name, index in columns.items()}
            lines_of.append((number, cells))
            if cells["label"]:
                labels.setdefault(cells["path"], {}).setdefault(cells["label"], number)
    parts, faults = dict[str, list[Entry]](train=[]), list[str]()
    for number, cells in lines_of:
        clip, where = path.parent / cells["path"], f"{path.name} line {number} ({cells['path'] or 'no path'})"
        others = [
            (label, line) for label, line in labels.get(cells["path"], {}).items() if label != cells["label"]
        ]
        if not cells["path"] or not cells["label"]:
            faults.append(f"{where} has no {'label' if cells['path'] else 'path'}")
        elif not clip.exists():
            faults.append(f"{where} does not exist")
        elif others:
            faults.append(f"{where} is {cells['label']!r}, but {others[0][0]!r} in line {others[0][1]}")
        else:
            part = _part_of(cells.get("part", ""), where)
            parts.setdefault(part, []).append(Entry(where, clip, cells["label"], cells.get("group", "")))
    return Listing(str(path), parts, tuple(faults))


def _columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    lowered = [cell.strip().lower() for cell in header]
    indices = {}
    for name, known in _COLUMNS.items():
        index = next((lowered.index(word) for word in known if word in lowered), None)
        if index is not None:
            indices[name] = index
    for name in ("path", "label"):
        if name not in indices:
            raise DataError(
                f"{path} line 1 has the columns {', '.join(header)}, expected {name} among them: write a header line"
            )
    return indices


def _part_of(word: str, where: str) -> str:
    if not word:
        return "train"
    for part, names in PART_FOLDERS.items():
        if word.lower() in names:
            return part
    raise DataError(f"{where} has the part {word!r}, expected train, valid or test: correct it")
