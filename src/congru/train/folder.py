"""The run folder: what training leaves on disk, written so that a crash or a full disk loses nothing.

    status.json  config.yaml  env.json  data.json  metrics.csv  log.txt
    plots/  samples/  report.html  last/  model/

Whole files are replaced atomically (temporary file, rename; the checkpoint with fsync). ``metrics.csv`` is
appended to; a checkpoint holds its length, and resuming cuts it back to that length, so no row is lost or
doubled.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import errno
import fcntl
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from congru.errors import RunFolderError
from congru.runtime.atomic import clear_leftovers, is_leftover, sync_to_disk, write_whole
from congru.runtime.plain_json import as_json

LOG = "log.txt"
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


def write_bytes(path: Path, content: bytes, sync: bool = False) -> None:
    """Replace ``path`` atomically, with its folders made first; see :func:`congru.runtime.atomic.write_whole`."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content, sync=sync)


def next_free(parent: Path, task: str) -> Path:
    """``parent/TASK-1``, or the next number that does not exist."""
    number = 1
    while (parent / f"{task}-{number}").exists():
        number += 1
    return parent / f"{task}-{number}"


def claim_next(parent: Path, task: str) -> Path:
    """The folder of :func:`next_free`, made empty: two trainings that start at once get one each."""
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            out = next_free(parent, task)
            with contextlib.suppress(FileExistsError):
                out.mkdir()
                return out


def check_out(out: Path, resume: bool) -> None:
    """Refuse a folder that holds something (without ``resume``) or that is no run folder (with it).

    A log alone is what a start leaves that was killed before it wrote anything else: it may start again.
    """
    if resume:
        if not (out / "config.yaml").is_file():
            raise RunFolderError(
                f"out is '{out}', expected a run folder with config.yaml: leave out --resume"
            )
        return
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"out is '{out}', a file, expected a folder: choose another --out")
    if out.is_dir() and any(path.name != LOG and not is_leftover(path) for path in out.iterdir()):
        raise RunFolderError(
            f"out is '{out}', which holds files already, expected a new folder: "
            "continue that run with --resume, or choose another --out"
        )


class RunFolder:
    """An open run folder. Only one process at a time may hold it."""

    def __init__(self, path: Path, resume: bool = False) -> None:
        check_out(path, resume)
        self.path = path
        self.model = path / "model"
        self.last = path / "last"
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            self._log: IO[str] = open(path / LOG, "a", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._log.close()
            raise RunFolderError(
                f"out is '{path}', in use by another run: wait for it or choose another --out"
            ) from None
        for part in (path, self.last, path / "plots", path / "samples"):
            clear_leftovers(part)
        self._metrics = path / "metrics.csv"
        self._status: dict[str, Any] = {}

    def write_text(self, name: str, text: str) -> None:
        """Replace the file ``name`` atomically."""
        write_bytes(self.path / name, text.encode("utf-8"))

    def write_file(self, name: str, content: bytes) -> None:
        """Replace the file ``name`` atomically by bytes."""
        write_bytes(self.path / name, content)

    def write_json(self, name: str, value: object) -> None:
        """Replace the file ``name`` by indented JSON."""
        self.write_text(name, as_json(value, indent=2) + "\n")

    def set_status(self, **changes: object) -> None:
        """Update ``status.json``; its ``state`` is running, finished, interrupted or failed."""
        self._status.update(changes, updated=utc_now())
        self.write_json("status.json", self._status)

    def check_same_data(self, data: dict[str, object]) -> None:
        """Refuse to continue a run on other data than it was started with."""
        path = self.path / "data.json"
        if not path.is_file():
            return
        before = json.loads(path.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(data))
        for key in sorted({*before, *now} - {"source"}):
            if before.get(key) != now.get(key):
                raise RunFolderError(
                    f"data: {key} is not what the run in {self.path} was started with: "
                    "use the same data, or start another run with another --out"
                )

    def log(self, line: str) -> None:
        """Append a line, with the time, to ``log.txt``."""
        with writing(self.path / LOG):
            self._log.write(f"{utc_now()} {line}\n")
            self._log.flush()

    def append_metrics(self, rows: Sequence[Metric]) -> None:
        """Append rows to ``metrics.csv`` (values written so that they read back bit for bit)."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        with writing(self._metrics):
            if self.metrics_size() == 0:
                table.writerow(HEADER)
            table.writerows((r.step, f"{r.time:.3f}", r.split, r.name, repr(r.value)) for r in rows)
            with open(self._metrics, "a", encoding="utf-8") as file:
                file.write(text.getvalue())

    def sync_metrics(self) -> None:
        """Put the rows on the disk, before a checkpoint says how many there are."""
        if self._metrics.exists():
            with writing(self._metrics):
                sync_to_disk(self._metrics)

    def metrics_size(self) -> int:
        """Length of ``metrics.csv`` in bytes."""
        return self._metrics.stat().st_size if self._metrics.exists() else 0

    def cut_metrics(self, size: int) -> None:
        """Drop the rows written after the checkpoint that recorded ``size``."""
        if self.metrics_size() < size:
            raise RunFolderError(
                f"{self._metrics} has {self.metrics_size()} bytes, expected at least {size}, as in last/: "
                "restore it, or start another run with another --out"
            )
        if self._metrics.exists():
            with writing(self._metrics):
                os.truncate(self._metrics, size)

    def close(self) -> None:
        """Give the folder free for another process."""
        self._log.close()


def read_metrics(path: Path) -> list[Metric]:
    """The rows of a ``metrics.csv``."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [
            Metric(int(r["step"]), float(r["time"]), r["split"], r["name"], float(r["value"])) for r in rows
        ]


def utc_now() -> str:
    """The time as ISO 8601, in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
