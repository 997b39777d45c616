"""Ctrl-C, SIGTERM and a closed terminal end a run at the next step: it is saved, and the line that continues it printed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from congru.errors import CongruError

SECONDS_OF_ECHO = 1.0


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by the user and saved; the message is the line that continues it."""


class TrainingPruned(CongruError):
    """A sweep ends this run: others are ahead of it. What it has reached is saved."""


class StopSignal:
    """``with StopSignal() as stop:`` -> ``stop.requested`` turns True at the first SIGINT, SIGTERM or SIGHUP.

    SIGHUP comes when the terminal closes; under ``nohup`` it stays ignored.

    A second one interrupts at once, unless it comes within a second: ``torchrun`` passes on what the
    terminal has sent already. Outside the main thread signals cannot be caught, and nothing changes.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.requested = False
        self._now = now
        self._first = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            hangup = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # Windows has none
            if hangup and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
                hangup = []
            for number in (signal.SIGINT, signal.SIGTERM, *hangup):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested = True
            self._first = self._now()
        elif self._now() - self._first > SECONDS_OF_ECHO:
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
