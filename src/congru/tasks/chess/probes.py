"""Does the state carry the board? A linear map from the state to the 64 squares, with a control task; without torch.

    W = argmin |H W - Y|^2 + ridge |W|^2        H [N, H + 1] states and a one, Y [N, 64 * 13] which piece stands where

Fitted on some games, read on others: the share of squares whose highest output is the piece that stands there. Beside it
the commonest piece of each square, and the control: the same probe for the board of another game at the same ply (what the
ply alone tells). A probe that reads the board beats both; see Hewitt & Liang 2019 on control tasks.

Legend: N plies, H units.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.attacks import Bytes, Ints
from congru.tasks.chess.games import Games
from congru.tasks.chess.positions import absolute
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.reading import Reader
from congru.tasks.chess.streams import plies_of

NUM_PIECES = 13
RIDGE = 1.0
Floats = NDArray[np.floating]


class BoardProbe(NamedTuple):
    """Shares of squares read right: by the probe, by its control, by the commonest piece; the first two and the last on
    squares where a piece stands or stood at the start."""

    squares: float
    control: float
    commonest: float
    occupied: float
    occupied_control: float
    occupied_commonest: float
    plies: int


def board_probe(predictor: Predictor, games: Games, fitted: Ints, read: Ints, seed: int = 0) -> BoardProbe:
    """Fit on the games `fitted`, read on the games `read` (numbers of games)."""
    states, boards, plies = _states(predictor, games, fitted)
    other_states, other_boards, other_plies = _states(predictor, games, read)
    rng = np.random.default_rng(seed)
    controls = boards[_same_ply(plies, rng)]
    other_controls = other_boards[_same_ply(other_plies, rng)]
    counts = np.stack([(boards == piece).sum(axis=0) for piece in range(NUM_PIECES)])
    commonest = np.broadcast_to(counts.argmax(axis=0).astype(np.uint8), other_boards.shape)
    by_probe = _decode(other_states, fit(states, boards))
    by_control = _decode(other_states, fit(states, controls))
    occupied, occupied_control = other_boards > 0, other_controls > 0
    return BoardProbe(
        float((by_probe == other_boards).mean()),
        float((by_control == other_controls).mean()),
        float((commonest == other_boards).mean()),
        float((by_probe == other_boards)[occupied].mean()),
        float((by_control == other_controls)[occupied_control].mean()),
        float((commonest == other_boards)[occupied].mean()),
        len(other_boards),
    )


def fit(states: Floats, boards: Bytes, ridge: float = RIDGE) -> Floats:
    """The weights [H + 1, 64 * 13] of the probe for states [N, H] and boards [N, 64]."""
    h = _with_one(states)
    moment = h.T @ h + ridge * np.eye(h.shape[1])
    target = np.zeros((h.shape[1], 64 * NUM_PIECES))
    columns = np.arange(64) * NUM_PIECES + boards.astype(np.int64)
    for begin in range(0, len(h), 4096):
        rows = slice(begin, begin + 4096)
        one_hot = np.zeros((len(columns[rows]), 64 * NUM_PIECES))
        np.put_along_axis(one_hot, columns[rows], 1.0, axis=1)
        target += h[rows].T @ one_hot
    return np.linalg.solve(moment, target)


def _with_one(states: Floats) -> Floats:
    return np.concatenate([states.astype(np.float64), np.ones((len(states), 1))], axis=1)


def _decode(states: Floats, weights: Floats) -> Bytes:
    """The most likely piece of every square, [N, 64]."""
    scores = (_with_one(states) @ weights).reshape(len(states), 64, NUM_PIECES)
    pieces: Bytes = scores.argmax(axis=2).astype(np.uint8)
    return pieces


def _same_ply(plies: Ints, rng: np.random.Generator) -> Ints:
    """For every row another one of the same ply, at random."""
    shuffled = rng.permutation(len(plies))
    there = np.argsort(plies, kind="stable")
    drawn = shuffled[np.argsort(plies[shuffled], kind="stable")]
    out = np.empty(len(plies), np.int64)
    out[there] = drawn
    return out


def _states(predictor: Predictor, games: Games, wanted: Ints) -> tuple[Floats, Bytes, Ints]:
    """States [N, H], boards as white sees them [N, 64] and plies [N] of some games."""
    reader = Reader(games, predictor.numbers_in(games))
    parts = {predicted.game: predicted.tracked for predicted in predictor.predict(games, wanted)}
    ordered = np.array(sorted(parts), np.int64)
    positions = reader.positions(plies_of(games.offsets, ordered))
    plies = np.concatenate([np.arange(len(parts[number])) for number in ordered.tolist()])
    states = np.concatenate([parts[number] for number in ordered.tolist()])
    return states, absolute(positions.board, positions.side), plies
