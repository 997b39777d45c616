"""The run folder: what training leaves on disk, written so that a crash or a full disk loses nothing.

    status.json  config.yaml  env.json  data.json  metrics.csv  log.txt
    plots/  samples/  report.html  last/  model/

Whole files are replaced atomically (temporary file, rename) and are on the disk when that is done. ``metrics.csv`` is
appended to; a checkpoint holds its length, and resuming cuts it back to that length, so no row is lost or
doubled. ``status.json`` names the process, so that a run whose process is gone is told from one that runs.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import errno
import fcntl
import io
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from congru.errors import CongruError, RunFolderError
from congru.runtime.atomic import clear_leftovers, is_leftover, make_folders, sync_to_disk, write_whole
from congru.runtime.plain_json import as_json, parse_json
from congru.runtime.reading import read_file
from congru.train.liveness import is_gone, this_process

CONFIG, STATUS, LOG = "config.yaml", "status.json", "log.txt"
_MOST_BYTES = 64 << 20  # of a file of JSON
# What keys of data.json are, and what is to be used again.
_WHAT = {"settings_files": ("a file or model that a setting names", "one")}
HEADER = ("step", "time", "split", "name", "value")


class Metric(NamedTuple):
    """One row of ``metrics.csv``; ``time`` in seconds of training."""

    step: int
    time: float
    split: str
    name: str
    value: float


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating system error while writing ``path`` into one line that says what to do."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            fix = "free some space, then continue with --resume"
            raise RunFolderError(
                f"{path} cannot be written ({reason}), expected room for it: {fix}"
            ) from None
        raise RunFolderError(
            f"{path} cannot be written ({reason}), expected a folder to write in: choose another --out"
        ) from None


@contextlib.contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever goes wrong while reading ``path``, a file of a run, into one line."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        if isinstance(error, CongruError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise RunFolderError(
            f"{path} cannot be read ({reason}), expected {expected}: restore it, or start another run with another --out"
        ) from None


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` atomically, with its folders made first; see :func:`congru.runtime.atomic.write_whole`."""
    with writing(path):
        make_folders(path.parent)
        write_whole(path, content)


def next_free(parent: Path, task: str) -> Path:
    """``parent/TASK-1``, or the next number that does not exist."""
    number = 1
    while (parent / f"{task}-{number}").exists():
        number += 1
    return parent / f"{task}-{number}"


def claim_next(parent: Path, task: str) -> Path:
    """The folder of :func:`next_free`, made empty: two trainings that start at once get one each.

    Runs beside it whose process is gone are noted as died.
    """
    with writing(parent):
        make_folders(parent)
        for other in parent.iterdir():
            with contextlib.suppress(RunFolderError):
                note_death(other)
        while True:
            out = next_free(parent, task)
            with contextlib.suppress(FileExistsError):
                out.mkdir()
                return out


def is_bare(out: Path) -> bool:
    """Whether a folder holds nothing but what a start leaves that was killed before it wrote its settings.

    Raises RunFolderError where it cannot be looked into.
    """
    with reading(out, "a folder"):
        return all(path.name == LOG or is_leftover(path) for path in out.iterdir())


def check_out(out: Path, resume: bool) -> None:
    """Refuse a folder that holds something (without ``resume``) or that is no run folder (with it).

    What a start leaves that was killed before it wrote its settings may be started or continued.
    """
    exists = os.path.isdir(out)
    if resume and not os.path.isfile(out / CONFIG) and not (exists and is_bare(out)):
        raise RunFolderError(f"out is '{out}', expected a run folder with {CONFIG}: leave out --resume")
    if resume:
        return
    if not exists and os.path.lexists(out):
        raise RunFolderError(f"out is '{out}', a file, expected a folder: choose another --out")
    if exists and not is_bare(out):
        raise RunFolderError(
            f"out is '{out}', which holds {_what_is_in(out)} already, expected a new folder: "
            "continue that run with --resume, or choose another --out"
        )


def _what_is_in(out: Path) -> str:
    try:
        status = read_status(out)
    except RunFolderError:
        return "files"
    return f"a run that {_STATES.get(status['state'], 'is there')}"


_STATES = {"running": "is running", "finished": "has finished", "interrupted": "was interrupted"}
_STATES |= {"failed": "failed", "died": "died"}


def read_status(out: Path) -> dict[str, Any]:
    """What ``status.json`` of a run folder says; its ``state`` is "died" where it says "running" and the process is gone.

    Raises RunFolderError where it is missing or damaged.
    """
    path = out / STATUS
    with reading(path, "the state of a run"):
        status = parse_json(read_file(path, _MOST_BYTES))
        if not isinstance(status, dict) or not isinstance(status.get("state"), str):
            raise ValueError("no mapping with a state")
    if status["state"] == "running" and is_gone(status.get("process")):
        status["state"] = "died"
    return status


def note_death(out: Path) -> None:
    """Write into ``status.json`` that a run died, where its process is gone. Raises RunFolderError."""
    status = read_status(out)
    if status["state"] == "died":
        path = out / STATUS
        if parse_json(read_file(path, _MOST_BYTES)).get("state") != "died":
            write_bytes(path, _json_text(status).encode("utf-8", "backslashreplace"))


def _json_text(value: object) -> str:
    return as_json(value, indent=2) + "\n"


class RunFolder:
    """An open run folder. Only one process at a time may hold it."""

    def __init__(self, path: Path, resume: bool = False) -> None:
        check_out(path, resume)
        self.path = path
        self.model = path / "model"
        self.last = path / "last"
        with writing(path):
            make_folders(path)
        self._log = _open_log(path / LOG)
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise RunFolderError(
                f"out is '{path}', in use by another run: wait for it or choose another --out"
            ) from None
        try:
            for part in (path, self.last, path / "plots", path / "samples"):
                clear_leftovers(part)
            with contextlib.suppress(RunFolderError):  # without a state it is continued all the same
                note_death(path)
        except BaseException:
            self.close()
            raise
        self._metrics = path / "metrics.csv"
        self._status: dict[str, Any] = {}

    def write_text(self, name: str, text: str) -> None:
        """Replace the file ``name`` atomically; a path that is not UTF-8 is written with its bytes escaped."""
        write_bytes(self.path / name, text.encode("utf-8", "backslashreplace"))

    def write_file(self, name: str, content: bytes) -> None:
        """Replace the file ``name`` atomically by bytes."""
        write_bytes(self.path / name, content)

    def write_json(self, name: str, value: object) -> None:
        """Replace the file ``name`` by indented JSON."""
        self.write_text(name, _json_text(value))

    def set_status(self, **changes: object) -> None:
        """Update ``status.json``; its ``state`` is running, finished, interrupted, failed or, noted later, died."""
        self._status.update(changes, updated=utc_now(), process=this_process())
        self.write_json(STATUS, self._status)

    def check_same_data(self, data: dict[str, object]) -> None:
        """Refuse to continue a run on other data than it was started with: the content decides, not where it lies."""
        path = self.path / "data.json"
        if not os.path.lexists(path):
            return
        with reading(path, "the data of the run"):
            before = parse_json(read_file(path, _MOST_BYTES))
            if not isinstance(before, dict):
                raise ValueError("no mapping")
        before, now = (_content(record) for record in (before, parse_json(as_json(data))))
        if "settings_files" not in before:  # a run of a version that did not record them: nothing to compare
            now.pop("settings_files", None)
        for key in sorted({*before, *now}):
            if before.get(key) != now.get(key):
                what, use = _WHAT.get(key, (key, "data"))
                raise RunFolderError(
                    f"data: {what} is not what the run in {self.path} was started with: "
                    f"use the same {use}, or start another run with another --out"
                )

    def log(self, line: str) -> None:
        """Append a line, with the time, to ``log.txt``."""
        content = f"{utc_now()} {line}\n".encode("utf-8", "backslashreplace")
        with writing(self.path / LOG):
            while content:
                content = content[os.write(self._log, content) :]

    def append_metrics(self, rows: Sequence[Metric]) -> None:
        """Append rows to ``metrics.csv`` (values written so that they read back bit for bit)."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        with writing(self._metrics):
            if self.metrics_size() == 0:
                table.writerow(HEADER)
            table.writerows((r.step, f"{r.time:.3f}", r.split, r.name, repr(r.value)) for r in rows)
            with open(self._metrics, "ab", buffering=0) as file:
                content = text.getvalue().encode()
                while content:
                    content = content[file.write(content) :]

    def sync_metrics(self) -> None:
        """Put the rows on the disk, before a checkpoint says how many there are."""
        if self._metrics.exists():
            with writing(self._metrics):
                sync_to_disk(self._metrics)

    def metrics_size(self) -> int:
        """Length of ``metrics.csv`` in bytes."""
        with reading(self._metrics, "the measurements of the run"):
            return self._metrics.stat().st_size if os.path.lexists(self._metrics) else 0

    def cut_metrics(self, size: int) -> None:
        """Drop the rows written after the checkpoint that recorded ``size``; what stays must be whole rows."""
        if self.metrics_size() < size:
            raise RunFolderError(
                f"{self._metrics} has {self.metrics_size()} bytes, expected at least {size}, as in last/: "
                "restore it, or start another run with another --out"
            )
        if not os.path.lexists(self._metrics):
            return
        with reading(self._metrics, "the measurements of the run"):
            _parse_metrics(read_file(self._metrics)[:size])
        with writing(self._metrics):
            os.truncate(self._metrics, size)

    def close(self) -> None:
        """Give the folder free for another process."""
        if self._log >= 0:
            handle, self._log = self._log, -1
            os.close(handle)


def _open_log(path: Path) -> int:
    """A handle to append to a log; it is written without a buffer, so that closing it cannot fail."""
    with writing(path):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise RunFolderError(f"{path} is a pipe or a device, expected a file to write: choose another --out")
    return handle


def _content(record: dict[str, Any]) -> dict[str, Any]:
    """What of the data decides: names of files count only among several, as they may be classes or an order."""
    kept = {key: value for key, value in record.items() if key not in ("source", "target")}
    for key in ("files", "settings_files"):
        files = kept.get(key)
        if isinstance(files, list) and len(files) == 1 and isinstance(files[0], dict):
            kept[key] = [{name: value for name, value in files[0].items() if name != "path"}]
    return kept


def read_metrics(path: Path) -> list[Metric]:
    """The rows of a ``metrics.csv``. Raises RunFolderError where it is missing or damaged."""
    with reading(path, "the measurements of a run"):
        return _parse_metrics(read_file(path))


def _parse_metrics(content: bytes) -> list[Metric]:
    """The rows of a table of measurements; raises ValueError where one is none."""
    lines = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
    if lines and tuple(lines[0]) != HEADER:
        raise ValueError(f"line 1 is not {','.join(HEADER)}")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        try:
            step, time, split, name, value = line
            rows.append(Metric(int(step), float(time), split, name, float(value)))
        except ValueError:
            raise ValueError(f"line {number} is no measurement") from None
    return rows


def utc_now() -> str:
    """The time as ISO 8601, in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
