"""Work of a minute that says how far it is, and ends when nobody waits for it: one after the other, in a thread of its own.

progress   how many wait before it; then what the work reports, with the seconds that are left
the last   what came of it, or the fault
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from pydantic import BaseModel

from congru.serve.faults import Refused, refused

_LOG = logging.getLogger(__name__)
MOST_WAITING = 8
Event = dict[str, Any]
Work = Callable[[Callable[[str, int, int], None]], Event]


class Progress(BaseModel):
    """How far a fit is: `done` of `of` fits before it, games read, or passes over the games."""

    type: Literal["progress"] = "progress"
    phase: Literal["waiting", "reading", "fitting"]
    done: int
    of: int
    seconds_left: float | None = None


class Adapted(BaseModel):
    """The model that knows the player: the bits a move of this player's own moves in these games, before and after."""

    type: Literal["adapted"] = "adapted"
    model: str
    player: str
    games: int
    moves: int
    before: float
    after: float


class Failed(BaseModel):
    """It was refused while it was under way: a code for programs, a line for people."""

    error: dict[str, Any]


def events_schema() -> dict[str, Any]:
    """The JSON schema of the events of a fit that streams: any number of the first, and one of the others."""
    return {"anyOf": [kind.model_json_schema() for kind in (Progress, Adapted, Failed)]}


class Fits:
    """The line of what is to be fitted."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="congru-fit")
        self._line: list[_Fit] = []

    def close(self) -> None:
        """End what runs, and begin nothing more."""
        for fit in self._line:
            fit.stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Work) -> AsyncGenerator[Event, None]:
        """Its events, the last of which is what it returns. To close the iterator is to end the work.

        Raises :class:`Refused` where too many wait, and what the work raises.
        """
        if len(self._line) >= MOST_WAITING:
            raise Refused(
                "full", 503, f"fits has {len(self._line)} that wait, expected fewer: try again later"
            )
        fit = _Fit(work)
        future = asyncio.get_running_loop().run_in_executor(self._pool, fit)
        future.add_done_callback(lambda _: fit.news.put_nowait(None))
        self._line.append(fit)
        try:
            if len(self._line) > 1:
                yield _progress("waiting", 0, len(self._line) - 1)
            while (event := await fit.news.get()) is not None:
                yield event
            yield await future
        finally:
            fit.stop.set()
            future.cancel()
            self._line.remove(fit)

    async def stream(self, work: Work) -> AsyncIterator[str]:
        """The same as server-sent events; a fault is one, too."""
        async with contextlib.aclosing(self.run(work)) as events:
            try:
                async for event in events:
                    yield f"data: {json.dumps(event)}\n\n"
            except Exception as error:
                fault = refused(error)
                if fault.status == 500:
                    _LOG.exception("a fit failed")
                yield f"data: {json.dumps({'error': fault.as_json()})}\n\n"


class _Fit:
    """One work, called in the thread; `stop` ends it when it next says how far it is."""

    def __init__(self, work: Work) -> None:
        self.work, self.stop = work, threading.Event()
        self.news: asyncio.Queue[Event | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._phase, self._began = "", 0.0

    def __call__(self) -> Event:
        return self.work(self._report)

    def _report(self, phase: str, done: int, of: int) -> None:
        if self.stop.is_set():
            raise Refused(
                "ended", 503, "the fit was ended, expected a server that goes on: start it, ask again"
            )
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._began = phase, now
        left = None if done == 0 else (now - self._began) / done * (of - done)
        self._loop.call_soon_threadsafe(self.news.put_nowait, _progress(phase, done, of, left))


def _progress(phase: Any, done: int, of: int, seconds_left: float | None = None) -> Event:
    rounded = None if seconds_left is None else round(seconds_left, 1)
    return Progress(phase=phase, done=done, of=of, seconds_left=rounded).model_dump()
