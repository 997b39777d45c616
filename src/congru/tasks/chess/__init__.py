"""Chess: a network follows a game, predicts the moves of both players, and shows how each of them plays.

    run = congru.tasks.chess.train("games.pgn", minutes=30, out="masters")
    predictor = congru.tasks.chess.Predictor.load("masters")
    game = predictor.follow(white="Fischer, Robert J.")
    game.prediction().best(5)

``train`` and ``fit_player`` load torch; the others do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.chess.adaptation import fit_player
    from congru.tasks.chess.learner import make_learner
    from congru.tasks.chess.predict import Predictor
    from congru.tasks.chess.settings import Settings
    from congru.tasks.chess.use import evaluate, inspect_inputs, run
    from congru.tasks.keywords import ChessKeywords
    from congru.train.summary import RunResult

__all__ = [
    "SUMMARY",
    "Predictor",
    "Settings",
    "evaluate",
    "fit_player",
    "inspect_inputs",
    "make_learner",
    "run",
    "train",
]

SUMMARY = "Chess: follows games, predicts the moves of both players."
COMMANDS = {
    "adapt": "Fit a vector for a new player of a chess model on their games.",
    "report": "How a chess player plays, or two against each other: one offline page.",
    "uci": "Play as an engine that any chess program can run.",
}


def train(source: str, **settings: Unpack[ChessKeywords]) -> RunResult:
    """Train on a PGN, a table of games or a folder of them; keywords are the fields of :class:`Settings`.

    Returns the :class:`RunResult`: ``congru.load(result)`` is the model, ``result.best`` the share of validation moves hit.
    """
    return TASKS["chess"].train(str(source), settings=settings)


__getattr__ = lazy_names(
    __name__,
    {
        "Predictor": "predict",
        "Settings": "settings",
        "evaluate": "use",
        "fit_player": "adaptation",
        "inspect_inputs": "use",
        "make_learner": "learner",
        "run": "use",
    },
)
