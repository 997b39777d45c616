"""What a user does with a chess model, without torch: follow a game, score games, look at its gates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.errors import DataError
from congru.report.verdict import verdict
from congru.runtime.model import Model
from congru.tasks.chess.data import TRAIN, baseline_rows, split_games
from congru.tasks.chess.evaluation import by_elo, by_ply, score, summary, table_of
from congru.tasks.chess.games import SPLITS, Games
from congru.tasks.chess.identification import identify
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.probes import board_probe
from congru.tasks.chess.san import read_move, write_san
from congru.tasks.chess.sources import read_games

Part = Literal["valid", "test", "train", "all"]
_COLUMNS = ("top1", "top3", "top5", "bits_per_move", "calibration_error")
_NUMBER = re.compile(r"\d+\.+")


def run(
    model: Path,
    /,
    *,
    moves: str = "",
    white: str | None = None,
    black: str | None = None,
    top: int = 5,
) -> int:
    """Follow a game: after its moves, the most probable next ones, each with the expected reply.

    Parameters
    ----------
    model:
        A model folder.
    moves:
        The moves so far, in SAN or UCI, parted by spaces; numbers may stand between them.
    white:
        The player of White, by the name in the training games.
    black:
        The player of Black.
    top:
        How many moves to show.
    """
    game = Predictor.load(model).follow(white, black)
    for word in _NUMBER.sub(" ", moves).split():
        game.play(read_move(game.board.rules, word))
    said = game.prediction()
    if not len(said.code):
        print(f"the game is over: {game.board.rules.outcome()}")
        return 0
    lost, drawn, won = np.exp(said.result[0])
    print(f"{('White', 'Black')[game.side]} to move: wins {won:.0%}, draws {drawn:.0%}, loses {lost:.0%}")
    for code, p in said.best(top):
        after = game.fork().play(code)
        replies = after.prediction().best(1)
        reply = (
            f"   then {write_san(after.board.rules, replies[0][0])} {replies[0][1]:.0%}" if replies else ""
        )
        print(f"  {write_san(game.board.rules, code):<7} {p:5.1%}{reply}")
    return 0


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Part = "valid",
    games: Annotated[int | None, Parameter(name="--games")] = None,
    probe: bool = False,
    players: bool = False,
    quiet: bool = False,
) -> dict[str, dict[str, float]]:
    """Score the moves of games: hits and bits over the legal moves, by ply and by rating, beside the baselines.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A PGN or table of games, or a folder of them.
    part:
        Which part of the games: by the source's own split, else by the rule of training.
    games:
        Score so many games at most, evenly spread over the part.
    probe:
        Also read the board from the state by a linear map, beside a control.
    players:
        Also name the players of 1, 5 and 20 games by the nearest middle of their training games.
    quiet:
        Print nothing.
    """
    predictor = Predictor.load(model)
    read, wanted = part_of(data, part, games)
    scored = score(predictor, read, wanted)
    whole = summary(scored)
    train = np.flatnonzero(read.split == TRAIN) if part in ("valid", "test") else np.zeros(0, np.int64)
    rows = {"model": whole, **baseline_rows(read, train, wanted)}
    bands = {f"plies {name}": row for name, row in by_ply(scored).items()}
    ratings = {f"Elo {name}": row for name, row in by_elo(scored).items()}
    others: dict[str, dict[str, float]] = {}
    if probe:
        fitted = spread(np.flatnonzero(read.split == TRAIN), 400)
        others["board from the state"] = board_probe(predictor, read, fitted, wanted[:200])._asdict()
    if players:
        others["players named right"] = identify(predictor, read, np.flatnonzero(read.split == TRAIN), wanted)
    if not quiet:
        print(
            f"{data}: {len(wanted):,} games, {int(whole['plies']):,} plies, {part} part, {predictor.model.cell}"
        )
        print(table_of(rows, _COLUMNS))
        print(table_of({**bands, **ratings}, ("plies", "top1", "bits_per_move", "legal_rate")))
        print(
            f"legal before ruling out: {whole['legal_mass']:.2%} of the probability, {whole['legal_rate']:.2%} of the first"
        )
        for name, row in others.items():
            print(
                f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in row.items())
            )
        baselines = {name: row["top1"] for name, row in rows.items() if name != "model"}
        print(verdict("top1", whole["top1"], baselines, minimize=False, split="scored"))
    return {**rows, **bands, **ratings, **others}


def part_of(data: str, part: Part, limit: int | None = None) -> tuple[Games, NDArray[np.int64]]:
    """The games of a source, and the numbers of those in a part, `limit` at most.

    Raises:
        DataError: the part is empty.
    """
    games, _ = split_games(read_games(data)[0], "auto")
    wanted = np.arange(len(games)) if part == "all" else np.flatnonzero(games.split == SPLITS.index(part))
    if not len(wanted):
        raise DataError(f"{data} has no game in the part {part!r}, expected some: pass --part all")
    return games, spread(wanted, limit)


def spread(wanted: NDArray[np.int64], limit: int | None) -> NDArray[np.int64]:
    """At most `limit` of some numbers, evenly spread."""
    if limit is None or limit >= len(wanted):
        return wanted
    return wanted[np.arange(limit) * len(wanted) // limit]


def inspect_inputs(model: Model, source: str | None = None) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """What the main network reads of a game, [1, T, ...] by input, and a label for each ply: the move before it.

    `source`: a PGN, of which the first game is taken, or moves; without it the Immortal Game.
    """
    predictor = Predictor(model)
    if source is not None and Path(source).exists():
        games = read_games(source)[0]
        moves = games.of(0).tolist()
        game = predictor.follow(games.players[games.white[0]], games.players[games.black[0]])
    else:
        game, moves = predictor.follow(), None
    words = moves if moves is not None else _NUMBER.sub(" ", source or IMMORTAL).split()
    steps, labels = [game.inputs()], ["start"]
    for word in words:
        code = word if isinstance(word, int) else read_move(game.board.rules, word)
        labels.append(write_san(game.board.rules, code))
        game.play(code)
        steps.append(game.inputs())
    return {name: np.stack([step[name] for step in steps])[None] for name in steps[0]}, labels


IMMORTAL = (
    "e4 e5 f4 exf4 Bc4 Qh4+ Kf1 b5 Bxb5 Nf6 Nf3 Qh6 d3 Nh5 Nh4 Qg5 Nf5 c6 g4 Nf6 Rg1 cxb5 h4 Qg6 h5 Qg5 Qf3 Ng8 Bxf4"
    " Qf6 Nc3 Bc5 Nd5 Qxb2 Bd6 Bxg1 e5 Qxa1+ Ke2 Na6 Nxg7+ Kd8 Qf6+ Nxf6 Be7#"
)
"""Anderssen - Kieseritzky, London 1851."""
