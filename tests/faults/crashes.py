"""Forked children that die, or meet an error, at the n-th operation on files below a folder.

Every operation of Python's on a file or folder raises an audit event before it happens, and fsync is counted too; the n-th one
below ``root`` ends the child at once, as a kill would, or raises an error there. The parent looks at what is left.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from congru.errors import CongruError

KILLED, FAILED, SURVIVED = 9, 3, 0
_EVENTS = (
    "open",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.chmod",
    "os.listdir",
    "os.scandir",
)
_CALLS = ("ctypes.dlsym",)  # the exchange of two folders

ERRORS: dict[str, BaseException] = {
    "full": OSError(errno.ENOSPC, "No space left on device"),
    "broken": OSError(errno.EIO, "Input/output error"),
    "denied": OSError(errno.EACCES, "Permission denied"),
    "interrupted": KeyboardInterrupt("stop"),
}


def child(root: Path, number: int, work: Callable[[], Any], error: BaseException | None = None) -> int:
    """Run ``work`` in a forked child that is killed at the ``number``-th operation, or raises ``error`` there.

    Returns KILLED, SURVIVED where there are fewer operations, FAILED where ``error`` came out of ``work`` as one of the
    package's own errors (or as a KeyboardInterrupt), 255 for any other exception.
    """
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 255
    try:
        code = _work(str(root), number, work, error)
    finally:
        os._exit(code)


def killed_after(seconds: float, work: Callable[[], Any]) -> bool:
    """Run ``work`` in a forked child and kill it after so long; whether it was still at work."""
    pid = os.fork()
    if not pid:
        code = 255
        try:
            with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
                work()
            code = 0
        finally:
            os._exit(code)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def _work(root: str, number: int, work: Callable[[], Any], error: BaseException | None) -> int:
    count = 0

    def strike() -> None:
        nonlocal count
        count += 1
        if count == number:
            if error is not None:
                raise error
            os._exit(KILLED)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        below = event in _EVENTS and any(_below(argument, root) for argument in arguments)
        if below or event in _CALLS:
            strike()

    def fsync(handle: int, really: Callable[[int], None] = os.fsync) -> None:
        strike()
        really(handle)

    os.fsync = fsync
    sys.addaudithook(hook)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
        try:
            work()
        except CongruError as raised:
            return FAILED if error is not None and str(error.args[-1]).lower() in str(raised).lower() else 255
        except KeyboardInterrupt:
            return FAILED if isinstance(error, KeyboardInterrupt) else 255
    return SURVIVED


def _below(argument: Any, root: str) -> bool:
    return isinstance(argument, (str, bytes, os.PathLike)) and os.fsdecode(argument).startswith(root)
