"""Locked voices: which notes a frame may still take so that given voices sing given notes.

A frame is named from its lowest note. The bass is the lowest note; soprano, alto and tenor are the highest, the second and the
third from the top. Legend: T frames, K keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.tasks.music.frames import END
from congru.tasks.music.pieces import KEYS, Roll

FROM_TOP = {"soprano": 0, "alto": 1, "tenor": 2}
BASS = "bass"
VOICES = (*FROM_TOP, BASS)


class FrameLock(NamedTuple):
    """What a frame must hold: the lowest key, keys by their rank from the top, how many notes; None or empty: free."""

    bottom: int | None = None
    top: Mapping[int, int] = {}
    voices: int | None = None

    @property
    def free(self) -> bool:
        """Whether it asks for nothing."""
        return self.bottom is None and not self.top and self.voices is None

    @property
    def keys(self) -> list[int]:
        """The keys it asks for."""
        return sorted({*self.top.values(), *([] if self.bottom is None else [self.bottom])})


def line_of(roll: Roll, voice: str) -> NDArray[np.int64]:
    """The key [T] that a voice sings in every frame, -1 where it rests; of a frame with one note that note.

    Raises:
        SettingsError: no such voice.
    """
    if voice not in VOICES:
        raise SettingsError(f"voice is {voice!r}, expected one of {', '.join(VOICES)}: correct the name")
    line = np.full(len(roll), -1)
    for t, frame in enumerate(roll):
        keys = np.flatnonzero(frame)
        if len(keys):
            rank = len(keys) - 1 - FROM_TOP[voice] if voice in FROM_TOP else 0
            line[t] = keys[max(rank, 0)] if len(keys) > 1 else keys[0]
    return line


def lock_at(lines: Mapping[str, NDArray[np.int64]], t: int, voices: int | None = None) -> FrameLock:
    """What frame `t` must hold; beyond a line's end its voice is free."""
    known = {voice: int(line[t]) for voice, line in lines.items() if t < len(line) and line[t] >= 0}
    top = {FROM_TOP[voice]: key for voice, key in known.items() if voice in FROM_TOP}
    return FrameLock(known.get(BASS), top, voices)


def allowed_next(lock: FrameLock, chosen: list[int]) -> NDArray[np.bool_]:
    """Which keys, and the end, may come after the keys `chosen` from below, [K + 1].

    >>> np.flatnonzero(allowed_next(FrameLock(top={0: 50}), [30, 50])).tolist() == [END]
    True
    """
    count, last = len(chosen), chosen[-1] if chosen else -1
    allowed = np.ones(KEYS + 1, bool)
    allowed[: last + 1] = False
    if lock.bottom is not None and count == 0:
        return _only(lock.bottom)
    waiting = {rank: key for rank, key in lock.top.items() if key > last}
    reached = {rank: key for rank, key in lock.top.items() if key <= last}
    rank = _next_rank(lock, reached, chosen)
    if rank is not None:  # the rank from the top that the next note has is known
        if rank < 0:
            return _only(END)
        allowed[END] = False
        if rank in waiting:
            return _only(waiting[rank])
        allowed[KEYS - rank : KEYS] = False  # room for the notes above
    if waiting:
        allowed[END] = False
        lowest = max(waiting)
        may_come = rank is None
        allowed[waiting[lowest] + may_come : KEYS] = False
    return allowed


def _next_rank(lock: FrameLock, reached: Mapping[int, int], chosen: list[int]) -> int | None:
    if reached:
        rank, key = min(reached.items())
        return rank - sum(one > key for one in chosen) - 1
    return None if lock.voices is None else lock.voices - len(chosen) - 1


def _only(key: int) -> NDArray[np.bool_]:
    allowed = np.zeros(KEYS + 1, bool)
    allowed[key] = True
    return allowed
