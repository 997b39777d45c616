"""What the frame model reads and says: features of frames, the notes of a frame as steps, and the exact likelihood of a frame.

    p(frame) = product over its notes, from the lowest, of p(note | frames before, lower notes), times p(end | ...)

each a softmax over the pitches above the last note and the end: the probabilities of all 2^K frames sum to one. A logit is
the sum of three heads: by the pitch itself, by its distance above the last note, and by its distance from the note of the same
rank in the frame before; the last two know what a step or a third is in every key.
Legend: T frames, K = 88 keys, N steps of notes (each frame has as many as notes and one for the end), W window.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.runtime.decoding.scores import log_softmax
from congru.tasks.music.pieces import KEYS, Roll
from congru.tasks.music.recall import LENGTHS

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

END = KEYS
"""The target that ends a frame."""
REACH = 24
WINDOW = 2 * REACH + 1
"""Distances -24 .. 24 half tones."""
RANKS = 8
"""Ranks of a note in its frame that are told apart; higher ones count as the last."""
CLASSES = 12
RECALLED = KEYS + LENGTHS
NOTE_FEATURES = KEYS + CLASSES + KEYS + 1 + RANKS + 2 * WINDOW + RECALLED
_MIDDLE = KEYS // 2
_NEVER = np.float32(-1e9)
_KEY_CLASSES = np.eye(CLASSES, dtype=np.float32)[(np.arange(KEYS) + 21) % CLASSES]


class Past(NamedTuple):
    """What is known before each of T frames: the frame before [T, K], the recalled one [T, K], its match's class [T]."""

    before: NDArray[np.uint8]
    recalled: NDArray[np.uint8]
    lengths: Ints

    def at(self, frames: Any) -> Past:
        """The past of some frames, by numbers or as a slice."""
        return Past(self.before[frames], self.recalled[frames], self.lengths[frames])


class NoteSteps(NamedTuple):
    """The steps of the notes of some frames.

    `frame` [N] which frame a step belongs to; `features` [N, NOTE_FEATURES]; `last` [N] the last note's key, -1 for none;
    `anchor` [N] the key of the same rank in the frame before; `target` [N] the next key, or END.
    """

    frame: Ints
    features: Floats
    last: Ints
    anchor: Ints
    target: Ints


def past_of(roll: Roll, recalled: NDArray[np.uint8], lengths: Ints) -> Past:
    """The past of every frame of a whole roll."""
    before = np.zeros_like(roll)
    before[1:] = roll[:-1]
    return Past(before, recalled, lengths)


def frame_inputs(past: Past, begin: int, beat: int, recall: bool) -> dict[str, Floats]:
    """Inputs of the frame network by name for frames `begin` .. of a piece: "roll" [T, K], "known", "recalled"."""
    before = past.before.astype(np.float32)
    known = [np.minimum(before @ _KEY_CLASSES, 1)]
    if beat:
        known.append(np.eye(beat, dtype=np.float32)[(begin + np.arange(len(before))) % beat])
    inputs = {"roll": before, "known": np.concatenate(known, 1)}
    if recall:
        inputs["recalled"] = recalled_features(past)
    return inputs


def recalled_features(past: Past) -> Floats:
    """[T, K + LENGTHS]: the recalled frame, and which class its match's length has."""
    lengths = np.eye(LENGTHS, dtype=np.float32)[past.lengths]
    return np.concatenate([past.recalled.astype(np.float32), lengths], 1)


def note_steps(roll: Roll, past: Past, recall: bool) -> NoteSteps:
    """The steps of all notes of a roll [T, K], frame by frame."""
    counts = roll.sum(1, dtype=np.int64)
    frame = np.repeat(np.arange(len(roll)), counts + 1)
    first = np.concatenate([[0], np.cumsum(counts + 1)[:-1]])
    rank = np.arange(len(frame)) - first[frame]
    target = np.full(len(frame), END)
    target[rank < counts[frame]] = np.nonzero(roll)[1]
    last = np.where(rank > 0, np.concatenate([[-1], target[:-1]]), -1)
    chosen = (roll[frame] * (np.arange(KEYS) <= last[:, None])).astype(np.uint8)
    return NoteSteps(frame, *step_features(past.at(frame), chosen, last, rank, recall), target)


def step_features(
    past: Past, chosen: NDArray[np.uint8], last: Ints, rank: Ints, recall: bool
) -> tuple[Floats, Ints, Ints]:
    """Features [N, F], last note [N] and anchor [N] of steps, each with its own past, of which `chosen` [N, K] are named."""
    anchor = anchors(past.before, rank)
    base = np.where(last >= 0, last, anchor)
    named = chosen.astype(np.float32)
    features = [
        named,
        np.minimum(named @ _KEY_CLASSES, 1),
        np.eye(KEYS + 1, dtype=np.float32)[last + 1],
        np.eye(RANKS, dtype=np.float32)[np.minimum(rank, RANKS - 1)],
        _around(past.before, base),
        _around(chosen, base),
        recalled_features(past) if recall else np.zeros((len(last), RECALLED), np.float32),
    ]
    return np.concatenate(features, 1), last, anchor


def anchors(before: NDArray[np.uint8], rank: Ints) -> Ints:
    """The key [N] of rank `rank` in the frame before [N, K]; its highest where it has fewer, the middle where it is silent."""
    counts = before.sum(1, dtype=np.int64)
    wanted = np.minimum(rank, counts - 1) + 1  # the how-manieth key from below
    reached = np.cumsum(before, 1, dtype=np.int64) >= wanted[:, None]
    return np.where(counts > 0, reached.argmax(1), _MIDDLE)


def _around(keys: NDArray[np.uint8], base: Ints) -> Floats:
    """The keys [N, W] at distances -REACH .. REACH from `base` [N]; nothing beyond the keyboard."""
    padded = np.pad(keys, ((0, 0), (REACH, REACH)))
    indices = base[:, None] + np.arange(WINDOW)
    return np.take_along_axis(padded, indices, 1).astype(np.float32)


class HeadIndices(NamedTuple):
    """Where the heads of relative distances meet the keys: indices [N, K] into each, and where they hold [N, K]."""

    above: Ints
    above_holds: NDArray[np.bool_]
    near: Ints
    near_holds: NDArray[np.bool_]
    forbidden: NDArray[np.bool_]


def head_indices(last: Ints, anchor: Ints) -> HeadIndices:
    """See `HeadIndices`; keys up to the last note are forbidden."""
    keys = np.arange(KEYS)
    above = keys - last[:, None] - 1
    near = keys - anchor[:, None] + REACH
    return HeadIndices(
        np.clip(above, 0, KEYS - 1),
        np.broadcast_to((last >= 0)[:, None], above.shape).copy(),
        np.clip(near, 0, WINDOW - 1),
        (near >= 0) & (near < WINDOW),
        above < 0,
    )


def logits_of(heads: dict[str, Any], indices: HeadIndices) -> Floats:
    """Logits [N, K + 1] of the next note or the end, from the three heads of the notes network.

    `heads`: "pitch" [N, K + 1], "above" [N, K], "near" [N, W].
    """
    logits = np.array(heads["pitch"], np.float32)
    logits[:, :KEYS] += np.take_along_axis(heads["above"], indices.above, 1) * indices.above_holds
    logits[:, :KEYS] += np.take_along_axis(heads["near"], indices.near, 1) * indices.near_holds
    logits[:, :KEYS][indices.forbidden] = _NEVER
    return logits


def note_nats(logits: Floats, target: Ints) -> NDArray[np.float64]:
    """-log p of every step's target [N]."""
    return np.asarray(-np.take_along_axis(log_softmax(logits), target[:, None], 1)[:, 0], np.float64)


def key_nats(logits: Floats, roll: Roll) -> NDArray[np.float64]:
    """-log p [T] of frames whose keys [T, K] are independent, p(on) = sigmoid(logit).

    >>> key_nats(np.zeros((1, 88), np.float32), np.zeros((1, 88), np.uint8)).round(2).tolist()
    [61.0]
    """
    signed = np.where(roll > 0, -logits, logits).astype(np.float64)
    return np.asarray(np.logaddexp(0, signed).sum(1))
