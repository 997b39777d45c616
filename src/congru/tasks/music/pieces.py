"""What every reader of music makes: pieces of notes in time, or piano rolls; and how notes become frames of a roll.

Time is counted in quarter notes; a frame of a roll lasts 1 / grid of one. Legend: T frames, K = 88 keys of the piano.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError

Roll = NDArray[np.uint8]

KEYS = 88
LOWEST = 21
"""MIDI number of the lowest key, A0."""
MOST_FRAMES = 100_000
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class Note(NamedTuple):
    """A note: start and length in quarter notes, MIDI pitch 0..127, velocity 1..127, and the voice (track) it is from."""

    start: float
    length: float
    pitch: int
    velocity: int = 80
    voice: int = 0


@dataclass(frozen=True)
class Piece:
    """A piece of music: its notes by start and pitch, or the roll itself where it came as one.

    `bar` is a bar's length in quarter notes; `tempo` quarter notes a minute at the beginning; `seconds` how long the file lasts;
    `drums` how many notes of drums were left out; `remarks` what a reader did that its user should know.
    """

    name: str
    notes: tuple[Note, ...] = ()
    roll: Roll | None = None
    bar: float = 4.0
    tempo: float = 120.0
    seconds: float = 0.0
    drums: int = 0
    remarks: tuple[str, ...] = field(default=())

    @property
    def num_notes(self) -> int:
        """Notes, or in a roll keys that go down."""
        if self.roll is None:
            return len(self.notes)
        before = np.concatenate([np.zeros((1, KEYS), np.uint8), self.roll[:-1]])
        return int((self.roll > before).sum())


def pitch_name(pitch: int) -> str:
    """A MIDI number as a name.

    >>> pitch_name(60), pitch_name(21)
    ('C4', 'A0')
    """
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def frame_name(frame: NDArray[np.uint8]) -> str:
    """The sounding keys of a frame [K] by name, from the lowest; a dash where it is silent."""
    return " ".join(pitch_name(LOWEST + int(key)) for key in np.flatnonzero(frame)) or "-"


def to_roll(piece: Piece, grid: int) -> Roll:
    """The roll [T, K] of a piece, `grid` frames a quarter note; a note sounds in at least one frame.

    Pitches beyond the piano's keys are left out. Raises :class:`DataError` for a piece too long to be one.
    """
    if piece.roll is not None:
        return piece.roll
    spans = [
        (
            round(note.start * grid),
            max(round((note.start + note.length) * grid), round(note.start * grid) + 1),
        )
        for note in piece.notes
    ]
    length = max((end for _, end in spans), default=0)
    if length > MOST_FRAMES:
        raise DataError(
            f"{piece.name} has {length:,} frames of 1/{grid} quarter note, expected at most {MOST_FRAMES:,}:"
            " pass a smaller --grid, or leave the file out"
        )
    roll = np.zeros((length, KEYS), np.uint8)
    for note, (begin, end) in zip(piece.notes, spans):
        if LOWEST <= note.pitch < LOWEST + KEYS:
            roll[begin:end, note.pitch - LOWEST] = 1
    return roll


def from_roll(roll: Roll, grid: int, name: str = "piece", velocity: int = 80, tempo: float = 100.0) -> Piece:
    """Notes of a roll: a key that stays down is one note.

    >>> roll = np.zeros((4, 88), np.uint8)
    >>> roll[1:3, 39] = 1
    >>> from_roll(roll, 2).notes
    (Note(start=0.5, length=1.0, pitch=60, velocity=80, voice=0),)
    """
    edges = np.diff(np.pad(roll.astype(np.int8), ((1, 1), (0, 0))), axis=0)
    notes = []
    for key in np.flatnonzero(roll.any(0)):
        downs, ups = (np.flatnonzero(edges[:, key] == way).tolist() for way in (1, -1))
        for begin, end in zip(downs, ups):
            notes.append(Note(begin / grid, (end - begin) / grid, LOWEST + int(key), velocity))
    return Piece(name, tuple(sorted(notes)), tempo=tempo, seconds=len(roll) / grid * 60 / tempo)


def check_rolls(rolls: Sequence[Roll], source: str) -> None:
    """Refuse a source without a sounding note."""
    if not any(roll.any() for roll in rolls):
        raise DataError(f"{source} holds no pitched note, expected some: choose other files")
