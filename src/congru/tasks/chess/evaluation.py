"""How well a model predicts the moves of games: hits, bits, by ply and rating, calibration; without torch.

    top-k   share of plies whose move is among the k most probable legal ones
    bits    mean of -log2 p(move) over the legal moves

Legend: N plies of all scored games.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.report.table import text_table
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.games import UNKNOWN, Games
from congru.tasks.chess.predict import Predicted, Predictor
from congru.tasks.chess.reading import Reader, chosen
from congru.tasks.chess.recall import Recall
from congru.tasks.chess.recalls import with_recall
from congru.tasks.chess.scoring import BANDS, band_names, by_group, ranks

ELO_BANDS = (1, 2200, 2400, 2500, 2600, 2700)
NUM_BINS = 10
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """The plies [N] of some games, one after the other: what was predicted of the move that was played.

    `game`, `ply` [N]; `rank` [N]: how many moves were more probable; `nats` [N]; `highest` [N]: the probability of the most
    probable move; `result_nats` [N], NaN where the game has no result; `legal_mass`, `free_legal` [N] as in
    :class:`congru.tasks.chess.predict.Predicted`; `elo` [N] of the mover, 0 where unknown; `player` [N] the mover; `time_nats`
    [N] of the time that the move took, NaN where that is not known or not predicted.
    """

    game: Ints
    ply: Ints
    rank: Ints
    nats: Values
    highest: Values
    result_nats: Values
    legal_mass: Values
    free_legal: NDArray[np.bool_]
    elo: Ints
    player: Ints
    time_nats: Values

    def take(self, wanted: Any) -> Scored:
        """Some plies, by a mask or by numbers."""
        return Scored(**{name: value[wanted] for name, value in vars(self).items()})


def score(
    predictor: Predictor, games: Games, wanted: Ints, recalls: Mapping[int, Recall] | None = None, **how: Any
) -> Scored:
    """Score every ply of some games, in the games' order; `how` goes to :meth:`Predictor.predict`.

    `recalls`: of games what their players chose before (:func:`congru.tasks.chess.recalls.recalls_of`), which then goes into
    the predictions.
    """
    reader = Reader(games, np.zeros(len(games.players), np.int64))
    parts = {}
    for predicted in predictor.predict(games, wanted, **how):
        recall = recalls.get(predicted.game) if recalls is not None else None
        parts[predicted.game] = _scored(with_recall(predicted, games, recall), reader)
    ordered = [parts[number] for number in sorted(parts)]
    return Scored(
        **{name: np.concatenate([getattr(part, name) for part in ordered]) for name in vars(ordered[0])}
    )


def _scored(predicted: Predicted, reader: Reader) -> Scored:
    """The plies of one game."""
    games, number, count = reader.games, predicted.game, len(predicted.state)
    begin = int(games.offsets[number])
    played = chosen(predicted.row, predicted.code, games.moves[begin : begin + count].astype(np.int64))
    side = predicted.side
    result = int(games.result[number])
    result_nats = np.full(count, np.nan)
    if result != UNKNOWN:
        outcome = 1 + np.where(side == 1, -result, result)
        result_nats = -predicted.result[np.arange(count), outcome].astype(np.float64)
    time_nats = np.full(count, np.nan)
    if predicted.time is not None:
        time = reader.times(begin + np.arange(count))
        time_nats[time >= 0] = -predicted.time[np.arange(count), time][time >= 0]
    return Scored(
        np.full(count, number),
        np.arange(count),
        ranks(predicted.log_p, predicted.row, played),
        -predicted.log_p[played].astype(np.float64),
        np.exp(np.maximum.reduceat(predicted.log_p, np.searchsorted(predicted.row, np.arange(count)))),
        result_nats,
        predicted.legal_mass.astype(np.float64),
        predicted.free_legal,
        games.elo[number].astype(np.int64)[side],
        np.array([games.white[number], games.black[number]], np.int64)[side],
        time_nats,
    )


def summary(scored: Scored) -> dict[str, float]:
    """The means over all plies."""
    hits = {f"top{k}": float((scored.rank < k).mean()) for k in (1, 3, 5)}
    timed = ~np.isnan(scored.time_nats)
    return {
        **hits,
        "bits_per_move": float(scored.nats.mean() / np.log(2)),
        "result_bits": _bits(scored.result_nats),
        **({"time_bits": _bits(scored.time_nats)} if timed.any() else {}),
        "legal_mass": float(scored.legal_mass.mean()),
        "legal_rate": float(scored.free_legal.mean()),
        "calibration_error": calibration(scored)[0],
        "plies": float(len(scored.rank)),
    }


def _bits(nats: Values) -> float:
    """The mean of what is known, in bits; NaN where nothing is."""
    known = ~np.isnan(nats)
    return float(nats[known].mean() / np.log(2)) if known.any() else float("nan")


def by_ply(scored: Scored) -> dict[str, dict[str, float]]:
    """Hits and bits in the bands of plies 0-10, 10-20, 20-40, 40-80, 80+."""
    return by_group(np.digitize(scored.ply, BANDS[1:]), band_names(), **_columns(scored))


def by_elo(scored: Scored) -> dict[str, dict[str, float]]:
    """Hits and bits by the mover's rating."""
    names = ["unknown", *band_names(ELO_BANDS)]
    return by_group(np.digitize(scored.elo, ELO_BANDS), names, **_columns(scored))


def _columns(scored: Scored) -> dict[str, NDArray[Any]]:
    return {
        "top1": scored.rank == 0,
        "bits_per_move": scored.nats / np.log(2),
        "legal_rate": scored.free_legal,
    }


def calibration(scored: Scored) -> tuple[float, list[tuple[float, float, int]]]:
    """The expected calibration error of the most probable move, and (its mean probability, share hit, plies) by tenths.

    error = sum over the bins of plies / N * | share hit - mean probability |   (Guo et al. 2017)
    """
    bin_of = np.minimum((scored.highest * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    bins, error = [], 0.0
    for number in range(NUM_BINS):
        inside = bin_of == number
        if inside.any():
            believed, hit = float(scored.highest[inside].mean()), float((scored.rank[inside] == 0).mean())
            bins.append((believed, hit, int(inside.sum())))
            error += inside.mean() * abs(hit - believed)
    return float(error), bins


def bootstrap(gains: Values, groups: Ints, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """The mean of gains [N], and the 2.5 % and 97.5 % bounds of the mean where whole groups [N] (games) are drawn anew.

    >>> mean, low, high = bootstrap(np.ones(6), np.array([0, 0, 1, 1, 2, 2]))
    >>> mean, low, high
    (1.0, 1.0, 1.0)
    """
    group = np.unique(groups, return_inverse=True)[1]
    sums, counts = np.bincount(group, weights=gains), np.bincount(group)
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):
        picked = rng.integers(0, len(sums), len(sums))
        means[draw] = sums[picked].sum() / counts[picked].sum()
    low, high = np.quantile(means, (0.025, 0.975))
    return float(gains.mean()), float(low), float(high)


def table_of(rows: Mapping[str, Mapping[str, float]], columns: tuple[str, ...]) -> str:
    """Rows of scores as aligned text; empty where a row lacks a column."""
    lines = [(name, *(row.get(column) for column in columns)) for name, row in rows.items()]
    return text_table(lines, ("", *(column.replace("_", " ") for column in columns)))
