"""What is said of a legal move, against the rules themselves."""

from __future__ import annotations

import numpy as np

from congru.tasks.chess.attacks import attacks_of
from congru.tasks.chess.features import (
    BOARD_FEATURES,
    MOVE_TOKENS,
    board_features,
    move_tokens,
)
from congru.tasks.chess.moves import MOVE_CODES, MOVE_INDEX, code_of
from congru.tasks.chess.positions import Board, Positions, position_of, relative
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import read_move


def tokens_of(positions: Positions) -> np.ndarray:
    code = positions.code
    return move_tokens(
        positions.board,
        positions.past,
        attacks_of(positions.board),
        positions.row,
        code & 63,
        code >> 6 & 63,
        code >> 12,
        MOVE_INDEX[code],
    )


def parts_of(tokens: np.ndarray) -> dict[str, np.ndarray]:
    """The tokens taken apart again."""
    exchange, origin, next_, past = tokens[:, 3:].T
    return {
        "defended": exchange % 2,
        "attacker": exchange // 2 % 7,
        "taken": exchange // 14 % 7,
        "origin attacker": origin // 2 % 7,
        "attacked": next_ % 2,
        "check": next_ // 2 % 4,
        "threat": next_ // 8 % 6,
        "relation": past // 5,
        "promotion": past % 5,
    }


def test_check_and_captures_are_those_of_the_rules() -> None:
    rng = np.random.default_rng(3)
    checks = captures = 0
    for _ in range(12):
        board = Board()
        for _ in range(60):
            legal = board.rules.legal()
            if not legal:
                break
            positions = position_of(board)
            tokens = tokens_of(positions)
            assert (tokens >= 0).all()
            assert (tokens < np.array(MOVE_TOKENS)).all()
            parts = parts_of(tokens)
            for n, code in enumerate(relative(positions.code, board.side).tolist()):
                after = board.copy()
                after.play(code)
                assert bool(parts["check"][n]) == after.rules.in_check, (board.rules.fen, code)
                assert parts["taken"][n] == after.last[2]
                assert parts["promotion"][n] == code >> 12
                checks, captures = checks + after.rules.in_check, captures + (after.last[2] > 0)
            board.play(legal[rng.integers(len(legal))])
    assert checks > 20
    assert captures > 100


def told(words: str, move: str) -> dict[str, int]:
    """What is said of a move after others."""
    board = Board()
    for word in words.split():
        board.play(read_move(board.rules, word))
    positions = position_of(board)
    index = positions.code.tolist().index(int(relative(read_move(board.rules, move), board.side)))
    return {name: int(value[index]) for name, value in parts_of(tokens_of(positions)).items()}


def test_a_move_is_set_beside_those_before() -> None:
    assert told("e4 d5 exd5", "Qxd5")["relation"] == 1  # takes back
    assert told("e4 e5 Nf3 Nc6", "Ng1")["relation"] == 12  # the same piece, back again
    assert told("e4 e5 Nf3 Nc6", "Nd4")["relation"] == 4
    assert told("e4 e5 Nf3 d6 Bb5+ Bd7 Bc4 Bg4", "Nc3")["relation"] == 0
    assert (
        told("Nf3 e5 d3 Nf6 Nxe5 Qe7", "Nf3")["relation"] & 2
    )  # leaves the attack of the queen that just came


def test_attackers_and_threats() -> None:
    assert told("e4 d5", "exd5")["attacker"] == 5  # the queen guards d5
    assert told("e4 d5", "exd5")["taken"] == 1
    assert told("e4 e5", "Qh5")["threat"] == 1  # e5 is not defended
    assert told("e4 e5 Nf3 f6", "Nxe5")["attacker"] == 1
    assert told("e4 e5 Nf3 Nc6 Bb5 a6", "Ba4")["origin attacker"] == 1
    assert told("d4 d5 Nc3 Nf6 Bf4 c6", "Nb5")["defended"] == 0
    assert told("d4 d5 c4 Nf6 Nc3 e6", "Nb5")["defended"] == 1


def test_features_of_the_first_position() -> None:
    board = Board()
    positions = position_of(board)
    features = board_features(positions.board, positions.rights, positions.past, attacks_of(positions.board))
    assert features.shape == (1, BOARD_FEATURES)
    assert features[0, :768].sum() == 32
    assert features[0, -5:].tolist() == [1, 1, 1, 1, 0]
    planes = features[0, 768:1152].reshape(6, 64)
    assert planes[0, 16:24].all()  # every square of the third rank is attacked by white
    assert planes[2, 40:48].all()
    assert not planes[4:].any()  # nothing hangs
    assert not features[0, 1152:1216].any()  # nobody has moved
    board.play(code_of("e2e4"))
    seen = position_of(board)
    after = board_features(seen.board, seen.rights, seen.past, attacks_of(seen.board))
    assert np.flatnonzero(after[0, 1152:1216]).tolist() == [28 ^ 56]


def test_a_hanging_piece_is_marked_for_both_sides() -> None:
    board = Board()
    for word in ["e4", "e5", "Nf3", "f6", "Nxe5"]:
        board.play(read_move(board.rules, word))
    seen = position_of(board)
    planes = board_features(seen.board, seen.rights, seen.past, attacks_of(seen.board))[0, 768:1152].reshape(
        6, 64
    )
    assert np.flatnonzero(planes[5]).tolist() == [36 ^ 56]  # the knight that a pawn attacks
    assert np.flatnonzero(planes[4]).tolist() == []


def test_every_legal_move_is_in_the_vocabulary() -> None:
    assert len(MOVE_CODES) == MOVE_TOKENS[0]
    position = Position("rn1qkbnr/pP2pppp/8/8/8/8/P1PPPPpP/RNBQKB1R w KQkq - 0 1")
    assert all(MOVE_INDEX[code] >= 0 for code in position.legal())
