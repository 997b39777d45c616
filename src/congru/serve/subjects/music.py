"""Music models: go on from a motif that was drawn, around locked voices, as notes, MIDI or sound."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import numpy as np

from congru.errors import DataError
from congru.runtime.model import Model
from congru.serve.edits import Edited
from congru.serve.explorer import Explored
from congru.serve.library import Shelf
from congru.serve.protocol import ComposeBody, WhatIfBody
from congru.serve.subjects.subject import AnyTask, choices
from congru.tasks.music.composer import Composer
from congru.tasks.music.composition import Wishes, compose, compose_events
from congru.tasks.music.events import START, decode, encode
from congru.tasks.music.inspection import names_notes, notes_after
from congru.tasks.music.midi import write_midi
from congru.tasks.music.pieces import KEYS, LOWEST, Note, Piece, from_roll, to_roll

VOICES = ("soprano", "alto", "tenor", "bass")


class MusicSubject(AnyTask):
    """Frames or events are steps."""

    def outcome(self, explored: Explored, edited: Edited, body: WhatIfBody) -> dict[str, Any]:
        """The likeliest lowest notes of the next frame; of other models what they say themselves."""
        if not names_notes(explored.model):
            return super().outcome(explored, edited, body)
        states = next(iter(edited.outputs.values()))
        told = choices(notes_after(explored.model, np.asarray(states[-1], np.float32)))
        return {**told, "note": "the lowest note of the next frame"}


def ask(shelf: Shelf, body: ComposeBody) -> dict[str, Any]:
    """A piece that goes on from the notes of a motif, with the MIDI file it makes.

    Raises:
        DataError: notes outside the piano.
        SettingsError: a wish that this model cannot fulfil.
    """
    composer = shelf.made("music", _make)
    notes = tuple(Note(start, length, pitch) for start, length, pitch in body.motif)
    for note in notes:
        if not (LOWEST <= note.pitch < LOWEST + KEYS and 0 <= note.start <= 400 and 0 < note.length <= 64):
            raise DataError(
                f"motif holds the pitch {note.pitch} at {note.start}, expected keys of a piano, 21 to 108"
            )
    bar, grid = float(composer.config["bar"]), composer.grid
    tempo = float(composer.config["tempo"])
    steps = round(body.bars * bar * grid)
    if composer.reads_frames:
        start = to_roll(Piece("motif", notes), grid) if notes else None
        lines: dict[str, Any] = {}
        if body.lock:
            lines = {body.lock: _line(body.locked, grid, steps)}
        wishes = Wishes((body.temperature,), lines, body.voices)
        roll = compose(composer, steps, wishes, body.seed, start)
        piece = from_roll(roll, grid, tempo=tempo)
        primed = 0.0 if start is None else len(start) / grid
        nats = np.round(composer.nats(roll), 4).tolist()
    else:
        if body.lock or body.voices:
            raise DataError("lock or voices is given, expected none for a model of events: leave it out")
        tokens = encode(Piece("motif", notes), grid).tokens[:-1] if notes else np.array([START], np.int64)
        piece = decode(compose_events(composer, steps, body.temperature, body.seed, tokens), grid)
        primed = max((note.start + note.length for note in notes), default=0.0)
        nats = None
    piece = replace(piece, name=shelf.name, tempo=tempo, bar=bar)
    return {
        "notes": [[note.start, note.length, note.pitch] for note in piece.notes],
        "primed": primed,
        "bar": bar,
        "grid": grid,
        "tempo": tempo,
        "frames": composer.reads_frames,
        "nats": nats,
        "midi": base64.b64encode(write_midi(piece)).decode(),
    }


def _make(model: Model) -> Composer:
    if model.task != "music":
        raise DataError(f"model is of the task {model.task!r}, expected 'music': choose another")
    return Composer.of(model)


def _line(notes: list[tuple[float, float, int]], grid: int, steps: int) -> Any:
    """A locked voice as a key for each frame, -1 where it is silent."""
    line = np.full(steps, -1, np.int64)
    for start, length, pitch in notes:
        line[round(start * grid) : round((start + length) * grid)] = pitch - LOWEST
    return line
