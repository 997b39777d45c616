"""`congru run` of a chess model: a game of a file, moves on the command line, or moves typed one by one."""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from congru.errors import DataError
from congru.tasks.chess.following import Followed, OpeningName, Played, View
from congru.tasks.chess.games import Games
from congru.tasks.chess.players import matches, one_person
from congru.tasks.chess.positions import Board
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.recalls import recall_of
from congru.tasks.chess.sources import read_games
from congru.tasks.chess.terminal import board_lines, played_line, summary_lines, view_lines

_HELP = "a move such as Nf3 or g1f3, or: undo, board, new, help, quit"


def known_player(predictor: Predictor, name: str | None) -> str | None:
    """The model's name of a player; None, unknown, where it has none of that name.

    Raises :class:`DataError` with the names where several people are called so.
    """
    if not name or name in predictor.players:
        return name or None
    try:
        matches(name, predictor.players)
    except DataError:
        return None
    return one_person(name, predictor.players)[0]


def begin(
    predictor: Predictor,
    *,
    white: str | None = None,
    black: str | None = None,
    elo: tuple[int, int] = (0, 0),
    fen: str | None = None,
    earlier: Games | None = None,
    recall: bool = True,
    date: int = 0,
    moves: Sequence[int] = (),
    names: OpeningName = lambda position: None,
) -> Followed:
    """A game that begins now; what the two players chose before, and in `earlier` games, goes into the predictions.

    A name that the model does not know is an unknown player's. `recall` False leaves out what the model itself remembers of
    players. `date`, `moves`: of the game, where they are known (:func:`congru.tasks.chess.recalls.recall_of`).
    """
    players = known_player(predictor, white), known_player(predictor, black)
    recalled = recall_of(
        predictor,
        players,
        earlier=earlier,
        names=(white, black),
        archive=recall,
        date=date,
        moves=np.array(moves, np.uint16) if moves and not fen else None,
    )
    live = predictor.follow(*players, elo=elo, board=Board(fen) if fen else None, recall=recalled)
    return Followed(predictor, live, names)


def follow_moves(
    game: Followed, moves: Iterable[str | int], most: int, sources: int, clocks: Iterable[float] = ()
) -> Iterator[tuple[Played | None, View]]:
    """What is known before the first move, then after each: the move that was played and what may come next.

    `clocks`: the seconds left after each move, as far as they are known.
    """
    yield None, game.view(most, sources)
    for move, clock in zip(moves, itertools.chain(clocks, itertools.repeat(math.nan))):
        played = game.play(move, clock)
        yield played, game.view(most, sources)


def show(
    game: Followed,
    moves: Iterable[str | int],
    most: int,
    sources: int,
    boards: bool,
    clocks: Iterable[float] = (),
) -> None:
    """Print a game move by move, and at its end how well it was predicted."""
    first = game.position.turn
    for played, view in follow_moves(game, moves, most, sources, clocks):
        if played is not None:
            print(played_line(game, view.ply - 1, played, view.opening))
        if boards:
            print("\n".join(board_lines(game.position)))
        print("\n".join(view_lines(game, view)))
    if not boards:
        print("\n".join(board_lines(game.position)))
    for line in summary_lines(game.history, first):
        print(line)


def show_json(
    game: Followed, moves: Iterable[str | int], most: int, sources: int, clocks: Iterable[float] = ()
) -> None:
    """Print one JSON object per position: the move that led to it, and the view."""
    for played, view in follow_moves(game, moves, most, sources, clocks):
        print(json.dumps(as_json(game, played, view), ensure_ascii=False))


def as_json(game: Followed, played: Played | None, view: View) -> dict[str, Any]:
    """A position as plain values."""
    choices = [choice._asdict() for choice in view.choices]
    for choice in choices:
        del choice["code"]
    return {
        "ply": view.ply,
        "fen": game.position.fen,
        "played": None if played is None else played._asdict(),
        **{key: value for key, value in asdict(view).items() if key not in ("ply", "choices", "sources")},
        "choices": choices,
        "sources": [source._asdict() for source in view.sources],
    }


def talk(start: Callable[[], Followed], most: int, sources: int, lines: TextIO | None = None) -> None:
    """Read moves one by one; `start()` gives a new game."""
    game = start()
    print("\n".join([*board_lines(game.position), *view_lines(game, game.view(most, sources)), _HELP]))
    for line in lines or sys.stdin:
        word = line.strip()
        if word in ("quit", "exit", "q"):
            break
        try:
            if word == "new":
                game = start()
            elif word == "undo":
                game.undo()
            elif word not in ("board", "", "help"):
                played = game.play(word)
                print(played_line(game, len(game.history) - 1, played, game.opening))
        except DataError as error:
            print(error)
            continue
        if word == "help":
            print(_HELP)
        elif word:
            print("\n".join([*board_lines(game.position), *view_lines(game, game.view(most, sources))]))
    for text in summary_lines(game.history):
        print(text)


class OneGame(NamedTuple):
    """A game to follow: White and Black, their ratings (0 unknown), the codes of the moves, another first position, the clocks,
    the date (yyyymmdd, unknown parts 0).

    `clocks`: the seconds left after each move, NaN where unknown; empty where the game has none.
    """

    players: tuple[str, str]
    elo: tuple[int, int]
    moves: list[int]
    fen: str | None
    clocks: list[float]
    date: int = 0


def one_game(path: Path, number: int) -> OneGame:
    """The `number`-th game of a file that can be followed, from 1. Raises :class:`DataError` where there is none."""
    games, _ = read_games(path)
    if not 1 <= number <= len(games):
        raise DataError(
            f"number is {number}, expected 1 to {len(games)}, the games of {path} that can be followed"
        )
    game = number - 1
    start = int(games.start[game])
    return OneGame(
        (games.players[games.white[game]], games.players[games.black[game]]),
        (int(games.elo[game, 0]), int(games.elo[game, 1])),
        games.of(game).tolist(),
        games.fens[start] if start >= 0 else None,
        [] if games.clocks is None else games.clocks[games.offsets[game] : games.offsets[game + 1]].tolist(),
        int(games.date[game]),
    )
