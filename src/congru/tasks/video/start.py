"""A classifier of clips that starts from the weights of another one, whatever classes that one tells apart."""

from __future__ import annotations

import json
from pathlib import Path

from congru.errors import SettingsError
from congru.tasks.loading import start_model
from congru.tasks.video.classifier import LABELS_FILE
from congru.train.networks import Networks
from congru.train.start import take_weights


def take_over(networks: Networks, folder: Path, classes: list[str]) -> list[str]:
    """Copy the weights of another video model whose names and shapes agree; the output's only where its classes do too.

    Gives the names of what was not taken: it starts at random.

    Raises:
        SettingsError: a model of another task, one that predicts frames, or one of which nothing fits.
    """
    model = start_model(folder, "video")
    if LABELS_FILE not in model.files:
        raise SettingsError(
            f"start_from is '{folder}', a model that predicts frames, expected one that tells classes apart:"
            " choose another folder"
        )
    same_classes = json.loads(model.files[LABELS_FILE]) == classes
    return take_weights(
        networks,
        model,
        () if same_classes else ("main.head.",),
        "channels, encoder_size and hidden_size",
    )
