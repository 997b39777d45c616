"""A small learner for the tests of the loop: predict the next value of noisy sine waves.

Run as a program it trains once, so that the tests can kill it, interrupt it and start it several times over:
``python toy.py --out FOLDER --steps 40 ...`` (any field of ``ToySettings`` as a flag).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
from cyclopts import App, Parameter
from numpy.typing import NDArray
from torch import Tensor

from congru.errors import DataError
from congru.train.base import Probe, Sample, TaskLearner
from congru.train.loop import RunResult, fit
from congru.train.networks import Networks
from congru.train.resolve import resolve
from congru.train.settings import ModelSettings
from congru.train.sharing import Unprepared

LENGTH = 8  # steps of a batch


class ToySettings(ModelSettings):
    """The loop's settings, and what makes trouble on purpose."""

    hidden_size: int = 6
    dropout: float = 0.2
    step_seconds: float = 0.0
    nan_at: int = 1_000_000


class ToyLearner(TaskLearner[ToySettings]):
    """B streams cut into segments of LENGTH steps; the state is carried along each stream."""

    task = "toy"
    metric = "mse"

    def __init__(self, settings: ToySettings, steps_per_epoch: int = 10) -> None:
        super().__init__(settings)
        self.num_steps = steps_per_epoch
        self.streams = self._waves(
            np.random.default_rng(1), settings.batch_size, steps_per_epoch * LENGTH + 1
        )
        self.validation = self._waves(np.random.default_rng(2), 4, 33)
        zero = float((self.validation[:, 1:] ** 2).mean())
        last = float(((self.validation[:, 1:] - self.validation[:, :-1]) ** 2).mean())
        self.baselines = {"last value": last, "zero": zero}
        self.seen = 0

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        return {
            "main": {
                "inputs": {"wave": {"features": 1}},
                "nodes": [
                    {"type": cell, "name": "rnn", "hidden_size": hidden_size},
                    {"type": "dropout", "name": "drop", "p": self.settings.dropout},
                    {"type": "linear", "name": "head", "size": 1},
                ],
                "outputs": ["head"],
            }
        }

    @staticmethod
    def _waves(rng: np.random.Generator, rows: int, length: int) -> NDArray[np.float32]:
        phase, speed = rng.uniform(0, 6, (rows, 1)), rng.uniform(0.2, 0.6, (rows, 1))
        wave = np.sin(phase + speed * np.arange(length)) + 0.05 * rng.standard_normal((rows, length))
        return wave.astype(np.float32)

    @property
    def steps_per_epoch(self) -> int:
        return self.num_steps

    def rows(self, epoch: int) -> NDArray[np.int64]:
        order = self.generator(epoch).permutation(len(self.streams))
        steps = np.repeat(np.arange(self.num_steps), len(order))
        return np.stack([np.tile(order, self.num_steps), steps], 1)

    def batch(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        indices = rows[:, 1:] * LENGTH + np.arange(LENGTH + 1)
        piece = self.streams[rows[:, :1], indices][..., None]
        return {"x": piece[:, :-1], "target": piece[:, 1:]}

    def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, Any, Any]:
        self.seen += 1
        time.sleep(self.settings.step_seconds)
        prediction, carry = networks["main"](batch["x"], carry)
        loss = ((prediction - batch["target"]) ** 2).sum()
        if self.seen == self.settings.nan_at + 3:  # three trial steps come first
            loss = loss * float("nan")
        return loss, prediction.numel(), carry

    def validation_rows(self) -> range:
        return range(len(self.validation))

    def evaluate(self, networks: Networks, rows: range) -> NDArray[np.float32]:
        torch.rand(3)  # must not reach the training
        waves = torch.from_numpy(self.validation[rows]).to(networks.device)
        prediction, _ = networks["main"](waves[:, :-1, None])
        return (prediction[..., 0] - waves[:, 1:]).cpu().numpy()

    def metrics(self, parts: Sequence[NDArray[np.float32]]) -> dict[str, float]:
        error = np.concatenate(parts)
        return {"mse": float((error**2).mean()), "mae": float(np.abs(error).mean())}

    def probe(self) -> Probe:
        return Probe(torch.from_numpy(self.validation[:2, :-1, None]))

    def sample(self, networks: Networks) -> Sample:
        numbers = torch.rand(3).tolist()
        return Sample(
            " ".join(f"{value:.2f}" for value in numbers), {"numbers.json": json.dumps(numbers).encode()}
        )

    def describe(self) -> dict[str, Any]:
        return {"source": "waves", "split": "other waves for validation", "train": len(self.streams)}


def run(*, steps_per_epoch: int = 10, **keywords: object) -> RunResult:
    settings, origin = resolve(ToySettings, keywords)
    return fit(ToyLearner(settings, steps_per_epoch), settings, origin=origin)


def make(settings: ToySettings) -> ToyLearner:
    """The learner; its process is noted in the file that TOY_MADE names."""
    if "TOY_MADE" in os.environ:
        with open(os.environ["TOY_MADE"], "a") as file:
            file.write(f"{os.getpid()}\n")
    if settings.nan_at < 0:
        raise DataError("these waves are flat, expected others: choose others")
    return ToyLearner(settings)


def main() -> None:
    app = App()

    @app.default
    def train(*, settings: Annotated[ToySettings, Parameter(name="*")] = ToySettings()) -> None:  # noqa: B008
        resolved, origin = resolve(ToySettings, settings, source="flag")
        fit(Unprepared("toy", lambda: make(resolved)), resolved, origin=origin)

    try:
        app(result_action="return_value")
    except KeyboardInterrupt:
        sys.exit(130)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
