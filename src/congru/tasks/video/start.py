"""A classifier of clips that starts from the weights of another one, whatever classes that one tells apart."""

from __future__ import annotations

import json
from pathlib import Path

from congru.errors import SettingsError
from congru.tasks.joining import parted_weights
from congru.tasks.loading import start_model
from congru.tasks.members import OUTPUT
from congru.tasks.video.classifier import LABELS_FILE
from congru.train.networks import Networks
from congru.train.start import take_weights


def take_over(networks: Networks, folder: Path, classes: list[str]) -> list[str]:
    """Copy the weights of another video model whose names and shapes agree; the output's only where its classes do too.

    Of a model that several networks have become (`--seeds`), each network here starts from another one.
    Gives the names of what was not taken: it starts at random.

    Raises:
        SettingsError: a model of another task, one that predicts frames, one of fewer networks, or one of which nothing fits.
    """
    model = start_model(folder, "video")
    if LABELS_FILE not in model.files:
        raise SettingsError(
            f"start_from is '{folder}', a model that predicts frames, expected one that tells classes apart:"
            " choose another folder"
        )
    stored = parted_weights(model.network.graph, model.network.weights)
    if len(stored) < len(networks):
        raise SettingsError(
            f"seeds is {len(networks)}, expected at most {len(stored)}, as many networks as the model has that start_from names"
            f" ('{folder}'): give --seeds {len(stored)}"
        )
    weights = {
        f"{name}.{part}": value for name, member in zip(networks, stored) for part, value in member.items()
    }
    same_classes = json.loads(model.files[LABELS_FILE]) == classes
    return take_weights(
        networks,
        weights,
        folder,
        () if same_classes else tuple(f"{name}.{OUTPUT}." for name in networks),
        "channels, encoder_size and hidden_size",
    )
