"""The training problem of frames that come next: windows of clips, seen for a while, then continued alone.

    loss = mean over frames 1 .. observed (each from the true one before) and over the `ahead` frames after them (each from
           the predicted one before) of the binary cross-entropy of brightness

The mean that minimises the squared error minimises this too, with a stronger gradient where a pixel is almost black.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from congru.errors import DataError
from congru.runtime import network as runtime
from congru.runtime.answer import Answer
from congru.tasks.video import strip
from congru.tasks.video.clips import Clip
from congru.tasks.video.data import VideoData
from congru.tasks.video.predictor import Predictor, network_config, to_patches
from congru.tasks.video.settings import Settings
from congru.train.base import Sample, TaskLearner
from congru.train.networks import Networks

Evaluated = tuple[NDArray[np.float64], int]
_ANSWERS, _SAMPLES = 2, 2
_STEEP = 8.0  # of the first copy: sigmoid(8 x - 4)


class FrameLearner(TaskLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is the number of a training clip and of a draw."""

    task = "video"
    metric = "mse_next"
    evaluation_batch = 16
    uses = "Predicting the next frames of clips like those of training."
    limits = (
        "It knows movements like those of its training clips, at the same size and speed. What cannot be foreseen is blurred,"
        " more so the further ahead."
    )
    commands = ("congru run MODEL CLIP --strip strip.png", "congru eval MODEL DATA")

    def __init__(self, data: VideoData, settings: Settings) -> None:
        super().__init__(settings)
        self.data = data
        needed = settings.observed + settings.ahead
        if len(data.shape) != 3:
            raise DataError(
                f"{data.source} holds tracks, expected pictures where predict is 'frames': name videos, or predict classes"
            )
        shortest = int(min(data.train.lengths.min(), data.validation.lengths.min()))
        if shortest < needed:
            raise DataError(
                f"{data.source} has a clip of {shortest} frames, expected at least {needed} (observed {settings.observed} +"
                f" ahead {settings.ahead}): lower these, or leave short clips out"
            )
        clips = [self.window(data.validation.clip(row)) for row in range(len(data.validation))]
        self.copied = copy_errors(clips, settings)
        self.baselines = {"copy the last frame": float(self.copied[0])}

    @cached_property
    def steps_per_epoch(self) -> int:
        """Whole batches; one where there are fewer clips."""
        return max(1, len(self.data.train) // self.settings.batch_size)

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One network from patches to the logits of the next ones."""
        return {"main": network_config(self.settings, self.data.shape)}

    def start(self, networks: Networks) -> None:
        """It begins as a soft copy of the frame before: black stays dark, bright stays bright."""
        main = networks["main"]
        with torch.no_grad():
            copy = main.get_parameter("copy.weight")
            copy.mul_(0.1)
            copy[:, :, 1, 1] += _STEEP * torch.eye(len(copy))
            main.get_parameter("copy.bias").fill_(-_STEEP / 2)

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """[N, 2]: the clips in random order; a draw each."""
        rng, size = self.generator(epoch), self.settings.batch_size
        order = rng.permutation(len(self.data.train))
        order = np.resize(order, max(size, len(order) // size * size))
        return np.stack([order, rng.integers(0, 2**62, len(order))], 1)

    def batch(self, rows: NDArray[np.int64]) -> Tensor | NDArray[np.float32]:
        """Windows [B, T, C p p, H/p, W/p] in [0, 1], T = observed + ahead, each from a random frame on."""
        windows = []
        for row, draw in rows.tolist():
            clip = self.data.train.clip(row, draw)
            windows.append(self.window(clip, np.random.default_rng(draw)))
        return self.patches(np.stack(windows))

    def window(self, clip: Clip, rng: np.random.Generator | None = None) -> Clip:
        """`observed` + `ahead` frames of a clip, the first ones without `rng`; mirrored where that is asked for."""
        needed = self.settings.observed + self.settings.ahead
        if rng is None:
            return clip[:needed]
        begin = int(rng.integers(0, len(clip) - needed + 1))
        chosen = clip[begin : begin + needed]
        return chosen[..., ::-1] if self.settings.flip and rng.integers(2) else chosen

    def patches(self, clips: NDArray[Any]) -> NDArray[np.float32]:
        """Pictures of uint8 as patches in [0, 1]."""
        return to_patches(clips.astype(np.float32) / np.float32(255), self.settings.patch)

    def predict(self, networks: Networks, x: Tensor) -> Tensor:
        """Logits [B, T - 1, F] of frames 1 .. T - 1 of x [B, T, ..]: the first `observed` seen, the others from its own."""
        seen, size = self.settings.observed, x.shape[2:]
        logits, state = networks["main"](x[:, :seen])
        out = [logits]
        for _ in range(x.shape[1] - seen - 1):
            before = torch.sigmoid(out[-1][:, -1:]).reshape(len(x), 1, *size)
            logits, state = networks["main"](before, state)
            out.append(logits)
        return torch.cat(out, 1).float()

    def loss(self, networks: Networks, batch: Tensor, carry: Any) -> tuple[Tensor, int, None]:
        """The summed mean cross-entropy of clips, and their number."""
        logits = self.predict(networks, batch)
        nats = F.binary_cross_entropy_with_logits(logits, batch[:, 1:].flatten(2), reduction="none")
        return nats.mean((1, 2)).sum(), len(batch), None

    def validation_rows(self) -> NDArray[np.int64]:
        """The validation clips."""
        return np.arange(len(self.data.validation))

    def evaluate(self, networks: Networks, rows: NDArray[np.int64]) -> Evaluated:
        """Summed mean squared errors [ahead] after `observed` frames, and how many clips."""
        clips = np.stack([self.window(self.data.validation.clip(row)) for row in rows.tolist()])
        x = self.tensors(self.patches(clips), networks)
        predicted = torch.sigmoid(self.predict(networks, x))[:, self.settings.observed - 1 :]
        truth = x[:, self.settings.observed :].flatten(2)
        errors = (predicted - truth).square().mean(2).double().sum(0)
        return errors.cpu().numpy(), len(rows)

    def metrics(self, parts: Sequence[Evaluated]) -> dict[str, float]:
        """Mean squared error of the next frame and of the last one ahead; their shares of the copy's."""
        errors = np.sum([total for total, _ in parts], 0) / sum(count for _, count in parts)
        return {
            "mse_next": float(errors[0]),
            f"mse_{len(errors)}_ahead": float(errors[-1]),
            "share_of_copy_next": float(errors[0] / self.copied[0]),
            f"share_of_copy_{len(errors)}_ahead": float(errors[-1] / self.copied[-1]),
        }

    def task_config(self, parts: Sequence[Evaluated]) -> dict[str, Any]:
        """How clips are read and continued, and which were kept for validation and test."""
        return {
            "predict": "frames",
            "shape": list(self.data.shape),
            "rate": self.settings.rate,
            "max_frames": self.settings.max_frames,
            "patch": self.settings.patch,
            "observed": self.settings.observed,
            "ahead": self.settings.ahead,
            "validation": self.settings.validation,
            "fold": self.settings.fold,
            "leave_out": list(self.settings.leave_out),
            "moving_digits": self.settings.moving_digits,
        }

    def predictor(self, networks: Networks, task_config: Mapping[str, Any]) -> Predictor:
        """What a user loads, from the weights as they are now."""
        weights = {
            name: value.detach().cpu().numpy() for name, value in networks["main"].state_dict().items()
        }
        return Predictor.around(runtime.Network(self.networks("", 0)["main"], weights), task_config)

    def sample(self, networks: Networks) -> Sample:
        """The first validation clips as a strip: what was seen, what came, what was predicted."""
        predictor = self.predictor(networks, self.task_config([]))
        clips = [
            self.window(self.data.validation.clip(row))
            for row in range(min(_SAMPLES, len(self.data.validation)))
        ]
        errors = predictor.errors(clips)
        lines = [
            f"{ahead + 1} ahead: mse {own:.5f}, copying the last frame {copied:.5f}"
            for ahead, (own, copied) in enumerate(zip(*errors.values()))
        ]
        return Sample("\n".join(lines), {"strip.png": strip.encode(predictor, clips)})

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """The frames predicted after those seen of some validation clips."""
        rows = range(min(_ANSWERS, len(self.data.validation)))
        clips = np.stack([self.window(self.data.validation.clip(row)) for row in rows])
        x = self.tensors(self.patches(clips), networks)
        logits = self.predict(networks, x)[:, self.settings.observed - 1 :].cpu().numpy()
        predictor = self.predictor(networks, task_config)
        frames = predictor.pictures(logits)
        return Answer({"frames": clips}, {"frames": frames})

    def describe(self) -> dict[str, Any]:
        """What was read, how it is split, and what is odd about it."""
        data, settings = self.data, self.settings
        summary: dict[str, Any] = {"source": data.source, "split": data.split}
        for name, clips in (("train", data.train), ("validation", data.validation)):
            summary[name] = (
                f"{len(clips)} clips of {int(clips.lengths.min())}-{int(clips.lengths.max())} frames"
            )
        summary["frames"] = (
            f"{data.shape[1]} x {data.shape[2]} pixels, {settings.observed} seen, {settings.ahead} predicted"
        )
        return {**summary, **data.notes}


def copy_errors(clips: Sequence[Clip], settings: Settings) -> NDArray[np.float64]:
    """Mean squared error of the last frame seen, 1, 2, .. frames ahead [ahead]."""
    pictures = np.stack(clips).astype(np.float32) / 255
    last = pictures[:, settings.observed - 1 : settings.observed]
    errors = np.square(pictures[:, settings.observed :] - last, dtype=np.float64).mean((0, 2, 3, 4))
    return np.asarray(np.maximum(errors, 1e-12))


__all__ = ["FrameLearner"]
