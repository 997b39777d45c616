"""Frames that come next, without torch: a convolutional GRU sees a clip, then goes on from its own predictions.

    x_t = the picture in [0, 1], cut into patches: [C, H, W] -> [C p p, H/p, W/p]
    h_t = ConvGRU(relu(conv(x_t)), h_(t-1));  logits of frame t+1 = conv(h_t) + conv(x_t);  the frame = sigmoid(logits)

Beside it stands the copy: the last frame seen, for every frame to come. Errors are mean squared differences of brightness.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.runtime.answer import Arrays
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.tasks.loading import SHARE, Number, fitting, load_model
from congru.tasks.video.clips import Clip
from congru.tasks.video.frames import Look
from congru.tasks.video.settings import Settings

Pictures = NDArray[np.float32]
_BATCH = 16


def network_config(settings: Settings, shape: Sequence[int]) -> dict[str, Any]:
    """The declaration for frames of `shape` (C, H, W).

    >>> config = network_config(Settings(predict="frames"), (1, 36, 48))
    >>> [node["type"] for node in config["nodes"]]
    ['conv2d', 'relu', 'conv_gru', 'conv2d', 'flatten', 'conv2d', 'flatten', 'add']
    """
    p = settings.patch
    pixels = shape[0] * p * p
    same = {"kernel": 3, "padding": 1}
    return {
        "inputs": {"frames": {"features": [pixels, shape[1] // p, shape[2] // p]}},
        "nodes": [
            {"type": "conv2d", "name": "encode", "channels": settings.state_channels, **same},
            {"type": "relu", "name": "encoded"},
            {"type": "conv_gru", "name": "memory", "channels": settings.state_channels, "kernel": 3},
            {"type": "conv2d", "name": "decode", "channels": pixels, **same},
            {"type": "flatten", "name": "change"},
            {"type": "conv2d", "name": "copy", "of": "frames", "channels": pixels, **same},
            {"type": "flatten", "name": "copied"},
            {"type": "add", "name": "logits", "of": ["change", "copied"]},
        ],
        "outputs": ["logits"],
    }


def to_patches(pictures: NDArray[Any], patch: int) -> NDArray[Any]:
    """[.., C, H, W] -> [.., C p p, H/p, W/p]: every square of p x p pixels becomes one pixel of p p channels."""
    *lead, c, h, w = pictures.shape
    cut = pictures.reshape(*lead, c, h // patch, patch, w // patch, patch)
    return np.ascontiguousarray(
        np.moveaxis(cut, (-3, -1), (-4, -3)).reshape(*lead, c * patch**2, h // patch, w // patch)
    )


def from_patches(patches: NDArray[Any], patch: int) -> NDArray[Any]:
    """The reverse of `to_patches`.

    >>> pictures = np.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    >>> np.array_equal(from_patches(to_patches(pictures, 2), 2), pictures)
    True
    """
    *lead, c, rows, columns = patches.shape
    cut = patches.reshape(*lead, c // patch**2, patch, patch, rows, columns)
    return np.ascontiguousarray(
        np.moveaxis(cut, (-4, -3), (-3, -1)).reshape(*lead, c // patch**2, rows * patch, columns * patch)
    )


_COUNT = Number(1, 1e6, whole=True)


@dataclass(frozen=True)
class Predictor:
    """A network with everything around it."""

    network: Network
    look: Look
    patch: int
    observed: int
    ahead: int
    config: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | os.PathLike[str], weight_dtype: str = "float32") -> Predictor:
        """Load a model folder or run folder; its whole answer is replayed.

        Raises:
            ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
        """
        return cls.of(load_model(path, "video", reply, weight_dtype))

    @classmethod
    @fitting(
        shape=list,
        max_frames=_COUNT,
        patch=_COUNT,
        observed=_COUNT,
        ahead=_COUNT,
        validation=SHARE,
        fold=Number(0, 1e6, whole=True),
        leave_out=list,
    )
    def of(cls, model: Model) -> Predictor:
        """The predictor of a loaded model."""
        return cls.around(model.network, model.task_config)

    @classmethod
    def around(cls, network: Network, config: Mapping[str, Any]) -> Predictor:
        """A network with what its task_config says."""
        channels, height, width = config["shape"]
        look = Look(height, width, channels == 3, config["rate"], int(config["max_frames"]))
        return cls(network, look, int(config["patch"]), int(config["observed"]), int(config["ahead"]), config)

    @property
    def needed(self) -> int:
        """Frames of a clip that can be scored."""
        return self.observed + self.ahead

    def check(self, clip: Clip, name: str) -> Clip:
        """The clip, which must be pictures like those of training, and enough of them.

        Raises:
            DataError: it is not.
        """
        if clip.shape[1:] != self.look.shape or len(clip) < self.needed:
            raise DataError(
                f"{name} has {len(clip)} frames of shape {clip.shape[1:]}, expected at least {self.needed} of"
                f" {self.look.shape}: choose a longer clip"
            )
        return clip

    def predict(self, seen: NDArray[Any], ahead: int | None = None) -> Pictures:
        """The next frames [N, ahead, C, H, W] in [0, 1] of clips [N, T, C, H, W] of uint8, each frame from the one before."""
        pictures = np.asarray(seen, np.float32) / np.float32(255)
        patches = to_patches(pictures, self.patch)
        state, out = None, []
        for _ in range(self.ahead if ahead is None else ahead):
            logits, state = self.network.run(patches, state)
            out.append(self.pictures(logits[:, -1:]))
            patches = to_patches(out[-1], self.patch)
        return np.concatenate(out, 1)

    def pictures(self, logits: NDArray[Any]) -> Pictures:
        """Pictures [N, T, C, H, W] in [0, 1] of logits [N, T, F]."""
        channels, height, width = self.look.shape
        size = (channels * self.patch**2, height // self.patch, width // self.patch)
        return np.asarray(from_patches(sigmoid(logits).reshape(*logits.shape[:2], *size), self.patch))

    def errors(self, clips: Sequence[Clip]) -> dict[str, NDArray[np.float64]]:
        """Mean squared error 1, 2, .. frames ahead [ahead] of the predictor and of the copy, over clips.

        Every clip is seen up to `observed` frames, then it goes on alone.
        """
        sums = {"model": np.zeros(self.ahead), "copy the last frame": np.zeros(self.ahead)}
        for begin in range(0, len(clips), _BATCH):
            part = np.stack([clip[: self.needed] for clip in clips[begin : begin + _BATCH]])
            truth = part[:, self.observed :].astype(np.float32) / 255
            last = part[:, self.observed - 1 : self.observed].astype(np.float32) / 255
            predicted = self.predict(part[:, : self.observed])
            for name, frames in (("model", predicted), ("copy the last frame", last)):
                sums[name] += np.square(frames - truth, dtype=np.float64).mean((2, 3, 4)).sum(0)
        return {name: total / len(clips) for name, total in sums.items()}


def sigmoid(a: NDArray[Any]) -> Pictures:
    """sigmoid(a) = (tanh(a / 2) + 1) / 2."""
    return np.asarray(0.5 * (np.tanh(0.5 * a) + 1), np.float32)


def reply(model: Model, inputs: Arrays) -> Arrays:
    """The predicted frames [N, ahead, C, H, W] after those seen of the stored clips: what training stored."""
    predictor = Predictor.of(model)
    return {"frames": predictor.predict(inputs["frames"][:, : predictor.observed])}
