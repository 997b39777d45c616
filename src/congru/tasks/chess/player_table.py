"""A model folder with one more player: a row more in the network "player" and a name more in players.json; without torch."""

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
from congru.tasks.chess.predict import PLAYERS, Predictor


def save_with_player(
    predictor: Predictor, name: str, vector: NDArray[np.float32], out: str | os.PathLike[str]
) -> None:
    """Write the model with a vector [E] for a player; a player it knows already gets the new vector.

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
    save_model(
        out,
        config={"networks": networks, **{key: model.config[key] for key in ("task", "cell", "task_config")}},
        weights=weights,
        golden=golden,
        files={**model.files, PLAYERS: (json.dumps(names, ensure_ascii=False, indent=0) + "\n").encode()},
        card=(model.folder / CARD).read_text(encoding="utf-8"),
    )
