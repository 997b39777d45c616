"""The recall of a game, by its players: from the archive of a model, and from earlier games that are given; without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.games import Games
from congru.tasks.chess.predict import Predicted, Predictor
from congru.tasks.chess.recall import NO_GAME, Choices, Recall, mark_of, of_named, years

Names = tuple[str | None, str | None]
NOBODY: Names = (None, None)


def recall_of(
    predictor: Predictor,
    players: Names,
    *,
    earlier: Games | None = None,
    names: Names = NOBODY,
    archive: bool = True,
    date: int = 0,
    moves: NDArray[np.uint16] | None = None,
) -> Recall | None:
    """What White and Black of a game chose before; None where nothing is known of either.

    Args:
        predictor: the model; its archive is counted for those of `players` that it knows by the exact name.
        earlier: further games; those are counted in which `names` played. A game of the archive counts once.
        archive: False leaves the archive out.
        date: of the game that is followed, yyyymmdd; 0 unknown.
        moves: of that game, where they are known: it is no earlier one, even if it is among the others.
    """
    known = [
        predictor.choices(number, side) if archive and (number := predictor.number_of(name)) else None
        for side, name in enumerate(players)
    ]
    sides: list[list[Choices]] = [[one] if one is not None else [] for one in known]
    if earlier is not None:
        for side, one in zip(sides, of_named(earlier, names, known)):
            side.append(one)
    if not any(len(one.games) for side in sides for one in side):
        return None
    itself = NO_GAME if moves is None else mark_of(moves)
    return Recall(*sides, year=float(years(date)) if date else math.nan, itself=itself)


def recalls_of(
    predictor: Predictor, games: Games, wanted: Ints, numbers: Ints | None = None, only_before: bool = False
) -> dict[int, Recall]:
    """For each of the games `wanted` what its players chose in the archive, the game itself aside.

    `numbers` [players of the games] replaces the model's own numbering; `only_before` counts games of earlier months alone.
    """
    number_of = predictor.numbers_in(games) if numbers is None else numbers
    when, recalls = years(games.date), {}
    for game in np.asarray(wanted).tolist():
        pair = (int(number_of[games.white[game]]), int(number_of[games.black[game]]))
        if games.start[game] >= 0 or not any(pair):
            continue
        sides = [[predictor.choices(number, side)] if number else [] for side, number in enumerate(pair)]
        recalls[game] = Recall(
            *sides, year=float(when[game]), itself=mark_of(games.of(game)), only_before=only_before
        )
    return recalls


def with_recall(predicted: Predicted, games: Games, recall: Recall | None) -> Predicted:
    """What a model says of a game, together with what its players chose before."""
    if recall is None:
        return predicted
    moves = games.of(predicted.game)[: len(predicted.side)]
    return replace(predicted, log_p=recall.over(moves, predicted.row, predicted.code, predicted.log_p))


@dataclass(frozen=True)
class Recalling:
    """A model that recalls what players chose before, for pages about games (:class:`congru.tasks.chess.surprise.Predicts`)."""

    predictor: Predictor

    def predict(self, games: Games, chosen: NDArray[np.int64], /) -> Iterator[Predicted]:
        """What it says of some games, in any order."""
        recalls = recalls_of(self.predictor, games, chosen)
        for predicted in self.predictor.predict(games, chosen):
            yield with_recall(predicted, games, recalls.get(predicted.game))
