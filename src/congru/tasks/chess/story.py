"""A father and his son play online: a model gets to know both, and follows their next game move by move.

Both players are invented. This script makes their games: the father opens with the king's pawn, his son answers with the
Sicilian and opens with the queen's pawn; after that the model itself plays for both, the son more adventurous. Both mostly
repeat themselves: in three of four cases they choose in a position what they chose there before, as masters do. Then, as with
real games:

1. the model follows the last game, knowing neither of them;
2. a vector is fitted for each on the games before (`congru adapt`), nothing else changes;
3. the model follows the last game again: with the vectors alone, and with what they chose in their earlier games, which it
   remembers since.

    python -m congru.tasks.chess.story MODEL OUT [--games 24]
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import numpy as np

from congru.runtime.decoding.sampling import Sampling, probabilities
from congru.tasks.chess import follow
from congru.tasks.chess.predict import LiveGame, Predictor
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import read_san, write_san
from congru.tasks.chess.use import adapt

FATHER, SON = "Father, The", "Son, The"
RESULTS = ("1-0", "1/2-1/2", "0-1")
MOST_PLIES = 80
TEMPERATURE = {FATHER: 0.6, SON: 1.1}
REPEATS = 0.75  # validation games of pgnmentor20: what was chosen in a position that was met once before
Habits = dict[tuple[str, int], int]  # player and position -> the move chosen there last
OPENINGS = {  # how often a player begins so, and answers so
    FATHER: {"": {"e4": 0.9, "d4": 0.1}, "e4": {"e5": 1.0}, "d4": {"d5": 0.8, "Nf6": 0.2}},
    SON: {"": {"d4": 0.7, "e4": 0.3}, "e4": {"c5": 0.85, "e5": 0.15}, "d4": {"Nf6": 1.0}},
}


def invent(
    predictor: Predictor, white: str, black: str, rng: np.random.Generator, habits: Habits
) -> tuple[list[str], str]:
    """The moves of a game in SAN, and its result; what is chosen becomes a habit."""
    live, words = predictor.follow(), list[str]()
    while len(words) < MOST_PLIES and live.board.rules.outcome() is None:
        player = (white, black)[len(words) % 2]
        key = player, live.board.rules.key
        code = _opening(player, words, live.board.rules, rng)
        habit = habits.get(key)
        if code is None and habit is not None and rng.random() < REPEATS and live.board.rules.is_legal(habit):
            code = habit
        if code is None:
            prediction = live.prediction()
            chances = probabilities(prediction.log_p, Sampling(TEMPERATURE[player]))
            code = int(prediction.code[rng.choice(len(chances), p=chances)])
        habits[key] = code
        words.append(write_san(live.board.rules, code))
        live.play(code)
    return words, _result(live)


def _opening(player: str, words: list[str], position: Position, rng: np.random.Generator) -> int | None:
    """The move of a player's repertoire in the first two plies; None where it has none."""
    moves = OPENINGS[player].get(" ".join(words)) if len(words) < 2 else None
    if not moves:
        return None
    return read_san(position, str(rng.choice(list(moves), p=list(moves.values()))))


def _result(live: LiveGame) -> str:
    """How a game ended; one that was broken off is judged by the model."""
    outcome = live.board.rules.outcome()
    if outcome is not None:
        return RESULTS[1] if outcome != "checkmate" else RESULTS[2 if live.side == 0 else 0]
    lost, drawn, won = np.exp(live.prediction().result[0])
    white, black = (won, lost) if live.side == 0 else (lost, won)
    return RESULTS[int(np.argmax([white, drawn, black]))]


def write_pgn(predictor: Predictor, path: Path, numbers: range, habits: Habits, seed: int = 0) -> None:
    """Write invented games, a month apart, the colours in turn; `habits` come from the games before, and grow."""
    parts = []
    for number in numbers:
        white, black = (FATHER, SON) if number % 2 == 0 else (SON, FATHER)
        words, result = invent(predictor, white, black, np.random.default_rng((seed, number)), habits)
        tags = {
            "Event": "invented by congru.tasks.chess.story",
            "Date": f"{2024 + number // 12}.{1 + number % 12:02}.01",
            "White": white,
            "Black": black,
            "Result": result,
        }
        lines = [f'[{name} "{value}"]' for name, value in tags.items()]
        parts.append("\n".join([*lines, "", " ".join([*words, result]), ""]))
    path.write_text("\n".join(parts), encoding="utf-8")


def bits(model: Path, game: Path, recall: bool) -> float:
    """Mean surprise of the moves of a game."""
    one = follow.one_game(game, 1)
    white, black = one.players
    followed = follow.begin(Predictor.load(model), white=white, black=black, recall=recall, date=one.date)
    return float(np.mean([followed.play(move).bits for move in one.moves]))


def main(arguments: list[str] | None = None) -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--games", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=40, help="of fitting the players' vectors")
    options = parser.parse_args(arguments)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    base = Predictor.load(options.model)
    earlier, last = out / "earlier.pgn", out / "last.pgn"
    habits: Habits = {}
    write_pgn(base, earlier, range(options.games), habits)
    write_pgn(base, last, range(options.games, options.games + 1), habits)
    print(f"{options.games} earlier games: {earlier}, the next one: {last} (both players are invented)")
    adapt(options.model, str(earlier), player=FATHER, rounds=options.rounds, out=out / "with_father")
    adapt(out / "with_father", str(earlier), player=SON, rounds=options.rounds, out=out / "family")
    print("the next game, bits a move (less is better predicted)")
    for name, model, recall in (
        ("knowing neither", options.model, False),
        ("knowing both", out / "family", False),
        ("knowing both, and what they chose before", out / "family", True),
    ):
        print(f"  {name:<48} {bits(model, last, recall):.3f}")
    line = ["congru", "run", str(out / "family"), str(last)]
    print(f"next\n  {shlex.join(line)}")


if __name__ == "__main__":
    main()
