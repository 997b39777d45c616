"""Positions and SAN against python-chess; perft of the positions that every rules library is measured by."""

from __future__ import annotations

import random

import chess
import pytest

from bench.chess_rules import perft
from congru.errors import DataError
from congru.tasks.chess.moves import MOVE_CODES, MOVE_INDEX, NUM_MOVES, code_of, name_of
from congru.tasks.chess.positions import relative
from congru.tasks.chess.rules import START, Position
from congru.tasks.chess.san import NullMove, read_san, write_san

KIWIPETE = "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1"
PERFT = [
    (START, False, (20, 400, 8902)),
    (KIWIPETE, False, (48, 2039)),
    ("8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1", False, (14, 191, 2812)),
    ("r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1", False, (6, 264, 9467)),
    ("rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 1 8", False, (44, 1486)),
    ("r4rk1/1pp1qppp/p1np1n2/2b1p1B1/2B1P1b1/P1NP1N2/1PP1QPPP/R4RK1 w - - 0 10", False, (46, 2079)),
    ("bqnb1rkr/pp3ppp/3ppn2/2p5/5P2/P2P4/NPP1P1PP/BQ1BNRKR w HFhf - 2 9", True, (21, 528, 12189)),
    ("1rqbkrbn/1ppppp1p/1n6/p1N3p1/8/2P4P/PP1PPPP1/1RQBKRBN w FBfb - 0 9", True, (29, 502)),
]


@pytest.mark.parametrize(("fen", "chess960", "counts"), PERFT)
def test_perft(fen: str, chess960: bool, counts: tuple[int, ...]) -> None:
    position = Position(fen, chess960)
    assert tuple(perft(position, depth) for depth in range(1, len(counts) + 1)) == counts


@pytest.mark.parametrize("number", [None, 0, 137, 518, 602, 959])
def test_random_games_agree_with_python_chess(number: int | None) -> None:
    rng = random.Random(number)
    board = chess.Board() if number is None else chess.Board.from_chess960_pos(number)
    position = Position(board.fen(), number is not None)
    for _ in range(120):
        assert position.turn == (not board.turn)
        assert sorted(map(position.uci, position.legal())) == sorted(move.uci() for move in board.legal_moves)
        assert position.in_check == board.is_check()
        pieces = position.pieces()
        assert [int(pieces[square]) for square in chess.SQUARES] == [
            0 if (piece := board.piece_at(square)) is None else piece.piece_type + 6 * (not piece.color)
            for square in chess.SQUARES
        ]
        if board.is_game_over():
            break
        for move in board.legal_moves:
            code = position.read_uci(move.uci())
            assert write_san(position, code) == board.san(move)
            assert read_san(position, board.san(move)) == code
        move = rng.choice(list(board.legal_moves))
        code = position.read_uci(move.uci())
        position.play(code)
        board.push(move)


def test_the_vocabulary_is_that_of_uci() -> None:
    assert len(MOVE_CODES) == len(set(MOVE_CODES.tolist())) == NUM_MOVES == 1968
    assert (MOVE_INDEX[MOVE_CODES] == range(NUM_MOVES)).all()
    assert (MOVE_INDEX >= 0).sum() == NUM_MOVES
    assert (MOVE_INDEX[relative(MOVE_CODES, 1)] >= 0).all()
    assert (relative(relative(MOVE_CODES, 1), 1) == MOVE_CODES).all()
    assert name_of(int(relative(MOVE_CODES[MOVE_INDEX[code_of("a7b8n")]], 1))) == "a2b1n"


def test_castling_is_read_in_every_spelling() -> None:
    for text in ("O-O", "0-0", "o-o", "OO", "O‑O", "e1g1", "e1h1", "O-O+", "O-O!?"):
        position = Position("r3k2r/8/8/8/8/8/8/R3K2R w KQkq - 0 1")
        code = read_san(position, text)
        assert name_of(code) == "e1h1"
        assert position.uci(code) == "e1g1"
        assert write_san(position, code) == "O-O"
    assert name_of(read_san(Position("r3k2r/8/8/8/8/8/8/R3K2R b KQkq - 0 1"), "O-O-O")) == "e8a8"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Ke2", "move 'Ke2' is not legal in rnbqkbnr/"),
        ("O-O", "move 'O-O' is not legal in"),
        ("N@e3", "move 'N@e3' is no move, expected one such as Nf3, exd5, O-O or g1f3"),
        ("hello", "move 'hello' is no move, expected one such as Nf3"),
        ("e2e5", "move 'e2e5' is not legal in"),
    ],
)
def test_a_wrong_move_is_one_line(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_san(Position(), text)
    assert str(caught.value).startswith(message)


def test_ambiguous_moves_null_moves_and_impossible_positions_are_refused() -> None:
    with pytest.raises(DataError, match="move 'Rd1' is ambiguous: a1d1, h1d1 in"):
        read_san(Position("4k3/8/8/8/8/8/4K3/R6R w - - 0 1"), "Rd1")
    with pytest.raises(NullMove, match="move '--' is a null move"):
        read_san(Position(), "--")
    with pytest.raises(DataError, match="fen is 'x', which is no legal position, expected six fields"):
        Position("x")
    with pytest.raises(DataError, match="move is e2e5, which is not legal in"):
        Position().play(code_of("e2e5"))
    with pytest.raises(DataError, match="move is 'e9', expected UCI such as e2e4"):
        Position().read_uci("e9")


def test_games_end_as_the_rules_say() -> None:
    def after(*moves: str, fen: str | None = None) -> Position:
        position = Position(fen)
        for move in moves:
            position.play(read_san(position, move))
        return position

    assert after("f3", "e5", "g4", "Qh4#").outcome() == "checkmate"
    assert after(fen="7k/5Q2/6K1/8/8/8/8/8 b - - 0 1").outcome() == "stalemate"
    assert after(fen="7k/8/6K1/8/8/8/8/R7 b - - 100 90").outcome() == "fifty moves"
    back = ("Nf3", "Nf6", "Ng1", "Ng8")
    assert after(*back).outcome() is None
    assert after(*back, *back).outcome() == "threefold repetition"
