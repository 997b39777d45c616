"""Whether the process that a file names is still there: its number, when it began, and since which start of the machine.

The machine is named by a digest: the file may be shown to others.
"""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """What tells this process from every other, as plain JSON."""
    return {"pid": os.getpid(), "started": _started(os.getpid()), **_machine()}


def is_gone(process: Any) -> bool:
    """Whether a process of this machine has ended; False for what cannot be told from here.

    >>> is_gone(this_process()), is_gone({**this_process(), "pid": 2**22 + 1}), is_gone(None)
    (False, True, False)
    """
    if not isinstance(process, dict) or not isinstance(process.get("pid"), int):
        return False
    here = _machine()
    if process.get("host") != here["host"]:
        return False
    if process.get("boot") != here["boot"]:
        return True
    pid, started = process["pid"], process.get("started")
    if not 0 < pid < 2**31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's: it is there
        pass
    return started is not None and _started(pid) != started


@cache
def _machine() -> dict[str, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # no Linux
        boot = ""
    return {"host": hashlib.sha256(platform.node().encode()).hexdigest()[:16], "boot": boot}


def _started(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; None where the system does not tell, or it has ended."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])
