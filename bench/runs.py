"""What the measurements of several tasks share: the spread over runs, and settings of cells with as many parameters."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from congru.train.compare import hidden_for_parameters

CELLS = ("gru", "lstm", "rnn")


def mean_and_spread(runs: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    """Mean and sample standard deviation over runs."""
    values = [run[key] for run in runs]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.fmean(values), 4), "deviation": round(deviation, 4)}


def of_equal_parameters(learner: Any, settings: Any) -> Iterator[Any]:
    """The settings for every cell, each with as many parameters as the learner of `settings` has."""
    target = sum(parameter.numel() for parameter in learner.module.parameters())
    for cell in CELLS:
        hidden = hidden_for_parameters(functools.partial(learner.build, cell), target)
        yield settings.model_copy(update={"cell": cell, "hidden_size": hidden})
