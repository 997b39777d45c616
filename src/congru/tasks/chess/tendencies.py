"""What a player tends to do, by counting games: first moves, replies, results by opening, castling, the repertoire by year.

Legend: G games, P plies of all games.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.chess.games import BLACK_WINS, DRAW, WHITE_WINS, Games
from congru.tasks.chess.moves import code_of
from congru.tasks.chess.players import matches, people

WHITE, BLACK = 0, 1
E4, D4 = code_of("e2e4"), code_of("d2d4")
NOT_CASTLED = "not castled"
_CASTLINGS = (
    {code_of("e1h1"): "O-O", code_of("e1a1"): "O-O-O"},
    {code_of("e8h8"): "O-O", code_of("e8a8"): "O-O-O"},
)
_KINGS = (4, 60)  # e1, e8
_FAR_MORE = 10  # times: a name of several people means the one with so many more games
_Z = 1.959964  # 95 %
Key = TypeVar("Key", bound=Hashable)


class Score(NamedTuple):
    """Results of a player."""

    wins: int = 0
    draws: int = 0
    losses: int = 0

    @property
    def games(self) -> int:
        """Games with a result."""
        return self.wins + self.draws + self.losses

    @property
    def share(self) -> float:
        """Points per game; NaN without a game."""
        return (self.wins + self.draws / 2) / self.games if self.games else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the points per game; draws make the true one narrower."""
        return wilson(self.wins + self.draws / 2, self.games)


def wilson(hits: float, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).

    >>> [round(end, 3) for end in wilson(5, 10)]
    [0.237, 0.763]
    """
    if not trials:
        return 0.0, 1.0
    p, over = hits / trials, _Z * _Z / trials
    half = _Z * math.sqrt(p * (1 - p) / trials + over / (4 * trials))
    return max(0.0, (p + over / 2 - half) / (1 + over)), min(1.0, (p + over / 2 + half) / (1 + over))


@dataclass(frozen=True)
class Player:
    """A player in some games. `name` is the spelling of most games, `spellings` all; `white`, `black` numbers of games."""

    games: Games
    name: str
    spellings: tuple[str, ...]
    white: NDArray[np.int64]
    black: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.white) + len(self.black)

    def with_side(self, side: int) -> NDArray[np.int64]:
        """The games with White (0) or Black (1)."""
        return (self.white, self.black)[side]

    @property
    def all(self) -> NDArray[np.int64]:
        """All games, in their order."""
        return np.union1d(self.white, self.black)

    @property
    def sides(self) -> dict[int, int]:
        """Game -> the player's side."""
        return {
            **dict.fromkeys(self.white.tolist(), WHITE),
            **dict.fromkeys(self.black.tolist(), BLACK),
        }

    def score(self, games: Iterable[int]) -> Score:
        """The results of some of the player's games."""
        counts: Counter[int] = Counter()
        white = set(self.white.tolist())
        for game in games:
            result = int(self.games.result[game])
            counts[result if game in white or result == DRAW else {1: -1, -1: 1}.get(result, result)] += 1
        return Score(counts[WHITE_WINS], counts[DRAW], counts[BLACK_WINS])


def find_player(games: Games, wanted: str, say: Callable[[str], None] = lambda line: None) -> Player:
    """The games of a player, whose name may be shortened and may be spelt in several ways.

    `say` gets a line where several spellings are taken together, or namesakes with far fewer games are passed over.
    Raises :class:`DataError` where nobody is called so, or several people are.
    """
    groups = people(matches(wanted, games.players))
    counted = np.bincount(np.concatenate([games.white, games.black]), minlength=len(games.players))
    number = {name: k for k, name in enumerate(games.players)}
    groups = sorted(
        (sorted(group, key=lambda name: -counted[number[name]]) for group in groups),
        key=lambda group: -sum(counted[number[name]] for name in group),
    )
    sizes = [int(sum(counted[number[name]] for name in group)) for group in groups]
    if not sizes[0] or (len(groups) > 1 and sizes[0] < _FAR_MORE * sizes[1]):
        offers = "; ".join(f"{group[0]} ({size:,} games)" for group, size in zip(groups, sizes))
        raise DataError(f"player '{wanted}' is the name of {len(groups)} people, expected one: {offers}")
    if len(groups) > 1:
        others = ", ".join(group[0] for group in groups[1:])
        say(f"player '{wanted}' is taken as {groups[0][0]} ({sizes[0]:,} games); of the same name: {others}")
    if len(groups[0]) > 1:
        say(f"{groups[0][0]}: taken together with {', '.join(groups[0][1:])}")
    numbers = [number[name] for name in groups[0]]
    white = np.flatnonzero(np.isin(games.white, numbers))
    black = np.flatnonzero(np.isin(games.black, numbers))
    return Player(games, groups[0][0], tuple(groups[0]), white, black)


def usual(games: Games, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of some games that began from the usual first position."""
    return numbers[games.start[numbers] < 0]


def move_at(games: Games, numbers: NDArray[np.int64], ply: int) -> NDArray[np.int64]:
    """The move at a ply of each of some games, -1 where the game was shorter."""
    longer = games.lengths[numbers] > ply
    moves = np.full(len(numbers), -1, np.int64)
    moves[longer] = games.moves[games.offsets[numbers[longer]] + ply]
    return moves


def first_moves(games: Games, numbers: NDArray[np.int64]) -> Counter[int]:
    """How often each first move opened some games."""
    moves = move_at(games, usual(games, numbers), 0)
    return Counter(moves[moves >= 0].tolist())


def replies(games: Games, numbers: NDArray[np.int64], first: int) -> Counter[int]:
    """How often each move answered the first move `first`."""
    numbers = usual(games, numbers)
    moves = move_at(games, numbers, 1)
    return Counter(moves[(move_at(games, numbers, 0) == first) & (moves >= 0)].tolist())


class Castling(NamedTuple):
    """How a side castled in a game: O-O, O-O-O or "not castled", and at which move, from 1; 0 where it did not."""

    kind: str
    move: int


def castling(games: Games, game: int, side: int) -> Castling:
    """How White (0) or Black (1) castled in a game from the usual position: the first move of the king."""
    moves = games.of(game)[side::2]
    of_king = np.flatnonzero((moves & 63) == _KINGS[side])
    if len(of_king):
        kind = _CASTLINGS[side].get(int(moves[of_king[0]]))
        if kind is not None:
            return Castling(kind, int(of_king[0]) + 1)
    return Castling(NOT_CASTLED, 0)


def group_by(numbers: NDArray[np.int64], key: Callable[[int], Key]) -> dict[Key, list[int]]:
    """Numbers of games by a key of each, the largest group first."""
    groups: dict[Key, list[int]] = {}
    for number in numbers.tolist():
        groups.setdefault(key(number), []).append(number)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def by_year(games: Games, numbers: NDArray[np.int64], most: int = 24) -> dict[str, NDArray[np.int64]]:
    """Numbers of games by year, or by span of years where there are more than `most`; games without a date are left out."""
    years = games.date[numbers] // 10000
    known = years[years > 0]
    if not len(known):
        return {}
    first, last = int(known.min()), int(known.max())
    width = next(width for width in (1, 2, 5, 10, 20, 50, 100, 1000) if (last - first) // width < most)
    spans: dict[str, NDArray[np.int64]] = {}
    for begin in range(first - first % width if width > 1 else first, last + 1, width):
        inside = numbers[(years >= begin) & (years < begin + width)]
        if len(inside):
            spans[str(begin) if width == 1 else f"{begin}-{begin + width - 1}"] = inside
    return spans
