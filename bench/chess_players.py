"""What does a chess model know of players: by their vectors, and by what they chose before in the same positions?

Reads a run folder that `congru train chess` left, of a network with the board, and the test part of pgnmentor20, once:

    players             of players with 1,000 training games: the vectors against two unknown players
    players_recalled    the vectors and what they chose in the training games, against neither; and all plies of the test
    .._before           the same, counting only games of months before the test game's
    new_players         vectors fitted on 20 games of players never met (from the set masters: none is in pgnmentor20)
    .._recalled         and what they chose in these 20 games
    named               the players of 1, 5 and 20 games

The model, and how earlier choices are counted, were chosen on the validation part.

    CONGRU_DATA=FOLDER python -m bench.chess_players RUN [--games 4310] [--with-masters GAMES.tsv.gz]

`--with-masters` names the file that `bench.chess_masters` wrote, where the run learnt from that. A run without an archive of its
training games gets the one that training writes today.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from bench.chess_masters import FITTED, SCORED, games_table, keys_of, new_keys
from bench.chess_model import asked, gain
from bench.record import ROOT, write_result
from congru.tasks.chess.adaptation import fit_player
from congru.tasks.chess.archive import Archive
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.data import TRAIN
from congru.tasks.chess.evaluation import Scored, bootstrap, score, summary
from congru.tasks.chess.games import Games
from congru.tasks.chess.identification import identify
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.recall import Choices, Recall, mark_of, years
from congru.tasks.chess.recalls import recalls_of
from congru.tasks.chess.settings import Settings
from congru.tasks.chess.sources import read_games

MANY_GAMES = 1000


def new_players(predictor: Predictor) -> dict[str, Any]:
    """Vectors fitted on 20 games of players that no training game knows, scored on others of their games.

    Alone, and with what the players chose in these 20 games.
    """
    own_lines = games_table("pgnmentor20")[1]
    header, lines = games_table("masters")
    chosen = new_keys(own_lines, lines)
    keys = keys_of(lines)
    plain, known, recalled = [], [], []
    for key in chosen:
        own = [line for line, pair in zip(lines, keys) if key in pair][: FITTED + SCORED]
        with tempfile.NamedTemporaryFile("w", suffix=".tsv", encoding="utf-8") as file:
            file.write("\n".join([header, *own]) + "\n")
            file.flush()
            games = read_games(file.name, workers=1)[0]
        first = own[0].split("\t")
        player = int(games.white[0] if first[1] == key else games.black[0])
        fitted = fit_player(predictor, games, player, np.arange(FITTED), rounds=25)
        later = np.arange(FITTED, len(games))
        numbers = np.zeros(len(games.players), np.int64)
        before = score(predictor, games, later, numbers=numbers)
        numbers[player] = len(predictor.vectors)
        how = {"numbers": numbers, "vectors": np.concatenate([predictor.vectors, fitted.vector[None]])}
        after = score(predictor, games, later, **how)
        mine = after.player == player
        plain.append(before.take(mine))
        known.append(after.take(mine))
        recalled.append(
            score(predictor, games, later, recalls_of_one(games, player, later), **how).take(mine)
        )
    counted = {"players": len(chosen), "games fitted": FITTED}
    return {
        "new_players": {**counted, **gain_of_each(known, plain)},
        "new_players_recalled": {**counted, **gain_of_each(recalled, plain)},
    }


def recalls_of_one(games: Games, player: int, later: Ints) -> dict[int, Recall]:
    """What a player chose in the first games, for the later ones."""
    number = (np.arange(len(games.players)) == player).astype(np.int64)
    archive = Archive.of(games, np.arange(FITTED), number)
    both = [Choices(archive, archive.games_of(1, side), side) for side in (0, 1)]
    when = years(games.date)
    return {
        game: Recall(
            *([own] if who[game] == player else [] for own, who in zip(both, (games.white, games.black))),
            year=float(when[game]),
            itself=mark_of(games.of(game)),
        )
        for game in later.tolist()
    }


def gain_of_each(afters: list[Scored], befores: list[Scored]) -> dict[str, Any]:
    """The gain over several players' games, and that of each player."""
    game_ids = np.concatenate([part.game + 1000 * who for who, part in enumerate(afters)])
    hits = np.concatenate([(a.rank == 0).astype(float) - (b.rank == 0) for a, b in zip(afters, befores)])
    bits = np.concatenate([(b.nats - a.nats) / np.log(2) for a, b in zip(afters, befores)])
    return {
        "plies": len(hits),
        "top1_gain": [round(value, 5) for value in bootstrap(hits, game_ids)],
        "bits_gain": [round(value, 5) for value in bootstrap(bits, game_ids)],
        "bits_gain of each": [
            round(float((b.nats - a.nats).mean() / np.log(2)), 5) for a, b in zip(afters, befores)
        ],
    }


def with_memory(
    predictor: Predictor, games: Games, test: Ints, hidden: Scored, many: Any
) -> dict[str, dict[str, Any]]:
    """What the vectors and the earlier choices of players are worth together, beside `hidden`, which knows neither.

    `many` [plies]: those of players with many training games.
    """
    figures: dict[str, dict[str, Any]] = {}
    for words, only_before in (("recalled", False), ("recalled_before", True)):
        scored = score(predictor, games, test, recalls_of(predictor, games, test, only_before=only_before))
        figures[f"all_{words}"] = summary(scored)
        figures[f"players_{words}"] = gain(scored, hidden, many)
        print(words, figures[f"players_{words}"], flush=True)
    return figures


def archives(predictor: Predictor, games: Games) -> dict[str, dict[str, int]]:
    """How large the archive of the model is, and one of the games of pgnmentor20 alone."""
    train, counts = np.flatnonzero(games.split == TRAIN), training_counts(games)
    own = Archive.of(games, train, np.where(counts >= Settings().min_games, np.arange(1, len(counts) + 1), 0))
    return {
        name: {"games": len(archive), "bytes": len(archive.to_bytes())}
        for name, archive in (("of the model", predictor.archive), ("of pgnmentor20", own))
    }


def training_counts(games: Games) -> Ints:
    """How many training games each player has."""
    train = np.flatnonzero(games.split == TRAIN)
    return np.bincount(np.concatenate([games.white[train], games.black[train]]), minlength=len(games.players))


def known_players(predictor: Predictor, games: Games, test: Ints) -> dict[str, Any]:
    """What is measured of the players that training met."""
    plain = score(predictor, games, test)
    hidden = score(predictor, games, test, numbers=np.zeros(len(games.players), np.int64))
    many = training_counts(games)[plain.player] >= MANY_GAMES
    figures: dict[str, Any] = {"all": summary(plain), "players": gain(plain, hidden, many)}
    print("players", figures["players"], flush=True)
    figures |= with_memory(predictor, games, test, hidden, many)
    figures["named"] = identify(predictor, games, np.flatnonzero(games.split == TRAIN), test)
    print("named", figures["named"], flush=True)
    return figures


def main() -> None:
    """Measure, and write results/chess_players.json, with --with-masters results/chess_players_masters.json."""
    arguments, games, test, predictor = asked()
    if not len(predictor.archive):
        learnt = read_games(arguments.with_masters)[0] if arguments.with_masters else games
        train = np.flatnonzero(learnt.split == TRAIN)
        predictor.archive = Archive.of(learnt, train, predictor.numbers_in(learnt))
    figures = {"archives": archives(predictor, games), **new_players(predictor)}
    print("new players", figures["new_players"], figures["new_players_recalled"], flush=True)
    figures |= known_players(predictor, games, test)
    words = [
        "python -m bench.chess_players RUN",
        *([f"--games {arguments.games}"] if arguments.games else []),
    ]
    words += ["--with-masters GAMES"] * bool(arguments.with_masters)
    name = "chess_players" + "_masters" * bool(arguments.with_masters)
    target = write_result(name, " ".join(words), {"games": len(test), "with_board": figures})
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
