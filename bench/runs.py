"""What the measurements of several tasks share: runs that are kept, their spread, and settings of cells of equal parameters."""

from __future__ import annotations

import functools
import json
import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.record import commit, count_kept, cpu_seconds
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
            count_kept(before["run"])
            return dict(before["run"])
    run = measure()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"commit": now, "run": run}, indent=1) + "\n")
    return run


def kept_training(folder: Path, train: Callable[[bool], dict[str, Any]]) -> dict[str, Any]:
    """What `train(resume)`, which trains into `folder`, returned at this commit, and its processor seconds: from `took.json` in
    the folder, where that is there. A training that was cut off goes on, and what it cost is not known then; one of another
    commit begins anew.
    """
    took = folder / "took.json"

    def measure() -> dict[str, Any]:
        if took.is_file():
            shutil.rmtree(folder)
        resume, began = (folder / "config.yaml").is_file(), cpu_seconds()
        run = train(resume)
        return run if resume else {**run, "cpu_seconds": round(cpu_seconds() - began, 1)}

    return kept(took, measure)


def of_equal_parameters(learner: Any, settings: Any) -> Iterator[Any]:
    """The settings for every cell, each with as many parameters as the learner of `settings` has."""
    target = sum(parameter.numel() for parameter in learner.module.parameters())
    for cell in CELLS:
        hidden = hidden_for_parameters(functools.partial(learner.build, cell), target)
        yield settings.model_copy(update={"cell": cell, "hidden_size": hidden})
