"""How well many games are predicted: the column ``pgn`` read; plies, hits and bits a move beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from congru.tasks.batch_rows import Columns, RowAnswers
from congru.tasks.chess.evaluation import score
from congru.tasks.chess.games import Game, collect
from congru.tasks.chess.pgn import read_pgn
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.recalls import recalls_of
from congru.tasks.chess.replay import Skipped, replay

TYPES = {"plies": "int64", "hits": "int64", "bits_per_move": "float64", "left_out": "string"}


def answers_of(model: Path) -> RowAnswers:
    """The text of games, tags and moves, to how well the model saw them coming, for batches."""
    predictor = Predictor.load(model)
    return RowAnswers("pgn", TYPES, lambda texts: scores_of(predictor, texts))


def scores_of(predictor: Predictor, texts: Sequence[str]) -> Columns:
    """The scores of each game; a game that cannot be followed has none, and the reason."""
    read = [_game(text) for text in texts]
    answers: dict[str, list[Any]] = {name: [None] * len(texts) for name in TYPES}
    playable = [row for row, game in enumerate(read) if isinstance(game, Game) and len(game.moves)]
    for row, game in enumerate(read):
        if row not in set(playable):
            answers["left_out"][row] = game if isinstance(game, str) else "no moves"
    if not playable:
        return answers
    games = collect([game for game in read if isinstance(game, Game) and len(game.moves)])
    wanted = np.arange(len(games))
    scored = score(predictor, games, wanted, recalls_of(predictor, games, wanted))
    ends = np.cumsum(games.lengths)
    for row, begin, end in zip(playable, ends - games.lengths, ends):
        answers["plies"][row] = int(end - begin)
        answers["hits"][row] = int((scored.rank[begin:end] == 0).sum())
        answers["bits_per_move"][row] = float(scored.nats[begin:end].mean() / np.log(2))
    return answers


def _game(text: str) -> Game | str:
    """One game, or why it cannot be followed."""
    pgn = next(read_pgn(line.encode() for line in text.splitlines()), None)
    if pgn is None:
        return "no game"
    played = replay(pgn)
    return f"{played.reason}: {played.detail}" if isinstance(played, Skipped) else played
