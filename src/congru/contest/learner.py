"""A problem of memory on the training loop: sequences that never repeat, until the steps or the minutes are used up.

Training, validation and test sequences come from different streams of random numbers, the last two the same for every
cell and seed.

A cost on writing, `write_cost` times the sum of |(1 - z) n| over steps and units, makes a network that holds a memory
by rewriting it at every step hold it by its keep gate instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from congru.contest.network import answers, answers_and_writes, build, declaration
from congru.contest.problem import Batch, Problem
from congru.nn import Network
from congru.train.base import TaskLearner
from congru.train.networks import Networks
from congru.train.settings import ModelSettings

HELD_OUT = 256
VALIDATION, TEST = 1, 2
_STEPS = 100  # of an epoch; no two epochs have the same sequences


class RunSettings(ModelSettings):
    """One cell at one lag: the loop's settings, without weight decay, and the cost of writing."""

    weight_decay: float = 0.0
    evaluations: int = 1
    write_cost: float = 0.0


class MemoryLearner(TaskLearner[RunSettings]):
    """See :class:`congru.train.base.TaskLearner`; a row is the number of a sequence."""

    task = "memory"
    metric = "loss"

    def __init__(self, problem: Problem, settings: RunSettings) -> None:
        super().__init__(settings)
        self.problem = problem
        self.baselines = {"remembers nothing": problem.baseline}

    @property
    def steps_per_epoch(self) -> int:
        """Chosen freely, since sequences never repeat."""
        return _STEPS

    @property
    def network(self) -> Network:
        """The network that is trained."""
        network = self.module["main"]
        assert isinstance(network, Network)
        return network

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One recurrent layer and a read-out at every step."""
        return {"main": declaration(self.problem, cell, hidden_size)}

    def build_network(self, name: str, declaration: Mapping[str, Any]) -> Network:
        """On the backend that is the fastest for the cell."""
        return build(declaration)

    def rows(self, epoch: int) -> range:
        """Numbers that no other epoch has."""
        count = _STEPS * self.settings.batch_size
        return range(epoch * count, (epoch + 1) * count)

    def batch(self, rows: range) -> tuple[Tensor, Tensor]:
        """Sequences [B, T, I] and targets [B, S]."""
        drawn = self.problem.draw(np.random.default_rng([self.settings.seed, 0, rows[0]]), len(rows))
        return drawn.x, drawn.target

    def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, int, None]:
        """The problem's loss, and the cost of writing, summed over sequences."""
        x, target = batch
        network, cost = self.network, self.settings.write_cost
        if not cost:
            return self.problem.loss(answers(network, self.problem, x), target) * len(x), len(x), None
        out, writes = answers_and_writes(network, self.problem, x)
        return (self.problem.loss(out, target) + cost * writes) * len(x), len(x), None

    def validation_rows(self) -> range:
        """The held-out validation sequences, all at once."""
        return range(1)

    def evaluate(self, networks: Networks, rows: range) -> float:
        """The loss on the validation sequences, without the cost of writing."""
        return self.held_out_loss(VALIDATION)

    def metrics(self, parts: Sequence[float]) -> dict[str, float]:
        """That loss."""
        return {"loss": parts[0]}

    def describe(self) -> dict[str, Any]:
        """What is drawn."""
        return {"source": f"{self.problem.name}, lag {self.problem.lag}", "validation": HELD_OUT}

    def held_out_loss(self, stream: int) -> float:
        """The loss on `HELD_OUT` sequences of the VALIDATION or the TEST stream."""
        with torch.no_grad():
            drawn = held_out(self.problem, stream)
            x = drawn.x.to(self.module.device)
            return float(self.problem.loss(answers(self.network, self.problem, x), drawn.target.to(x.device)))


def held_out(problem: Problem, stream: int) -> Batch:
    """The sequences of the VALIDATION or the TEST stream."""
    return problem.draw(np.random.default_rng([stream, problem.lag, 1997]), HELD_OUT)
