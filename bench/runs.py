"""What the measurements of several tasks share: runs that are kept, their spread, and settings of cells of equal parameters."""

from __future__ import annotations

import functools
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.record import commit
from congru.train.compare import hidden_for_parameters

CELLS = ("gru", "lstm", "rnn")


def mean_and_spread(runs: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    """Mean and sample standard deviation over runs."""
    values = [run[key] for run in runs]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.fmean(values), 4), "deviation": round(deviation, 4)}


def kept(path: Path | None, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `measure` returned at this commit, from the file where it is there: what was cut off begins with the next run.

    Without a path nothing is kept.
    """
    if path is None:
        return measure()
    now = commit()
    if path.is_file():
        before = json.loads(path.read_text())
        if before["commit"] == now:
            return dict(before["run"])
    run = measure()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"commit": now, "run": run}, indent=1) + "\n")
    return run


def of_equal_parameters(learner: Any, settings: Any) -> Iterator[Any]:
    """The settings for every cell, each with as many parameters as the learner of `settings` has."""
    target = sum(parameter.numel() for parameter in learner.module.parameters())
    for cell in CELLS:
        hidden = hidden_for_parameters(functools.partial(learner.build, cell), target)
        yield settings.model_copy(update={"cell": cell, "hidden_size": hidden})
