"""`congru report`: one offline page about how a player plays, or how two are likely to play against each other.

Everything on a page is counted in the games; a model, where there is one, adds what it expected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from congru.errors import DataError
from congru.runtime.atomic import write_whole
from congru.tasks.chess.openings import NO_NAMES, openings_or_none
from congru.tasks.chess.player_page import player_page, read_position
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.recalls import Recalling
from congru.tasks.chess.sources import Bad, read_games, tell
from congru.tasks.chess.study import Study
from congru.tasks.chess.tendencies import find_player
from congru.tasks.chess.versus_page import versus_page


def report(
    model: Path,
    games: str,
    /,
    *,
    player: str,
    versus: str | None = None,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("player.html"),
    position: str | None = None,
    most: int = 400,
    recall: bool = True,
    bad: Bad = "skip",
) -> int:
    """Write one offline page about how a player plays, or how two are likely to play against each other.

    Parameters
    ----------
    model:
        A model folder.
    games:
        A PGN or table of games, or a folder of them.
    player:
        The player; a last name will do where it is one person's.
    versus:
        The opponent: the page shows both side by side.
    out:
        The file to write.
    position:
        A FEN or moves: what the player does there.
    most:
        How many games of a player the model reads, evenly spread.
    recall:
        What a player chose in the games that the model remembers goes into what it expects.
    bad:
        A game that cannot be followed: leave it out and count it, or stop with one line.
    """
    if versus is not None and position is not None:
        raise DataError("position is given together with versus, expected one of them: leave one out")
    if most < 1:
        raise DataError(f"most is {most}, expected at least 1: leave it out for 400")
    if position is not None:
        read_position(position)
    read, left_out = read_games(games, bad=bad, say=tell)
    for line in left_out.lines():
        print(line)
    one = find_player(read, player, print)
    two = find_player(read, versus, print) if versus is not None else None
    names = openings_or_none()
    if names is None:
        print(NO_NAMES)
    predictor = Predictor.load(model)
    study = Study(read, names, Recalling(predictor) if recall else predictor, most)
    html = player_page(study, one, position=position) if two is None else versus_page(study, one, two)
    try:
        write_whole(out, html.encode("utf-8"))
    except OSError as error:
        raise DataError(
            f"out is '{out}', which cannot be written ({error.strerror}): name a file in a folder that exists"
        ) from None
    print(f"{out}: {len(one):,} games of {one.name}" + (f", {len(two):,} of {two.name}" if two else ""))
    return 0
