"""A small learner for the tests of the loop: predict the next value of noisy sine waves with torch's own GRU.

Run as a program it trains once, so that the tests can kill it, interrupt it and start it several times over:
``python toy.py --out FOLDER --steps 40 ...`` (any field of ``ToySettings`` as a flag).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from cyclopts import App, Parameter
from torch import Tensor, nn

from congru.train.loop import RunResult, fit
from congru.train.resolve import resolve
from congru.train.seeding import seed_everything
from congru.train.settings import TrainSettings

LENGTH = 8  # steps of a batch


class ToySettings(TrainSettings):
    """The loop's settings, and what makes trouble on purpose."""

    cell: str = "gru"
    hidden_size: int = 6
    dropout: float = 0.2
    step_seconds: float = 0.0
    nan_at: int = 1_000_000


class Waves(nn.Module):
    """GRU and a linear head; x [B, T, 1], h [1, B, H] -> y [B, T, 1], h."""

    def __init__(self, cell: str, hidden_size: int, dropout: float) -> None:
        super().__init__()
        kind: Any = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}[cell]
        self.rnn = kind(1, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden_size, 1)

    def forward(self, x: Tensor, h: Any) -> tuple[Tensor, Any]:
        y, h = self.rnn(x, h)
        return self.head(self.dropout(y)), h


class ToyLearner:
    """B streams cut into batches of LENGTH steps; the state is carried along each stream."""

    task = "toy"
    metric = "mse"
    minimize = True

    def __init__(self, settings: ToySettings, steps_per_epoch: int = 10) -> None:
        seed_everything(settings.seed)
        self.settings = settings
        self.module = self.build_module(settings.cell, settings.hidden_size)
        self.steps_per_epoch = steps_per_epoch
        self.streams = self._waves(
            np.random.default_rng(1), settings.batch_size, steps_per_epoch * LENGTH + 1
        )
        self.validation = self._waves(np.random.default_rng(2), 4, 33)
        zero = float((self.validation[:, 1:] ** 2).mean())
        last = float(((self.validation[:, 1:] - self.validation[:, :-1]) ** 2).mean())
        self.baselines = {"last value": last, "zero": zero}
        self.seen = 0
        self.saved: list[dict[str, Any]] = []

    def build_module(self, cell: str, hidden_size: int) -> nn.Module:
        return Waves(cell, hidden_size, self.settings.dropout)

    @staticmethod
    def _waves(rng: np.random.Generator, rows: int, length: int) -> Tensor:
        phase, speed = rng.uniform(0, 6, (rows, 1)), rng.uniform(0.2, 0.6, (rows, 1))
        wave = np.sin(phase + speed * np.arange(length)) + 0.05 * rng.standard_normal((rows, length))
        return torch.from_numpy(wave.astype(np.float32))

    def batches(self, epoch: int, rank: int, world_size: int, start: int = 0) -> Iterator[Any]:
        order = np.random.default_rng((self.settings.seed, epoch)).permutation(len(self.streams))
        rows = self.streams[torch.from_numpy(order)]
        share = len(rows) // world_size
        rows = rows[rank * share : (rank + 1) * share]
        for index in range(start, self.steps_per_epoch):
            piece = rows[:, index * LENGTH : (index + 1) * LENGTH + 1, None]
            yield {"x": piece[:, :-1], "target": piece[:, 1:]}

    def loss(self, module: nn.Module, batch: Any, carry: Any) -> tuple[Tensor, Any]:
        self.seen += 1
        time.sleep(self.settings.step_seconds)
        prediction, carry = module(batch["x"], carry)
        loss = ((prediction - batch["target"]) ** 2).mean()
        if self.seen == self.settings.nan_at + 3:  # three trial steps come first
            loss = loss * float("nan")
        return loss, carry

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        torch.rand(3)  # must not reach the training
        waves = self.validation.to(next(module.parameters()).device)
        prediction, _ = module(waves[:, :-1, None], None)
        error = prediction[..., 0] - waves[:, 1:]
        return {"mse": float((error**2).mean()), "mae": float(error.abs().mean())}

    def probe(self) -> Any:
        return self.validation[:2, :-1, None], None

    def sample(self, module: nn.Module) -> str | None:
        return " ".join(f"{value:.2f}" for value in torch.rand(3).tolist())

    def save_model(self, module: nn.Module, folder: Path, card: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.saved.append(card)
        (folder / "config.json").write_text(json.dumps(card))

    def describe(self) -> dict[str, object]:
        return {"source": "waves", "split": "other waves for validation", "train": len(self.streams)}


def run(*, steps_per_epoch: int = 10, **keywords: object) -> RunResult:
    settings, origin = resolve(ToySettings, keywords)
    return fit(ToyLearner(settings, steps_per_epoch), settings, origin=origin)


def main() -> None:
    app = App()

    @app.default
    def train(*, settings: Annotated[ToySettings, Parameter(name="*")] = ToySettings()) -> None:  # noqa: B008
        resolved, origin = resolve(ToySettings, settings, source="flag")
        fit(ToyLearner(resolved), resolved, origin=origin)

    try:
        app(result_action="return_value")
    except KeyboardInterrupt:
        sys.exit(130)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
