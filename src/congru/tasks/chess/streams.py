"""Games of a training part as streams of plies that lie end to end, and as rows for scoring.

Every epoch puts the games in another order, joins them, and cuts the whole into B streams; a step takes the next T plies
of each. Games of the same two players stay together, and some of them keep the state of the game before, so that the
network learns to use it. A row is one stream's part of a step: T plies, each with what was drawn for its game.

Legend: B streams, T plies of a step, G games.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.attacks import Ints

WHITE_HIDDEN, BLACK_HIDDEN, CARRIED = 1, 2, 4
_BITS = 3


class Row(NamedTuple):
    """`plies` [..., T]; `flags` [..., T]: the sum of WHITE_HIDDEN, BLACK_HIDDEN, and CARRIED where the state is kept from
    the game before."""

    plies: Ints
    flags: Ints


def plies_of(offsets: Ints, games: Ints) -> Ints:
    """The plies of some games, one game after the other.

    >>> plies_of(np.array([0, 3, 5]), np.array([1, 0])).tolist()
    [3, 4, 0, 1, 2]
    """
    lengths = offsets[games + 1] - offsets[games]
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    plies: Ints = np.arange(total) + np.repeat(offsets[games] - (ends - lengths), lengths)
    return plies


class Drawing(NamedTuple):
    """What is drawn at random for the games of an epoch: players are hidden with probability `hidden`; a game of the same
    pair as the one before keeps its state with probability `carried`."""

    hidden: float
    carried: float


def stream_rows(
    offsets: Ints, blocks: list[Ints], batch_size: int, chunk: int, drawing: Drawing, rng: np.random.Generator
) -> Ints:
    """The rows [steps * B, T] of an epoch: the B streams of a step stand side by side.

    `blocks` are games that are read one after the other (:func:`pair_blocks`). A row is packed: see :func:`unpack`.
    """
    shuffled = [blocks[number] for number in rng.permutation(len(blocks))]
    order = np.concatenate(shuffled)
    follows = np.concatenate([np.arange(len(block)) > 0 for block in shuffled])
    flags = (rng.random((len(order), 2)) < drawing.hidden) @ np.array([WHITE_HIDDEN, BLACK_HIDDEN])
    flags += CARRIED * (follows & (rng.random(len(order)) < drawing.carried))
    plies = plies_of(offsets, order)
    packed = plies << _BITS | np.repeat(flags, offsets[order + 1] - offsets[order])
    steps = len(packed) // batch_size // chunk
    whole = packed[: batch_size * steps * chunk].reshape(batch_size, steps, chunk)
    return np.ascontiguousarray(whole.swapaxes(0, 1)).reshape(-1, chunk)


def pair_blocks(games: Ints, white: Ints, black: Ints, longest: int = 8) -> list[Ints]:
    """The games in blocks of the same two players, whoever has white, in the order given; `longest` games at most.

    >>> [block.tolist() for block in pair_blocks(np.arange(4), np.array([0, 2, 1, 0]), np.array([1, 3, 0, 1]))]
    [[0, 2, 3], [1]]
    """
    low, high = np.minimum(white[games], black[games]), np.maximum(white[games], black[games])
    order = np.lexsort((np.arange(len(games)), high, low))
    breaks = np.flatnonzero((np.diff(low[order]) != 0) | (np.diff(high[order]) != 0)) + 1
    return [
        block[begin : begin + longest]
        for block in np.split(games[order], breaks)
        for begin in range(0, len(block), longest)
    ]


def unpack(rows: NDArray[np.int64]) -> Row:
    """Plies and hidden players of packed rows."""
    return Row(rows >> _BITS, rows & ((1 << _BITS) - 1))


def game_batches(offsets: Ints, games: Ints, num_plies: int) -> list[Ints]:
    """The games, longest first, in groups whose padded size is at most `num_plies` (or one game)."""
    lengths = offsets[games + 1] - offsets[games]
    ordered = games[np.argsort(-lengths, kind="stable")]
    groups, start = [], 0
    while start < len(ordered):
        longest = max(1, int(offsets[ordered[start] + 1] - offsets[ordered[start]]))
        size = max(1, num_plies // longest)
        groups.append(ordered[start : start + size])
        start += size
    return groups
