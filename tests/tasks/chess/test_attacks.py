"""Sets of attacked squares against walks over the board, one square after the other."""

from __future__ import annotations

import numpy as np
import pytest

from congru.tasks.chess.attacks import BIT, CLASS, KING, PAWN, attacks_of, reached_from

RAYS = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
LEAPS = [(a, b) for a in (-2, -1, 1, 2) for b in (-2, -1, 1, 2) if abs(a) != abs(b)]


def walked(kind: int, square: int, occupied: set[int]) -> set[int]:
    """The squares a piece attacks, by walking."""
    class_ = (kind - 1) % 6 + 1
    if class_ == 1:
        steps, far = [(1 if kind <= KING else -1, side) for side in (-1, 1)], False
    else:
        steps = LEAPS if class_ == 2 else [s for s in RAYS if class_ >= 5 or (0 in s) == (class_ == 4)]
        far = class_ in (3, 4, 5)
    squares = set()
    for up, side in steps:
        rank, file = square // 8 + up, square % 8 + side
        while 0 <= rank < 8 and 0 <= file < 8:
            squares.add(8 * rank + file)
            if not far or 8 * rank + file in occupied:
                break
            rank, file = rank + up, file + side
    return squares


def squares_of(bits: np.uint64) -> set[int]:
    return {square for square in range(64) if int(bits) >> square & 1}


def random_board(rng: np.random.Generator) -> np.ndarray:
    """Both kings and a dozen other pieces, anywhere."""
    board = np.zeros(64, np.uint8)
    squares = rng.permutation(64)
    board[squares[0]], board[squares[1]] = KING, KING + 6
    kinds = [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    board[squares[2:16]] = rng.choice(kinds, 14)
    return board


def test_every_piece_reaches_what_a_walk_reaches() -> None:
    rng = np.random.default_rng(0)
    for _ in range(400):
        occupied = set(rng.permutation(64)[: rng.integers(0, 30)].tolist())
        bits = np.array([sum(1 << s for s in occupied)], np.uint64)
        kind, square = int(rng.integers(1, 13)), int(rng.integers(64))
        got = reached_from(np.array([kind]), np.array([square]), bits)[0]
        assert squares_of(got) == walked(kind, square, occupied), (kind, square)


@pytest.mark.parametrize("seed", range(5))
def test_attacks_of_positions_are_those_of_their_pieces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boards = np.stack([random_board(rng) for _ in range(4)])
    attacks = attacks_of(boards)
    for n, board in enumerate(boards):
        occupied = set(np.flatnonzero(board).tolist())
        for side in (0, 1):
            pieces = [s for s in occupied if (board[s] > KING) == bool(side)]
            sets = [walked(int(board[s]), s, occupied) for s in pieces]
            for square in range(64):
                count = sum(square in one for one in sets)
                assert bool(attacks.once[side, n] & BIT[square]) == (count >= 1)
                assert bool(attacks.twice[side, n] & BIT[square]) == (count >= 2)
            for class_ in range(PAWN, KING + 1):
                union = set().union(
                    *(one for s, one in zip(pieces, sets) if CLASS[board[s]] == class_), set()
                )
                assert squares_of(attacks.by_class[side, class_, n]) == union
        assert board[attacks.king[n]] == KING + 6
        assert squares_of(attacks.occupied[n]) == occupied


def test_a_piece_uncovers_what_taking_it_away_lets_through() -> None:
    rng = np.random.default_rng(7)
    boards = np.stack([random_board(rng) for _ in range(60)])
    attacks = attacks_of(boards)
    count = 0
    for n, board in enumerate(boards):
        king = int(attacks.king[n])
        own = [s for s in range(64) if 0 < board[s] <= KING]
        before = {s for s in own if king in walked(int(board[s]), s, set(np.flatnonzero(board).tolist()))}
        uncovering = set()
        for square in np.flatnonzero(board).tolist():
            rest = set(np.flatnonzero(board).tolist()) - {square}
            after = {s for s in own if s != square and king in walked(int(board[s]), s, rest)}
            if square != king and after - before:
                uncovering.add(square)
        assert squares_of(attacks.uncovers[n]) == uncovering
        count += len(uncovering)
    assert count > 5
