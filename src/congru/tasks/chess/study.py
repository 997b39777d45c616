"""The games of a file and what a model predicted for them, for the pages about any of their players; each part is made once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.beginnings import Beginnings, Book
from congru.tasks.chess.games import SPLITS, Games
from congru.tasks.chess.openings import NO_NAMES, Openings
from congru.tasks.chess.surprise import Expectations, Phase, Predicts, by_phase, expect, mean_choice
from congru.tasks.chess.tendencies import BLACK, D4, E4, WHITE, Player, move_at, usual
from congru.tasks.chess.tree import DEPTH

LOOKED_AT = 20  # plies of each game that are compared with those of others


@dataclass
class Study:
    """Games, the names of openings, and a model, for the pages about any of the players.

    names: None where they are not on this machine. model: None counts alone. most: games of a player that the model reads.
    """

    games: Games
    names: Openings | None = None
    model: Predicts | None = None
    most: int = 400
    _expected: dict[str, Expectations] = field(default_factory=dict)

    @cached_property
    def beginnings(self) -> Beginnings:
        """The first plies of all games."""
        return Beginnings(self.games, LOOKED_AT)

    def read_by_model(self, player: Player) -> NDArray[np.int64]:
        """The games of a player that the model reads: at most `most`, evenly spread."""
        numbers = player.all
        if len(numbers) <= self.most:
            return numbers
        return numbers[np.arange(self.most) * len(numbers) // self.most]

    def expected(self, player: Player) -> Expectations | None:
        """What the model predicted for those games."""
        if self.model is None:
            return None
        if player.name not in self._expected:
            numbers = self.read_by_model(player)
            self._expected[player.name] = expect(self.model, self.games, numbers, DEPTH)
        return self._expected[player.name]

    def books(self, player: Player) -> tuple[Book, Book]:
        """What a player chose with White, and with Black, by position."""
        return self.beginnings.book(player.white, WHITE), self.beginnings.book(player.black, BLACK)

    def books_without(self, *players: Player) -> tuple[Book, Book]:
        """What all others chose with White, and with Black."""
        everything = np.arange(len(self.games))
        white, black = (
            np.setdiff1d(everything, np.concatenate([player.with_side(side) for player in players]))
            for side in (WHITE, BLACK)
        )
        return self.beginnings.book(white, WHITE), self.beginnings.book(black, BLACK)

    def mean_choices(self, player: Player) -> dict[int | None, dict[int, float]]:
        """The model's mean choice in the player's games: None -> first moves, E4 and D4 -> the replies to them."""
        expected = self.expected(player)
        if expected is None:
            return {}
        black = usual(self.games, player.black)
        first = move_at(self.games, black, 0)
        return {
            None: mean_choice(expected, usual(self.games, player.white).tolist(), 0),
            **{move: mean_choice(expected, black[first == move].tolist(), 1) for move in (E4, D4)},
        }

    def predictability(self, player: Player) -> dict[str, dict[str, Phase]]:
        """How predictable the player is in each part of the file, by phase; empty without a model."""
        expected = self.expected(player)
        if expected is None:
            return {}
        numbers = self.read_by_model(player)
        split = self.games.split[numbers]
        return {
            f"{SPLITS[part]} part" if part >= 0 else "all": by_phase(
                expected, numbers[split == part], player.sides
            )
            for part in sorted(set(split.tolist()))
        }

    def notes(self, *players: Player) -> list[str]:
        """How the numbers were made, and their limits."""
        lines = [
            f"The file holds {len(self.games):,} games; 'all others' are the moves of everybody else in it, opponents included.",
            "An interval is Wilson's for 95 %; that of points per game is a little too wide, as there are draws.",
        ]
        if self.names is None:
            lines.append(
                f"{NO_NAMES}; without it openings are told by the ECO codes of the file, where it has them."
            )
        if self.model is not None:
            for player in players:
                read = len(self.read_by_model(player))
                lines.append(f"The model read {read:,} of the {len(player):,} games of {player.name}.")
            lines.append(
                "A model that was trained on this file knows the games of its train part: judge how predictable a player is by "
                "the other parts."
            )
        else:
            lines.append("Made without a model: counts alone.")
        return lines
