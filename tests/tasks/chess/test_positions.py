"""The board that is kept beside the rules, and positions as the side to move sees them."""

from __future__ import annotations

import numpy as np
import pytest

from congru.tasks.chess.moves import code_of
from congru.tasks.chess.plies import NOTHING_MOVED, moved_tokens
from congru.tasks.chess.positions import Board, Segment, absolute, position_of, positions_of, relative
from congru.tasks.chess.san import read_move

GAMES = {
    "castles short and long": "e4 e5 Nf3 Nc6 Bc4 d6 O-O Bg4 d3 Qd7 Be3 O-O-O",
    "en passant, both sides": "e4 a6 e5 d5 exd6 b5 a4 b4 c4 bxc3",
    "promotes and under-promotes": "a4 b5 axb5 a6 bxa6 Bb7 axb7 h5 bxa8=Q h4 Qxb8 h3 d4 hxg2 Kd2 gxh1=N",
    "rook taken at home": "b3 g6 Bb2 Bg7 Bxg7 Nf6 Bxh8 Nc6 Bxf6 exf6",
}


def played(words: str, fen: str | None = None, chess960: bool = False) -> Board:
    board = Board(fen, chess960)
    for word in words.split():
        board.play(read_move(board.rules, word))
    return board


@pytest.mark.parametrize("words", GAMES.values(), ids=list(GAMES))
def test_the_board_is_that_of_the_rules_after_every_move(words: str) -> None:
    board = Board()
    for word in words.split():
        board.play(read_move(board.rules, word))
        assert list(board.squares) == board.rules.pieces().tolist(), word
        assert board.side == board.rules.turn
        letters = board.rules.fen.split()[2]
        rights = [letter in letters for letter in "KQkq"]
        kept = [bool(board.rights >> bit & 1) for bit in (3, 2, 1, 0)]
        # the rules and the board lose a right where its king or rook moves or is taken
        assert kept == rights, word


def test_what_a_move_took_is_known() -> None:
    board = played("e4 d5")
    board.play(code_of("e4d5"))
    assert board.last == (code_of("e4d5"), 1, 1)
    assert played("e4 a6 e5 d5 exd6").last[1:] == (1, 1)  # en passant
    assert played("e4 e5 Nf3 Nc6 Bc4 d6 O-O").last[1:] == (6, 6)
    assert played("b3 g6 Bb2 Bg7 Bxg7 Nf6 Bxh8").last[1:] == (3, 4)


def test_a_copy_goes_its_own_way() -> None:
    board = played("e4 e5")
    twin = board.copy()
    twin.play(code_of("g1f3"))
    assert list(board.squares) == played("e4 e5").rules.pieces().tolist()
    assert board.rules.is_legal(code_of("d1h5"))
    assert twin.last != board.last


@pytest.mark.parametrize(
    ("fen", "rights"),
    [
        ("r3k2r/8/8/8/8/8/8/R3K2R w Kq - 0 1", 0b1001),
        ("4k3/8/8/8/8/8/8/4K2R b K - 0 1", 0b1000),
        ("4k3/8/8/8/8/8/8/4K3 w - - 0 1", 0),
    ],
)
def test_a_game_from_another_position(fen: str, rights: int) -> None:
    board = Board(fen)
    assert board.rights == rights
    assert list(board.squares) == board.rules.pieces().tolist()
    board.play(board.rules.legal()[0])
    assert list(board.squares) == board.rules.pieces().tolist()


def test_chess960_castles_with_rooks_anywhere() -> None:
    board = Board("4k3/8/8/8/8/8/8/1R2K1R1 w GB - 0 1", chess960=True)
    assert board.rights == 0b1100
    board.play(code_of("e1g1"))
    assert list(board.squares) == board.rules.pieces().tolist()
    assert board.rights == 0


def test_black_sees_the_board_from_the_other_side() -> None:
    codes = np.array([code_of(word) for word in ("e2e4", "e7e5", "g1f3")], np.uint16)
    positions = positions_of([Segment(codes, 0, 4)])
    assert positions.side.tolist() == [0, 1, 0, 1]
    assert positions.board[1][28 ^ 56] == 7  # white's e4 stands on e5 for black, as the other side's pawn
    assert (positions.board[1][:8] == positions.board[0][:8]).all()
    assert relative(code_of("e7e5"), 1) == code_of("e2e4")
    assert code_of("e2e4") in positions.code[positions.row == 1].tolist()
    assert positions.past.last_to.tolist() == [64, 28 ^ 56, 36, 21 ^ 56]
    assert positions.past.own_to.tolist()[2:] == [28, 36 ^ 56]
    assert positions.last[:, 0].tolist() == [-1, *codes.tolist()]
    back = absolute(positions.board, positions.side)
    assert back[3].tolist() == played("e4 e5 Nf3").rules.pieces().tolist()


def test_a_segment_is_the_middle_of_its_game() -> None:
    words = GAMES["promotes and under-promotes"]
    board, codes = Board(), []
    for word in words.split():
        codes.append(read_move(board.rules, word))
        board.play(codes[-1])
    moves = np.array(codes, np.uint16)
    whole = positions_of([Segment(moves, 0, len(moves))])
    parts = positions_of([Segment(moves[:9], 0, 9), Segment(moves, 9, len(moves))])
    for one, other in zip(whole, parts):
        for a, b in zip(one, other) if isinstance(one, tuple) else [(one, other)]:
            np.testing.assert_array_equal(a, b)
    last = position_of(played(words))
    assert len(last.side) == 1
    assert absolute(last.board, last.side)[0].tolist() == played(words).rules.pieces().tolist()


def test_what_a_move_changes_is_one_symbol_each() -> None:
    def changes(words: str) -> list[tuple[str, int, int] | None]:
        seen = position_of(played(words))
        symbols = moved_tokens(seen.last, seen.side)[0].tolist()
        return [
            None if symbol == NOTHING_MOVED else ("wb"[symbol // 384], symbol // 64 % 6 + 1, symbol % 64)
            for symbol in symbols
        ]

    assert changes("") == [None] * 3
    assert changes("e4") == [("w", 1, 28), ("w", 1, 12), None]
    assert changes("e4 d5 exd5") == [("w", 1, 35), ("w", 1, 28), ("b", 1, 35)]
    assert changes("e4 e5 Nf3 Nc6 Bc4 d6 O-O") == [("w", 6, 7), ("w", 6, 4), ("w", 6, 7)]
    under_promotes = "a4 b5 axb5 a6 bxa6 Bb7 axb7 h5 bxa8=Q h4 Qxb8 h3 d4 hxg2 Kd2 gxh1=N"
    assert changes(under_promotes) == [("b", 2, 7), ("b", 1, 14), ("w", 4, 7)]
