"""Files and folders that appear complete or not at all, and what a kill left of those that did not.

What is being written lies beside its target under a name of its own, ``.NAME.XXXXXXXX.tmp``, locked by its writer; a kill
drops the lock, and the next writer removes what is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no locks on files
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".tmp"
_HERE = {"linux": -100, "darwin": -2}  # AT_FDCWD: relative paths start from the working folder
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS
_LONGEST_NAME = 255  # bytes, on most file systems


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file under another name beside `path`, and rename it: `path` holds the old or the new content.

    With `sync` the new content is on the disk on return, and survives a power failure. Raises OSError.
    """
    beside = _beside(path)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            _lock(file.fileno())
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    if sync:
        sync_to_disk(path.parent)


@contextlib.contextmanager
def folder_beside(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` to fill, for :func:`put_folder`; what is left of it goes in the end. Raises OSError."""
    workshop = _beside(target)
    workshop.mkdir()
    handle = os.open(workshop, os.O_RDONLY) if fcntl else None
    try:
        if handle is not None:
            _lock(handle)
        fresh = workshop / "new"
        fresh.mkdir()
        yield fresh
    finally:
        shutil.rmtree(workshop)
        if handle is not None:
            os.close(handle)


def put_folder(fresh: Path, target: Path) -> None:
    """Put the folder `fresh` at `target`; an older folder there takes the place of `fresh`.

    The two change places in one step (Linux, macOS): at no moment is `target` missing. On other systems it is for a moment.
    The new folder is on the disk on return. Raises OSError.
    """
    sync_to_disk(fresh)
    if not target.exists():
        fresh.rename(target)
    elif not _exchange(fresh, target):
        old = fresh.with_name("old")
        target.rename(old)
        try:
            fresh.rename(target)
        except BaseException:
            if not target.exists():
                old.rename(target)
            raise
    sync_to_disk(target.parent)


def clear_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what killed writers of `name` (default: of anything) left in `folder`; what is being written stays.

    An old folder that was moved aside when the kill came goes back to its place.
    """
    named = name != "*"
    pattern = f".{glob.escape(_shortened(name)) if named else name}.*{_SUFFIX}"
    for left in folder.glob(pattern):
        target = folder / (name if named else left.name[1:].rsplit(".", 2)[0])
        with contextlib.suppress(OSError), _unlocked(left):
            if left.is_dir():
                if (left / "old").exists() and not target.exists():
                    (left / "old").rename(target)
                shutil.rmtree(left)
            else:
                left.unlink()


def is_leftover(path: Path) -> bool:
    """Whether a name is that of something being written, or left by a kill."""
    return path.name.startswith(".") and path.name.endswith(_SUFFIX)


def sync_to_disk(path: Path) -> None:
    """Wait until what was written to a file or folder is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folders(path: Path) -> None:
    """Make a folder and those above it, all of them on the disk on return. Raises OSError."""
    missing = [part for part in (path, *path.parents) if not part.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for part in missing:
        sync_to_disk(part.parent)


def _beside(path: Path) -> Path:
    return path.with_name(f".{_shortened(path.name)}.{secrets.token_hex(4)}{_SUFFIX}")


def _shortened(name: str) -> str:
    """As much of a name as leaves room for what comes around it."""
    room = _LONGEST_NAME - len(f"..{'0' * 8}{_SUFFIX}")
    return os.fsdecode(os.fsencode(name)[:room])


def _lock(handle: int) -> None:
    """Hold a file or folder until it is closed or the process ends; file systems without locks go without."""
    if fcntl:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def _unlocked(path: Path) -> Iterator[None]:
    """Raises OSError where another process holds `path`."""
    if not fcntl:
        raise OSError(errno.ENOTSUP, "no locks here")
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system or the file system has no such step."""
    system = ctypes.CDLL(None, use_errno=True) if sys.platform in _HERE else None
    call = getattr(system, "renameat2" if sys.platform == "linux" else "renameatx_np", None)
    if call is None:
        return False
    here = _HERE[sys.platform]
    if call(here, os.fsencode(one), here, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))
