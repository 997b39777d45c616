"""Pieces made ready for a model: split, as rolls or as events, with what every score is given in.

The frame model reads rolls [T, K] and what is recalled at each frame; the event model reads events [N].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.tasks.music.events import Events, encode
from congru.tasks.music.frames import Past, past_of
from congru.tasks.music.pieces import KEYS, Piece, Roll, check_rolls, from_roll, to_roll
from congru.tasks.music.recall import recalled
from congru.tasks.music.settings import Settings
from congru.tasks.music.sources import Source, first_lines, read_source, split

FRAME_METRIC = "nats_per_frame"
EVENT_METRIC = "nats_per_note"
_ROLL_GRID, _NOTE_GRID, _EVENT_GRID = 1, 4, 12


@dataclass(frozen=True)
class RollPiece:
    """A piece as the frame model reads it."""

    roll: Roll
    past: Past

    def __len__(self) -> int:
        return len(self.roll)


@dataclass(frozen=True)
class MusicData:
    """A source, its parts by name as pieces, and the grid in force."""

    source: Source
    parts: dict[str, list[Piece]]
    rule: str
    grid: int


def prepare(path: str, settings: Settings) -> MusicData:
    """Read and split.

    Raises:
        DataError: nothing that can be read, or no piece on one side of the split.
    """
    source = read_source(path, settings.bad)
    parts, rule = split(source, settings.validation)
    default = _EVENT_GRID if settings.unit == "events" else _ROLL_GRID if source.rolls else _NOTE_GRID
    return MusicData(source, parts, rule, settings.grid or default)


def make_rolls(pieces: Sequence[Piece], grid: int, source: str, recall: bool = True) -> list[RollPiece]:
    """The rolls of pieces that have a frame, with the past of every frame."""
    rolls = [to_roll(piece, grid) for piece in pieces]
    check_rolls(rolls, source)
    return [with_past(roll, recall) for roll in rolls if len(roll)]


def with_past(roll: Roll, recall: bool = True) -> RollPiece:
    """A roll with the past of every frame; nothing is recalled where the model does not."""
    if recall:
        return RollPiece(roll, past_of(roll, *recalled(roll)))
    return RollPiece(roll, past_of(roll, np.zeros_like(roll), np.zeros(len(roll), np.int64)))


def make_events(pieces: Sequence[Piece], grid: int) -> list[Events]:
    """The events of pieces; of rolls, of their notes."""
    return [
        encode(piece if piece.roll is None else from_roll(piece.roll, 1, piece.name), grid)
        for piece in pieces
    ]


def describe(data: MusicData, counts: dict[str, str], step: str) -> dict[str, Any]:
    """What was read, for the screen and data.json."""
    source = data.source
    summary: dict[str, Any] = {"source": source.path, "split": data.rule, **counts, "step": step}
    if source.drums:
        summary["drums"] = f"{source.drums:,} notes left out"
    if source.skipped:
        summary["skipped"] = f"{len(source.skipped)}: {first_lines(source.skipped)}"
    if source.remarks:
        summary["remarks"] = first_lines(source.remarks)
    return summary


def rows_of(
    lengths: NDArray[np.int64], count: int, chunk: int, rng: np.random.Generator, transpose: int = 0
) -> NDArray[np.int64]:
    """Passages of an epoch as (piece, begin, shift) [count, 3]: whole pieces in random order, of longer ones any passage.

    A passage begins anywhere such that at least half a chunk follows; passages that would begin before the piece begin at its
    start, so that beginnings are read as often as the middle. Pieces are drawn by the number of their chunks. Shifts are drawn
    from -transpose .. transpose half tones.
    """
    chunks = np.maximum(1, -(-lengths // chunk))
    pool = np.repeat(np.arange(len(lengths)), chunks)
    order = np.concatenate([rng.permutation(pool) for _ in range(-(-count // len(pool)))])[:count]
    latest = np.maximum(lengths[order] - chunk // 2, 0)
    begins = np.maximum(rng.integers(-(chunk // 4), latest + 1), 0)
    begins[lengths[order] <= chunk] = 0
    shifts = rng.integers(-transpose, transpose + 1, count) if transpose else np.zeros(count, np.int64)
    return np.stack([order, begins, shifts], 1)


def shifted(piece: RollPiece, shift: int) -> RollPiece:
    """A piece so many keys higher, or as far as the keyboard reaches."""
    sounding = np.flatnonzero(piece.roll.any(0))
    if not shift or not len(sounding):
        return piece
    shift = int(np.clip(shift, -sounding[0], KEYS - 1 - sounding[-1]))
    past = Past(
        np.roll(piece.past.before, shift, 1), np.roll(piece.past.recalled, shift, 1), piece.past.lengths
    )
    return RollPiece(np.roll(piece.roll, shift, 1), past)
