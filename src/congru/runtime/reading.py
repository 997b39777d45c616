"""Reading files of a folder that anyone may have made: regular ones only, of a bounded size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_file(path: Path, most: int | None = None) -> bytes:
    """The bytes of a regular file, of `most` bytes if given.

    A FIFO or a device is not waited for. Raises OSError, also for these and for a larger file; its `strerror` says why.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except ValueError as error:  # a NUL in the name, or half a character
        raise OSError(errno.EINVAL, f"no name of a file: {error}", str(path)) from None
    try:
        _check(os.fstat(handle), path, most)
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def _check(status: os.stat_result, path: Path, most: int | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "a pipe or a device, not a file", str(path))
    if most is not None and status.st_size > most:
        raise OSError(errno.EFBIG, f"{status.st_size:,} bytes, more than {most:,}", str(path))
