"""A classifier of clips that starts from the weights of another one, whatever classes that one tells apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from congru.errors import SettingsError
from congru.runtime.folder import load
from congru.tasks.video.classifier import LABELS_FILE
from congru.train.networks import Networks

_HEAD = "main.head."


def take_over(networks: Networks, folder: Path, classes: list[str]) -> list[str]:
    """Copy the weights of another video model whose names and shapes agree; the output's only where its classes do too.

    Gives the names of what was not taken: it starts at random.

    Raises:
        SettingsError: a model of another task, or one of which nothing fits.
    """
    model = load(folder)
    if model.task != "video" or LABELS_FILE not in model.files:
        raise SettingsError(
            f"start_from is '{folder}', a model of the task {model.task!r}, expected one of congru train video:"
            " choose another folder"
        )
    own = dict(networks.named_parameters())
    same_classes = json.loads(model.files[LABELS_FILE]) == classes
    taken = {
        name: value
        for name, value in model.weights.items()
        if name in own and own[name].shape == value.shape and (same_classes or not name.startswith(_HEAD))
    }
    if not taken:
        raise SettingsError(
            f"start_from is '{folder}', of whose weights none has the shape of one of the new network, expected"
            " the same channels, encoder_size and hidden_size: give them as they were"
        )
    with torch.no_grad():
        for name, value in taken.items():
            own[name].copy_(torch.from_numpy(np.array(value, np.float32)))
    return [name for name in own if name not in taken]
