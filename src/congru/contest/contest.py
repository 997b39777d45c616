"""Who still learns at which lag: every cell at equal parameters, with the same sequences and the same budget.

The learning rate of a cell is the one of `learning_rates` with the lowest loss on validation sequences at the shortest
lag, with the first seed; it serves all lags and seeds. The figures are losses on test sequences, beside the loss of who
remembers nothing, and what training took.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from congru.contest.adding import Adding
from congru.contest.copying import Copying
from congru.contest.learner import TEST, VALIDATION, MemoryLearner, RunSettings
from congru.contest.network import equal_size
from congru.contest.problem import Problem
from congru.contest.settings import DEFAULT_STEPS, MemorySettings, checked
from congru.nn import Network
from congru.report.table import Cell, text_table
from congru.train.folder import read_metrics
from congru.train.loop import RunResult, fit

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


class Fitted(NamedTuple):
    """A learner after its training, what that came to, and the training loss on the way (step, mean since the last)."""

    learner: MemoryLearner
    result: RunResult
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
        lines: list[tuple[Cell, ...]] = []
        for cell in settings.cells:
            runs = [run for run in self.runs if run.cell == cell]
            losses = [statistics.median(run.loss for run in self.of(cell, lag)) for lag in settings.lags]
            size = (runs[0].num_parameters, runs[0].hidden_size, f"{runs[0].learning_rate:g}")
            lines.append((cell, *losses, *size, round(sum(run.cpu_seconds for run in runs))))
        nothing = [self.baseline] * len(settings.lags)
        lines.append(("remembers nothing", *nothing, None, None, "", None))
        title = f"{settings.task}, test loss, {settings.budget}, init {settings.init}, seeds {_words(settings.seeds)}"
        return f"{title}\n{text_table(lines, header, decimals=5)}"

    def record(self) -> dict[str, Any]:
        """Everything as plain numbers and words, for a JSON file."""
        return {
            "settings": self.settings.model_dump(mode="json"),
            "baseline": self.baseline,
            "runs": [asdict(run) for run in self.runs],
        }


def measure(
    settings: MemorySettings | Mapping[str, object],
    say: Callable[[str], None] | None = None,
    keep: Callable[[Run, Problem, Network], None] | None = None,
) -> Contest:
    """Train and test every cell at every lag; torch's global generator is seeded anew for every run.

    `say` receives one line per run, `keep` every trained network. Raises `SettingsError` for wrong settings.

    >>> contest = measure({"lags": (8,), "cells": ("gru",), "steps": 3, "hidden_size": 4, "learning_rates": (0.01,)})
    >>> contest.runs[0].num_parameters, contest.runs[0].steps, round(contest.baseline, 4)
    (101, 3, 0.1667)
    """
    settings = checked(settings)
    problems = [PROBLEMS[settings.task](lag) for lag in sorted(settings.lags)]
    runs = []
    for cell in settings.cells:
        rate, first = _choose_rate(problems[0], cell, settings, say)
        for problem in problems:
            for seed in settings.seeds:
                known = problem is problems[0] and seed == settings.seeds[0]
                fitted = first if known else _fit(problem, cell, settings, rate, seed)
                run = _tested(fitted)
                runs.append(run)
                if say is not None:
                    say(f"{cell} lag {run.lag} seed {seed}: loss {run.loss:.5f}, {run.cpu_seconds:.0f} s")
                if keep is not None:
                    keep(run, problem, fitted.learner.network)
    return Contest(settings, problems[0].baseline, tuple(runs))


def _choose_rate(
    problem: Problem, cell: str, settings: MemorySettings, say: Callable[[str], None] | None
) -> tuple[float, Fitted]:
    """The rate with the lowest validation loss, and what was trained with it."""
    tried = []
    for rate in settings.learning_rates:
        fitted = _fit(problem, cell, settings, rate, settings.seeds[0])
        tried.append((fitted.learner.held_out_loss(VALIDATION), rate, fitted))
        if say is not None:
            say(f"{cell} lag {problem.lag} rate {rate:g}: validation loss {tried[-1][0]:.5f}")
    _, rate, fitted = min(tried, key=lambda one: one[:2])
    return rate, fitted


def _fit(problem: Problem, cell: str, settings: MemorySettings, rate: float, seed: int) -> Fitted:
    """Train one network; its run folder is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        own = RunSettings.model_validate(
            {
                "cell": cell,
                "hidden_size": equal_size(problem, cell, settings.hidden_size),
                "chrono": problem.lag if settings.init == "chrono" else None,
                "learning_rate": rate,
                "batch_size": settings.batch_size,
                "write_cost": settings.write_cost,
                "steps": None if settings.minutes else settings.steps or DEFAULT_STEPS,
                "minutes": settings.minutes,
                "seed": seed,
                "device": "cpu",
                "out": Path(folder, "run"),
                "quiet": True,
            }
        )
        learner, before = MemoryLearner(problem, own), time.process_time()
        result = fit(learner, own)
        cpu_seconds = time.process_time() - before
        rows = read_metrics(Path(folder, "run", "metrics.csv"))
    curve = tuple((row.step, row.value) for row in rows if (row.split, row.name) == ("train", "loss"))
    return Fitted(learner, result, cpu_seconds, curve)


def _tested(fitted: Fitted) -> Run:
    """What a trained network reaches on the test sequences."""
    learner, settings = fitted.learner, fitted.learner.settings
    loss = learner.held_out_loss(TEST)
    return Run(
        cell=settings.cell,
        lag=learner.problem.lag,
        seed=settings.seed,
        hidden_size=settings.hidden_size,
        num_parameters=fitted.result.num_parameters,
        learning_rate=settings.learning_rate,
        loss=loss,
        share=loss / learner.problem.baseline,
        steps=fitted.result.steps,
        seconds=fitted.result.seconds,
        cpu_seconds=fitted.cpu_seconds,
        curve=fitted.curve,
    )


def _words(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
