"""How strong is a player that does not search? A trained chess model against Stockfish at its lowest levels, a sanity figure.

Both engines are driven through the Universal Chess Interface, as any chess program drives them. Each pair of games begins with
the first plies of a training game, once with each colour; the model plays its most probable move. A game that is not over after
LONGEST plies counts as drawn.

    CONGRU_DATA=FOLDER python -m bench.chess_stockfish MODEL [--games 40]
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import chess
import chess.engine
import numpy as np

from bench.data import data_root
from bench.record import write_result
from congru.tasks.chess.data import TRAIN
from congru.tasks.chess.games import Games
from congru.tasks.chess.moves import name_of
from congru.tasks.chess.sources import read_games

LEVELS = ((0, 1), (0, 100), (0, 2000), (5, 2000))
"""Stockfish's option "Skill Level", 0 .. 20, and how many positions it may look at for a move (1: a search of depth 1)."""
BOOK, LONGEST = 8, 300  # plies
ELO = 2600
PATIENCE = 120  # seconds that an engine may take to answer
POINTS = {"1-0": 1.0, "1/2-1/2": 0.5, "0-1": 0.0}


def start_after(games: Games, number: int) -> chess.Board:
    """The position after the first plies of a game, castling as python-chess writes it."""
    board = chess.Board()
    for code in games.of(number)[:BOOK].tolist():
        wanted = name_of(code)
        board.push(next(move for move in board.legal_moves if board.uci(move, chess960=True) == wanted))
    return board


def play(
    white: chess.engine.SimpleEngine, black: chess.engine.SimpleEngine, board: chess.Board, nodes: int
) -> float:
    """One game to its end; the points of White."""
    game = object()
    while not board.is_game_over(claim_draw=True) and board.ply() < LONGEST:
        engine = white if board.turn else black
        move = engine.play(board, chess.engine.Limit(nodes=nodes), game=game).move
        assert move is not None
        board.push(move)
    return POINTS.get(board.result(claim_draw=True), 0.5)


def match(model: Path, games: Games, numbers: list[int], level: int, nodes: int) -> dict[str, Any]:
    """The model's points in games against one level, with the bounds of 95 % and what they stand for in Elo."""
    stockfish = shutil.which("stockfish") or "/usr/games/stockfish"
    congru = str(Path(sys.executable).with_name("congru"))
    points = []
    with (
        chess.engine.SimpleEngine.popen_uci([congru, "uci", str(model)], timeout=PATIENCE) as ours,
        chess.engine.SimpleEngine.popen_uci(stockfish, timeout=PATIENCE) as theirs,
    ):
        ours.configure({"Elo": ELO})
        theirs.configure({"Skill Level": level, "Threads": 1})
        for number in numbers:
            points.append(play(ours, theirs, start_after(games, number), nodes))
            points.append(1 - play(theirs, ours, start_after(games, number), nodes))
    mean, error = float(np.mean(points)), 1.96 * float(np.std(points, ddof=1)) / math.sqrt(len(points))
    row = {
        "games": len(points),
        "score": round(mean, 4),
        "bounds_95": [round(max(0.0, mean - error), 4), round(min(1.0, mean + error), 4)],
        "won_drawn_lost": [points.count(1.0), points.count(0.5), points.count(0.0)],
        "elo_difference": round(400 * math.log10(mean / (1 - mean))) if 0 < mean < 1 else None,
    }
    print(f"Stockfish, Skill Level {level}, {nodes} positions a move: {row}", flush=True)
    return row


def main() -> None:
    """Play the matches and write results/chess_stockfish.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--games", type=int, default=40)
    arguments = parser.parse_args()
    games, _ = read_games(data_root("chess") / "pgnmentor20")
    long = np.flatnonzero((games.split == TRAIN) & (games.lengths > BOOK))
    numbers = np.random.default_rng(0).choice(long, arguments.games // 2, replace=False).tolist()
    matches = {
        f"skill level {level}, {nodes} positions a move": match(arguments.model, games, numbers, level, nodes)
        for level, nodes in LEVELS
    }
    figures = {
        "book_plies": BOOK,
        "elo_told_to_the_model": ELO,
        "matches": matches,
    }
    command = f"python -m bench.chess_stockfish MODEL --games {arguments.games}"
    print(write_result("chess_stockfish", command, figures, packages=["cozy-chess-py", "chess"]))


if __name__ == "__main__":
    main()
