"""The batches of one process, epoch after epoch, made on the spot or ahead of time in worker processes.

Step s of an epoch stands on rows s*B .. (s+1)*B - 1 of ``learner.rows(epoch)``; process r of W takes its r-th share
of B/W of them. Because a batch follows from its rows alone, workers change no number.
"""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from congru.errors import CongruError, TrainingError
from congru.train.base import AnyLearner, Rows
from congru.train.nests import to_tensors

Position = tuple[int, int]  # epoch, step
_AHEAD = 4  # batches that each worker keeps ready
# Forked workers share the learner's data; elsewhere it is pickled.
START_METHOD = "fork" if sys.platform == "linux" else "spawn"


class Batches:
    """Batches of process ``rank`` of ``world_size``; ``workers`` processes make them ahead of time."""

    def __init__(self, learner: AnyLearner, rank: int = 0, world_size: int = 1, workers: int = 0) -> None:
        self._steps = _Steps(learner, rank, world_size)
        self._num_steps = learner.steps_per_epoch
        self._workers = workers
        self._ahead: Iterator[Any] | None = None
        self._next: Position = (0, 0)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield batches ``start .. steps_per_epoch - 1`` of an epoch, as nests of tensors.

        Raises:
            CongruError: the learner's own, also from within a worker.
        """
        for step in range(start, self._num_steps):
            if not self._workers:
                yield to_tensors(self._steps.make(epoch, step))
                continue
            if self._ahead is None or self._next != (epoch, step):
                self._ahead = self._open(epoch, step)
            self._next = (epoch, step + 1) if step + 1 < self._num_steps else (epoch + 1, 0)
            batch = next(self._ahead)
            if isinstance(batch, CongruError):
                raise batch
            yield batch

    def _open(self, epoch: int, step: int) -> Iterator[Any]:
        positions = _Positions(epoch, step, self._num_steps)
        loader = DataLoader(
            self._steps,
            batch_size=None,
            sampler=positions,
            num_workers=self._workers,
            prefetch_factor=_AHEAD,
            collate_fn=to_tensors,
            worker_init_fn=_start_worker,
            generator=torch.Generator(),  # torch's own stays as it is
            multiprocessing_context=START_METHOD,
        )
        return iter(loader)


class _Steps(Dataset[Any]):
    """Position (epoch, step) -> batch, or the error that was met."""

    def __init__(self, learner: AnyLearner, rank: int, world_size: int) -> None:
        self._learner = learner
        self._rank, self._share = rank, learner.settings.batch_size // world_size
        self._num_rows = learner.steps_per_epoch * learner.settings.batch_size
        self._rows: tuple[int, Rows] | None = None

    def make(self, epoch: int, step: int) -> Any:
        """The batch at a position."""
        if self._rows is None or self._rows[0] != epoch:
            rows, needed = self._learner.rows(epoch), self._num_rows
            if len(rows) < needed:
                raise TrainingError(
                    f"epoch {epoch} has {len(rows)} rows, expected at least {needed} (steps_per_epoch * batch_size):"
                    f" correct the learner of {self._learner.task}"
                )
            self._rows = (epoch, rows)
        begin = step * self._learner.settings.batch_size + self._rank * self._share
        return self._learner.batch(self._rows[1][begin : begin + self._share])

    def __getitem__(self, position: Position) -> Any:
        try:
            return self.make(*position)
        except CongruError as error:
            return error  # raised in the main process, as one line


class _Positions:
    """All positions from one on, without end."""

    def __init__(self, epoch: int, step: int, num_steps: int) -> None:
        self._first, self._num_steps = epoch * num_steps + step, num_steps

    def __iter__(self) -> Iterator[Position]:
        return (divmod(number, self._num_steps) for number in itertools.count(self._first))


def _start_worker(number: int) -> None:
    """Ctrl-C is for the main process, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
