"""What a pool keeps for each key, for each thread that waits, and for each step that is asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable
from typing import Any

from congru.runtime.session import Session

Rows = dict[str, Any]  # one row of every input or output, by name


class Entry:
    """One key: its session, or its bytes; what waits for it; whether somebody uses it."""

    __slots__ = ("busy", "closed", "constants", "content", "key", "session", "waiting")

    def __init__(self, key: Hashable, session: Session) -> None:
        self.key, self.constants = key, session.constants
        self.session: Session | None = session
        self.content = b""
        self.waiting: deque[Wish] | None = None  # made when somebody has to wait
        self.busy = self.closed = False


class Ticket:
    """What one thread waits for: all its wishes, or its turn to compute."""

    __slots__ = ("error", "granted", "lead", "left", "lock", "rows")

    def __init__(self, count: int) -> None:
        self.left, self.lead, self.granted = count, False, False
        self.rows: list[Rows | None] = [None] * count
        self.error: BaseException | None = None
        self.lock = threading.Lock()
        self.lock.acquire()

    def wake(self) -> None:
        """Let the thread go on."""
        if self.lock.locked():
            self.lock.release()


class Wish:
    """A step of one key with a row of every input; without rows, to have the session for oneself."""

    __slots__ = ("entry", "index", "rows", "ticket")

    def __init__(self, entry: Entry, ticket: Ticket, index: int, rows: Rows | None) -> None:
        self.entry, self.ticket, self.index, self.rows = entry, ticket, index, rows
