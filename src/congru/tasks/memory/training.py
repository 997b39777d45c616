"""One network on one problem: Adam on sequences that never repeat, until the steps or the minutes are used up.

The learning rate falls to zero along `congru.train.schedule`; the gradient's norm is clipped. Training, validation
and test sequences come from different streams of random numbers, the last two the same for every cell and seed.

A cost on writing, `write_cost` times the sum of |(1 - z) n| over steps and units, makes a network that holds a memory
by rewriting it at every step hold it by its keep gate instead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from congru.nn import Network
from congru.tasks.memory.network import answers, answers_and_writes
from congru.tasks.memory.problem import Batch, Problem
from congru.tasks.memory.settings import MemorySettings
from congru.train.schedule import Clock, learning_rate_factor

WARMUP = 0.02
CLIP = 1.0
HELD_OUT = 256
VALIDATION, TEST = 1, 2


@dataclass(frozen=True)
class Effort:
    """What training took (seconds on the clock, and of the processor), and the training loss on the way.

    `curve` holds (step, mean loss since the last point).
    """

    steps: int
    seconds: float
    cpu_seconds: float
    curve: tuple[tuple[int, float], ...]


def train(
    network: Network,
    problem: Problem,
    settings: MemorySettings,
    *,
    learning_rate: float,
    seed: int,
    points: int = 20,
) -> Effort:
    """Train in place for the budget in `settings`; `seed` draws the sequences."""
    random = np.random.default_rng([seed, 0])
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    clock, cpu, step, used = Clock(), time.process_time(), 0, 0.0
    losses: list[float] = []
    curve: list[tuple[int, float]] = []
    while used < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * learning_rate_factor(used, WARMUP)
        batch = problem.draw(random, settings.batch_size)
        loss, cost = _loss_and_cost(network, problem, batch, settings.write_cost)
        optimizer.zero_grad()
        torch.autograd.backward(loss + cost)
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        step += 1
        losses.append(loss.item())
        used = settings.used(step, clock.seconds)
        if used * points >= len(curve) + 1:
            curve.append((step, float(np.mean(losses))))
            losses = []
    return Effort(step, clock.seconds, time.process_time() - cpu, tuple(curve))


def _loss_and_cost(
    network: Network, problem: Problem, batch: Batch, write_cost: float
) -> tuple[Tensor, Tensor | float]:
    if not write_cost:
        return problem.loss(answers(network, problem, batch.x), batch.target), 0.0
    out, writes = answers_and_writes(network, problem, batch.x)
    return problem.loss(out, batch.target), write_cost * writes


def held_out_loss(network: Network, problem: Problem, stream: int) -> float:
    """The loss on `HELD_OUT` sequences of the VALIDATION or the TEST stream."""
    with torch.no_grad():
        batch = held_out(problem, stream)
        return float(problem.loss(answers(network, problem, batch.x), batch.target))


def held_out(problem: Problem, stream: int) -> Batch:
    """Those sequences."""
    return problem.draw(np.random.default_rng([stream, problem.lag, 1997]), HELD_OUT)
