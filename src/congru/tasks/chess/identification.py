"""Who plays? Games as points, players as the middle of their games; the nearest middle names the player.

    point(game, player) = mean over the player's plies of the state, all players hidden
    distance(a, b)      = |L (a - b)|,  L from the scatter within players: (S + ridge I)^-1 = L^T L

Several games are one point: their mean. Middles and L come from training games alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.games import Games
from congru.tasks.chess.predict import Predictor

Floats = NDArray[np.floating]


class Points(NamedTuple):
    """`x` [N, H]: one point for each game and player; `player` [N]: indices into the list that was asked for."""

    x: Floats
    player: Ints


def points_of(
    predictor: Predictor, games: Games, wanted: Ints, players: list[str], most: int | None = None
) -> Points:
    """The points of players in some games; at most `most` games each, the first ones of `wanted`."""
    number_of = {name: number for number, name in enumerate(players)}
    of_player = np.array([number_of.get(name, -1) for name in games.players], np.int64)
    pairs = np.stack([of_player[games.white], of_player[games.black]], axis=1)
    taken, counts = [], np.zeros(len(players), np.int64)
    for number in wanted.tolist():
        here = [player for player in pairs[number] if player >= 0]
        if here and (most is None or min(counts[player] for player in here) < most):
            counts[here] += 1
            taken.append(number)
    hidden = np.zeros(len(games.players), np.int64)
    points, owners = [], []
    for predicted in predictor.predict(games, np.array(taken, np.int64), numbers=hidden):
        for side in (0, 1):
            player = int(pairs[predicted.game, side])
            own = predicted.side == side
            if player >= 0 and own.any():
                points.append(predicted.state[own].mean(axis=0))
                owners.append(player)
    return Points(np.array(points, np.float64), np.array(owners, np.int64))


class Middles:
    """The middles of players and the measure of distance, from their training games."""

    def __init__(self, points: Points, num_players: int, ridge: float = 0.1) -> None:
        x, player = points
        counts = np.bincount(player, minlength=num_players)
        self.middles = np.stack([x[player == number].mean(axis=0) for number in range(num_players)])
        within = x - self.middles[player]
        scatter = within.T @ within / max(len(x) - num_players, 1)
        scatter += ridge * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
        self.turn = np.linalg.cholesky(np.linalg.inv(scatter)).T
        self.counts = counts

    def nearest(self, x: Floats) -> Ints:
        """The player whose middle is nearest to each point [N, H]."""
        seen, middles = x @ self.turn.T, self.middles @ self.turn.T
        distance = ((seen[:, None] - middles[None]) ** 2).sum(axis=2)
        nearest: Ints = distance.argmin(axis=1).astype(np.int64)
        return nearest


def accuracy(middles: Middles, points: Points, num_games: int, draws: int = 50, seed: int = 0) -> float:
    """The mean over players of the share of draws of `num_games` of their games that are named right."""
    rng = np.random.default_rng(seed)
    shares = []
    for player in np.unique(points.player):
        own = np.flatnonzero(points.player == player)
        if len(own) < num_games:
            continue
        picked = np.stack([rng.choice(own, num_games, replace=False) for _ in range(draws)])
        shares.append((middles.nearest(points.x[picked].mean(axis=1)) == player).mean())
    return float(np.mean(shares)) if shares else float("nan")


def identify(
    predictor: Predictor,
    games: Games,
    train: Ints,
    wanted: Ints,
    *,
    num_players: int = 20,
    sizes: tuple[int, ...] = (1, 5, 20),
    most: int = 200,
) -> dict[str, float]:
    """The accuracy from so many games each, among the players with the most training games; chance beside it.

    `most` games a player, evenly spread over those of training, make the middles.
    """
    counts = np.bincount(
        np.concatenate([games.white[train], games.black[train]]), minlength=len(games.players)
    )
    players = [games.players[number] for number in np.argsort(-counts, kind="stable")[:num_players]]
    order = np.random.default_rng(0).permutation(train)
    middles = Middles(points_of(predictor, games, order, players, most), len(players))
    points = points_of(predictor, games, wanted, players)
    shares = {f"from {size} games": accuracy(middles, points, size) for size in sizes}
    return {**shares, "chance": 1 / len(players)}
