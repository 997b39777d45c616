"""Who still learns at which lag: every cell at equal parameters, with the same sequences and the same budget.

The learning rate of a cell is the one of `learning_rates` with the lowest loss on validation sequences at the shortest
lag, with the first seed; it serves all lags and seeds. The figures are losses on test sequences, beside the loss of who
remembers nothing, and what training took.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from congru.nn import Network
from congru.tasks.memory.adding import Adding
from congru.tasks.memory.copying import Copying
from congru.tasks.memory.network import equal_size, seeded
from congru.tasks.memory.problem import Problem
from congru.tasks.memory.settings import MemorySettings, checked
from congru.tasks.memory.training import TEST, VALIDATION, Effort, held_out_loss, train
from congru.train.wording import aligned

PROBLEMS: dict[str, Callable[[int], Problem]] = {"adding": Adding, "copy": Copying}


@dataclass(frozen=True)
class Run:
    """One trained network: `loss` on test sequences, `share` of the baseline's (1 = remembers nothing)."""

    cell: str
    lag: int
    seed: int
    hidden_size: int
    num_parameters: int
    learning_rate: float
    loss: float
    share: float
    steps: int
    seconds: float
    cpu_seconds: float
    curve: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Contest:
    """All runs of one problem, and the baseline: the loss of who remembers nothing, at every lag."""

    settings: MemorySettings
    baseline: float
    runs: tuple[Run, ...]

    def of(self, cell: str, lag: int) -> list[Run]:
        """The runs of one cell at one lag, one per seed."""
        return [run for run in self.runs if (run.cell, run.lag) == (cell, lag)]

    def table(self) -> str:
        """A line per cell: the median loss over the seeds at each lag, then the baseline."""
        settings = self.settings
        header = ("cell", *(f"lag {lag}" for lag in settings.lags), "parameters", "units", "rate", "CPU s")
        lines = [header]
        for cell in settings.cells:
            runs = [run for run in self.runs if run.cell == cell]
            losses = [statistics.median(run.loss for run in self.of(cell, lag)) for lag in settings.lags]
            size = (f"{runs[0].num_parameters:,}", str(runs[0].hidden_size), f"{runs[0].learning_rate:g}")
            seconds = f"{sum(run.cpu_seconds for run in runs):.0f}"
            lines.append((cell, *(f"{loss:.5f}" for loss in losses), *size, seconds))
        lines.append(("remembers nothing", *(f"{self.baseline:.5f}" for _ in settings.lags), "", "", "", ""))
        title = f"{settings.task}, test loss, {settings.budget}, init {settings.init}, seeds {_words(settings.seeds)}"
        return "\n".join([title, *aligned(lines, indent="")])

    def record(self) -> dict[str, Any]:
        """Everything as plain numbers and words, for a JSON file."""
        return {
            "settings": self.settings.model_dump(mode="json"),
            "baseline": self.baseline,
            "runs": [asdict(run) for run in self.runs],
        }


def measure(
    given: MemorySettings | Mapping[str, object],
    say: Callable[[str], None] | None = None,
    keep: Callable[[Run, Problem, Network], None] | None = None,
) -> Contest:
    """Train and test every cell at every lag; torch's global generator is seeded anew for every run.

    `say` receives one line per run, `keep` every trained network. Raises `SettingsError` for wrong settings.

    >>> found = measure({"lags": (8,), "cells": ("gru",), "steps": 3, "hidden_size": 4, "learning_rates": (0.01,)})
    >>> found.runs[0].num_parameters, found.runs[0].steps, round(found.baseline, 4)
    (101, 3, 0.1667)
    """
    settings = checked(given)
    problems = [PROBLEMS[settings.task](lag) for lag in sorted(settings.lags)]
    runs = []
    for cell in settings.cells:
        rate, first = _choose_rate(problems[0], cell, settings, say)
        for problem in problems:
            for seed in settings.seeds:
                known = problem is problems[0] and seed == settings.seeds[0]
                network, effort = first if known else _fit(problem, cell, settings, rate, seed)
                run = _tested(network, effort, problem, cell, rate, seed)
                runs.append(run)
                if say is not None:
                    say(f"{cell} lag {run.lag} seed {seed}: loss {run.loss:.5f}, {run.cpu_seconds:.0f} s")
                if keep is not None:
                    keep(run, problem, network)
    return Contest(settings, problems[0].baseline, tuple(runs))


def _choose_rate(
    problem: Problem, cell: str, settings: MemorySettings, say: Callable[[str], None] | None
) -> tuple[float, tuple[Network, Effort]]:
    """The rate with the lowest validation loss, and the network trained with it."""
    tried = []
    for rate in settings.learning_rates:
        network, effort = _fit(problem, cell, settings, rate, settings.seeds[0])
        tried.append((held_out_loss(network, problem, VALIDATION), rate, (network, effort)))
        if say is not None:
            say(f"{cell} lag {problem.lag} rate {rate:g}: validation loss {tried[-1][0]:.5f}")
    _, rate, fitted = min(tried, key=lambda one: one[:2])
    return rate, fitted


def _fit(
    problem: Problem, cell: str, settings: MemorySettings, rate: float, seed: int
) -> tuple[Network, Effort]:
    size = equal_size(problem, cell, settings.hidden_size)
    network = seeded(seed, problem, cell, size, settings.init)
    return network, train(network, problem, settings, learning_rate=rate, seed=seed)


def _tested(network: Network, effort: Effort, problem: Problem, cell: str, rate: float, seed: int) -> Run:
    loss = held_out_loss(network, problem, TEST)
    return Run(
        cell=cell,
        lag=problem.lag,
        seed=seed,
        hidden_size=network.recurrent_layers()["memory"].hidden_size,
        num_parameters=sum(parameter.numel() for parameter in network.parameters()),
        learning_rate=rate,
        loss=loss,
        share=loss / problem.baseline,
        steps=effort.steps,
        seconds=effort.seconds,
        cpu_seconds=effort.cpu_seconds,
        curve=effort.curve,
    )


def _words(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
