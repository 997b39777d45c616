"""The games of a training run: which are for training, which choose the model, whose players the network tells apart."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from congru.errors import DataError
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.baselines import BookAndNgrams, share_of_hits
from congru.tasks.chess.games import SPLITS, Games
from congru.tasks.chess.plies import NUM_TIMES
from congru.tasks.chess.reading import Reader
from congru.tasks.chess.settings import Settings
from congru.tasks.chess.sources import Report, read_games, tell
from congru.tasks.chess.streams import plies_of

TRAIN, VALID, TEST = range(len(SPLITS))
_SHARES = 10  # of ten games one is for validation, one for the test


@dataclass(frozen=True)
class ChessData:
    """`train`, `valid` are numbers of games; `known` the names of the players with a vector; `numbers` [players] theirs.

    A player's number is its index in `known` + 1; 0 stands for all others.
    """

    source: str
    games: Games
    report: Report
    rule: str
    train: Ints
    valid: Ints
    known: list[str]
    numbers: Ints

    @cached_property
    def baselines(self) -> dict[str, float]:
        """The share of validation moves hit by what a person would try first."""
        return {name: row["top1"] for name, row in baseline_rows(self.games, self.train, self.valid).items()}

    def describe(self) -> dict[str, Any]:
        """What was read, for the screen and data.json."""
        games = self.games
        counted = {
            name: len(plies_of(games.offsets, part))
            for name, part in (("train", self.train), ("valid", self.valid))
        }
        summary: dict[str, Any] = {
            "source": self.source,
            "split": self.rule,
            "train": len(self.train),
            "validation": len(self.valid),
            "plies": f"{counted['train']:,} train, {counted['valid']:,} validation",
            "players": f"{len(games.players):,}, {len(self.known):,} of them with a vector",
        }
        if self.report.counts:
            summary["left out"] = "; ".join(self.report.lines())
        return summary


def prepare(source: str, settings: Settings) -> ChessData:
    """Read the games, filter and part them.

    Raises:
        DataError: nothing to read, or too few games for the split and the streams.
    """
    games, report = read_games(source, bad=settings.bad, say=None if settings.quiet else tell)
    games, rule = split_games(filtered(games, settings), settings.split)
    train, valid = (np.flatnonzero(games.split == part) for part in (TRAIN, VALID))
    num_plies = int(games.lengths[train].sum())
    needed = settings.batch_size * settings.chunk
    if not len(valid) or num_plies < needed:
        raise DataError(
            f"{source} has {num_plies} training plies and {len(valid)} validation games, expected at least"
            f" {needed} plies (batch_size * chunk) and one game: give more games or a smaller --batch-size"
        )
    stride = max(1, len(valid) // settings.validation_games)
    counts = np.bincount(
        np.concatenate([games.white[train], games.black[train]]), minlength=len(games.players)
    )
    players = np.flatnonzero(counts >= settings.min_games)
    numbers = np.zeros(len(games.players), np.int64)
    numbers[players] = 1 + np.arange(len(players))
    return ChessData(
        source,
        games,
        report,
        rule,
        train,
        valid[::stride][: settings.validation_games],
        [games.players[player] for player in players],
        numbers,
    )


def baseline_rows(games: Games, train: Ints, scored: Ints) -> dict[str, dict[str, float]]:
    """What the opening book with n-grams counted on `train`, and a random legal move, hit of the games `scored`.

    Without training games only the random move is there. The book says no probabilities, so it has no bits.
    """
    counts = (
        Reader(games, np.zeros(len(games.players), np.int64))
        .positions(plies_of(games.offsets, scored))
        .counts
    )
    rows = {
        "random legal move": {
            **{f"top{k}": float(np.minimum(k / counts, 1).mean()) for k in (1, 3, 5)},
            "bits_per_move": float(np.log2(counts).mean()),
        }
    }
    if len(train):
        part = games.select(scored)
        offered = BookAndNgrams(games.select(train)).top(part)
        hits = {f"top{k}": float(share_of_hits(offered, part.moves, k).mean()) for k in (1, 3, 5)}
        rows = {"opening book + 4-gram": hits, **rows}
    return rows


def time_baseline(games: Games, train: Ints, scored: Ints) -> float | None:
    """Bits of the time that a move takes by how often each class is in the training games; None where there is no time."""
    reader = Reader(games, np.zeros(len(games.players), np.int64))
    seen, wanted = (reader.times(plies_of(games.offsets, part)) for part in (train, scored))
    counts = 1.0 + np.bincount(seen[seen >= 0], minlength=NUM_TIMES)
    wanted = wanted[wanted >= 0]
    return (
        float(-np.log2(counts / counts.sum())[wanted].mean()) if len(wanted) and (seen >= 0).any() else None
    )


def filtered(games: Games, settings: Settings) -> Games:
    """The games that the settings ask for: distinct ones, of a player, of years, of ratings, with a result.

    Raises:
        DataError: no game is left.
    """
    years = None if settings.first_year is None else (settings.first_year, 9999)
    elo = None if settings.min_elo is None else (settings.min_elo, 9999)
    chosen = games.distinct().where(settings.player, years, elo, settings.result)
    if not len(chosen):
        raise DataError(
            "no game is left, expected some: loosen --player, --first-year, --min-elo or --result"
        )
    return chosen


def split_games(games: Games, rule: Literal["auto", "game", "time"]) -> tuple[Games, str]:
    """The games with a split for each, and the rule in words.

    auto: the source's own column where every game has one, else by game. game: by a sum over the moves, 8 : 1 : 1. time: by
    date, the newest tenth for the test, the tenth before for validation.
    """
    if rule == "auto" and (games.split >= 0).all():
        return games, "the column split of the source"
    if rule == "time":
        tenth = np.empty(len(games), np.int64)
        tenth[np.argsort(games.date, kind="stable")] = np.arange(len(games)) * _SHARES // max(len(games), 1)
        parts = np.where(tenth == _SHARES - 1, TEST, np.where(tenth == _SHARES - 2, VALID, TRAIN))
        return replace(games, split=parts.astype(np.int8)), "by date: 80 % train, 10 % validation, 10 % test"
    sums = np.array([zlib.crc32(games.of(game).tobytes()) % _SHARES for game in range(len(games))], np.int64)
    parts = np.where(sums == 0, VALID, np.where(sums == 1, TEST, TRAIN))
    return replace(
        games, split=parts.astype(np.int8)
    ), "by a sum over the moves: 8 train, 1 validation, 1 test"
