"""Training that starts from the weights of another model of the same task, wherever names and shapes agree."""

from __future__ import annotations

import numpy as np
import torch

from congru.errors import SettingsError
from congru.runtime.model import Model
from congru.train.networks import Networks


def take_weights(networks: Networks, model: Model, but: tuple[str, ...], settings: str) -> list[str]:
    """Copy those of a model's weights whose names and shapes agree, but none whose name starts with one of `but`.

    Gives the names of what was not taken: it starts as it did. `settings` names the ones that decide the shapes, for the error.

    Raises:
        SettingsError: a model of which no matrix fits.
    """
    own = dict(networks.named_parameters())
    taken = {
        name: value
        for name, value in model.weights.items()
        if name in own and own[name].shape == value.shape and not name.startswith(but)
    }
    if not any(value.ndim > 1 for value in taken.values()):
        raise SettingsError(
            f"start_from is '{model.folder}', of whose matrices none has the shape of one of the new network, expected"
            f" the same {settings}: give them as they were"
        )
    with torch.no_grad():
        for name, value in taken.items():
            own[name].copy_(torch.from_numpy(np.array(value, np.float32)))
    return [name for name in own if name not in taken]
