"""A model folder with one more player: a row more in the network "player", a name in players.json, the games in the archive.

It needs no torch.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.runtime.folder import CARD, GOLDEN, declared_networks, save_model
from congru.runtime.golden import make_golden
from congru.runtime.network import Network
from congru.runtime.tensors import of_owner, parse_tensors
from congru.tasks.chess.archive import ARCHIVE, Archive
from congru.tasks.chess.games import Games
from congru.tasks.chess.predict import PLAYERS, Predictor


def save_with_player(
    predictor: Predictor,
    name: str,
    vector: NDArray[np.float32],
    out: str | os.PathLike[str],
    games: Games | None = None,
) -> None:
    """Write the model with a vector [E] for a player; a player it knows already gets the new vector.

    `games` of the player go into the archive, so that what was chosen in them is recalled.

    Raises:
        SettingsError: the vector has another size.
    """
    model, table = predictor.model, predictor.vectors
    if vector.shape != table.shape[1:]:
        raise SettingsError(
            f"vector has shape {vector.shape}, expected {table.shape[1:]}: fit it for this model"
        )
    number = predictor.number_of(name)
    rows = np.concatenate([table, vector[None]]) if not number else table.copy()
    rows[number or len(table)] = vector
    networks: dict[str, Any] = {key: dict(entry) for key, entry in declared_networks(model.config).items()}
    networks["player"] = {**networks["player"], "inputs": {"number": {"tokens": len(rows)}}}
    weights = {key: of_owner(model.weights, key, ".") for key in networks}
    weights["player"] = {"vector.weight": rows.astype(np.float32)}
    stored = parse_tensors((model.folder / GOLDEN).read_bytes())
    golden = {key: of_owner(stored, key, "/") for key in networks}
    golden["player"] = make_golden(networks["player"], Network(networks["player"], weights["player"]).run)
    names = [*predictor.players, *([] if number else [name])]
    archive = predictor.archive
    if games is not None:
        numbers = np.array([names.index(one) + 1 if one in names else 0 for one in games.players])
        archive = archive.merged(Archive.of(games, np.arange(len(games)), numbers))
    save_model(
        out,
        config={"networks": networks, **{key: model.config[key] for key in ("task", "cell", "task_config")}},
        weights=weights,
        golden=golden,
        files={
            **model.files,
            PLAYERS: (json.dumps(names, ensure_ascii=False, indent=0) + "\n").encode(),
            ARCHIVE: archive.to_bytes(),
        },
        card=(model.folder / CARD).read_text(encoding="utf-8"),
    )
