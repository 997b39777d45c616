"""Players that a chess model gets to know: a vector fitted on a PGN of their games, and the model folder that has it.

The folder also remembers how these games began (:mod:`congru.tasks.chess.archive`).
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from congru.errors import DataError
from congru.runtime.folder import CONFIG, load
from congru.serve.library import Library, Shelf
from congru.serve.protocol import AdaptBody
from congru.serve.subjects.chess import make_predictor
from congru.tasks.chess.games import Games
from congru.tasks.chess.player_table import save_with_player
from congru.tasks.chess.sources import read_games
from congru.tasks.chess.use import fit_named

_KNOWS = "-players"
_ROUNDS = 30  # of Adam over all games
Report = Callable[[str, int, int], None]


def adapt(shelf: Shelf, body: AdaptBody, library: Library, runs: Path, report: Report) -> dict[str, Any]:
    """Fit a vector for a player and write the model that knows them into `runs`, as MODEL-players.

    `report(phase, done, of)` is told how far it is; what it raises ends it, and nothing is written. One at a time.

    Raises:
        DataError: a PGN without games, or without a player of this name.
    """
    own = f"{shelf.name.removesuffix(_KNOWS)}{_KNOWS}"
    target = runs / own
    known = load(target) if (target / CONFIG).is_file() else shelf.model()
    predictor = make_predictor(known)
    expected = max(1, body.pgn.count("[White "))
    report("reading", 0, expected)
    games = _games(body.pgn, lambda number: report("reading", number, max(number, expected)))
    with _one_thread():
        name, own_games, fitted = fit_named(
            predictor,
            games,
            body.player,
            most=body.games,
            rounds=_ROUNDS,
            progress=lambda done, of: report("fitting", done, of),
        )
    runs.mkdir(parents=True, exist_ok=True)
    save_with_player(predictor, name, fitted.vector, target, own_games)
    library.add_root(runs)
    written = next(one for one in library.scan().values() if one.path.resolve() == target.resolve())
    return {
        "model": written.name,
        "player": name,
        "games": len(own_games),
        "moves": fitted.plies,
        "before": fitted.before,
        "after": fitted.after,
    }


def _games(pgn: str, count: Callable[[int], None]) -> Games:
    """The games of a PGN, of which nothing is kept. Raises :class:`DataError` where it holds none."""
    with tempfile.TemporaryDirectory(prefix="congru-") as folder:
        path = Path(folder) / "games.pgn"
        path.write_text(pgn, encoding="utf-8")
        try:
            return read_games(str(path), workers=1, cache=False, count=count)[0]
        except DataError as error:
            raise DataError(str(error).replace(str(path), "pgn")) from None


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """The layers of a fit are small: where other work runs, several threads wait for each other longer than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
