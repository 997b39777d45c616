"""The beginnings of many games as one tree, each played through once, and what was played in each of their positions.

A position is known by its key, so that moves are counted together by whatever order the position was reached.

Legend: G games, N beginnings, D plies looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.games import Games
from congru.tasks.chess.rules import Position

Book = Mapping[int, Counter[int]]  # key of a position -> how often each move was played there


class Beginnings:
    """The first D plies of games from the usual position.

    at: int32 [G, D + 1], the number of the beginning after 0 .. D plies, -1 where the game was shorter or began elsewhere.
    keys: uint64 [N], the key of the position of each beginning; parents, moves: int [N], where it came from and by which move.
    """

    def __init__(self, games: Games, depth: int) -> None:
        self.games, self.depth = games, depth
        self.at = np.full((len(games), depth + 1), -1, np.int32)
        following: list[dict[int, int]] = [{}]
        keys, parents, played = [Position().key], [-1], [-1]
        for game in range(len(games)):
            if games.start[game] >= 0:
                continue
            position, node = None, 0
            self.at[game, 0] = 0
            moves = games.of(game)[:depth].tolist()
            for ply, code in enumerate(moves):
                further = following[node].get(code)
                if further is None:
                    if position is None:
                        position = after(moves[:ply])
                    position.play(code)
                    further = following[node][code] = len(keys)
                    following.append({})
                    keys.append(position.key)
                    parents.append(node)
                    played.append(code)
                self.at[game, ply + 1] = node = further
        self.keys = np.array(keys, np.uint64)
        self.parents, self.moves = np.array(parents), np.array(played)

    def path(self, node: int) -> list[int]:
        """The moves of a beginning."""
        moves = []
        while node > 0:
            moves.append(int(self.moves[node]))
            node = int(self.parents[node])
        return moves[::-1]

    def book(self, numbers: NDArray[np.int64], side: int) -> dict[int, Counter[int]]:
        """What White (0) or Black (1) played in some games, by position."""
        counts: dict[int, Counter[int]] = {}
        for ply in range(side, self.depth, 2):
            nodes, longer = self.at[numbers, ply], self.at[numbers, ply + 1]
            inside = longer >= 0
            pairs, times = np.unique(
                np.stack([nodes[inside], longer[inside]], axis=1), axis=0, return_counts=True
            )
            for (node, child), count in zip(pairs.tolist(), times.tolist()):
                counts.setdefault(int(self.keys[node]), Counter())[int(self.moves[child])] += count
        return counts

    def first_node(self) -> dict[int, int]:
        """A beginning that leads to each position: the one with the fewest moves."""
        first_nodes: dict[int, int] = {}
        for node, key in enumerate(self.keys.tolist()):
            first_nodes.setdefault(key, node)
        depths = {0: 0}
        for node in range(1, len(self.keys)):
            depths[node] = depths[int(self.parents[node])] + 1
            key = int(self.keys[node])
            if depths[node] < depths[first_nodes[key]]:
                first_nodes[key] = node
        return first_nodes


def after(moves: list[int]) -> Position:
    """The position after moves from the usual first one."""
    position = Position()
    for code in moves:
        position.play(code)
    return position
