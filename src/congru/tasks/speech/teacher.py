"""A trained recogniser that teaches another one, which learns from it as well as from the texts (`--teacher`).

The teacher hears every utterance with the voice and the speed of the reading, but without masks. With the labels'
probabilities q_t that it gives at step t, and p_t those of the network that learns,

    loss + w sum over steps t of KL(q_t || p_t)

So a network that reads both ways shows one that reads one way where characters lie, and which ones are alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from congru.errors import SettingsError
from congru.nn.network import Network
from congru.tasks.loading import load_model
from congru.tasks.speech.frames import Floats
from congru.tasks.speech.front_end import FrontEnd, whole
from congru.tasks.speech.recognizer import Recognizer, reply
from congru.tasks.speech.texts import Alphabet


class Teacher:
    """A recogniser of a model folder as a network of torch, which does not learn."""

    def __init__(self, folder: Path, front_end: FrontEnd, alphabet: Alphabet) -> None:
        """Load it for a network that reads the steps of a front end and writes an alphabet.

        Raises:
            ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
            SettingsError: a model of other steps or characters.
        """
        model = load_model(folder, "speech", reply)
        recognizer = Recognizer.of(model)
        own, wanted = (
            _steps_and_labels(*one)
            for one in ((recognizer.front_end, recognizer.alphabet), (front_end, alphabet))
        )
        for name, value in wanted.items():
            if own[name] != value:
                raise SettingsError(
                    f"teacher is '{folder}', whose {name} is {own[name]!r}, expected {value!r} as here: train one of these"
                    " utterances with the same features, stack and alphabet"
                )
        self.front_end, self.delay = recognizer.front_end, recognizer.delay
        self._network = Network(model.config["networks"]["main"], recurrent_float32=True).eval()
        self._network.load_state_dict(
            {name: torch.from_numpy(np.array(value)) for name, value in recognizer.network.weights.items()}
        )

    def normalised(self, frames: Floats) -> Floats:
        """Frames [n, F] as the teacher normalises them."""
        return whole(self.front_end.norm(), frames)

    def steps(self, frames: Floats) -> Floats:
        """Its steps [T, I] of normalised frames."""
        return whole(self.front_end.after_norm(), frames)

    @torch.no_grad()
    def log_probabilities(self, x: Tensor, lengths: Tensor) -> Tensor:
        """log q [B, T, V] of steps x [B, T + delay, I], of which `lengths` [B], the delay included, are there."""
        out = self._network.to(x.device)(x, lengths=lengths)[0]
        return torch.log_softmax(out.float()[:, self.delay :], -1)


def padded(steps: Sequence[Floats], delay: int) -> tuple[Floats, NDArray[np.int64]]:
    """x [B, T + delay, I] of steps [T_b, I] each, zeros behind them, and their lengths [B] with the delay.

    >>> x, lengths = padded([np.ones((1, 2), np.float32), np.ones((3, 2), np.float32)], 1)
    >>> x.shape, lengths.tolist()
    ((2, 4, 2), [2, 4])
    """
    lengths = np.array([len(one) + delay for one in steps])
    x = np.zeros((len(steps), int(lengths.max()), steps[0].shape[1]), np.float32)
    for k, one in enumerate(steps):
        x[k, : len(one)] = one
    return x, lengths


def divergence(teacher: Tensor, log_p: Tensor, lengths: Tensor) -> Tensor:
    """sum over rows and steps t of KL(q_t || p_t), in nats, of log q and log p [B, T, V], of which `lengths` [B] count."""
    nats = (teacher.exp() * (teacher - log_p)).sum(-1)
    counted = torch.arange(log_p.shape[1], device=log_p.device) < lengths[:, None]
    return nats.masked_fill(~counted, 0.0).sum()


def _steps_and_labels(front_end: FrontEnd, alphabet: Alphabet) -> dict[str, object]:
    """What must agree, by the names of the settings."""
    return {
        "features": front_end.kind,
        "rate_hz": front_end.rate_hz,
        "size of a frame": front_end.size,
        "stack": front_end.stack,
        "alphabet": "".join(alphabet.labels[1:]),
    }
