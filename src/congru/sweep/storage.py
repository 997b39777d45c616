"""Where the workers of a sweep meet: Optuna's journal file in the sweep's folder, or a database by its address.

The journal gets what Optuna gives databases alone: signs of life of running trials, so that trials of dead workers are
failed and queued again. Its file is locked through the kernel, which lets go of a lock whose holder was killed, and an
entry that a kill cut off is removed before the next is written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from congru.errors import SettingsError, require
from congru.train.liveness import is_gone, this_process

optuna = require("optuna", "sweep")

from optuna.storages import JournalStorage, RDBStorage, fail_stale_trials  # noqa: E402
from optuna.storages._heartbeat import BaseHeartbeat  # noqa: E402
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock  # noqa: E402
from optuna.storages.journal._file import BaseJournalFileLock  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

if TYPE_CHECKING:
    from optuna import Study

JOURNAL = "journal.log"
BEAT_SECONDS = float(os.environ.get("CONGRU_SWEEP_BEAT", "15"))  # between two signs of life
STALE_SECONDS = 4 * BEAT_SECONDS  # without one, a worker on another machine is taken for dead
_SIGN, _PROCESS = "congru:sign", "congru:process"
_NETWORK_DISKS = ("nfs", "cifs", "smb", "lustre", "fuse.sshfs", "9p", "ceph", "gpfs")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)

Storage: TypeAlias = "RDBStorage | JournalWithSigns"


class KernelLock(BaseJournalFileLock):
    """The lock of a journal: held by the kernel for a process, and gone with it. Where the disk has none, Optuna's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._other = JournalFileOpenLock(str(path))
        self._uses_other = False

    def acquire(self) -> bool:
        """Wait for the lock; then remove what a killed writer left unfinished."""
        import fcntl

        try:
            file = open(f"{self._path}.flock", "ab")  # noqa: SIM115
            fcntl.flock(file, fcntl.LOCK_EX)
            self._file = file
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self._uses_other = self._other.acquire()
        cut_off_unfinished(self._path)
        return True

    def release(self) -> None:
        """Let the others."""
        if self._uses_other:
            self._other.release()
        elif self._file is not None:
            self._file.close()


def cut_off_unfinished(path: Path) -> None:
    """Cut a journal back to its last whole line; one that ends with a whole line stays as it is."""
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return
        begin = max(0, size - (1 << 20))
        file.seek(begin)
        file.truncate(begin + file.read().rfind(b"\n") + 1)


class JournalWithSigns(JournalStorage, BaseHeartbeat):
    """Optuna's journal with signs of life: a running trial's entry grows; one that stands still has lost its worker."""

    def __init__(self, path: Path) -> None:
        super().__init__(JournalFileBackend(str(path), lock_obj=KernelLock(path)))
        self._seen: dict[int, tuple[Any, float]] = {}

    def record_heartbeat(self, trial_id: int) -> None:
        """A sign of life of this process, for a trial that it runs."""
        attributes = self.get_trial(trial_id).system_attrs
        if attributes.get(_PROCESS) != this_process():
            self.set_trial_system_attr(trial_id, _PROCESS, this_process())
        self.set_trial_system_attr(trial_id, _SIGN, attributes.get(_SIGN, 0) + 1)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        now, stale = time.monotonic(), []
        for trial in self.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,)):
            sign = trial.system_attrs.get(_SIGN)
            if self._seen.get(trial._trial_id, (object(), 0.0))[0] != sign:
                self._seen[trial._trial_id] = (sign, now)
            silent = now - self._seen[trial._trial_id][1]
            if silent >= STALE_SECONDS or is_gone(trial.system_attrs.get(_PROCESS)):
                stale.append(trial._trial_id)
        return stale

    def get_heartbeat_interval(self) -> int:
        """Seconds between two signs, at least one."""
        return max(1, round(BEAT_SECONDS))

    def get_heartbeat_stale_trial_callback(self) -> None:
        """None: `congru.sweep.slots` queues what was lost."""


def open_storage(folder: Path, address: str | None) -> Storage:
    """The journal in a folder, or the database at an address such as ``postgresql://user@host/name``.

    Raises:
        SettingsError: the database cannot be opened, or is SQLite on a network disk.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if address is None:
        return JournalWithSigns(folder / JOURNAL)
    _refuse_shared_sqlite(address)
    interval = max(1, round(BEAT_SECONDS))
    try:
        with quiet():
            return RDBStorage(address, heartbeat_interval=interval, grace_period=4 * interval)
    except Exception as error:  # SQLAlchemy's, the driver's, or a missing driver's
        reason = " ".join(str(error).split())[:160]
        raise SettingsError(
            f"storage is '{_without_password(address)}' ({reason}), expected the address of a database that can be opened:"
            " check it, or leave it out for a journal file"
        ) from None


def _refuse_shared_sqlite(address: str) -> None:
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///(.+)", address)
    disk = disk_of(Path(match[1])) if match else ""
    if disk.startswith(_NETWORK_DISKS):
        raise SettingsError(
            f"storage is '{address}' on a disk of type {disk}, where SQLite loses entries, expected a database server or a "
            "local disk: leave it out for a journal file"
        )


def disk_of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that holds a path, such as ``ext4`` or ``nfs4``; "" where the system does not tell."""
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ""
    whole = path.absolute()
    holding = [fields for fields in lines if Path(fields[1]) in (whole, *whole.parents)]
    return max(holding, key=lambda fields: len(fields[1]))[2] if holding else ""


def _without_password(address: str) -> str:
    return re.sub(r"(://[^:/@]+):[^@]*@", r"\1:...@", address)


@contextlib.contextmanager
def signs_of_life(storage: Storage, trial_id: int) -> Iterator[None]:
    """While the block runs, a thread says that the trial's worker lives."""
    ended = threading.Event()
    storage.record_heartbeat(trial_id)

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # taken for dead meanwhile
                storage.record_heartbeat(trial_id)

    thread = threading.Thread(target=beat, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def fail_trials_of_the_dead(study: Study) -> None:
    """Running trials whose worker has ended, or has given no sign for long, become failed ones."""
    with quiet():
        fail_stale_trials(study)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's warnings that a part of it may change in a later version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
