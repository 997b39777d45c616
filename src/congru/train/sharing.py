"""The first process prepares the data, the others map what it has made: no source is read twice, no array is held twice.

    rank zero           learner -> a file: the memory of its arrays, then its pickle
    others, same host   map the file; a page of an array is read when a row on it is
    other hosts         get the file once, in pieces; their processes map their own

The file lies in the folder for temporary files (TMPDIR) and has no name any more once all have opened it: whatever happens,
nothing is left behind. What is unpickled comes from the processes of this run, over the connection that trains.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import secrets
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning_fabric import Fabric

from congru.errors import CongruError, RunFolderError
from congru.train.base import AnyLearner

_ALIGN = 64  # bytes
_MARK_SIZE = 16
_PIECE = 16 << 20  # bytes sent to other hosts at a time
_PATIENCE = timedelta(days=2)  # data may take hours to prepare


@dataclass(frozen=True)
class Unprepared:
    """A learner that is not made yet: the task's name, and how."""

    task: str
    make: Callable[[], AnyLearner]


@dataclass(frozen=True)
class _Shared:
    """Where the file of the first process is, and how to know it: its size and the bytes at its end."""

    path: str
    size: int
    mark: bytes

    def is_here(self) -> bool:
        """Whether this process sees that very file."""
        try:
            with open(self.path, "rb") as file:
                file.seek(-len(self.mark), os.SEEK_END)
                return file.read() == self.mark and file.tell() == self.size
        except OSError:
            return False


def prepare(fabric: Fabric, unprepared: Unprepared) -> AnyLearner:
    """The learner, made by the first process alone.

    Raises:
        CongruError: what making it met, on all processes.
    """
    if fabric.world_size == 1:
        return unprepared.make()
    group = torch.distributed.new_group(backend="gloo", timeout=_PATIENCE)
    learner: AnyLearner | None = None
    outcome: _Shared | CongruError | None = None
    if fabric.is_global_zero:
        try:
            learner = unprepared.make()
            outcome = _write_shared(learner)
        except CongruError as error:
            outcome = error
    outcome = _broadcast(outcome, group)
    if isinstance(outcome, CongruError):
        raise outcome
    path, own = _path_here(fabric, outcome, group)
    if learner is None:
        learner = read_learner(Path(path))
    torch.distributed.barrier(group)
    if own:
        os.unlink(path)
    torch.distributed.destroy_process_group(group)
    return learner


def write_learner(learner: AnyLearner, file: BinaryIO) -> None:
    """The memory of its arrays, its pickle, and the sizes of both."""
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(learner, protocol=5, buffer_callback=buffers.append)
    regions, end = [], 0
    for buffer in buffers:
        memory = buffer.raw()
        file.write(bytes(-end % _ALIGN))
        begin = end + -end % _ALIGN
        file.write(memory)
        end = begin + memory.nbytes
        regions.append((begin, memory.nbytes))
    head = pickle.dumps((regions, content))
    file.write(head)
    file.write(len(head).to_bytes(8, "little"))


def read_learner(path: Path) -> AnyLearner:
    """The learner of a file of :func:`write_learner`: its arrays are the file, and a write to one stays this process's own."""
    with open(path, "rb") as file:
        memory = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    end = len(memory) - _MARK_SIZE - 8
    size = int.from_bytes(memory[end : end + 8], "little")
    regions, content = pickle.loads(memory[end - size : end])
    learner: AnyLearner = pickle.loads(content, buffers=[memory[begin : begin + n] for begin, n in regions])
    return learner


def _write_shared(learner: AnyLearner) -> _Shared:
    """The file of a learner, for the processes that see it."""
    mark = secrets.token_bytes(_MARK_SIZE)
    try:
        with _new_file() as file:
            try:
                write_learner(learner, file)
                file.write(mark)
                return _Shared(file.name, file.tell(), mark)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise _no_room(error) from None


def _new_file() -> Any:
    return tempfile.NamedTemporaryFile(prefix="congru-", suffix=".data", delete=False)


def _no_room(error: OSError) -> RunFolderError:
    return RunFolderError(
        f"{tempfile.gettempdir()} cannot take the prepared data ({(error.strerror or str(error)).lower()}), expected room"
        " for it: set TMPDIR to another folder"
    )


def _path_here(fabric: Fabric, shared: _Shared, group: Any) -> tuple[str, bool]:
    """The path of the file on this host, and whether this process wrote it; hosts that do not see the first one's get it."""
    missing = [None] * fabric.world_size
    torch.distributed.all_gather_object(missing, not shared.is_here(), group)
    if not any(missing):
        return shared.path, fabric.is_global_zero
    own: str | RunFolderError | None = None
    with contextlib.ExitStack() as files:
        source = files.enter_context(open(shared.path, "rb")) if fabric.is_global_zero else None
        target = None
        if missing[fabric.global_rank] and fabric.local_rank == 0:
            target = files.enter_context(_new_file())
            own = target.name
        for _ in range(0, shared.size, _PIECE):
            piece = _broadcast(source.read(_PIECE) if source else b"", group)
            if target is not None and isinstance(own, str):
                try:
                    target.write(piece)
                except OSError as error:
                    own = _no_room(error)
    paths: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(paths, (fabric.node_rank, own), group)
    for _, other in paths:
        if isinstance(other, RunFolderError):
            raise other
    if not missing[fabric.global_rank]:
        return shared.path, fabric.is_global_zero
    return next(other for node, other in paths if node == fabric.node_rank and other), own is not None


def _broadcast(value: Any, group: Any) -> Any:
    """The first process's value, on all."""
    values = [value]
    try:
        torch.distributed.broadcast_object_list(values, 0, group)
    except RuntimeError:
        print("congru: the first process ended while it prepared the data", file=sys.stderr, flush=True)
        raise SystemExit(os.EX_TEMPFAIL) from None
    return values[0]
