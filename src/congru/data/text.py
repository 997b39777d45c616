"""Text from a UTF-8 file, from all text files below a folder, or from a data set by name, exactly as it is written.

A folder is read in the order of the paths; files are joined with a line end between where one is missing.
What was read, and what was passed over and why, is kept beside the text.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from congru.data.files import encoding_of, read_bytes
from congru.data.registry import list_sets, read
from congru.errors import DataError

# What counts as text inside a folder; a file given by itself may have any name.
_PROSE = ".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".adoc", ".srt", ".vtt", ".fountain"
_NOTATION = (
    ".csv",
    ".tsv",
    ".json",
    ".jsonl",
    ".yaml",
    ".yml",
    ".toml",
    ".xml",
    ".html",
    ".htm",
    ".abc",
    ".pgn",
)
_CODE = ".c", ".h", ".cc", ".cpp", ".hpp", ".py", ".rs", ".go", ".java", ".kt", ".js", ".ts", ".css", ".rb"
_CODE_TOO = (
    ".lua",
    ".r",
    ".jl",
    ".hs",
    ".ml",
    ".scala",
    ".swift",
    ".sh",
    ".sql",
    ".lisp",
    ".scm",
    ".pl",
    ".php",
)
# Data sets of one text file -> that file.
_SETS = {
    entry.name: entry.files[0].path for entry in list_sets() if entry.task == "text" and len(entry.files) == 1
}

SUFFIXES = frozenset((*_PROSE, *_NOTATION, *_CODE, *_CODE_TOO))


@dataclass(frozen=True)
class TextFile:
    """One file that was read: its path as given, its sha256, its size."""

    path: str
    sha256: str
    num_bytes: int


@dataclass(frozen=True)
class Corpus:
    """A text and where it comes from; ``skipped`` holds (path, reason) of what a folder held besides."""

    source: str
    text: str
    files: tuple[TextFile, ...]
    skipped: tuple[tuple[str, str], ...] = ()


def read_text(source: str | os.PathLike[str]) -> Corpus:
    """Read a file, every text file below a folder (see ``SUFFIXES``), or a text set of `congru data` by its name.

    Hidden files of a folder are passed over, and so are run and model folders: nothing is trained on its own results.
    A byte order mark at the start of a file is removed; line ends stay as they are.

    Raises:
        DataError: nothing there, no text in it, an empty file, bytes that are not UTF-8.
    """
    path = Path(source)
    if path.is_dir():
        return _read_folder(path)
    if not path.exists() and str(source) in _SETS:
        return _read_set(str(source), _SETS[str(source)])
    text, file = _read_file(path)
    if not text:
        raise DataError(f"{path} is empty, expected text: choose another file")
    return Corpus(str(path), text, (file,))


def _read_set(name: str, file: str) -> Corpus:
    """The one file of a data set, downloaded first where needed."""
    content = read(name, file)
    text = content.decode("utf-8").removeprefix("\ufeff")
    return Corpus(
        name, text, (TextFile(f"{name}/{file}", hashlib.sha256(content).hexdigest(), len(content)),)
    )


def _read_folder(folder: Path) -> Corpus:
    paths, skipped = _list_folder(folder)
    texts: list[str] = []
    files: list[TextFile] = []
    for path in paths:
        text, file = _read_file(path)
        if not text:
            skipped.append((str(path), "empty"))
            continue
        if texts and not texts[-1].endswith("\n"):
            texts.append("\n")
        texts.append(text)
        files.append(file)
    if not files:
        contents = f"{len(skipped)} other files" if skipped else "no file"
        raise DataError(
            f"{folder} holds {contents}, expected at least one text file that is not empty"
            " (.txt, .md, .py, ...): choose another folder, or name a file"
        )
    return Corpus(str(folder), "".join(texts), tuple(files), tuple(skipped))


def _list_folder(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """The text files below a folder in the order of their paths, and the others with the reason."""
    chosen, skipped = [], []
    for root, folders, names in os.walk(folder):
        own = [name for name in folders if _is_result(Path(root, name))]
        skipped += [(str(Path(root, name)), "a folder of results") for name in own]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in own)
        for name in sorted(names):
            path = Path(root, name)
            if name.startswith("."):
                skipped.append((str(path), "hidden"))
            elif path.suffix.lower() not in SUFFIXES:
                skipped.append((str(path), f"suffix {path.suffix}" if path.suffix else "no suffix"))
            else:
                chosen.append(path)
    return sorted(chosen), sorted(skipped)


def _is_result(folder: Path) -> bool:
    """Whether a folder is what training or comparing left: a run folder, a comparison, a model folder."""
    settings, model = folder / "config.yaml", folder / "config.json"
    try:
        if settings.is_file() and b"  # default" in settings.read_bytes():
            return True
        return model.is_file() and b'"congru-model"' in model.read_bytes()
    except OSError:
        return False


def _read_file(path: Path) -> tuple[str, TextFile]:
    content = read_bytes(path, "a text file or a folder")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        what, fix = encoding_of(content, str(path))
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} line {line}, byte {error.start}: {content[error.start : error.start + 1]!r} is not UTF-8{what}, expected"
            f" UTF-8 text: {fix}"
        ) from None
    file = TextFile(str(path), hashlib.sha256(content).hexdigest(), len(content))
    return text.removeprefix("\ufeff"), file
