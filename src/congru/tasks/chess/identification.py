"""Who plays? Games as points, players as the middle of their games, and what each of them chose in the same positions before.

    point(game, player) = mean over the player's plies of the state, all players hidden
    distance(a, b)      = |L (a - b)|,  L from the scatter within players: (S + ridge I)^-1 = L^T L
    evidence(game, c)   = sum over the player's plies of log (n_c(move) / p + W) / (N_c + W),    p of the move, players hidden
    vote(c)             = sum over the games of evidence(game, c) - STATES * games * distance(mean of the points, middle of c)^2

n_c(move): how often c played the move in that position, N_c how often c was there (:mod:`congru.tasks.chess.recall`). Middles, L
and counts come from training games alone. The highest vote names the player.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.archive import PLIES, Archive
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.games import Games
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.reading import chosen
from congru.tasks.chess.recall import WEIGHT, Choices, mark_of
from congru.tasks.chess.rules import Position

Floats = NDArray[np.floating]


STATES = 0.3  # of 0.01 to 1, on validation games of pgnmentor20


class Points(NamedTuple):
    """`x` [N, H]: one point for each game and player; `player` [N]: indices into the list that was asked for; `evidence`
    [N, players]: for each of these players, 0 where it was not asked for."""

    x: Floats
    player: Ints
    evidence: Floats


class Repertoires:
    """What each of some players chose in some games, by position."""

    def __init__(self, games: Games, train: Ints, players: list[str]) -> None:
        archive = Archive.of(games, train, _indices(games, players) + 1)
        self.choices = [
            [Choices(archive, archive.games_of(number, side), side) for number in range(1, len(players) + 1)]
            for side in (0, 1)
        ]

    def evidence(self, moves: NDArray[np.uint16], p: Floats) -> Floats:
        """Of White and of Black in a game of moves [T] with the probabilities [T], for each of the players: [2, players]."""
        out: Floats = np.zeros((2, len(self.choices[0])))
        position, itself = Position(), mark_of(moves)
        for ply, (move, chance) in enumerate(zip(moves[:PLIES].tolist(), p.tolist())):
            key = position.key
            for player, choices in enumerate(self.choices[ply % 2]):
                code, _, game = choices.at(key)
                others = code[game != itself]
                if len(others):
                    hits = np.count_nonzero(others == move)
                    out[ply % 2, player] += np.log((hits / chance + WEIGHT) / (len(others) + WEIGHT))
            position.play(move)
        return out


def _indices(games: Games, players: list[str]) -> Ints:
    """For each player of some games the index in a list, -1 for others."""
    number_of = {name: number for number, name in enumerate(players)}
    return np.array([number_of.get(name, -1) for name in games.players], np.int64)


def points_of(
    predictor: Predictor,
    games: Games,
    wanted: Ints,
    players: list[str],
    most: int | None = None,
    repertoires: Repertoires | None = None,
) -> Points:
    """The points of players in some games; at most `most` games each, the first ones of `wanted`.

    `repertoires` of the players: then also the evidence for each of them.
    """
    of_player = _indices(games, players)
    pairs = np.stack([of_player[games.white], of_player[games.black]], axis=1)
    taken, counts = [], np.zeros(len(players), np.int64)
    for number in wanted.tolist():
        here = [player for player in pairs[number] if player >= 0]
        if here and (most is None or min(counts[player] for player in here) < most):
            counts[here] += 1
            taken.append(number)
    hidden = np.zeros(len(games.players), np.int64)
    points, owners, evidence = [], [], []
    nothing: Floats = np.zeros((2, len(players)))
    for predicted in predictor.predict(games, np.array(taken, np.int64), numbers=hidden):
        moves, told = games.of(predicted.game), nothing
        if repertoires is not None and games.start[predicted.game] < 0:
            played = chosen(predicted.row, predicted.code, moves.astype(np.int64))
            told = repertoires.evidence(moves, np.exp(predicted.log_p[played]))
        for side in (0, 1):
            player = int(pairs[predicted.game, side])
            own = predicted.side == side
            if player >= 0 and own.any():
                points.append(predicted.state[own].mean(axis=0))
                owners.append(player)
                evidence.append(told[side])
    return Points(np.array(points, np.float64), np.array(owners, np.int64), np.array(evidence, np.float64))


class Middles:
    """The middles of players and the measure of distance, from their training games."""

    def __init__(self, points: Points, num_players: int, ridge: float = 0.1) -> None:
        x, player, _ = points
        counts = np.bincount(player, minlength=num_players)
        self.middles = np.stack([x[player == number].mean(axis=0) for number in range(num_players)])
        within = x - self.middles[player]
        scatter = within.T @ within / max(len(x) - num_players, 1)
        scatter += ridge * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
        self.turn = np.linalg.cholesky(np.linalg.inv(scatter)).T
        self.counts = counts

    def distances(self, x: Floats) -> Floats:
        """The squared distance [N, players] of each point [N, H] from each player's middle."""
        seen, middles = x @ self.turn.T, self.middles @ self.turn.T
        squares: Floats = ((seen[:, None] - middles[None]) ** 2).sum(axis=2)
        return squares

    def nearest(self, x: Floats) -> Ints:
        """The player whose middle is nearest to each point [N, H]."""
        nearest: Ints = self.distances(x).argmin(axis=1).astype(np.int64)
        return nearest


def accuracy(middles: Middles, points: Points, num_games: int, draws: int = 50, seed: int = 0) -> float:
    """The mean over players of the share of draws of `num_games` of their games that are named right; by votes."""
    rng = np.random.default_rng(seed)
    shares = []
    for player in np.unique(points.player):
        own = np.flatnonzero(points.player == player)
        if len(own) < num_games:
            continue
        picked = np.stack([rng.choice(own, num_games, replace=False) for _ in range(draws)])
        distances = middles.distances(points.x[picked].mean(axis=1))
        votes = points.evidence[picked].sum(axis=1) - STATES * num_games * distances
        shares.append((votes.argmax(axis=1) == player).mean())
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
    """The accuracy from so many games each, among the players with the most training games; that of the states alone and chance
    beside it.

    `most` games a player, evenly spread over those of training, make the middles.
    """
    counts = np.bincount(
        np.concatenate([games.white[train], games.black[train]]), minlength=len(games.players)
    )
    players = [games.players[number] for number in np.argsort(-counts, kind="stable")[:num_players]]
    order = np.random.default_rng(0).permutation(train)
    middles = Middles(points_of(predictor, games, order, players, most), len(players))
    points = points_of(predictor, games, wanted, players, repertoires=Repertoires(games, train, players))
    states = points._replace(evidence=np.zeros_like(points.evidence))
    shares = {
        f"from {size} games{words}": accuracy(middles, of, size)
        for words, of in (("", points), (", by the state alone", states))
        for size in sizes
    }
    return {**shares, "chance": 1 / len(players)}
