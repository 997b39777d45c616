"""Made-up games of chess for tests: random legal moves, three players of different taste."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from congru.tasks.chess.games import Game, Games, collect
from congru.tasks.chess.replay import Skipped, as_codes
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import write_san

PLAYERS = ("Attack, Anna", "Block, Bert", "Castle, Carl")


def random_game(rng: np.random.Generator, first: int, plies: int) -> list[str]:
    """The words of a game; White's first move is one of two, by `first`, and captures are preferred."""
    position, words = Position(), []
    for ply in range(plies):
        codes = position.legal()
        if not codes:
            break
        pieces = position.pieces()
        takes = [code for code in codes if pieces[code >> 6 & 63] and not position.castles(code)]
        pool = takes if takes and rng.random() < 0.6 else codes
        code = (
            position.read_uci(("e2e4", "d2d4", "g1f3")[first]) if ply == 0 else pool[rng.integers(len(pool))]
        )
        words.append(write_san(position, code))
        position.play(code)
    return words


def write_games(
    path: Path, count: int, plies: int = 24, seed: int = 0, thinks: tuple[int, int] | None = None
) -> None:
    """Write games as PGN; each player opens in an own way. `thinks`: seconds of each move of White and of Black, as clocks."""
    rng = np.random.default_rng(seed)
    texts = []
    for number in range(count):
        white, black = rng.permutation(3)[:2].tolist()
        words = random_game(rng, white, plies)
        result = ("1-0", "1/2-1/2", "0-1")[int(rng.integers(3))]
        if thinks is not None:
            words = [
                f"{word} {{[%clk {left // 3600}:{left // 60 % 60:02}:{left % 60:02}]}}"
                for ply, word in enumerate(words)
                for left in [5400 - thinks[ply % 2] * (1 + ply // 2)]
            ]
        tags = {
            "White": PLAYERS[white],
            "Black": PLAYERS[black],
            "Date": f"{2000 + number // 4}.01.01",
            "WhiteElo": str(2400 + 100 * white),
            "Result": result,
        }
        lines = [f'[{name} "{value}"]' for name, value in tags.items()]
        texts.append("\n".join([*lines, "", " ".join([*words, result]), ""]))
    path.write_text("\n".join(texts) + "\n")


def games_of(*lines: str) -> Games:
    """Games of moves in SAN, parted by blanks, between two players whom no model knows."""
    games = []
    for line in lines:
        codes = as_codes(line.split())
        assert not isinstance(codes, Skipped)
        games.append(Game(codes, "White", "Black"))
    return collect(games)
