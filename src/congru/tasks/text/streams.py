"""How a long text becomes rows: parallel streams for training, overlapping segments for scoring.

Training reads the text as a ring, from a random offset in every epoch, cut into B streams that lie end to end; a step
takes the next C tokens of each, and the state is carried from step to step.

Scoring counts every token of the validation part once. The part is cut into S segments that run side by side, each
after a burn-in of W tokens that are read but not counted; S = 1 is one pass over everything. Legend: B streams, C
steps in a chunk, S segments, W burn-in, L counted tokens in a segment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Ids = NDArray[np.integer]  # token ids of a text, in as few bytes as they need

NUM_SEGMENTS = 64
BURN_IN = 512
_STEPS = 128  # tokens of each segment scored in one go


def steps_per_epoch(num_tokens: int, batch_size: int, chunk: int) -> int:
    """Whole chunks in each of ``batch_size`` streams.

    >>> steps_per_epoch(1000, 4, 60)
    4
    """
    return num_tokens // batch_size // chunk


def stream_rows(num_tokens: int, batch_size: int, chunk: int, offset: int) -> Ints:
    """Where every chunk of an epoch begins in the ring, [steps * B]: the B streams of a step stand side by side.

    The first stream begins at ``offset``.

    >>> stream_rows(9, batch_size=2, chunk=2, offset=3).tolist()
    [3, 7, 5, 9]
    """
    length = num_tokens // batch_size
    steps = np.arange(steps_per_epoch(num_tokens, batch_size, chunk))
    return (offset + length * np.arange(batch_size) + chunk * steps[:, None]).ravel()


def read_chunks(ids: Ids, begins: Ints, chunk: int) -> Ints:
    """The chunks [B, C + 1] that begin at ``begins`` [B] in the ring: C inputs and, one further, C targets.

    No other part of ``ids`` is read.

    >>> read_chunks(np.arange(9), np.array([3, 7]), chunk=2).tolist()
    [[3, 4, 5], [7, 8, 0]]
    """
    return np.asarray(ids[(begins[:, None] + np.arange(chunk + 1)) % len(ids)], np.int64)


@dataclass(frozen=True)
class Segments:
    """Rows to score, cut from ``ids`` when they are read; row s counts L tokens from ``begins[s]`` on, ``before`` is W."""

    ids: Ids
    begins: Ints
    before: int
    length: int

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, rows: slice) -> Segments:
        return replace(self, begins=self.begins[rows])

    @property
    def num_steps(self) -> int:
        """Tokens to read in each row, W + L."""
        return self.before + self.length

    def piece(self, start: int, end: int) -> tuple[Ints, NDArray[np.bool_]]:
        """Steps ``start .. end - 1``: tokens [S, T + 1], input and one further target, and which targets count [S, T]."""
        steps = np.arange(start, min(end, self.num_steps) + 1)
        positions = self.begins[:, None] - 1 - self.before + steps
        targets = positions[:, 1:]
        counted = (targets >= self.begins[:, None]) & (targets < len(self.ids))
        return self.ids[np.minimum(positions, len(self.ids) - 1)].astype(np.int64), counted


def make_segments(ids: Ids, begin: int, num_segments: int = NUM_SEGMENTS, burn_in: int = BURN_IN) -> Segments:
    """Segments that count ``ids[begin:]`` once each; the burn-in of the first is the text before ``begin``.

    Segments are never shorter than their burn-in, so a short part has fewer of them. ``begin`` is at least 1.

    >>> tokens, counted = make_segments(np.arange(10), begin=4, num_segments=2, burn_in=2).piece(0, 9)
    >>> tokens.tolist(), counted.tolist()[0]
    ([[1, 2, 3, 4, 5, 6], [4, 5, 6, 7, 8, 9]], [False, False, True, True, True])
    """
    total = len(ids) - begin
    num_segments = max(1, min(num_segments, total // max(1, burn_in)))
    before = min(burn_in, begin - 1)
    length = -(-total // num_segments)
    return Segments(ids, np.arange(begin, len(ids), length), before, length)


Score = Callable[[Ints, Ints, Any], tuple[NDArray[np.float64], Any]]


def total_nats(segments: Segments, score: Score, steps: int = _STEPS) -> float:
    """The sum of -log p over all counted tokens.

    ``score(x [S, T], y [S, T], state)`` gives -log p(y) [S, T] and the state after; state None at the start.
    """
    total, state = 0.0, None
    for start in range(0, segments.num_steps, steps):
        tokens, counted = segments.piece(start, start + steps)
        nats, state = score(tokens[:, :-1], tokens[:, 1:], state)
        total += float((nats * counted).sum())
    return total
