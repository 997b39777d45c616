"""Who of several processes is still there: each says every second that it lives and what it does, and looks at the others.

A process that was killed, froze, or whose link was cut is named within `LOST_AFTER` seconds; so is one that works on a step for
so long that all others wait. Collective operations cannot be left from within: where the training thread does not come back
by itself, the thread of the watch runs what is to be done and ends the process.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

EVERY = 1.0  # seconds between two signs of life
LOST_AFTER = float(os.environ.get("CONGRU_LOST_AFTER", "20"))  # seconds without one
LOST_AFTER_FAULT = min(5.0, LOST_AFTER)  # the same, once a collective operation has failed
SLOW_AFTER = 45.0  # seconds that the others wait for one
USUAL_STEPS = 20.0  # ... and at least so many usual steps
GRACE = 3.0  # seconds for the training thread to come out of a collective operation


class Store(Protocol):
    """What is needed of torch's key-value store."""

    def set(self, key: str, value: str, /) -> Any: ...

    def multi_get(self, keys: list[str], /) -> list[bytes]: ...


@dataclass(frozen=True)
class Sign:
    """A sign of life: a number that grows, what the process does, at which step, and where it runs."""

    number: int
    doing: str
    step: int
    host: str
    process: int

    def line(self) -> str:
        """As text for the store."""
        return json.dumps([self.number, self.doing, self.step, self.host, self.process])

    @classmethod
    def of(cls, line: bytes) -> Sign:
        """From the text in the store."""
        return cls(*json.loads(line))


@dataclass(frozen=True)
class Lost:
    """A process that does not answer, or keeps the others waiting."""

    rank: int
    sign: Sign | None
    seconds: float
    slow: bool = False

    def __str__(self) -> str:
        """One clause: which process, where, since when.

        >>> print(Lost(3, Sign(9, "step", 512, "node-b", 4711), 20.4))
        rank 3 (node-b, process 4711) has not been heard of for 20 s, last at step 512
        """
        where = "" if self.sign is None else f" ({self.sign.host}, process {self.sign.process})"
        at = "" if self.sign is None else f"at step {self.sign.step}"
        if self.slow:
            return f"rank {self.rank}{where} is still {at} after {self.seconds:.0f} s, all others wait for it"
        last = f", last {at}" if at else ""
        return f"rank {self.rank}{where} has not been heard of for {self.seconds:.0f} s{last}"


class Roster:
    """What one process knows of the others: pure bookkeeping over times, so that it can be tested without waiting."""

    def __init__(self, rank: int, world_size: int, now: float) -> None:
        self.rank, self.world_size = rank, world_size
        self.signs: list[Sign | None] = [None] * world_size
        self._heard = [now] * world_size
        self._waiting_since: float | None = None
        self._waiting_step = -1

    def hear(self, signs: list[Sign], now: float) -> None:
        """Take in the signs of all."""
        for rank, sign in enumerate(signs):
            before = self.signs[rank]
            if before is None or before.number != sign.number:
                self._heard[rank] = now
            self.signs[rank] = sign
        own = signs[self.rank]
        if own.doing != "waiting":
            self._waiting_since = None
        elif self._waiting_since is None or own.step != self._waiting_step:
            self._waiting_since, self._waiting_step = now, own.step

    def lost(self, now: float, lost_after: float) -> list[Lost]:
        """Those who have given no sign for so long."""
        return [
            Lost(rank, self.signs[rank], now - heard)
            for rank, heard in enumerate(self._heard)
            if rank != self.rank and now - heard >= lost_after
        ]

    def slow(self, now: float, slow_after: float) -> list[Lost]:
        """Those for whom the others have waited so long, in a step: they live, and have not come to its end."""
        if self._waiting_since is None or now - self._waiting_since < slow_after:
            return []
        others = [(rank, sign) for rank, sign in enumerate(self.signs) if sign is not None]
        return [
            Lost(rank, sign, now - self._waiting_since, slow=True)
            for rank, sign in others
            if sign.doing == "step" and sign.step <= self._waiting_step
        ]


class Watch:
    """The watch of one process. ``at`` says what the training thread does; ``on_lost(lost)`` is called once, at the end of all.

    Args:
        rank: of this process.
        world_size: how many there are.
        store: reaches the same store from every process; a failure means that rank zero, who holds it, is gone.
        on_lost: saves and prints; afterwards the process ends.
    """

    def __init__(
        self, rank: int, world_size: int, store: Store, on_lost: Callable[[list[Lost]], None]
    ) -> None:
        self._rank, self._world_size, self._store, self._on_lost = rank, world_size, store, on_lost
        self._doing, self._step, self._number = "start", 0, 0
        self._roster = Roster(rank, world_size, time.monotonic())
        self._ended, self._fault, self._leaving = threading.Event(), threading.Event(), threading.Lock()
        self._store_heard = time.monotonic()
        self._step_began, self._usual = time.monotonic(), 0.0
        self._thread = threading.Thread(target=self._run, name="watch over the other processes", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Training has ended: from here on silence is no sign.

        Returns when the thread has come out of the store: at the end of the interpreter it would abort the process there.
        """
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def at(self, doing: str, step: int) -> None:
        """The training thread now does this: ``step``, ``waiting`` (for the others), ``evaluation``."""
        now = time.monotonic()
        if doing == "waiting" and self._doing == "step":
            self._usual = 0.9 * self._usual + 0.1 * (now - self._step_began)
        elif doing == "step":
            self._step_began = now
        self._doing, self._step = doing, step

    def fault(self, error: BaseException) -> None:
        """A collective operation has failed in the training thread: wait until it is known who is missing, then leave.

        Raises the error again where nobody is missing.
        """
        self._fault.set()
        deadline = time.monotonic() + LOST_AFTER_FAULT + 2 * GRACE
        while time.monotonic() < deadline:
            time.sleep(0.2)
        raise error

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            self.exchange()
            now = time.monotonic()
            missing = self._missing(now)
            if missing and not self._ended.is_set():
                if not self._fault.is_set():
                    self._ended.wait(GRACE)
                if not self._ended.is_set():
                    self._leave(missing)

    def exchange(self) -> None:
        """Give a sign of life, and look at those of the others."""
        self._number += 1
        sign = Sign(self._number, self._doing, self._step, socket.gethostname(), os.getpid())
        try:
            self._store.set(f"sign/{self._rank}", sign.line())
            lines = self._store.multi_get([f"sign/{rank}" for rank in range(self._world_size)])
        except (
            RuntimeError
        ):  # torch.distributed.DistNetworkError and the like: timed out, or the connection is gone
            return
        self._store_heard = time.monotonic()
        self._roster.hear([Sign.of(line) for line in lines], self._store_heard)

    def _missing(self, now: float) -> list[Lost]:
        limit = LOST_AFTER_FAULT if self._fault.is_set() else LOST_AFTER
        if now - self._store_heard >= limit and self._rank != 0:
            return [Lost(0, self._roster.signs[0], now - self._store_heard)]
        return self._roster.lost(now, limit) or self._roster.slow(
            now, max(SLOW_AFTER, USUAL_STEPS * self._usual)
        )

    def _leave(self, missing: list[Lost]) -> None:
        with self._leaving:
            try:
                self._on_lost(missing)
            finally:
                os._exit(os.EX_TEMPFAIL)


def open_store(rank: int, address: str, port: int) -> Any:
    """The store of all watches: rank zero holds it (``port`` 0: any free one), the others reach it at this address."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore(address, port, None, rank == 0, timeout=timedelta(seconds=5.0), wait_for_workers=False)
