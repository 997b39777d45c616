"""`--monitor`: gate statistics in metrics.csv, the picture of timescales, and no effect on the training."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy import ToyLearner, ToySettings, run

import congru
from congru.gates.monitor import LIMIT, QUESTION
from congru.train import estimate
from congru.train.folder import Metric, read_metrics
from congru.train.interrupt import TrainingInterrupted
from congru.train.loop import fit
from congru.train.resolve import resolve
from forecast_cases import STEPWISE, train, two_series

FAST: dict[str, Any] = {"learning_rate": 0.02, "quiet": True, "threads": 1, "evaluations": 4, "monitor": True}


def numbers(folder: Path) -> list[tuple[int, str, str, float]]:
    """The rows of metrics.csv without the time."""
    return [(r.step, r.split, r.name, r.value) for r in read_metrics(folder / "metrics.csv")]


def gate_rows(folder: Path, name: str) -> list[Metric]:
    return [r for r in read_metrics(folder / "metrics.csv") if (r.split, r.name) == ("gates", name)]


def assert_shown(folder: Path, evaluations: int) -> None:
    """One row of each statistic per evaluation, and the picture both as a file and in the report."""
    tau = gate_rows(folder, "tau_50")
    assert len(tau) == evaluations
    assert all(row.value > 0 for row in tau)
    for gate in ("keep", "reset"):
        for share in ("mean", "open", "closed"):
            assert all(0 <= row.value <= 1 for row in gate_rows(folder, f"{gate}_{share}"))
    for text in ((folder / "plots" / "timescales.svg").read_text(), (folder / "report.html").read_text()):
        assert QUESTION in text
        assert LIMIT[:40] in text


def test_each_evaluation_leaves_the_statistics_of_the_gates(tmp_path: Path) -> None:
    run(**FAST, steps=40, out=tmp_path / "run")
    assert_shown(tmp_path / "run", 5)
    assert [row.step for row in gate_rows(tmp_path / "run", "keep_mean")] == [0, 10, 20, 30, 40]
    assert len({row.value for row in gate_rows(tmp_path / "run", "keep_mean")}) == 5


def test_the_statistics_are_those_of_a_trace_of_the_probe(tmp_path: Path) -> None:
    settings, _ = resolve(ToySettings, {**FAST, "steps": 10, "out": tmp_path / "run"})
    learner = ToyLearner(settings)
    fit(learner, settings)
    trace = congru.inspect(learner.module["main"], learner.probe().input)
    last = {name: gate_rows(tmp_path / "run", name)[-1].value for name in ("tau_50", "keep_mean")}
    assert last["tau_50"] == pytest.approx(np.median(trace.timescales().tau))
    assert last["keep_mean"] == pytest.approx(trace.keep.mean(), rel=1e-6)


def test_monitoring_does_not_change_the_training(tmp_path: Path) -> None:
    run(**FAST, steps=30, out=tmp_path / "seen")
    run(**{**FAST, "monitor": False}, steps=30, out=tmp_path / "plain")
    assert not (tmp_path / "plain" / "plots" / "timescales.svg").exists()
    plain = numbers(tmp_path / "plain")
    assert [row for row in numbers(tmp_path / "seen") if row[1] != "gates"] == plain
    assert all(row[1] != "gates" for row in plain)


def test_a_run_that_was_stopped_and_continued_has_the_same_rows(tmp_path: Path) -> None:
    class StopsAt17(ToyLearner):
        def loss(self, networks: Any, batch: Any, carry: Any) -> Any:
            if self.seen == 17 + estimate.NUM_STEPS - 1:
                os.kill(os.getpid(), 2)
            return super().loss(networks, batch, carry)

    run(**FAST, steps=40, out=tmp_path / "whole")
    settings, origin = resolve(ToySettings, {**FAST, "steps": 40, "out": tmp_path / "run"})
    with pytest.raises(TrainingInterrupted):
        fit(StopsAt17(settings), settings, origin=origin)
    run(out=tmp_path / "run", resume=True, quiet=True)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")
    assert_shown(tmp_path / "run", 5)


@pytest.mark.parametrize(("cell", "gate"), [("lstm", "output"), ("rnn", "candidate")])
def test_other_cells_show_what_they_have(tmp_path: Path, cell: str, gate: str) -> None:
    run(**FAST, steps=20, cell=cell, out=tmp_path / "run")
    assert len(gate_rows(tmp_path / "run", f"{gate}_mean")) == 5
    assert bool(gate_rows(tmp_path / "run", "tau_50")) == (cell == "lstm")
    assert (tmp_path / "run" / "plots" / "timescales.svg").exists() == (cell == "lstm")


def test_the_text_task_is_monitored(tmp_path: Path) -> None:
    (tmp_path / "poem.txt").write_text("The fog comes on little cat feet.\n" * 40)
    small = {"hidden_size": 12, "batch_size": 4, "chunk": 12, "steps": 12, "evaluations": 2, "threads": 1}
    congru.tasks.text.train(
        tmp_path / "poem.txt", **small, num_layers=2, monitor=True, quiet=True, out=tmp_path / "run"
    )
    assert_shown(tmp_path / "run", 3)
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("settings", [{}, STEPWISE], ids=["segments", "streaming"])
def test_the_forecast_task_is_monitored(tmp_path: Path, settings: dict[str, Any]) -> None:
    train(two_series(), tmp_path, **settings, monitor=True, threads=1)
    assert_shown(tmp_path / "run", 3)
