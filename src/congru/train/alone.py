"""What is done when a process is lost: one of those left saves what it has, all say who is missing, and leave.

The checkpoint holds weights, moments and the place in the data as of the last whole step; what only the lost process had (the
state of its generators, the streams it carried over) is gone, so a run continued from it says what differs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from congru.train import checkpoint
from congru.train.devices import leave_to_watch
from congru.train.provenance import resume_line
from congru.train.trainer import Trainer
from congru.train.watch import Lost, Watch, open_store


def watch_others(trainer: Trainer, out: Path) -> Watch | None:
    """Begin to watch the other processes; None where there are none."""
    fabric = trainer.fabric
    if fabric.world_size == 1:
        return None
    address = os.environ.get("MASTER_ADDR", "127.0.0.1")
    store = open_store(0, address, 0) if fabric.is_global_zero else None
    port = fabric.broadcast(store.port if store is not None else 0)
    if store is None:
        store = open_store(fabric.global_rank, address, port)
    watch = Watch(
        fabric.global_rank, fabric.world_size, store, lambda missing: leave_without(trainer, out, missing)
    )
    watch.exchange()
    fabric.barrier()
    leave_to_watch()
    watch.start()
    return watch


def leave_without(trainer: Trainer, out: Path, missing: Sequence[Lost]) -> None:
    """Save, on the first process that is left, and say on each who is missing and how to go on."""
    rank, gone = trainer.fabric.global_rank, {lost.rank for lost in missing}
    saver = min(set(range(trainer.fabric.world_size)) - gone)
    names = "; ".join(map(str, missing))
    if rank != saver:
        print(f"congru: {names}: rank {rank} leaves, rank {saver} saves", file=sys.stderr, flush=True)
        return
    saved = save_alone(trainer, out, names)
    end_frozen(missing)
    line = resume_line(trainer.learner, out)
    print(
        f"congru: {names}: {saved}; to continue, with any number of processes:\n  {line}",
        file=sys.stderr,
        flush=True,
    )


def end_frozen(missing: Sequence[Lost]) -> None:
    """End the lost processes of this machine: a frozen one would hold its memory and the terminal."""
    for lost in missing:
        if lost.sign is not None and lost.sign.host == socket.gethostname():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(lost.sign.process, signal.SIGKILL)


def save_alone(trainer: Trainer, out: Path, names: str) -> str:
    """Write what this process has into the run folder, where it can be reached; says what was done."""
    if not (out / "config.yaml").is_file():
        return f"the run folder {out} is not on this machine, its last checkpoint counts"
    metrics = out / "metrics.csv"
    if trainer.folder is not None:
        trainer.folder.sync_metrics()
    size = metrics.stat().st_size if metrics.is_file() else 0
    nothing = [None] * trainer.fabric.world_size
    checkpoint.save(out / "last", trainer.content(nothing, nothing, size))
    if trainer.folder is not None:
        trainer.folder.set_status(state="interrupted", step=trainer.state.step, error=names)
    return f"saved at step {trainer.state.step}"
