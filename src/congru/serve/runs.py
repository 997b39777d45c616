"""Trainings: what their folders tell while they run, and starting, stopping and continuing them as processes of their own.

A training is the command `congru train`, so what the page starts, a terminal can continue. It is stopped by SIGTERM, which saves
it (SIGINT stays ignored in what a script starts in the background); its folder is all that is shared.
"""

from __future__ import annotations

import asyncio
import csv
import fcntl
import math
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, Any

from congru.data.plain_yaml import parse_yaml
from congru.errors import DataError, SettingsError
from congru.serve.faults import Refused
from congru.serve.library import Library, Shelf, read_json
from congru.serve.options import Options
from congru.tasks.registry import TASKS, find_task
from congru.train.folder import LOG, claim_next
from congru.train.resolve import resolve

Row = tuple[int, float, str, str, "float | None"]
METRICS = "metrics.csv"
MOST_RUNNING = 4  # trainings at once
PROGRAM = [sys.executable, "-m", "congru"]
_EVERY = 0.4  # seconds between two looks at a run
_NOT_FROM_A_FORM = ("out", "resume", "config", "dry_run", "quiet", "json_lines", "json", "devices", "device")
_SAMPLE_BYTES = 20_000


class Runs:
    """The runs of a library, and the processes that this server started."""

    def __init__(self, library: Library, options: Options) -> None:
        self.library, self.options = library, options
        self._started: dict[Path, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
        self._launching = threading.Lock()  # a run is not started twice by two requests at once

    def close(self) -> None:
        """Stop the trainings of this server; each is saved and can be continued."""
        for process, _ in self._started.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process, words in self._started.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
            words.close()

    def find(self, name: str) -> Shelf:
        """A run folder by name."""
        shelf = self.library.find(name)
        if not shelf.is_run and shelf.path.resolve() not in self._started:
            raise Refused(
                "run", 404, f"run is {name!r:.80}, expected a run folder: this is a model folder alone"
            )
        return shelf

    def status(self, shelf: Shelf) -> dict[str, Any]:
        """status.json, with the state as it is: a run whose process is gone is no longer running."""
        status = read_json(shelf.path / "status.json") or {}
        process = self._started.get(shelf.path.resolve())
        alive = process is not None and process[0].poll() is None
        state = status.get("state", "starting" if alive else "failed")
        if state == "running" and not alive and not is_locked(shelf.path):
            state = "interrupted"
        if alive and state not in ("running", "starting"):
            state = "starting" if not status else "running"
        if process is not None and process[0].poll() not in (None, 0) and "error" not in status:
            words = _told(process[1])
            status["error"] = words[-1].removeprefix("congru: ") if words else "it ended without a word"
        return {**status, "state": state, "task": status.get("task", _task_of(shelf))}

    def describe(self, shelf: Shelf) -> dict[str, Any]:
        """Everything the page shows beside the curves. Raises :class:`~congru.errors.DataError` for broken settings."""
        return {
            "name": shelf.name,
            "status": self.status(shelf),
            "settings": read_settings(shelf.path / "config.yaml"),
            "data": read_json(shelf.path / "data.json") or {},
            "command": self.command_of(shelf),
            "sample": sample_of(shelf.path),
            "has_model": shelf.has_model,
        }

    def command_of(self, shelf: Shelf) -> str:
        """The line that continues a run in a terminal."""
        data = read_json(shelf.path / "data.json") or {}
        sources = [str(data[key]) for key in ("source", "target") if key in data]
        words = ["congru", "train", _task_of(shelf), *sources, "--out", str(shelf.path), "--resume"]
        return shlex.join(words)

    async def watch(self, name: str, after: int, stop: asyncio.Event) -> AsyncIterator[dict[str, Any]]:
        """The rows after so many bytes, then each change, until the run has ended or `stop` is set."""
        shelf, first, before = self.find(name), True, None
        while not stop.is_set():
            status = self.status(shelf)
            rows, after = read_rows(shelf.path / METRICS, after)
            if rows or first or status != before:
                yield {"rows": rows, "after": after, "status": status}
            if status["state"] not in ("running", "starting"):
                return
            first, before = False, status
            try:
                await asyncio.wait_for(stop.wait(), _EVERY)
            except asyncio.TimeoutError:
                continue

    def start(self, task_name: str, data: list[str], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Start a training. Raises :class:`SettingsError` for wrong settings, before anything runs."""
        task = find_task(task_name)
        forbidden = sorted(set(settings) & set(_NOT_FROM_A_FORM))
        if forbidden:
            raise SettingsError(f"{forbidden[0]} is given, expected none: the server chooses it")
        resolve(task.settings, dict(settings))
        sources = [str(self.inside(path)) for path in data]
        with self._launching:
            self._check_room()
            out = claim_next(self.options.runs, task.name)
            self.library.add_root(self.options.runs)
            words = ["train", task.name, *sources, *flags_of(settings), "--out", str(out)]
            self._launch(out, [*words, "--quiet"])
        return {"name": self.library.expect(out).name, "command": shlex.join(["congru", *words])}

    def resume(self, name: str) -> dict[str, Any]:
        """Continue a run that was stopped."""
        shelf = self.find(name)
        with self._launching:
            self._check_room()
            if self.status(shelf)["state"] in ("running", "starting"):
                raise Refused(
                    "run", 409, f"run {name!r} is running, expected one that was stopped: stop it first"
                )
            words = shlex.split(self.command_of(shelf))[1:]
            self._launch(shelf.path, [*words, "--quiet"])
        return {"name": shelf.name, "command": shlex.join(["congru", *words])}

    def stop(self, name: str) -> dict[str, Any]:
        """Ask a run of this server to save and end."""
        shelf = self.find(name)
        started = self._started.get(shelf.path.resolve())
        if started is None or started[0].poll() is not None:
            raise Refused(
                "run", 409, f"run {name!r} was not started here or has ended: stop it in its terminal"
            )
        started[0].send_signal(signal.SIGTERM)
        return {"name": shelf.name}

    def inside(self, path: str) -> Path:
        """A path that training may read. Raises :class:`Refused` for one outside the data folder and the uploads."""
        roots = [self.options.data.resolve(), (self.options.runs / "uploads").resolve()]
        wanted = (roots[0] / path).resolve()
        if not any(wanted.is_relative_to(root) for root in roots):
            raise Refused(
                "path", 403, f"data is {path!r:.200}, expected a path below {roots[0]}: start with --data DIR"
            )
        if not wanted.exists():
            raise SettingsError(
                f"data is {path!r:.200}, expected a file or folder below {roots[0]}: check the path"
            )
        return wanted

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """Keep a file that was sent, under its plain name; one of the same name gets a number."""
        plain = Path(name).name
        if (
            plain != name
            or name.startswith(".")
            or not name
            or len(name) > 120
            or "\\" in name
            or "\0" in name
        ):
            raise Refused("name", 400, f"name is {name!r:.80}, expected a plain file name: rename it")
        folder = self.options.runs / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        path, number = folder / plain, 2
        while path.exists() and path.read_bytes() != content:
            path, number = folder / f"{Path(plain).stem}-{number}{Path(plain).suffix}", number + 1
        path.write_bytes(content)
        return {"path": str(path.resolve()), "bytes": len(content)}

    def _check_room(self) -> None:
        running = sum(process.poll() is None for process, _ in self._started.values())
        if running >= MOST_RUNNING:
            raise Refused("full", 503, f"runs has {running} at work, expected fewer: stop one, or wait")

    def _launch(self, out: Path, words: list[str]) -> None:
        errors = tempfile.TemporaryFile()  # noqa: SIM115
        process = subprocess.Popen(
            [*PROGRAM, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        if out.resolve() in self._started:  # it ran before
            self._started[out.resolve()][1].close()
        self._started[out.resolve()] = (process, errors)


def _told(errors: IO[bytes]) -> list[str]:
    """The lines that a process wrote before it ended; none where it was started anew meanwhile."""
    try:
        errors.seek(0)
        return errors.read().decode("utf-8", "replace").strip().splitlines()
    except ValueError:
        return []


def flags_of(settings: Mapping[str, Any]) -> list[str]:
    """Settings as words of the command line; those that are None are left out.

    >>> flags_of({"minutes": 1, "monitor": True, "freeze": ["embed.*"], "clip": None})
    ['--minutes', '1', '--monitor', '--freeze', 'embed.*']
    """
    words: list[str] = []
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        if value is None:
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, (list, tuple)):
            words += [word for one in value for word in (flag, str(one))]
        else:
            words += [flag, str(value)]
    return words


def is_locked(folder: Path) -> bool:
    """Whether a process trains in a run folder: it holds a lock on the log."""
    try:
        with open(folder / LOG, encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
            return False
    except OSError:
        return False


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a run from its config.yaml, which anybody may have written; none where there is no such file.

    Raises :class:`~congru.errors.DataError` for a file that holds anything but settings.
    """
    if not path.is_file():
        return {}
    try:
        settings = parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        reason = "bytes that are no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise DataError(
            f"{path.parent.name}/config.yaml cannot be read ({reason}), expected the settings of a run: restore the file"
        ) from None
    if not isinstance(settings, (dict, type(None))):
        raise DataError(
            f"{path.parent.name}/config.yaml is a {type(settings).__name__}, expected settings by name: restore the file"
        )
    return settings or {}


def read_rows(path: Path, after: int) -> tuple[list[Row], int]:
    """The whole rows of metrics.csv behind so many bytes, and how many bytes are known then.

    A file that is shorter than that was cut back by a run that is continued: it is read from the start.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            after = 0 if after > size else after
            file.seek(after)
            content = file.read()
    except OSError:
        return [], 0
    whole = content[: content.rfind(b"\n") + 1]
    rows: list[Row] = []
    for cells in csv.reader(whole.decode("utf-8", "replace").splitlines()):
        try:
            value = float(cells[4])
            rows.append(
                (int(cells[0]), float(cells[1]), cells[2], cells[3], value if math.isfinite(value) else None)
            )
        except (ValueError, IndexError):
            continue  # the header
    return rows, after + len(whole)


def sample_of(run: Path) -> str | None:
    """The newest sample of text that a run wrote."""
    samples = [path for path in (run / "samples").glob("*.txt")]
    if not samples:
        return None
    newest = max(samples, key=lambda path: (path.stat().st_mtime_ns, path.name))
    with open(newest, "rb") as file:
        return file.read(_SAMPLE_BYTES).decode("utf-8", "replace")


def tasks() -> list[dict[str, Any]]:
    """Every task with its line, the number of paths it takes, and the JSON schema of its settings."""
    told = []
    for name, task in sorted(TASKS.items()):
        schema = task.settings.model_json_schema(by_alias=False)
        for hidden in _NOT_FROM_A_FORM:
            schema["properties"].pop(hidden, None)
        kind, amount = task.settings.default_budget
        paths = ["source", "target"] if name == "translate" else ["data"]
        told.append(
            {
                "name": name,
                "summary": task.summary,
                "paths": paths,
                "schema": schema,
                "budget": [kind, amount],
            }
        )
    return told


def _task_of(shelf: Shelf) -> str:
    status = read_json(shelf.path / "status.json") or {}
    config = shelf.config() or {}
    return str(status.get("task") or config.get("task") or shelf.path.name.rpartition("-")[0])
