"""Clips ready to be learnt from: read once in worker processes, small pictures kept, bad clips told or counted.

A clip is [T, C, H, W] of uint8 (pictures, scaled) or [T, I] of float32 (a track). What does not fit into the memory
allowed is read again whenever it is asked for, in training by the processes that make batches.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.video import tracks
from congru.tasks.video.frames import Look, complaints, read_frames
from congru.tasks.video.listing import Entry

Clip = NDArray[Any]
_FEW = 8  # clips that are not worth a process
_FEWEST_FRAMES = 2
_SHOWN = 6  # clips that a line names


class Read(NamedTuple):
    """What came of a file: the clip or None and why not, whether it was cut after so many frames, and what is worth a word.

    `step_ms`: the shortest and the longest time between frames; `sizes`: (rows, columns) before scaling; `damage`: what FFmpeg
    complained of.
    """

    clip: Clip | None
    problem: str = ""
    cut: bool = False
    step_ms: tuple[float, float] = (0.0, 0.0)
    sizes: frozenset[tuple[int, int]] = frozenset()
    damage: str = ""


def read_clip(path: Path, look: Look, name: str = "") -> Read:
    """One clip, cut after `look.max_frames`.

    Raises:
        DataError: see `read_frames` and `read_track`.
    """
    name = name or str(path)
    if path.is_file() and path.suffix.lower() in tracks.SUFFIXES:
        return _read_track(tracks.read_track(path, name), look)
    with complaints() as lines:
        frames = list(islice(read_frames(path, look, name), look.max_frames + 1))
    kept = frames[: look.max_frames]
    steps = np.diff([frame.time_ms for frame in kept])
    return Read(
        np.stack([frame.pixels for frame in kept]),
        cut=len(frames) > look.max_frames,
        step_ms=(float(steps.min()), float(steps.max())) if len(steps) else (0.0, 0.0),
        sizes=frozenset(frame.size for frame in kept),
        damage="; ".join(lines[:2]),
    )


def _read_track(track: Clip, look: Look) -> Read:
    return Read(track[: look.max_frames], cut=len(track) > look.max_frames)


def try_clip(entry: Entry, look: Look) -> Read:
    """One clip, or the reason why it cannot be used, as a clause."""
    try:
        if entry.track is not None:
            read = _read_track(tracks.checked(entry.track, entry.location), look)
        else:
            read = read_clip(entry.path, look, entry.location)
    except DataError as error:
        return Read(None, str(error).split(", expected ")[0])
    assert read.clip is not None
    if len(read.clip) < _FEWEST_FRAMES:
        return Read(None, f"{entry.location} has {len(read.clip)} frame, expected at least {_FEWEST_FRAMES}")
    return read


def read_all(entries: Sequence[Entry], look: Look, processes: int) -> Iterator[Read]:
    """Every clip in order, decoded in worker processes where there are many."""
    if processes == 0 or sum(entry.track is None for entry in entries) <= _FEW:
        yield from (try_clip(entry, look) for entry in entries)
        return
    # Forked workers need no guard in the caller's script; elsewhere they start anew.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    try:
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            yield from pool.map(partial(try_clip, look=look), entries, chunksize=4)
    except BrokenProcessPool:
        raise DataError(
            f"decoders is {processes}, and one of them ended without a word, expected every clip to be read: a clip or"
            " the memory may be to blame; pass --decoders 0 to read them one after the other"
        ) from None


@dataclass(frozen=True)
class ClipSet:
    """N clips with their labels [N] by number; `kept` holds those in memory, the others are read when asked for."""

    entries: list[Entry]
    labels: NDArray[np.int64]
    lengths: NDArray[np.int64]
    kept: dict[int, Clip]
    look: Look

    def __len__(self) -> int:
        return len(self.entries)

    def clip(self, row: int, draw: int = 0) -> Clip:
        """A clip [T, C, H, W] or [T, I]; `draw` is for sets that make their clips.

        Raises:
            DataError: a file that could be read before and now cannot.
        """
        if row in self.kept:
            return self.kept[row]
        read = read_clip(self.entries[row].path, self.look, self.entries[row].location)
        assert read.clip is not None
        return read.clip

    def chosen(self, rows: Sequence[int]) -> ClipSet:
        """Some of the clips."""
        index = np.asarray(rows, np.int64)
        kept = {k: self.kept[row] for k, row in enumerate(rows) if row in self.kept}
        entries = [self.entries[row] for row in rows]
        return ClipSet(entries, self.labels[index], self.lengths[index], kept, self.look)


@dataclass
class ReadReport:
    """Faults and oddities of the clips that were read."""

    bad: list[str] = field(default_factory=list)
    cut: int = 0
    uneven: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    not_kept: int = 0


def load_clips(
    entries: Sequence[Entry], look: Look, *, processes: int, memory_bytes: int, report: ReadReport
) -> tuple[list[Entry], list[Clip | None], list[int]]:
    """The usable clips: entries, clips (None where memory ends), lengths; the others go to `report.bad`.

    Raises:
        DataError: clips of different kinds.
    """
    good, clips, lengths = list[Entry](), list[Clip | None](), list[int]()
    shape: tuple[int, ...] | None = None
    used = 0
    for entry, read in zip(entries, read_all(entries, look, processes), strict=True):
        if read.clip is None:
            report.bad.append(read.problem)
            continue
        if shape is not None and read.clip.shape[1:] != shape:
            report.bad.append(
                f"{entry.location} has frames of {_kind(read.clip.shape[1:])}, the clips before of {_kind(shape)}"
            )
            continue
        shape = read.clip.shape[1:]
        report.cut += read.cut
        report.sizes |= read.sizes
        if read.damage:
            report.damaged.append(f"{entry.location} ({len(read.clip)} frames): {read.damage}")
        if read.step_ms[1] > 1.5 * read.step_ms[0] + 5:
            report.uneven.append(f"{entry.location} {read.step_ms[0]:.0f}-{read.step_ms[1]:.0f} ms")
        used += read.clip.nbytes
        keep = used <= memory_bytes or entry.track is not None
        report.not_kept += not keep
        good.append(entry)
        clips.append(read.clip if keep else None)
        lengths.append(len(read.clip))
    return good, clips, lengths


def _kind(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} numbers" if len(shape) == 1 else f"{shape[1]} x {shape[2]} pixels"


def some(items: Sequence[str]) -> str:
    """The first items of a list, and how many more there are.

    >>> some(["a", "b"])
    'a; b'
    """
    return "; ".join(items[:_SHOWN]) + (f"; and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")
