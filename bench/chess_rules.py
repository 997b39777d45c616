"""Are the rules of chess right, and how fast are games read?

Correctness first: perft (the number of move sequences) of the six standard positions and three of Chess960 to a depth of 5, and
every ply of a set of games against python-chess: the move that a SAN means, the legal moves, the SAN that is written, check. Then
plies a second of reading the set, and positions a second with their legal moves.

    python -m bench.chess_rules [--games 42117] [--depth 5]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from bench.data import data_root
from bench.record import write_result
from congru.tasks.chess.rules import START, Position
from congru.tasks.chess.san import write_san
from congru.tasks.chess.sources import read_games

# FEN, Chess960, the number of sequences of 5 moves; https://www.chessprogramming.org/Perft_Results and Chess960_Perft_Results
PERFT = (
    (START, False, 4_865_609),
    ("r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1", False, 193_690_690),
    ("8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1", False, 674_624),
    ("r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1", False, 15_833_292),
    ("rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 1 8", False, 89_941_194),
    ("r4rk1/1pp1qppp/p1np1n2/2b1p1B1/2B1P1b1/P1NP1N2/1PP1QPPP/R4RK1 w - - 0 10", False, 164_075_551),
    ("bqnb1rkr/pp3ppp/3ppn2/2p5/5P2/P2P4/NPP1P1PP/BQ1BNRKR w HFhf - 2 9", True, 8_146_062),
    ("2nnrbkr/p1qppppp/8/1ppb4/6PP/3PP3/PPP2P2/BQNNRBKR w HEhe - 1 9", True, 16_253_601),
    ("b1q1rrkb/pppppppp/3nn3/8/P7/1PPP4/4PPPP/BQNNRKRB w GE - 1 9", True, 6_417_013),
)


def perft(position: Position, depth: int) -> int:
    """The number of sequences of `depth` moves."""
    moves = position.legal()
    if depth == 1:
        return len(moves)
    total = 0
    for move in moves:
        after = position.copy()
        after.play(move)
        total += perft(after, depth - 1)
    return total


def compare(moves: Any, board: Any) -> int:
    """Follow a game in both libraries; the number of plies, or an AssertionError at the first difference."""
    position = Position()
    for code in moves.tolist():
        legal = {position.uci(move): move for move in position.legal()}
        assert set(legal) == {move.uci() for move in board.legal_moves}, board.fen()
        move = board.parse_uci(position.uci(code))
        assert write_san(position, code) == board.san(move), board.fen()
        position.play(code)
        board.push(move)
        assert position.in_check == board.is_check(), board.fen()
    return len(moves)


def main() -> None:
    """Check, measure, write results/chess_rules.json."""
    import chess

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--games", type=int, default=1000, help="games compared with python-chess, spread over the set"
    )
    parser.add_argument("--depth", type=int, default=5)
    options = parser.parse_args()
    figures: dict[str, Any] = {"perft": {}, "perft depth": options.depth}
    for fen, chess960, expected in PERFT:
        begin = time.perf_counter()
        count = perft(Position(fen, chess960), options.depth)
        assert options.depth != 5 or count == expected, (fen, count, expected)
        figures["perft"][fen] = count
        print(f"{count:>12,} {time.perf_counter() - begin:6.1f} s  {fen}", flush=True)
    folder = data_root("chess") / "pgnmentor20"
    begin, cpu = time.perf_counter(), time.process_time()
    games, report = read_games(folder / "games.tsv.gz", cache=False, workers=1)
    seconds = time.perf_counter() - begin
    figures["plies read a second, one process"] = round(len(games.moves) / (time.process_time() - cpu))
    figures["games"], figures["plies"], figures["left out"] = len(games), len(games.moves), report.lines()
    print(f"{len(games.moves):,} plies read in {seconds:.1f} s", flush=True)
    chosen = np.arange(min(options.games, len(games))) * len(games) // min(options.games, len(games))
    compared = sum(compare(games.of(int(game)), chess.Board()) for game in chosen)
    figures["games compared with python-chess"], figures["plies compared"] = len(chosen), compared
    print(f"{compared:,} plies agree with python-chess", flush=True)
    position, count = Position(), 0
    begin = time.process_time()
    for game in range(min(2000, len(games))):
        position = Position()
        for code in games.of(game).tolist():
            position.legal()
            position.play(code)
            count += 1
    figures["positions a second with legal moves"] = round(count / (time.process_time() - begin))
    write_result(
        "chess_rules",
        command=f"python -m bench.chess_rules --games {options.games} --depth {options.depth}",
        repetitions=1,
        figures=figures,
    )


if __name__ == "__main__":
    main()
