"""What a server shows: the model and run folders below the paths it was given, by name, each loaded when it is first used.

A name is the folder's, as it may stand in an address, or that of the folder above where it is called "model"; two of the
same name get a number. A folder that training replaces is loaded again.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from congru.errors import CongruError, SettingsError
from congru.runtime.folder import CONFIG, FORMAT, called, find_model_folder, load
from congru.runtime.model import Model
from congru.serve.faults import Refused

Made = TypeVar("Made")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]+")
_DEEPEST = 3  # folders below a path that is given


class Shelf:
    """One model folder, or a run folder with or without a model yet."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}
        self._stamp: tuple[int, int] | None = None

    @property
    def is_run(self) -> bool:
        """Whether training left it."""
        return (self.path / "status.json").is_file() or (self.path / "config.yaml").is_file()

    @property
    def has_model(self) -> bool:
        """Whether it holds a model that can be loaded."""
        return (find_model_folder(self.path) / CONFIG).is_file()

    def model(self) -> Model:
        """The loaded model; raises :class:`~congru.errors.ModelFolderError` as :func:`congru.load`."""
        return self.made("model", lambda _: load(self.path))

    def made(self, key: str, make: Callable[[Model], Made]) -> Made:
        """What is made of the model once and kept: a predictor, a forecaster; made again when the folder has changed."""
        with self._lock:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._made.clear()
                self._stamp = stamp
            if key not in self._made:
                self._made[key] = make(self.model()) if key != "model" else make(None)  # type: ignore[arg-type]
            made: Made = self._made[key]
            return made

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return "model" in self._made

    def config(self) -> dict[str, Any] | None:
        """config.json of its model as it is on disk; None where there is none that can be read."""
        return read_json(find_model_folder(self.path) / CONFIG)

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            status = (find_model_folder(self.path) / CONFIG).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns


class Library:
    """All shelves. `scan` looks for new folders, which takes a few file look-ups for each."""

    def __init__(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise SettingsError(
                    f"folder is '{folder}', expected a model or run folder, or one that holds some"
                )
        self._roots = list(folders)
        self._shelves: dict[str, Shelf] = {}
        self._names: dict[Path, str] = {}
        self.scan()

    def add_root(self, folder: Path) -> None:
        """Look below another folder too."""
        if folder not in self._roots:
            self._roots.append(folder)

    def scan(self) -> dict[str, Shelf]:
        """The shelves that are there now, by name."""
        present = {}
        for name, shelf in self._shelves.items():
            if shelf.path.is_dir():
                present[name] = shelf
        for root in self._roots:
            for path in sorted(_folders(root)):
                name = self._name(path)
                present.setdefault(name, Shelf(name, path))
        self._shelves = present
        return present

    def expect(self, folder: Path) -> Shelf:
        """The shelf of a run folder that is about to be filled."""
        name = self._name(folder)
        return self._shelves.setdefault(name, Shelf(name, folder))

    def find(self, name: str) -> Shelf:
        """A shelf by its name. Raises :class:`Refused` (404) where there is none."""
        shelf = self._shelves.get(name) or self.scan().get(name)
        if shelf is None:
            known = ", ".join(list(self._shelves)[:5]) or "none yet: train one"
            raise Refused("model", 404, f"model is {name!r:.80}, expected one of those served ({known})")
        return shelf

    def find_model(self, name: str) -> Shelf:
        """A shelf that holds a model. Raises :class:`Refused` (404) where it has none yet."""
        shelf = self.find(name)
        if not shelf.has_model:
            raise Refused(
                "model", 404, f"model {name!r} is not there yet, expected a run that was evaluated: wait"
            )
        return shelf

    def _name(self, path: Path) -> str:
        folder_name, path = called(path.absolute()), path.resolve()
        if path not in self._names:
            stem = _ILLEGAL.sub("-", folder_name or path.name).strip(".-") or "model"
            name, number = stem, 2
            while name in self._names.values():
                name, number = f"{stem}-{number}", number + 1
            self._names[path] = name
        return self._names[path]


def _folders(root: Path, depth: int = 0) -> Iterator[Path]:
    """The model and run folders at or below a path; what lies inside one is part of it. A comparison holds runs, it is none."""
    if (root / "status.json").is_file() or (
        (root / "config.yaml").is_file() and not any(root.glob("*/config.yaml"))
    ):
        yield root
        return
    config = read_json(root / CONFIG)
    if config is not None and config.get("format") == FORMAT:
        yield root
        return
    if find_model_folder(root) != root:
        yield root
        return
    if depth < _DEEPEST:
        try:
            below = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
        except OSError:
            return
        for path in below:
            yield from _folders(path, depth + 1)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file; None where it is missing, half written or something else."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def problem_of(shelf: Shelf) -> str | None:
    """Why a model cannot be loaded, as one line; None if it can."""
    try:
        shelf.model()
    except CongruError as error:
        return str(error)
    return None
