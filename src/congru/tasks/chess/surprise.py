"""What a model expected of a player's games: bits per move by phase, and the moves it least expected.

Any model can be asked that says, for games, the probability of every legal move before every ply (:class:`Predicts`).

Legend: P plies of all games.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.games import Game, Games, collect
from congru.tasks.chess.rules import Position

PHASES = ("opening", "middlegame", "endgame")
OPENING_PLIES = 20
ENDGAME_PIECES = 6  # and fewer, kings and pawns not counted


class OfGame(Protocol):
    """What a model says of a game: `row`, `code`, `log_p` [C], the ply of each legal move, its code, its log probability."""

    @property
    def game(self) -> int: ...
    @property
    def row(self) -> NDArray[Any]: ...
    @property
    def code(self) -> NDArray[Any]: ...
    @property
    def log_p(self) -> NDArray[Any]: ...


class Predicts(Protocol):
    """A model: what it says of some of the games, in any order."""

    def predict(self, games: Games, chosen: NDArray[np.int64], /) -> Iterator[OfGame]: ...


@dataclass(frozen=True)
class Expectations:
    """What a model predicted for some games.

    p: float [P], the probability of the move played, NaN where the model was not asked. best: int [P], the most probable move;
    best_p: float [P], its probability. early: (game, ply) -> (codes, probabilities) for the first plies.
    """

    games: Games
    p: NDArray[np.float64]
    best: NDArray[np.int64]
    best_p: NDArray[np.float64]
    early: dict[tuple[int, int], tuple[NDArray[Any], NDArray[Any]]]

    @property
    def bits(self) -> NDArray[np.float64]:
        """The surprise of every move [P], -log2 p."""
        surprise: NDArray[np.float64] = -np.log2(np.maximum(self.p, 1e-12))
        return surprise


def expect(model: Predicts, games: Games, numbers: NDArray[np.int64], depth: int) -> Expectations:
    """Ask a model about some games; its predictions for the first `depth` plies are kept whole."""
    count = len(games.moves)
    p, best_p, best = np.full(count, np.nan), np.full(count, np.nan), np.full(count, -1, np.int64)
    early: dict[tuple[int, int], tuple[NDArray[Any], NDArray[Any]]] = {}
    for predicted in model.predict(games, numbers):
        begin = int(games.offsets[predicted.game])
        chances = np.exp(predicted.log_p)
        hits = np.flatnonzero(predicted.code == games.of(predicted.game)[predicted.row])
        p[begin + predicted.row[hits]] = chances[hits]
        order = np.lexsort((chances, predicted.row))
        last = order[np.append(np.flatnonzero(np.diff(predicted.row[order])), len(order) - 1)]
        best[begin + predicted.row[last]] = predicted.code[last]
        best_p[begin + predicted.row[last]] = chances[last]
        ends = np.searchsorted(predicted.row, np.arange(depth + 1))
        for ply in range(min(depth, int(games.lengths[predicted.game]))):
            part = slice(ends[ply], ends[ply + 1])
            early[predicted.game, ply] = predicted.code[part], chances[part]
    return Expectations(games, p, best, best_p, early)


def choice(
    model: Predicts, moves: Sequence[int], white: str, black: str, fen: str | None = None
) -> dict[int, float]:
    """The probability of every legal move after some moves of two players; empty where the game is over."""
    position = Position(fen)
    for code in moves:
        position.play(code)
    legal = position.legal()
    if not legal:
        return {}
    codes = np.array([*moves, legal[0]], np.uint16)  # what is predicted before a ply does not depend on it
    games = collect([Game(codes, white, black, fen=fen or "")])
    predicted = next(iter(model.predict(games, np.zeros(1, np.int64))))
    last = predicted.row == len(moves)
    return dict(zip(predicted.code[last].tolist(), np.exp(predicted.log_p[last]).tolist()))


def mean_choice(expected: Expectations, numbers: list[int], ply: int) -> dict[int, float]:
    """The mean probability of every move at a ply of some games, those of which the model was asked."""
    total: dict[int, float] = {}
    asked = [expected.early[game, ply] for game in numbers if (game, ply) in expected.early]
    for codes, chances in asked:
        for code, chance in zip(codes.tolist(), chances.tolist()):
            total[code] = total.get(code, 0.0) + chance / len(asked)
    return total


def phases(games: Games, game: int) -> NDArray[np.int64]:
    """The phase of each ply of a game: its first 20 plies, then the middlegame, and the endgame once few pieces are left.

    Few: six or fewer of both sides, kings and pawns not counted.
    """
    position = Position(games.fens[games.start[game]] if games.start[game] >= 0 else None)
    out = np.zeros(int(games.lengths[game]), np.int64)
    for ply, code in enumerate(games.of(game).tolist()):
        placement = position.fen.split(" ", 1)[0]
        few = sum(placement.count(letter) for letter in "nbrqNBRQ") <= ENDGAME_PIECES
        out[ply] = 2 if few else int(ply >= OPENING_PLIES)
        position.play(code)
    return out


class Phase(NamedTuple):
    """Plies of a phase, their mean surprise in bits, and how often the model's first choice was played."""

    plies: int
    bits: float
    hits: float


def by_phase(expected: Expectations, numbers: NDArray[np.int64], side_of: dict[int, int]) -> dict[str, Phase]:
    """How predictable a player is in each phase: over the plies of `side_of` (game -> side) in the games `numbers`."""
    games = expected.games
    bits, hit = expected.bits, expected.best == games.moves
    plies_by_phase: list[list[NDArray[np.int64]]] = [[] for _ in PHASES]
    for game in numbers.tolist():
        kinds = phases(games, game)
        first = _first_side(games, game)
        plies = np.arange(len(kinds))
        own = (plies + first) % 2 == side_of[game]
        own &= ~np.isnan(expected.p[games.offsets[game] : games.offsets[game + 1]])
        for kind in range(len(PHASES)):
            plies_by_phase[kind].append(games.offsets[game] + plies[own & (kinds == kind)])
    out = {}
    for name, parts in zip(PHASES, plies_by_phase):
        at = np.concatenate([np.zeros(0, np.int64), *parts])
        if len(at):
            out[name] = Phase(len(at), float(bits[at].mean()), float(hit[at].mean()))
    return out


def most_surprising(
    expected: Expectations, numbers: NDArray[np.int64], side_of: dict[int, int], most: int = 6
) -> list[tuple[int, int]]:
    """The (game, ply) of a player's moves that the model least expected, at most one of a game."""
    games, rows = expected.games, []
    for game in numbers.tolist():
        begin, end = int(games.offsets[game]), int(games.offsets[game + 1])
        plies = np.arange(end - begin)
        p = expected.p[begin:end].copy()
        p[(plies + _first_side(games, game)) % 2 != side_of[game]] = np.nan
        if not np.isnan(p).all():
            ply = int(np.nanargmin(p))
            rows.append((float(p[ply]), game, ply))
    return [(game, ply) for _, game, ply in sorted(rows)[:most]]


def _first_side(games: Games, game: int) -> int:
    """Who moves first in a game: 0 White, 1 Black."""
    if games.start[game] < 0:
        return 0
    return Position(games.fens[games.start[game]]).turn
