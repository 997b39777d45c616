"""The open sessions of a server: who owns them, how many there may be, when they are closed, where they are saved.

A session of a WebSocket connection belongs to it and goes with it; one opened over HTTP belongs to whoever knows its id. No two
share a state: a fork is a copy.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from congru.runtime.atomic import is_leftover
from congru.runtime.session import Session
from congru.serve.batcher import Batcher
from congru.serve.faults import Refused
from congru.serve.library import Shelf

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SUFFIX = ".safetensors"


@dataclass(eq=False)
class Held:
    """An open session. `lock` keeps its own requests in order; `owner` is a connection, or None."""

    key: str
    shelf: Shelf
    session: Session
    batcher: Batcher
    owner: object | None = None
    used: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sessions:
    """All of them. `most` may be open at once, `idle_seconds` unused; `now` is a clock that tests may replace."""

    def __init__(
        self, saves: Path, most: int, idle_seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.saves, self.most, self.idle_seconds, self.now = saves, most, idle_seconds, now
        self._held: dict[str, Held] = {}

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def __len__(self) -> int:
        return len(self._held)

    def add(self, shelf: Shelf, session: Session, batcher: Batcher, owner: object | None) -> Held:
        """Keep a session under a new id. Raises :class:`Refused` (503) where there are too many."""
        if len(self._held) >= self.most:
            self.evict()
        if len(self._held) >= self.most:
            raise Refused(
                "full", 503, f"sessions has {self.most} open, expected fewer: close some, or try again later"
            )
        held = Held(secrets.token_urlsafe(12), shelf, session, batcher, owner, self.now())
        self._held[held.key] = held
        return held

    def find(self, key: str, owner: object | None) -> Held:
        """An open session of this owner. Raises :class:`Refused` (404) for any other."""
        held = self._held.get(key)
        if held is None or held.owner is not owner:
            raise Refused(
                "session", 404, f"session is {key!r:.80}, expected an open one of yours: open one first"
            )
        held.used = self.now()
        return held

    def close(self, key: str, owner: object | None) -> None:
        """Forget a session."""
        self.find(key, owner)
        del self._held[key]

    def close_all_of(self, owner: object) -> int:
        """Forget the sessions of a connection that is gone; how many there were."""
        keys = [key for key, held in self._held.items() if held.owner is owner]
        for key in keys:
            del self._held[key]
        return len(keys)

    def evict(self) -> int:
        """Forget the sessions that nobody used for `idle_seconds`; how many there were."""
        before = self.now() - self.idle_seconds
        keys = [key for key, held in self._held.items() if held.used < before and not held.lock.locked()]
        for key in keys:
            del self._held[key]
        return len(keys)

    def save(self, held: Held, name: str) -> Path:
        """Write a session to disk, whole or not at all, under the name of its model; it outlives the server."""
        path = self.path_of(held.shelf, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        held.session.save(path)
        return path

    def path_of(self, shelf: Shelf, name: str) -> Path:
        """Where a saved session of a model lies. Raises :class:`Refused` for a name that is no plain one."""
        if not _NAME.fullmatch(name):
            raise Refused(
                "name",
                400,
                f"name is {name!r:.80}, expected letters, digits, - and _, at most 64: choose another",
            )
        return self.saves / shelf.name / f"{name}{_SUFFIX}"

    def saved(self, shelf: Shelf) -> list[dict[str, Any]]:
        """The saved sessions of a model, the newest first."""
        folder = self.saves / shelf.name
        files = [path for path in folder.glob(f"*{_SUFFIX}") if not is_leftover(path)]
        files.sort(key=lambda path: -path.stat().st_mtime)
        return [{"name": path.name[: -len(_SUFFIX)], "bytes": path.stat().st_size} for path in files]
