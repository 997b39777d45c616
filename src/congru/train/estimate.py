"""Three trial steps before training: they measure time and memory, then everything is put back as it was."""

from __future__ import annotations

import copy
import itertools
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from congru.errors import TrainingError
from congru.train.schedule import Budget
from congru.train.seeding import rng_untouched

NUM_STEPS = 3


@dataclass(frozen=True)
class Estimate:
    """What three steps showed."""

    step_seconds: float
    """Median seconds of a training step."""
    memory_bytes: int
    """Highest memory so far, of the GPU where there is one: weights, gradients, moments, activations."""
    num_steps: int
    """Steps that the budget allows."""
    total_seconds: float
    """Seconds that the budget takes, evaluations not included unless the budget is in minutes."""


def try_steps(
    module: nn.Module, step: Callable[[Any, Any], Any], batches: Iterator[Any], budget: Budget
) -> Estimate:
    """Run ``step(batch, carry) -> carry`` three times and restore the module and all generators.

    ``step`` must use an optimizer of its own; its moments are forgotten with it.
    """
    before = copy.deepcopy(module.state_dict())
    seconds = []
    carry = None
    with rng_untouched():
        for batch in itertools.islice(batches, NUM_STEPS):
            start = time.perf_counter()
            carry = step(batch, carry)
            seconds.append(time.perf_counter() - start)
    if not seconds:
        raise TrainingError("epoch 0 has no batches, expected some: give more data or a smaller --batch-size")
    module.load_state_dict(before)
    module.zero_grad(set_to_none=True)
    step_seconds = statistics.median(seconds)
    if budget.num_steps is not None:
        num_steps, total = budget.num_steps, budget.num_steps * step_seconds
    else:
        assert budget.num_seconds is not None
        num_steps, total = max(1, int(budget.num_seconds / step_seconds)), budget.num_seconds
    return Estimate(
        step_seconds=step_seconds,
        memory_bytes=peak_memory(next(module.parameters()).device),
        num_steps=num_steps,
        total_seconds=total,
    )


def peak_memory(device: torch.device) -> int:
    """Highest memory in bytes: of a CUDA device what torch took there, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
