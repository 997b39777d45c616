"""How a long text becomes rows: parallel streams for training, overlapping lanes for scoring.

Training reads the text as a ring, turned by a random amount in every epoch and cut into B streams that lie
end to end; a step takes the next C tokens of each, and the state is carried from step to step.

Scoring counts every token of the validation part once. The part is cut into S lanes that run side by side,
each after a run-up of W tokens that are read but not counted; S = 1 is one pass over everything. Legend: B
streams, C steps in a chunk, S lanes, W run-up, L counted tokens in a lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

NUM_LANES = 64
RUN_UP = 512
_STEPS = 128  # tokens of each lane scored in one go


def steps_per_epoch(num_tokens: int, batch_size: int, chunk: int) -> int:
    """Whole chunks in each of ``batch_size`` streams.

    >>> steps_per_epoch(1000, 4, 60)
    4
    """
    return num_tokens // batch_size // chunk


def stream_batches(
    ids: Ints, batch_size: int, chunk: int, turn: int, rows: slice = slice(None), start: int = 0
) -> Iterator[Ints]:
    """Yield the rows' chunks [B, C + 1] of one epoch: C inputs and, one further, C targets.

    The ring of ``ids`` is turned by ``turn``; ``rows`` picks streams; the first ``start`` chunks are skipped.

    >>> [batch.tolist() for batch in stream_batches(np.arange(9), 2, 2, turn=3)]
    [[[3, 4, 5], [7, 8, 0]], [[5, 6, 7], [0, 1, 2]]]
    """
    length = len(ids) // batch_size
    begins = turn + length * np.arange(batch_size)[rows]
    steps = np.arange(chunk + 1)
    for step in range(start, steps_per_epoch(len(ids), batch_size, chunk)):
        places = begins[:, None] + step * chunk + steps
        yield ids[places % len(ids)]


class Lanes(NamedTuple):
    """Rows to score: ``tokens`` [S, W + L + 1], input and one further target; ``counted`` [S, W + L]."""

    tokens: Ints
    counted: NDArray[np.bool_]


def make_lanes(ids: Ints, begin: int, num_lanes: int = NUM_LANES, run_up: int = RUN_UP) -> Lanes:
    """Lanes that count ``ids[begin:]`` once each; the run-up of the first is the text before ``begin``.

    Lanes are never shorter than their run-up, so a short part has fewer of them. ``begin`` is at least 1.

    >>> lanes = make_lanes(np.arange(10), begin=4, num_lanes=2, run_up=2)
    >>> lanes.tokens.tolist(), lanes.counted.tolist()[0]
    ([[1, 2, 3, 4, 5, 6], [4, 5, 6, 7, 8, 9]], [False, False, True, True, True])
    """
    total = len(ids) - begin
    num_lanes = max(1, min(num_lanes, total // max(1, run_up)))
    before = min(run_up, begin - 1)
    length = -(-total // num_lanes)
    begins = np.arange(begin, len(ids), length)
    places = begins[:, None] - 1 - before + np.arange(before + length + 1)
    targets = places[:, 1:]
    counted = (targets >= begins[:, None]) & (targets < len(ids))
    return Lanes(ids[np.minimum(places, len(ids) - 1)], counted)


Score = Callable[[Ints, Ints, Any], tuple[NDArray[np.float64], Any]]


def total_nats(lanes: Lanes, score: Score, steps: int = _STEPS) -> float:
    """The sum of -log p over all counted tokens.

    ``score(x [S, T], y [S, T], state)`` gives -log p(y) [S, T] and the state after; state None at the start.
    """
    total, state = 0.0, None
    for start in range(0, lanes.counted.shape[1], steps):
        piece = lanes.tokens[:, start : start + steps + 1]
        nats, state = score(piece[:, :-1], piece[:, 1:], state)
        total += float((nats * lanes.counted[:, start : start + steps]).sum())
    return total
