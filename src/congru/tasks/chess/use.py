"""What a user does with a chess model, without torch: follow a game, score games, look at its gates."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.report.verdict import verdict
from congru.runtime.model import Model
from congru.tasks.chess import follow
from congru.tasks.chess.data import TEST, TRAIN, VALID, baseline_rows, split_games, time_baseline
from congru.tasks.chess.evaluation import by_elo, by_ply, score, summary, table_of
from congru.tasks.chess.following import Followed
from congru.tasks.chess.games import Games
from congru.tasks.chess.identification import identify
from congru.tasks.chess.openings import openings_or_none
from congru.tasks.chess.player_table import save_with_player
from congru.tasks.chess.players import one_person
from congru.tasks.chess.predict import LiveGame, Predictor
from congru.tasks.chess.predict import reply as reply
from congru.tasks.chess.probes import board_probe
from congru.tasks.chess.recalls import recalls_of
from congru.tasks.chess.report import report
from congru.tasks.chess.san import read_move, write_san
from congru.tasks.chess.sources import Bad, read_games, tell
from congru.tasks.chess.uci import converse
from congru.tasks.parts import ALL, Part, part_to_score

if TYPE_CHECKING:
    from congru.tasks.chess.adaptation import Fitted

RISING = ("top1", "top3", "top5")  # scores of which more is better
_COLUMNS = ("top1", "top3", "top5", "bits_per_move", "calibration_error")
_NUMBER = re.compile(r"\d+\.+")


def run(
    model: Path,
    game: Path | None = None,
    /,
    *,
    moves: Annotated[str, Parameter(alias="-m")] = "",
    number: Annotated[int, Parameter(name="--number")] = 1,
    white: str | None = None,
    black: str | None = None,
    white_elo: int = 0,
    black_elo: int = 0,
    fen: str | None = None,
    earlier: Path | None = None,
    recall: bool = True,
    top: int = 5,
    sources: int = 3,
    boards: Annotated[bool, Parameter(negative=())] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Follow a game: after every move the likely next ones with the replies, the surprise, what the prediction stands on.

    Without a file and without --moves the moves are typed one by one, in SAN or UCI.

    Parameters
    ----------
    model:
        A model folder.
    game:
        A PGN; its players and ratings are taken from its tags.
    moves:
        Moves in SAN or UCI, parted by spaces; numbers may stand between them.
    number:
        Which game of the file, from 1.
    white:
        The player of White; a name that the model does not know is an unknown player.
    black:
        The player of Black.
    white_elo:
        The rating of White; 0 is unknown.
    black_elo:
        The rating of Black.
    fen:
        Another first position.
    earlier:
        A PGN of earlier games of the two players: what they chose in the same positions goes into the predictions.
    recall:
        What the model remembers that the two players chose in the same positions goes into the predictions.
    top:
        How many moves to show.
    sources:
        How many of the earlier moves to show that a prediction stands on.
    boards:
        Draw the board after every move.
    as_json:
        Print one JSON object for every position.
    """
    predictor = Predictor.load(model)
    played: list[str | int] = [*_NUMBER.sub(" ", moves).split()]
    clocks: list[float] = []
    date = 0
    if game is not None:
        one = follow.one_game(game, number)
        white, black = white or one.players[0], black or one.players[1]
        white_elo, black_elo = white_elo or int(one.elo[0]), black_elo or int(one.elo[1])
        fen, played, clocks, date = one.fen, [*one.moves], one.clocks, one.date
    before = read_games(earlier)[0] if earlier is not None else None
    openings = openings_or_none()
    names = openings.name if openings else lambda position: None

    def start() -> Followed:
        return follow.begin(
            predictor,
            white=white,
            black=black,
            elo=(white_elo, black_elo),
            fen=fen,
            earlier=before,
            recall=recall,
            date=date,
            moves=[code for code in played if isinstance(code, int)],
            names=names,
        )

    if as_json:
        follow.show_json(start(), played, top, sources, clocks)
    elif played:
        follow.show(start(), played, top, sources, boards, clocks)
    else:
        follow.talk(start, top, sources)
    return 0


def uci(model: Path, /) -> int:
    """Play as an engine of the Universal Chess Interface: for any chess program, on standard input and output.

    Parameters
    ----------
    model:
        A model folder.
    """
    return converse(Predictor.load(model))


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Part = "auto",
    games: Annotated[int | None, Parameter(name="--games")] = None,
    probe: bool = False,
    players: bool = False,
    recall: bool = True,
    bad: Bad = "skip",
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
        auto: the test part where there is one, else the validation part; all: everything, for data that training has not read.
        The parts are the source's own, else by the rule of training: a tenth of the games each for validation and test.
    games:
        Score so many games at most, evenly spread over the part.
    probe:
        Also read the board from the state by a linear map, beside a control.
    players:
        Also name the players of 1, 5 and 20 games by the nearest middle of their training games.
    recall:
        What the model remembers that players chose in the same positions, in other games than the one that is scored, goes into
        the predictions.
    bad:
        A game that cannot be followed: leave it out, or stop with one line.
    quiet:
        Print nothing.
    """
    predictor = Predictor.load(model)
    name, read, wanted = part_of(data, part, games, bad)
    scored = score(predictor, read, wanted, recalls_of(predictor, read, wanted) if recall else None)
    whole = summary(scored)
    train = np.flatnonzero(read.split == TRAIN) if name in ("validation", "test") else np.zeros(0, np.int64)
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
            f"{data}: {len(wanted):,} games, {int(whole['plies']):,} plies, {name} part, {predictor.model.cell}"
        )
        print(table_of(rows, _COLUMNS))
        print(table_of({**bands, **ratings}, ("plies", "top1", "bits_per_move", "legal_rate")))
        print(
            f"legal before ruling out: {whole['legal_mass']:.2%} of the probability, {whole['legal_rate']:.2%} of the first"
        )
        frequencies = time_baseline(read, train, wanted) if "time_bits" in whole else None
        if frequencies is not None:
            print(
                f"time of a move: {whole['time_bits']:.3f} bits, {frequencies:.3f} by its frequency in the training games"
            )
        for name, row in others.items():
            print(
                f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in row.items())
            )
        baselines = {name: row["top1"] for name, row in rows.items() if name != "model"}
        print(
            verdict(
                "top1",
                whole["top1"],
                baselines,
                minimize=False,
                split="scored",
                windows=f"{len(wanted):,} games",
            )
        )
    return {**rows, **bands, **ratings, **others}


def part_of(
    data: str, part: Part, limit: int | None = None, bad: Bad = "skip"
) -> tuple[str, Games, NDArray[np.int64]]:
    """The name of the part, the games of a source, and the numbers of those in the part, `limit` at most.

    Raises:
        DataError: there is no such part.
    """
    games, _ = split_games(read_games(data, bad=bad, say=tell)[0], "auto")
    numbers = dict(zip(("train", "validation", "test"), (TRAIN, VALID, TEST)))
    name = part_to_score(
        part, [one for one, number in numbers.items() if (games.split == number).any()], data
    )
    wanted = np.arange(len(games)) if name == ALL else np.flatnonzero(games.split == numbers[name])
    return name, games, spread(wanted, limit)


def spread(wanted: NDArray[np.int64], limit: int | None) -> NDArray[np.int64]:
    """At most `limit` of some numbers, evenly spread."""
    if limit is None or limit >= len(wanted):
        return wanted
    return wanted[np.arange(limit) * len(wanted) // limit]


def adapt(
    model: Path,
    games: str,
    /,
    *,
    player: str,
    out: Path,
    most: Annotated[int, Parameter(name="--games")] = 200,
    rounds: int = 40,
    bad: Bad = "skip",
) -> int:
    """Fit a vector for a player on their games and write a model that knows them and remembers how these games began.

    All other weights stay.

    Parameters
    ----------
    model:
        A model folder.
    games:
        A PGN or table with games of the player, or a folder of them.
    player:
        The player's name, or a part of it that only this player has.
    out:
        Where to write the model.
    most:
        Use so many of the player's games at most, the first ones.
    rounds:
        Passes over the games.
    bad:
        A game that cannot be followed: leave it out, or stop with one line.
    """
    predictor, read = Predictor.load(model), read_games(games, bad=bad, say=tell)[0]
    name, own, fitted = fit_named(predictor, read, player, most=most, rounds=rounds)
    save_with_player(predictor, name, fitted.vector, out, own)
    print(
        f"{name}: {len(own)} games, {fitted.plies:,} moves, {fitted.before:.4f} -> {fitted.after:.4f} bits a move"
        f" on these games; next: {shlex.join(['congru', 'run', str(out), '--white', name])}"
    )
    return 0


def fit_named(
    predictor: Predictor,
    games: Games,
    player: str,
    *,
    most: int = 200,
    rounds: int = 40,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[str, Games, Fitted]:
    """Fit a vector for the player of that name, however the games spell it: the name, the games used, what was fitted.

    In these games the player has that name alone.

    `progress` as for :func:`congru.tasks.chess.adaptation.fit_player`.

    Raises :class:`DataError` where no player, or more than one, has this name.
    """
    from congru.tasks.chess.adaptation import fit_player

    names = one_person(player, games.players)
    number = games.players.index(names[0])
    spelled = np.isin(np.arange(len(games.players)), [games.players.index(name) for name in names])
    one = replace(
        games,
        white=np.where(spelled[games.white], number, games.white),
        black=np.where(spelled[games.black], number, games.black),
    )
    own = np.flatnonzero((one.white == number) | (one.black == number))[:most]
    return (
        names[0],
        one.select(own),
        fit_player(predictor, one, number, own, rounds=rounds, progress=progress),
    )


def inspect_inputs(model: Model, source: str | None = None) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """What the main network reads of a game, [1, T, ...] by input, and a label for each ply: the move before it.

    `source`: a PGN, of which the first game is taken, or moves; without it the Immortal Game.
    """
    game, codes = game_of(model, source)
    steps, labels = [game.inputs()], ["start"]
    for code in codes:
        labels.append(write_san(game.board.rules, code))
        game.play(code)
        steps.append(game.inputs())
    return {name: np.stack([step[name] for step in steps])[None] for name in steps[0]}, labels


def game_of(model: Model, source: str | None = None) -> tuple[LiveGame, list[int]]:
    """A game at its beginning and its moves: the first of a PGN, moves in words, or the Immortal Game."""
    predictor = Predictor(model)
    if source is not None and os.path.exists(source):
        games = read_games(source)[0]
        game = predictor.follow(games.players[games.white[0]], games.players[games.black[0]])
        return game, [int(code) for code in games.of(0)]
    game, codes = predictor.follow(), list[int]()
    ahead = game.board.copy()
    for word in _NUMBER.sub(" ", source or IMMORTAL).split():
        codes.append(read_move(ahead.rules, word))
        ahead.play(codes[-1])
    return game, codes


IMMORTAL = (
    "e4 e5 f4 exf4 Bc4 Qh4+ Kf1 b5 Bxb5 Nf6 Nf3 Qh6 d3 Nh5 Nh4 Qg5 Nf5 c6 g4 Nf6 Rg1 cxb5 h4 Qg6 h5 Qg5 Qf3 Ng8 Bxf4"
    " Qf6 Nc3 Bc5 Nd5 Qxb2 Bd6 Bxg1 e5 Qxa1+ Ke2 Na6 Nxg7+ Kd8 Qf6+ Nxf6 Be7#"
)
"""Anderssen - Kieseritzky, London 1851."""


COMMANDS = {"adapt": adapt, "report": report, "uci": uci}
