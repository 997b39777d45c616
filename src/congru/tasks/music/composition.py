"""Drawing frames from a model: temperature by voice, a primer, locked voices.

Locked voices are drawn by weighting: of C candidates for a frame, each named from below among the notes that the locks allow,
one is taken with probability proportional to the product of what the model gave to the allowed notes at each step. With many
candidates that is the model's own distribution given the locks; with one, the locks only bind, they do not lead.
Legend: T frames, K keys, C candidates, H units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.session import Session
from congru.tasks.music.composer import Composer
from congru.tasks.music.events import END as END_EVENT
from congru.tasks.music.events import START, allowed_after
from congru.tasks.music.frames import END, Floats, Past, step_features
from congru.tasks.music.pieces import KEYS, Roll
from congru.tasks.music.recall import Recall, length_class
from congru.tasks.music.voices import FrameLock, allowed_next, lock_at

_MOST_NOTES = 20  # of a frame


@dataclass(frozen=True)
class Wishes:
    """How to draw: temperatures from the lowest voice up (the last holds for all above), locked lines, notes a frame.

    `lines`: voice -> key [T] or -1, from the first drawn frame on.
    """

    temperature: Sequence[float] = (1.0,)
    lines: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    voices: int | None = None
    candidates: int = 16

    def check(self) -> Wishes:
        """Itself; raises :class:`SettingsError` for a value that cannot be."""
        if not self.temperature or not all(np.isfinite(one) and one > 0 for one in self.temperature):
            raise SettingsError(f"temperature is {list(self.temperature)}, expected numbers above 0: try 0.9")
        if self.candidates < 1:
            raise SettingsError(f"candidates is {self.candidates}, expected at least 1: try 16")
        if self.voices is not None and not 1 <= self.voices <= _MOST_NOTES:
            raise SettingsError(f"voices is {self.voices}, expected 1 to {_MOST_NOTES}: try 4")
        return self


def compose(
    composer: Composer, num_frames: int, wishes: Wishes, seed: int = 0, primer: Roll | None = None
) -> Roll:
    """`num_frames` new frames after those of `primer`; returns both, [T, K].

    Raises:
        SettingsError: a model of events, or a wish that cannot be.
    """
    composer.need_frames()
    wishes.check()
    rng = np.random.default_rng(seed)
    start = np.zeros((0, KEYS), np.uint8) if primer is None else primer
    roll = np.zeros((len(start) + num_frames, KEYS), np.uint8)
    session, recall = Session(composer.main), Recall()
    for t in range(len(roll)):
        if t:
            recall.add(roll[t - 1].tobytes())
        past = _past(roll, t, recall, bool(composer.config["recall"]))
        state = session.step({name: value[0, 0] for name, value in composer.inputs(past, t).items()})
        if t < len(start):
            roll[t] = start[t]
            continue
        lock = lock_at(wishes.lines, t - len(start), wishes.voices)
        if composer.config["frame"] == "keys":
            roll[t] = draw_keys(state, lock, wishes.temperature[-1], rng)
        else:
            roll[t] = draw_frame(composer, state, past, lock, wishes, rng)
    return roll


def _past(roll: Roll, t: int, recall: Recall, recalls: bool) -> Past:
    """The past of frame t, [1, ...]."""
    silent = np.zeros((1, KEYS), np.uint8)
    before = roll[t - 1 : t] if t else silent
    if recalls and recall.length:
        return Past(before, roll[recall.frame : recall.frame + 1], np.array([length_class(recall.length)]))
    return Past(before, silent, np.zeros(1, np.int64))


def draw_keys(
    logits: Floats, lock: FrameLock, temperature: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A frame [K] of independent keys; locked keys sound, and nothing beyond the locked outer voices."""
    on = rng.random(KEYS) < 1 / (1 + np.exp(-np.clip(logits.astype(np.float64) / temperature, -60, 60)))
    if lock.bottom is not None:
        on[: lock.bottom] = False
    if 0 in lock.top:
        on[lock.top[0] + 1 :] = False
    on[lock.keys] = True
    return on.astype(np.uint8)


def draw_frame(
    composer: Composer, state: Floats, past: Past, lock: FrameLock, wishes: Wishes, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A frame [K], drawn note by note from the lowest."""
    count = 1 if lock.free else wishes.candidates
    chosen: list[list[int]] = [[] for _ in range(count)]
    log_weights, active = np.zeros(count), list(range(count))
    for rank in range(_MOST_NOTES + 1):
        if not active:
            break
        named = np.zeros((len(active), KEYS), np.uint8)
        for row, one in enumerate(active):
            named[row, chosen[one]] = 1
        last = np.array([chosen[one][-1] if chosen[one] else -1 for one in active])
        ranks = np.full(len(active), rank)
        features, last, anchor = step_features(
            past.at(np.zeros(len(active), np.int64)), named, last, ranks, bool(composer.config["recall"])
        )
        logits = composer.note_logits(np.repeat(state[None], len(active), 0), features, last, anchor)
        heat = wishes.temperature[min(rank, len(wishes.temperature) - 1)]
        log_p = log_softmax(logits.astype(np.float64) / heat)
        going = []
        for row, one in enumerate(active):
            allowed = allowed_next(lock, chosen[one])
            if rank == _MOST_NOTES:
                allowed[:KEYS] = False
            p = np.where(allowed, np.exp(log_p[row]), 0.0)
            mass = p.sum()
            if mass <= 0:
                log_weights[one] = -np.inf
                continue
            log_weights[one] += np.log(mass)
            key = int(np.searchsorted(np.cumsum(p / mass), rng.random(), side="right"))
            key = min(key, int(np.flatnonzero(p)[-1]))
            if key != END:
                chosen[one].append(key)
                going.append(one)
        active = going
    frame = np.zeros(KEYS, np.uint8)
    if np.isfinite(log_weights).any():
        weights = np.exp(log_weights - log_weights.max())
        frame[chosen[int(rng.choice(count, p=weights / weights.sum()))]] = 1
    else:  # no candidate could hold the locks: what they ask for, alone
        frame[lock.keys] = 1
    return frame


def compose_events(
    composer: Composer,
    num_steps: int,
    temperature: float,
    seed: int = 0,
    primer: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Events until `num_steps` steps of time have passed, or the piece ends; `primer` [N] begins with START.

    Raises:
        SettingsError: a model of frames, or a temperature that is not above 0.
    """
    from congru.tasks.music.events import LENGTH, WAIT

    if composer.reads_frames:
        raise SettingsError("the model is one of frames, expected one of events: call compose()")
    Wishes((temperature,)).check()
    rng, session = np.random.default_rng(seed), Session(composer.main)
    tokens = [START] if primer is None else primer[primer != END_EVENT].tolist()
    logits, now = np.zeros(0), 0
    for token in tokens:
        logits = session.step(token)
    for _ in range(num_steps * 8):
        allowed = allowed_after(tokens[-1])
        log_p = log_softmax(logits.astype(np.float64) / temperature)
        p = np.where(allowed, np.exp(log_p), 0.0)
        token = int(rng.choice(len(p), p=p / p.sum()))
        if WAIT <= token < LENGTH:
            now += token - WAIT + 1
            if now >= num_steps:
                break
        tokens.append(token)
        if token == END_EVENT:
            break
        logits = session.step(token)
    return np.array(tokens, np.int64)
