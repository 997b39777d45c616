"""Games as arrays: the moves of all of them one after another, and who played whom, when, with what result.

Legend: G games, P plies of all games.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.chess.players import matches

WHITE_WINS, DRAW, BLACK_WINS, UNKNOWN = 1, 0, -1, 2
SPLITS = ("train", "valid", "test")
RESULTS = {"1-0": WHITE_WINS, "1/2-1/2": DRAW, "0-1": BLACK_WINS}
_NEVER_BY_CHANCE = 40  # plies
_ARRAYS = ("moves", "offsets", "white", "black", "elo", "result", "date", "split", "start", "clocks")


@dataclass(frozen=True)
class Games:
    """G games of P plies.

    moves: uint16 [P], codes of :mod:`congru.tasks.chess.moves`. offsets: int64 [G + 1]; game g is plies offsets[g] to
    offsets[g + 1]. white, black: int32 [G], numbers of `players`. elo: int16 [G, 2], White's and Black's, 0 unknown.
    result: int8 [G], 1 White won, 0 draw, -1 Black won, 2 unknown. date: int32 [G], yyyymmdd, unknown parts 0.
    split: int8 [G], 0 train, 1 valid, 2 test, -1 where the source does not say. start: int32 [G], number of `fens`, -1 for the
    usual first position. clocks: float32 [P], seconds left after the ply, NaN unknown; None where no game has any.
    """

    moves: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    white: NDArray[np.int32]
    black: NDArray[np.int32]
    elo: NDArray[np.int16]
    result: NDArray[np.int8]
    date: NDArray[np.int32]
    split: NDArray[np.int8]
    start: NDArray[np.int32]
    clocks: NDArray[np.float32] | None
    players: tuple[str, ...]
    fens: tuple[str, ...] = ()
    eco: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Plies of each game [G]."""
        return np.diff(self.offsets)

    def of(self, game: int) -> NDArray[np.uint16]:
        """The moves of one game."""
        return self.moves[self.offsets[game] : self.offsets[game + 1]]

    def select(self, games: NDArray[Any]) -> Games:
        """Some games, by a mask [G] or by numbers, with all players."""
        numbers = np.flatnonzero(games) if np.asarray(games).dtype == bool else np.asarray(games, np.int64)
        lengths = self.lengths[numbers]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        plies = np.repeat(self.offsets[numbers] - offsets[:-1], lengths) + np.arange(offsets[-1])
        rows = {name: getattr(self, name)[numbers] for name in _ARRAYS[2:-1]}
        clocks = None if self.clocks is None else self.clocks[plies]
        eco = tuple(self.eco[number] for number in numbers) if self.eco else ()
        return replace(self, moves=self.moves[plies], offsets=offsets, clocks=clocks, eco=eco, **rows)

    def distinct(self) -> Games:
        """The first of equal games: of the same moves and start, and where these are few, of the same players too.

        Long games are never alike by chance, and the names of one player are spelt in several ways.
        """
        lengths = self.lengths
        keys = (
            (self.start[g], self.of(g).tobytes())
            if lengths[g] >= _NEVER_BY_CHANCE
            else (self.start[g], self.of(g).tobytes(), self.white[g], self.black[g])
            for g in range(len(self))
        )
        first: dict[Any, int] = {}
        for game, key in enumerate(keys):
            first.setdefault(key, game)
        return self if len(first) == len(self) else self.select(np.array(list(first.values())))

    def where(
        self,
        player: str | None = None,
        years: tuple[int, int] | None = None,
        elo: tuple[int, int] | None = None,
        result: str | None = None,
    ) -> Games:
        """The games of a player, of years from - to, with both Elos from - to, with a result such as 1-0."""
        mask = np.ones(len(self), bool)
        if player is not None:
            numbers = [self.players.index(name) for name in matches(player, self.players)]
            mask &= np.isin(self.white, numbers) | np.isin(self.black, numbers)
        if years is not None:
            mask &= (self.date // 10000 >= years[0]) & (self.date // 10000 <= years[1])
        if elo is not None:
            mask &= ((self.elo >= elo[0]) & (self.elo <= elo[1])).all(axis=1)
        if result is not None:
            if result not in RESULTS:
                raise DataError(f"result is '{result}', expected one of {', '.join(RESULTS)}")
            mask &= self.result == RESULTS[result]
        return self if mask.all() else self.select(mask)

    def save(self, folder: Path) -> None:
        """Write the arrays to a folder, one file each."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            if getattr(self, name) is not None:
                np.save(folder / f"{name}.npy", getattr(self, name))
        words = {"players": self.players, "fens": self.fens, "eco": self.eco}
        (folder / "words.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Games:
        """Read what :meth:`save` wrote; the arrays stay on the disk until they are used."""
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in _ARRAYS
            if (folder / f"{name}.npy").exists()
        }
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        fields: dict[str, Any] = {"clocks": None, **arrays}
        fields.update({name: tuple(value) for name, value in words.items()})
        return cls(**fields)


@dataclass
class Game:
    """One game as it was read: its moves, its players, and what else its source says."""

    moves: NDArray[np.uint16]
    white: str
    black: str
    elo: tuple[int, int] = (0, 0)
    result: int = UNKNOWN
    date: int = 0
    split: int = -1
    fen: str = ""
    eco: str = ""
    clocks: NDArray[np.float32] | None = None
    keys: tuple[str, str] = ("", "")
    """What tells White and Black from others of the same name, where the source has it."""


def collect(games: Sequence[Game]) -> Games:
    """Games as arrays; the players in the order of their first game, called as they are there."""
    players: dict[str, int] = {}
    fens: dict[str, int] = {}
    names: list[str] = []
    taken: set[str] = set()
    for game in games:
        for name, key in zip((game.white, game.black), game.keys):
            if (key or name) not in players:
                players[key or name] = len(players)
                names.append(f"{name} ({key})" if name in taken else name)
                taken.add(names[-1])
        if game.fen:
            fens.setdefault(game.fen, len(fens))
    clocks = None
    if any(game.clocks is not None for game in games):
        clocks = np.concatenate(
            [np.full(len(g.moves), np.nan, np.float32) if g.clocks is None else g.clocks for g in games]
        )
    return Games(
        moves=np.concatenate([np.zeros(0, np.uint16), *(game.moves for game in games)]),
        offsets=np.cumsum([0, *(len(game.moves) for game in games)]),
        white=np.array([players[game.keys[0] or game.white] for game in games], np.int32),
        black=np.array([players[game.keys[1] or game.black] for game in games], np.int32),
        elo=np.array([game.elo for game in games], np.int16).reshape(-1, 2),
        result=np.array([game.result for game in games], np.int8),
        date=np.array([game.date for game in games], np.int32),
        split=np.array([game.split for game in games], np.int8),
        start=np.array([fens.get(game.fen, -1) for game in games], np.int32),
        clocks=clocks,
        players=tuple(names),
        fens=tuple(fens),
        eco=tuple(game.eco for game in games) if any(game.eco for game in games) else (),
    )


def concatenate(parts: Sequence[Games]) -> Games:
    """Several sets of games as one; equal names are one player."""
    if len(parts) == 1:
        return parts[0]
    players: dict[str, int] = {}
    fens: dict[str, int] = {}
    columns: dict[str, list[Any]] = {name: [] for name in ("white", "black", "start")}
    for part in parts:
        numbers = np.array([players.setdefault(name, len(players)) for name in part.players], np.int32)
        columns["white"].append(numbers[part.white])
        columns["black"].append(numbers[part.black])
        starts = np.array([*(fens.setdefault(fen, len(fens)) for fen in part.fens), -1], np.int32)
        columns["start"].append(starts[part.start])
    lengths = np.concatenate([part.lengths for part in parts])
    has_clocks, has_eco = any(p.clocks is not None for p in parts), any(p.eco for p in parts)
    rows: Mapping[str, Any] = {name: np.concatenate(values) for name, values in columns.items()}
    return Games(
        moves=np.concatenate([part.moves for part in parts]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        clocks=np.concatenate(
            [np.full(len(p.moves), np.nan, np.float32) if p.clocks is None else p.clocks for p in parts]
        )
        if has_clocks
        else None,
        players=tuple(players),
        fens=tuple(fens),
        eco=tuple(e for p in parts for e in (p.eco or ("",) * len(p))) if has_eco else (),
        **{
            name: np.concatenate([getattr(p, name) for p in parts])
            for name in ("elo", "result", "date", "split")
        },
        **rows,
    )
