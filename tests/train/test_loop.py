"""The loop in one process: what it writes, when it stops, and that going on equals never having stopped."""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from toy import ToyLearner, ToySettings, run

import congru
from congru.errors import RunFolderError, TrainingError
from congru.report.page import Section
from congru.train import checkpoint, estimate, loop, trainer
from congru.train.folder import Metric, read_metrics
from congru.train.interrupt import TrainingInterrupted
from congru.train.loop import fit
from congru.train.resolve import resolve
from congru.train.schedule import Clock

FAST = {"learning_rate": 0.02, "quiet": True, "threads": 1, "evaluations": 4}


def numbers(folder: Path) -> list[tuple[int, str, str, float]]:
    """The rows of metrics.csv without the time."""
    return [(r.step, r.split, r.name, r.value) for r in read_metrics(folder / "metrics.csv")]


def rows_of(folder: Path, split: str, name: str) -> list[Metric]:
    return [r for r in read_metrics(folder / "metrics.csv") if (r.split, r.name) == (split, name)]


class StopsAt(ToyLearner):
    """Asks for a stop, as Ctrl-C does, at a step of the training."""

    def __init__(self, settings: ToySettings, stop_at: int, **keywords: Any) -> None:
        super().__init__(settings, **keywords)
        self.stop_at = stop_at

    def loss(self, networks: Any, batch: Any, carry: Any) -> Any:
        if self.seen == self.stop_at + estimate.NUM_STEPS - 1:
            os.kill(os.getpid(), 2)
        return super().loss(networks, batch, carry)


def stopped_at(step: int, **keywords: object) -> None:
    settings, origin = resolve(ToySettings, keywords)
    with pytest.raises(TrainingInterrupted):
        fit(StopsAt(settings, step), settings, origin=origin)


def test_a_run_learns_and_leaves_a_whole_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    chapter = Section("Gates", "<p>a chapter of another part</p>")
    settings, origin = resolve(ToySettings, {**FAST, "steps": 300, "out": out})
    learner = ToyLearner(settings)
    result = fit(learner, settings, origin=origin, sections=[lambda folder: chapter])
    assert result.status == "finished"
    assert result.best is not None
    assert result.best < min(result.baselines.values())
    assert (result.steps, result.folder, result.model_folder) == (300, out, out / "model")
    assert result.num_parameters == sum(p.numel() for p in learner.module.parameters())
    names = "config.yaml data.json env.json last log.txt metrics.csv model plots report.html samples"
    assert sorted(os.listdir(out)) == [*names.split(), "status.json"]
    status = json.loads((out / "status.json").read_text())
    assert (status["state"], status["step"], status["best"]) == ("finished", 300, result.best)
    assert yaml.safe_load((out / "config.yaml").read_text())["steps"] == 300
    assert json.loads((out / "data.json").read_text())["train"] == 32
    assert sorted(os.listdir(out / "samples")) == [
        f"step-{s:07d}{end}" for s in (0, 75, 150, 225, 300) for end in ("-numbers.json", ".txt")
    ]
    assert "a chapter of another part" in (out / "report.html").read_text()
    environment = (out / "env.json").read_text()
    assert json.loads(environment)["threads"] == 1
    assert str(Path.home()) not in environment + (out / "log.txt").read_text()
    validation = rows_of(out, "validation", "mse")
    assert [row.step for row in validation] == [0, 75, 150, 225, 300]
    assert result.best == min(row.value for row in validation)
    card = (out / "model" / "README.md").read_text()
    assert f"| this model | {result.best:.6g} |" in card
    assert f"Step {result.best_step}" in card or f"{result.best_step} steps" in card
    assert congru.load(out).num_parameters == result.num_parameters


def test_the_learning_rate_follows_the_schedule(tmp_path: Path) -> None:
    run(**FAST, steps=20, warmup=0.2, out=tmp_path / "run")
    rates = [row.value for row in rows_of(tmp_path / "run", "train", "learning_rate")]
    assert rates[0] == pytest.approx(0.01 * 0.02)
    assert rates[4] == 0.02
    assert 0 < rates[-1] < 0.02 * 0.01


def test_epochs_are_steps_and_the_carry_starts_anew_in_each(tmp_path: Path) -> None:
    carries: list[bool] = []

    class Watched(ToyLearner):
        def loss(self, networks: Any, batch: Any, carry: Any) -> Any:
            assert carry is None or not carry["rnn.h"].requires_grad
            carries.append(carry is not None)
            return super().loss(networks, batch, carry)

    settings, _ = resolve(ToySettings, {**FAST, "epochs": 3, "out": tmp_path / "epochs"})
    fit(Watched(settings), settings)
    assert carries[estimate.NUM_STEPS :] == [False, *[True] * 9] * 3
    run(**FAST, steps=30, out=tmp_path / "steps")
    assert numbers(tmp_path / "epochs") == numbers(tmp_path / "steps")


def test_trial_steps_evaluations_and_samples_do_not_change_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(**FAST, steps=25, out=tmp_path / "a")
    monkeypatch.setattr(estimate, "NUM_STEPS", 1)
    run(**{**FAST, "evaluations": 9}, steps=25, out=tmp_path / "b")
    losses = [[row.value for row in rows_of(tmp_path / x, "train", "loss")] for x in "ab"]
    assert len(losses[0]) == 25
    assert losses[0] == losses[1]


def test_what_was_drawn_before_does_not_reach_the_training(tmp_path: Path) -> None:
    for name, num_drawn in (("a", 0), ("b", 7)):
        settings, _ = resolve(ToySettings, {**FAST, "steps": 8, "out": tmp_path / name})
        learner = ToyLearner(settings)
        torch.rand(num_drawn)
        fit(learner, settings)
    assert numbers(tmp_path / "a") == numbers(tmp_path / "b")


class Timed(StopsAt):
    """On a clock of its own a step takes 0.125 s and an evaluation 0.5 s."""

    now = 0.0

    def loss(self, networks: Any, batch: Any, carry: Any) -> Any:
        Timed.now += 0.125
        return super().loss(networks, batch, carry)

    def metrics(self, parts: Any) -> dict[str, float]:
        Timed.now += 0.5
        return super().metrics(parts)


@pytest.fixture
def own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "Clock", functools.partial(Clock, now=lambda: Timed.now))
    # The trial steps too: their time decides how many steps a row of metrics.csv stands for.
    monkeypatch.setattr(estimate, "time", SimpleNamespace(perf_counter=lambda: Timed.now))


@pytest.mark.usefixtures("own_clock")
def test_a_budget_in_minutes_ends_on_time_with_the_schedule_at_zero(tmp_path: Path) -> None:
    settings, _ = resolve(ToySettings, {**FAST, "minutes": 0.25, "out": tmp_path / "run"})
    result = fit(Timed(settings, stop_at=10**6), settings)
    assert result.seconds == 15.0
    evaluated = [(row.step, row.time) for row in rows_of(tmp_path / "run", "validation", "mse")]
    assert evaluated == [(0, 0.0), (30, 4.25), (60, 8.5), (90, 12.75), (100, 14.5)]
    assert result.steps == 100
    rates = [row.value for row in rows_of(tmp_path / "run", "train", "learning_rate")]
    assert rates[-1] < 0.02 * 0.01 < max(rates)


@pytest.mark.usefixtures("own_clock")
def test_a_resumed_run_in_minutes_has_only_the_remaining_time(tmp_path: Path) -> None:
    for name, stop_at in (("whole", 10**6), ("parts", 47)):
        settings, _ = resolve(ToySettings, {**FAST, "minutes": 0.25, "out": tmp_path / name})
        with contextlib.suppress(TrainingInterrupted):
            fit(Timed(settings, stop_at), settings)
    assert checkpoint.load(tmp_path / "parts" / "last")["state"]["seconds"] == 0.5 + 47 * 0.125 + 0.5
    settings, _ = resolve(ToySettings, {"out": tmp_path / "parts", "resume": True, "quiet": True})
    assert fit(Timed(settings, stop_at=10**6), settings).seconds == 15.0
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")


def test_early_stop_waits_for_patience(tmp_path: Path) -> None:
    keywords = {**FAST, "learning_rate": 1e-12, "steps": 100, "evaluations": 20}
    result = run(**keywords, patience=3, out=tmp_path / "run")
    values = [row.value for row in rows_of(tmp_path / "run", "validation", "mse")]
    assert result.status == "early stop"
    assert result.steps == 5 * (len(values) - 1) < 100
    assert values.index(min(values)) == len(values) - 4
    assert json.loads((tmp_path / "run" / "status.json").read_text())["reason"] == "early stop"


def test_a_larger_metric_may_be_the_better_one(tmp_path: Path) -> None:
    class Larger(ToyLearner):
        metric = "accuracy"
        minimize = False

        def metrics(self, parts: Any) -> dict[str, float]:
            return {"accuracy": -super().metrics(parts)["mse"]}

    settings, _ = resolve(ToySettings, {**FAST, "steps": 40, "out": tmp_path / "run"})
    result = fit(Larger(settings), settings)
    assert result.best == max(row.value for row in rows_of(tmp_path / "run", "validation", "accuracy"))


@pytest.mark.parametrize("step", [1, 17, 20])
def test_an_interrupted_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path, step: int) -> None:
    run(**FAST, steps=40, out=tmp_path / "whole")
    stopped_at(step, **FAST, steps=40, out=tmp_path / "parts")
    status = json.loads((tmp_path / "parts" / "status.json").read_text())
    assert (status["state"], status["step"]) == ("interrupted", step)
    result = run(out=tmp_path / "parts", resume=True, quiet=True)
    assert result.status == "finished"
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")
    whole, parts = (checkpoint.load(tmp_path / name / "last") for name in ("whole", "parts"))
    for name, weight in whole["networks"].items():
        assert torch.equal(weight, parts["networks"][name])


def test_rows_of_several_steps_are_continued_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ROWS_PER_RUN", 5)
    run(**FAST, steps=40, out=tmp_path / "whole")
    stopped_at(13, **FAST, steps=40, out=tmp_path / "parts")
    run(out=tmp_path / "parts", resume=True, quiet=True)
    assert [row[0] for row in numbers(tmp_path / "whole") if row[2] == "loss"] == [8, 16, 24, 32, 40]
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")


def test_resuming_a_finished_run_changes_nothing_and_more_steps_go_on(tmp_path: Path) -> None:
    run(**FAST, steps=10, out=tmp_path / "run")
    before = numbers(tmp_path / "run")
    assert run(out=tmp_path / "run", resume=True, quiet=True).steps == 10
    assert numbers(tmp_path / "run") == before
    assert run(out=tmp_path / "run", resume=True, quiet=True, steps=20).steps == 20
    assert numbers(tmp_path / "run")[: len(before)] == before


def test_a_start_that_failed_before_its_first_checkpoint_can_be_resumed(tmp_path: Path) -> None:
    run(**FAST, steps=10, out=tmp_path / "whole")
    run(**FAST, steps=10, out=tmp_path / "run")
    (tmp_path / "run" / "last" / "checkpoint.safetensors").unlink()
    run(out=tmp_path / "run", resume=True, quiet=True)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")


def test_nan_stops_with_one_line_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(TrainingError) as caught:
        run(**FAST, steps=40, nan_at=15, out=out)
    assert str(caught.value) == (
        "loss is nan at step 15, expected a finite number: lower --learning-rate (now 0.02), "
        f"or look for such values in the data; the last good checkpoint is {out}/last"
    )
    assert checkpoint.load(out / "last")["state"]["step"] == 10
    status = json.loads((out / "status.json").read_text())
    assert status["state"] == "failed"
    assert status["error"] == str(caught.value)
    with pytest.raises(TrainingError, match="or set --clip 1, or look for"):
        run(**{**FAST, "clip": None}, steps=40, nan_at=15, out=tmp_path / "free")


def test_infinite_gradients_and_validation_values_stop_too(tmp_path: Path) -> None:
    class Steep(ToyLearner):
        def loss(self, networks: Any, batch: Any, carry: Any) -> Any:
            value, count, carry = super().loss(networks, batch, carry)
            return value + (value * 0.0).sqrt() if self.seen > 9 else value, count, carry

    class Blind(ToyLearner):
        def metrics(self, parts: Any) -> dict[str, float]:
            return {"mse": float("nan")}

    cases = [(Steep, "gradient norm is nan at step 7"), (Blind, "validation mse is nan")]
    for number, (kind, expected) in enumerate(cases):
        settings, _ = resolve(ToySettings, {**FAST, "steps": 40, "out": tmp_path / str(number)})
        with pytest.raises(TrainingError, match=expected):
            fit(kind(settings), settings)


def test_a_full_disk_in_the_middle_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(**FAST, steps=40, out=tmp_path / "whole")
    whole_fsync, calls = os.fsync, itertools.count()

    def fsync(handle: int) -> None:
        if "checkpoint" in os.readlink(f"/proc/self/fd/{handle}") and next(calls) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole_fsync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RunFolderError, match=r"no space left on device.*free some space, then continue"):
        run(**FAST, steps=40, out=tmp_path / "run")
    monkeypatch.undo()
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"
    run(out=tmp_path / "run", resume=True, quiet=True)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")


def test_a_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(dry_run=True, steps=5)
    assert (result.status, result.folder, result.model_folder, result.steps) == ("dry run", None, None, 0)
    assert os.listdir(tmp_path) == []
    printed = capsys.readouterr().out
    for word in (
        "parameters  169",
        "memory",
        "train      32",
        "last value",
        "about 5 steps",
        "steps    5     (keyword)",
    ):
        assert word in printed


def test_without_out_a_numbered_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(**FAST, steps=2).folder == Path("runs/toy-1")
    assert run(**FAST, steps=2).folder == Path("runs/toy-2")


def test_a_folder_in_use_and_other_data_are_refused_before_anything_changes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(**FAST, steps=4, out=out)
    before = (out / "metrics.csv").read_bytes()
    with pytest.raises(RunFolderError, match="continue that run with --resume, or choose another --out"):
        run(**FAST, steps=4, out=out)
    with pytest.raises(RunFolderError, match=r"steps per epoch is 7, but the run in .* was started with 10"):
        run(steps_per_epoch=7, quiet=True, out=out, resume=True)
    settings, _ = resolve(ToySettings, {"out": out, "resume": True, "quiet": True})
    learner = ToyLearner(settings)
    learner.module = learner.build("gru", 7)
    with pytest.raises(RunFolderError, match="has a model of other sizes, expected the same settings"):
        fit(learner, settings)
    learner.describe = lambda: {**ToyLearner.describe(learner), "train": 31}  # type: ignore[method-assign]
    with pytest.raises(RunFolderError, match="data: train is not what the run in"):
        fit(learner, settings)
    assert (out / "metrics.csv").read_bytes() == before


def test_an_epoch_with_too_few_rows_is_refused(tmp_path: Path) -> None:
    class Short(ToyLearner):
        def rows(self, epoch: int) -> Any:
            return super().rows(epoch)[:319]

    settings, _ = resolve(ToySettings, {**FAST, "epochs": 2, "out": tmp_path / "run"})
    with pytest.raises(TrainingError) as caught:
        fit(Short(settings), settings)
    assert str(caught.value) == (
        "epoch 0 has 319 rows, expected at least 320 (steps_per_epoch * batch_size): correct the learner of toy"
    )


def test_no_batches_at_all_are_refused(tmp_path: Path) -> None:
    settings, _ = resolve(ToySettings, {**FAST, "epochs": 2, "out": tmp_path / "run"})
    with pytest.raises(TrainingError) as caught:
        fit(ToyLearner(settings, steps_per_epoch=0), settings)
    assert str(caught.value) == (
        "epoch 0 has no batches, expected some: give more data or a smaller --batch-size"
    )
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    class Full(ToyLearner):
        def files(self, parts: Any) -> dict[str, bytes]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    settings, _ = resolve(ToySettings, {**FAST, "steps": 2, "out": tmp_path / "run"})
    with pytest.raises(RunFolderError, match=r"model cannot be written .no space left on device.* free some"):
        fit(Full(settings), settings)
