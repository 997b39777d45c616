"""What the signs of repetition in ABC mean: sections and endings in the order they are played, and their notes in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from congru.tasks.music.pieces import Note


@dataclass
class Sound:
    """A note, chord or rest: its length in whole notes, its pitches (none: a rest), whether it is tied to the next."""

    length: Fraction
    pitches: list[int]
    tied: bool = False


@dataclass
class Section:
    """What stands between two marks of repetition, or an ending."""

    sounds: list[Sound] = field(default_factory=list)
    times: int = 1
    ending: str = ""


def played(sections: list[Section], voice: int) -> list[Note]:
    """The notes in time, repeats and endings played, tied notes as one."""
    now, notes = Fraction(0), dict[tuple[Fraction, int], Fraction]()
    tied: dict[int, Fraction] = {}
    for sound in _unfolded(sections):
        kept: dict[int, Fraction] = {}
        for pitch in sound.pitches:
            start = tied.get(pitch, now)
            notes[start, pitch] = now + sound.length - start
            if sound.tied:
                kept[pitch] = start
        tied = kept
        now += sound.length
    return [
        Note(float(4 * start), float(4 * length), pitch, 80, voice)
        for (start, pitch), length in sorted(notes.items())
    ]


def _unfolded(sections: list[Section]) -> list[Sound]:
    """All sounds in the order they are played."""
    played: list[Sound] = []
    body: list[Sound] = []  # what is repeated before every further ending
    for number, section in enumerate(sections):
        if section.ending:
            if section.ending[0] != "1":
                played += body
            played += section.sounds
            continue
        following = sections[number + 1].ending if number + 1 < len(sections) else ""
        body = section.sounds
        played += body * (1 if following else section.times)
    return played
