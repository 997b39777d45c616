"""Music as a sequence of events: waits, velocities, pitches and lengths, and back.

    note = [wait]* [velocity, where it changes] pitch length

Times are rounded to a grid of 1 / grid quarter note. A piece begins with START and ends with END. Numbers: START, END, then
waits of 1 .. 48, lengths of 1 .. 96, velocities in 8 classes, pitches 0 .. 127. Voices are not told apart.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.music.pieces import Note, Piece, pitch_name

START, END = 0, 1
WAITS, LENGTHS, VELOCITIES, PITCHES = 48, 96, 8, 128
WAIT = 2
LENGTH = WAIT + WAITS
VELOCITY = LENGTH + LENGTHS
PITCH = VELOCITY + VELOCITIES
NUM_EVENTS = PITCH + PITCHES
_MOST_WAITS = 64  # a longer silence is shortened to so many of the longest waits


class Events(NamedTuple):
    """The events [N] of a piece, its notes, and how many lengths and silences were cut."""

    tokens: NDArray[np.int64]
    num_notes: int
    cut: int = 0


def encode(piece: Piece, grid: int) -> Events:
    """The events of a piece.

    >>> piece = Piece("two", (Note(0, 1, 60, 80), Note(1, 0.5, 62, 80)))
    >>> encode(piece, 2).tokens.tolist() == [START, VELOCITY + 5, PITCH + 60, LENGTH + 1, WAIT + 1, PITCH + 62, LENGTH, END]
    True
    """
    tokens, now, loudness, cut = [START], 0, -1, 0
    for note in sorted(piece.notes, key=lambda one: (round(one.start * grid), one.pitch)):
        start = round(note.start * grid)
        wait = start - now
        if wait > WAITS * _MOST_WAITS:
            wait, cut = WAITS * _MOST_WAITS, cut + 1
        tokens += [WAIT + WAITS - 1] * (wait // WAITS)
        if wait % WAITS:
            tokens.append(WAIT + wait % WAITS - 1)
        now = start
        level = min(note.velocity, 127) * VELOCITIES // 128
        if level != loudness:
            tokens.append(VELOCITY + level)
            loudness = level
        length = max(1, round(note.length * grid))
        cut += length > LENGTHS
        tokens += [PITCH + note.pitch, LENGTH + min(length, LENGTHS) - 1]
    return Events(np.array([*tokens, END], np.int64), len(piece.notes), cut)


def decode(tokens: NDArray[np.int64], grid: int, tempo: float = 120.0, name: str = "piece") -> Piece:
    """The piece of some events; an event that fits nowhere is left out."""
    notes, now, level, pitch = [], 0, 5, None
    for token in tokens.tolist():
        if token == END:
            break
        if WAIT <= token < LENGTH:
            now += token - WAIT + 1
        elif VELOCITY <= token < PITCH:
            level = token - VELOCITY
        elif token >= PITCH:
            pitch = token - PITCH
        elif token >= LENGTH and pitch is not None:
            velocity = level * 128 // VELOCITIES + 64 // VELOCITIES
            notes.append(Note(now / grid, (token - LENGTH + 1) / grid, pitch, velocity))
            pitch = None
    end = max((note.start + note.length for note in notes), default=0.0)
    return Piece(name, tuple(notes), tempo=tempo, seconds=end * 60 / tempo)


def transposed(tokens: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Events with every pitch so many half tones higher, or as far as pitches reach.

    >>> transposed(np.array([START, PITCH + 60, LENGTH]), 2).tolist() == [START, PITCH + 62, LENGTH]
    True
    """
    pitched = tokens >= PITCH
    if not shift or not pitched.any():
        return tokens
    low, high = int(tokens[pitched].min()) - PITCH, int(tokens[pitched].max()) - PITCH
    return tokens + pitched * int(np.clip(shift, -low, PITCHES - 1 - high))


def allowed_after(token: int) -> NDArray[np.bool_]:
    """Which events may follow one [NUM_EVENTS]: a length after a pitch and only there, no pitch after the end."""
    allowed = np.ones(NUM_EVENTS, bool)
    allowed[START] = False
    if token >= PITCH:
        allowed[:] = False
        allowed[LENGTH:VELOCITY] = True
    else:
        allowed[LENGTH:VELOCITY] = False
    if VELOCITY <= token < PITCH:
        allowed[:PITCH] = False
    return allowed


def event_name(token: int) -> str:
    """An event in words.

    >>> event_name(PITCH + 60), event_name(WAIT + 2)
    ('C4', 'wait 3')
    """
    if token >= PITCH:
        return pitch_name(token - PITCH)
    for begin, name, offset in ((VELOCITY, "loudness", 1), (LENGTH, "length", 1), (WAIT, "wait", 1)):
        if token >= begin:
            return f"{name} {token - begin + offset}"
    return "start" if token == START else "end"
