"""How a game is shown in the report about the gates: the moves with their boards, and the move expected next.

The shares of a move are in bits: how much less likely it would be, had the step not written (`congru.tasks.chess.memory`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from congru.gates.predictions import percent
from congru.gates.reading import Choice, Prediction, Reading
from congru.gates.record import Record
from congru.runtime.model import Model
from congru.tasks.chess.boards import SHAPES, STYLE, board
from congru.tasks.chess.memory import MoveMemory
from congru.tasks.chess.predict import LiveGame
from congru.tasks.chess.san import write_san
from congru.tasks.chess.use import game_of

MOST_CHOICES = 5


def inspect_reading(model: Model, source: str | None = None) -> Reading:
    """A game move by move; see `inspect_inputs` for `source`."""
    game, codes = game_of(model, source)
    memory = MoveMemory.of(game, game.state())
    steps, labels, boards, predictions = [], ["start"], [], list[Prediction]()
    for at, code in enumerate([*codes, None]):
        steps.append(game.inputs())
        played = codes[at - 1] if at else None
        boards.append((SHAPES if at == 0 else "") + board(game.board.rules, moved=played))
        memory = None if memory is None else memory.after(game, game.state())
        actual = "" if code is None else write_san(game.board.rules, code)
        choices = _choices(game, memory)
        if choices:
            predictions.append(Prediction(at, choices, actual))
        if code is not None:
            labels.append(_numbered(at, actual))
            game.play(code)
    x = {name: np.stack([step[name] for step in steps])[None] for name in steps[0]}
    return Reading(
        x,
        labels,
        step="move",
        pictures=boards,
        style=STYLE + ".cards .board { width: 5.4rem; } .board text { display: none; }",
        predicts="The next move",
        of="bits",
        predict=_constant(predictions),
        adds_up=False,
    )


def _choices(game: LiveGame, memory: MoveMemory | None) -> tuple[Choice, ...]:
    """The likeliest moves, the first with its shares."""
    chosen: list[Choice] = []
    for index, (code, p) in enumerate(game.prediction().best(MOST_CHOICES)):
        shares = memory.shares(game, code) if memory is not None and index == 0 else None
        chosen.append(Choice(write_san(game.board.rules, code), percent(p), p, shares))
    return tuple(chosen)


def _numbered(at: int, san: str) -> str:
    """A move with its number, White's as 1., Black's as 1...

    >>> _numbered(0, "e4"), _numbered(1, "e5")
    ('1. e4', '1... e5')
    """
    return f"{at // 2 + 1}{'...' if at % 2 else '.'} {san}"


def _constant(predictions: list[Prediction]) -> Callable[[Record], Sequence[Prediction]]:
    def predict(record: Record) -> Sequence[Prediction]:
        return predictions

    return predict
