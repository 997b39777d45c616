"""What happens in a run, as the loop tells it and as reporters show it: one class for each event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Summary:
    """What is known before training."""

    task: str
    out: str
    settings: list[tuple[str, Any, str]]
    data: dict[str, object]
    num_parameters: int
    memory_bytes: int
    step_ms: float
    num_steps: int
    total_seconds: float
    metric: str
    baselines: dict[str, float]
    minimize: bool = True
    processes: str | None = None  # how many, where, with how many threads; None for one alone
    crowded: str | None = None  # what to do where other work keeps the cores busy


@dataclass(frozen=True)
class Standing:
    """Where a run stands after a step; ``loss`` is the mean since the last row of ``metrics.csv``."""

    step: int
    fraction: float
    loss: float
    seconds: float
    seconds_left: float
    steps_per_second: float
    validation: float | None


@dataclass(frozen=True)
class Ending:
    """How a run ended: the best validation value beside its baselines, and what to type next."""

    status: str
    metric: str
    best: float | None
    best_step: int
    baselines: dict[str, float]
    minimize: bool
    steps: int
    seconds: float
    num_parameters: int
    out: str
    next_lines: list[str]
    validation: str = ""
    """How much validation data there is, in words; "" where the task does not say."""


class Reporter(Protocol):
    """Receives the events of a run, on the first process."""

    def before(self, summary: Summary) -> None:
        """The estimates are made; training has not begun."""

    def step(self, standing: Standing) -> None:
        """An optimizer step was made."""

    def evaluated(self, standing: Standing, metrics: dict[str, float], sample: str | None) -> None:
        """The validation data was looked at."""

    def say(self, event: str, text: str) -> None:
        """Something worth a line: resumed, interrupted, stopped early."""

    def after(self, ending: Ending) -> None:
        """The run has ended."""

    def close(self) -> None:
        """Leave the terminal in order."""
