"""What a task hands to the loop: data in batches, a loss, an evaluation, a sample, and how to save the model.

The loop (:mod:`congru.train.loop`) owns the rest: devices, optimizer, schedule, checkpoints, the run folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn


class Learner(Protocol):
    """A task's training problem. Every attribute is fixed after construction.

    Rules that make ``--resume`` and several devices exact:

    * ``batches`` depends on (seed, epoch, rank, world_size) only; it keeps no position of its own.
    * ``loss`` reaches the parameters only by *calling* ``module(...)``, once: it may be wrapped.
    * ``evaluate``, ``sample`` and ``save_model`` receive the bare module in evaluation mode, without
      gradients; they move their data to ``next(module.parameters()).device``. They run on the first process
      only, and what they draw from Python's, NumPy's or torch's generators does not reach the training.
    """

    task: str
    """Name of the task, for example ``"text"``."""
    module: nn.Module
    """The model, on the CPU. The loop moves it."""
    metric: str
    """The validation metric that chooses the best model: a key of what ``evaluate`` returns."""
    minimize: bool
    """True where a smaller metric is better."""
    baselines: dict[str, float]
    """Name of each trivial baseline -> its value of ``metric`` on the same validation data."""
    steps_per_epoch: int
    """How many batches every epoch yields, the same on each process."""

    def batches(self, epoch: int, rank: int, world_size: int, start: int = 0) -> Iterator[Any]:
        """Yield this process's share of batches ``start .. steps_per_epoch - 1`` of an epoch.

        A batch is a tensor or any nesting of tuples, lists and dicts of tensors; the loop moves it to the
        device. Over all processes a step sees ``batch_size`` rows: ``world_size`` 2 gives each process half
        of the rows that one process would see. Skipping the first ``start`` batches costs no work.
        """
        ...

    def loss(self, module: nn.Module, batch: Any, carry: Any) -> tuple[Tensor, Any]:
        """The mean loss over this process's rows (scalar), and the recurrent state for the next batch.

        ``carry`` is None in the first batch of an epoch, else what the last call returned, detached by the
        loop (truncated back-propagation). A task without streams returns None.
        """
        ...

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        """Validation metrics by name; must hold ``metric``."""
        ...

    def probe(self) -> Any:
        """A small fixed input of ``module`` whose gates ``--monitor`` follows: one argument, or a tuple of them.

        The loop moves it to the device.
        """
        ...

    def sample(self, module: nn.Module) -> str | None:
        """A short piece of output to look at, or None."""
        ...

    def save_model(self, module: nn.Module, folder: Path, card: dict[str, Any]) -> None:
        """Write the model folder through ``congru.runtime.folder.save_model``; ``card`` is for its README."""
        ...

    def describe(self) -> dict[str, object]:
        """Data summary for the screen and ``data.json``: plain JSON values, no arrays; asked for several times.

        Known keys: ``source`` (the path as the user gave it; the loop adds the sha256 of its files), ``split``
        (the rule in words), ``train`` and ``validation`` (counts). Others are shown as they are.
        """
        ...


class Resizable(Learner, Protocol):
    """A learner whose model :mod:`congru.train.compare` can build at another size, to match parameters."""

    def build_module(self, cell: str, hidden_size: int) -> nn.Module:
        """The same model with another cell and width; called under ``torch.device("meta")``."""
        ...
