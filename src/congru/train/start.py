"""Training that starts from the weights of another model of the same task, wherever names and shapes agree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.train.networks import Networks


def take_weights(
    networks: Networks, weights: Mapping[str, NDArray[Any]], folder: Path, but: tuple[str, ...], settings: str
) -> list[str]:
    """Copy those weights whose names and shapes agree, but none whose name starts with one of `but`.

    Gives the names of what was not taken: it starts as it did. For the error, `folder` is where they are from, and `settings`
    names the ones that decide the shapes.

    Raises:
        SettingsError: a model of which no matrix fits.
    """
    own = dict(networks.named_parameters())
    taken = {
        name: value
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape and not name.startswith(but)
    }
    if not any(value.ndim > 1 for value in taken.values()):
        raise SettingsError(
            f"start_from is '{folder}', of whose matrices none has the shape of one of the new network, expected"
            f" the same {settings}: give them as they were"
        )
    with torch.no_grad():
        for name, value in taken.items():
            own[name].copy_(torch.from_numpy(np.array(value, np.float32)))
    return [name for name in own if name not in taken]
