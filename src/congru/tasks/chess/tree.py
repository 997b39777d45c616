"""The opening tree of a player: what was played in the games, beside what others play there and what a model expects.

Where the player moves, the share is the player's; where the opponent moves, it is that of the opponents met.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from congru.tasks.chess.beginnings import Beginnings, Book
from congru.tasks.chess.openings import Openings
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import write_san
from congru.tasks.chess.surprise import Expectations, mean_choice
from congru.tasks.chess.tendencies import Player, Score

DEPTH = 12


@dataclass
class Branch:
    """A move of the tree.

    san: the move with its number. games: the player's games that went this way, `share` their part of those that came so far.
    others: the share of the move among all others in the same position, `others_times` how often they were there.
    model: the mean probability a model gave, None without one. name: of the opening, where the position has one of its own.
    """

    san: str
    code: int
    own: bool
    games: int
    share: float
    others: float | None
    others_times: int
    model: float | None
    score: Score
    name: str | None
    branches: list[Branch] = field(default_factory=list)

    def walk(self) -> Iterator[Branch]:
        """The branch and all below it."""
        yield self
        for branch in self.branches:
            yield from branch.walk()


def opening_tree(
    player: Player,
    side: int,
    beginnings: Beginnings,
    others: tuple[Book, Book],
    *,
    expected: Expectations | None = None,
    names: Openings | None = None,
    depth: int = DEPTH,
    least: float = 0.02,
) -> list[Branch]:
    """The tree of the player's games with White (0) or Black (1), from the first move.

    Args:
        player: whose games.
        side: 0 White, 1 Black.
        beginnings: of the same games, at least `depth` plies.
        others: what all others played with White, and with Black, by position.
        expected: what a model predicted for the player's games.
        names: names of openings.
        depth: plies.
        least: the smallest share of all games that a branch has; never fewer than two games, unless there are few.
    """
    numbers = player.with_side(side)
    numbers = numbers[beginnings.at[numbers, 0] == 0]
    fewest = max(least * len(numbers), min(2.0, len(numbers) / 5))

    def grow(games: list[int], ply: int, position: Position) -> list[Branch]:
        if ply == depth:
            return []
        codes: dict[int, list[int]] = {}
        for game in games:
            if beginnings.at[game, ply + 1] >= 0:
                codes.setdefault(
                    int(beginnings.games.moves[beginnings.games.offsets[game] + ply]), []
                ).append(game)
        chances = mean_choice(expected, games, ply) if expected is not None else {}
        there = others[ply % 2].get(position.key)
        branches = []
        for code, went in sorted(codes.items(), key=lambda item: -len(item[1])):
            if len(went) < fewest:
                continue
            next_position = position.copy()
            next_position.play(code)
            opening = names.at(next_position) if names else None
            branches.append(
                Branch(
                    san=f"{ply // 2 + 1}{'...' if ply % 2 else '.'} {write_san(position, code)}",
                    code=code,
                    own=ply % 2 == side,
                    games=len(went),
                    share=len(went) / sum(map(len, codes.values())),
                    others=there[code] / there.total() if there else None,
                    others_times=there.total() if there else 0,
                    model=chances.get(code, 0.0) if chances else None,
                    score=player.score(went),
                    name=opening.name if opening else None,
                    branches=grow(went, ply + 1, next_position),
                )
            )
        return branches

    return grow(np.asarray(numbers).tolist(), 0, Position())
