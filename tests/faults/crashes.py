"""Forked children that die, or meet an error, at the n-th operation on files below a folder.

Every operation of Python's on a file or folder raises an audit event before it happens; the n-th one below ``root`` ends the
child at once, as a kill would, or raises an error there. The parent looks at what is left.
"""

from __future__ import annotations

import contextlib
import os
import sys
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


def _work(root: str, number: int, work: Callable[[], Any], error: BaseException | None) -> int:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        below = event in _EVENTS and any(_below(argument, root) for argument in arguments)
        if not below and event not in _CALLS:
            return
        count += 1
        if count == number:
            if error is not None:
                raise error
            os._exit(KILLED)

    sys.addaudithook(hook)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
        try:
            work()
        except CongruError as raised:
            return FAILED if error is not None and str(error.args[-1]) in str(raised) else 255
        except KeyboardInterrupt:
            return FAILED if isinstance(error, KeyboardInterrupt) else 255
    return SURVIVED


def _below(argument: Any, root: str) -> bool:
    return isinstance(argument, (str, bytes, os.PathLike)) and os.fsdecode(argument).startswith(root)
