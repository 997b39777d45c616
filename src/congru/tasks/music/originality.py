"""How original a piece is beside its training pieces: the longest run it shares with them, and how its notes are spread.

A piece is read as its chords in order (a chord that stays counts once). The longest run is told as it stands, and in any key
(chords by their intervals, and how the lowest note moves). Distances are between shares: half the sum of |p - q|, 0 the same, 1
nothing in common; of pitch classes, and of the steps of the highest voice. Pieces of the validation part measured the same way
say what is usual. Legend: C chords of the piece, N chords of all training pieces with a mark between them.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.music.pieces import LOWEST, Roll

Chord = tuple[int, ...]
_STEPS = 25  # -12 .. 12 half tones; wider ones count as the widest


class Shared(NamedTuple):
    """A run of chords that also stands in a training piece: its length, its begin, that piece's index, the begin there."""

    chords: int
    begin: int
    piece: int
    training_begin: int


class Originality(NamedTuple):
    """What `compare` finds."""

    chords: int
    same_key: Shared
    any_key: Shared
    pitch_classes: float
    steps: float


def chords_of(roll: Roll) -> list[Chord]:
    """The sounding chords in order, each once while it stays."""
    chords: list[Chord] = []
    for frame in roll:
        chord = tuple(np.flatnonzero(frame).tolist())
        if chord and (not chords or chords[-1] != chord):
            chords.append(chord)
    return chords


def in_any_key(chords: Sequence[Chord]) -> list[Hashable]:
    """Chords by their intervals above the lowest note, with the step of that note from the chord before.

    >>> in_any_key([(0, 4), (5, 9)]) == in_any_key([(2, 6), (7, 11)])
    True
    """
    lows = [chord[0] for chord in chords]
    moves = [0, *(after - before for before, after in itertools.pairwise(lows))]
    return [(move, *(key - chord[0] for key in chord)) for move, chord in zip(moves, chords)]


def longest_shared(piece: Sequence[Hashable], training: Sequence[Sequence[Hashable]]) -> Shared:
    """The longest run of `piece` that stands in one of the training pieces; the first of equals."""
    numbers: dict[Hashable, int] = {}
    known, owner, positions = list[int](), list[int](), list[int]()
    for index, other in enumerate(training):
        for at, chord in enumerate(other):
            known.append(numbers.setdefault(chord, len(numbers)))
            owner.append(index)
            positions.append(at)
        known.append(-1)
        owner.append(index)
        positions.append(len(other))
    corpus, match, best = np.array(known), np.zeros(len(known) + 1, np.int64), Shared(0, 0, 0, 0)
    for at, chord in enumerate(piece):
        match[1:] = np.where(corpus == numbers.get(chord, -2), match[:-1] + 1, 0)
        end = int(match.argmax())
        length = int(match[end])
        if length > best.chords:
            best = Shared(length, at + 1 - length, owner[end - 1], positions[end - 1] + 1 - length)
    return best


def pitch_class_shares(rolls: Sequence[Roll]) -> NDArray[np.float64]:
    """How much of the sounding time each pitch class has, [12], C first."""
    time = sum((roll.sum(0, dtype=np.float64) for roll in rolls), np.zeros(88))
    classes = np.bincount((np.arange(88) + LOWEST) % 12, weights=time, minlength=12)
    return np.asarray(classes / max(classes.sum(), 1.0))


def step_shares(rolls: Sequence[Roll]) -> NDArray[np.float64]:
    """How often the highest voice takes each step from chord to chord, [25]."""
    counts = np.zeros(_STEPS)
    for roll in rolls:
        tops = np.array([chord[-1] for chord in chords_of(roll)])
        steps = np.clip(np.diff(tops), -12, 12)
        counts += np.bincount(steps[steps != 0] + 12, minlength=_STEPS)
    return np.asarray(counts / max(counts.sum(), 1.0))


def compare(roll: Roll, training: Sequence[Roll]) -> Originality:
    """A piece beside the training pieces."""
    chords, known = chords_of(roll), [chords_of(other) for other in training]
    moved = longest_shared(in_any_key(chords)[1:], [in_any_key(other)[1:] for other in known])
    return Originality(
        len(chords),
        longest_shared(chords, known),
        moved._replace(begin=moved.begin + 1, training_begin=moved.training_begin + 1),
        distance(pitch_class_shares([roll]), pitch_class_shares(training)),
        distance(step_shares([roll]), step_shares(training)),
    )


def distance(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """Half the sum of |p - q|.

    >>> distance(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    0.5
    """
    return float(np.abs(p - q).sum() / 2)


def usual(pieces: Sequence[Roll], training: Sequence[Roll], most: int = 20) -> Originality | None:
    """The medians over pieces that the model has not seen; None where there are none."""
    comparisons = [compare(roll, training) for roll in pieces[:most] if roll.any()]
    if not comparisons:
        return None

    def median(name: str) -> float:
        return float(statistics.median(getattr(one, name) for one in comparisons))

    same, moved = (
        Shared(round(statistics.median(getattr(one, key).chords for one in comparisons)), 0, 0, 0)
        for key in ("same_key", "any_key")
    )
    return Originality(round(median("chords")), same, moved, median("pitch_classes"), median("steps"))


def report(originality: Originality, ordinary: Originality | None, names: Sequence[str]) -> list[str]:
    """The figures of a piece beside those of an ordinary one, one line each."""
    lines = []
    for words, shared, other in (
        ("longest run copied", originality.same_key, ordinary and ordinary.same_key),
        ("longest run copied in any key", originality.any_key, ordinary and ordinary.any_key),
    ):
        where = (
            f" (chord {shared.begin + 1}; {names[shared.piece]!r}, chord {shared.training_begin + 1})"
            if shared.chords
            else ""
        )
        beside = f"; unseen pieces {other.chords}" if other else ""
        lines.append(f"{words}: {shared.chords} of {originality.chords} chords{where}{beside}")
    for words, value, usual_value in (
        ("distance of pitch classes", originality.pitch_classes, ordinary and ordinary.pitch_classes),
        ("distance of steps", originality.steps, ordinary and ordinary.steps),
    ):
        beside = f"; unseen pieces {usual_value:.2f}" if usual_value is not None else ""
        lines.append(f"{words} from the training pieces: {value:.2f}{beside}")
    return lines
