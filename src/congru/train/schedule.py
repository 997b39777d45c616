"""How much of the budget is used, and what follows from it: the learning rate, evaluations, the end.

Let f in [0, 1] be the used share of the budget (steps or seconds) and w the share spent on warm-up:

    factor(f) = 0.01 + 0.99 f / w                          f < w
    factor(f) = (1 + cos(pi (f - w) / (1 - w))) / 2        otherwise

so the rate reaches zero exactly where the budget ends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from congru.train.settings import TrainSettings

# With a budget in minutes, at least this many times the length of an evaluation passes between two of them.
TRAINING_PER_EVALUATION = 4.0


def learning_rate_factor(fraction: float, warmup: float) -> float:
    """The share of the highest learning rate at the used share ``fraction`` of the budget.

    >>> [round(learning_rate_factor(f, 0.1), 4) for f in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.01, 0.505, 1.0, 0.5, 0.0]
    """
    if fraction < warmup:
        return 0.01 + 0.99 * fraction / warmup
    return (1.0 + math.cos(math.pi * (fraction - warmup) / (1.0 - warmup))) / 2.0


class Clock:
    """Seconds of training, evaluation included; a resumed run continues from the seconds already used."""

    def __init__(self, used: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._start = now() - used

    @property
    def seconds(self) -> float:
        """Seconds used so far."""
        return self._now() - self._start


@dataclass(frozen=True)
class Budget:
    """A run's budget: ``num_steps`` for epochs and steps, ``num_seconds`` for minutes (the other is None)."""

    num_steps: int | None
    num_seconds: float | None
    evaluations: int
    eval_every: int | None

    @classmethod
    def of(cls, settings: TrainSettings, steps_per_epoch: int) -> Budget:
        """The budget that the settings ask for."""
        kind, amount = settings.budget
        steps = {"epochs": int(amount) * steps_per_epoch, "steps": int(amount)}.get(kind)
        seconds = amount * 60.0 if kind == "minutes" else None
        return cls(steps, seconds, settings.evaluations, settings.eval_every)

    def fraction(self, step: int, seconds: float, reserve: float = 0.0) -> float:
        """The used share, 0 to 1. ``reserve`` seconds, half the budget at most, are kept free for the last evaluation.

        >>> Budget(100, None, 20, None).fraction(25, 0.0)
        0.25
        >>> Budget(None, 60.0, 20, None).fraction(25, 29.0, reserve=2.0)
        0.5
        """
        if self.num_steps is not None:
            return min(1.0, step / self.num_steps)
        assert self.num_seconds is not None
        free = max(self.num_seconds - reserve, self.num_seconds / 2.0)
        return min(1.0, seconds / free)

    def evaluation_due(self, step: int, fraction: float, since_last: float, reserve: float) -> bool:
        """Whether to evaluate after ``step`` steps.

        Args:
            step: steps made.
            fraction: the used share of the budget.
            since_last: seconds since the last evaluation ended (minutes only).
            reserve: seconds an evaluation takes (minutes only).
        """
        if fraction >= 1.0:
            return True
        if self.eval_every is not None:
            return step % self.eval_every == 0
        if self.num_steps is not None:
            return step * self.evaluations // self.num_steps > (step - 1) * self.evaluations // self.num_steps
        assert self.num_seconds is not None
        return since_last >= max(self.num_seconds / self.evaluations, TRAINING_PER_EVALUATION * reserve)
