"""What the frame does for every learner: batches ahead, averages, frozen and slower weights, starts, the whole answer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy import ToyLearner, ToySettings, run

import congru
from congru.errors import DataError, RunFolderError, SettingsError
from congru.train import checkpoint, estimate
from congru.train.averaging import LastEvaluations, MovingAverage
from congru.train.base import Sample
from congru.train.batches import Batches
from congru.train.folder import read_metrics
from congru.train.interrupt import TrainingInterrupted
from congru.train.loop import fit
from congru.train.networks import Networks, Objective
from congru.train.resolve import resolve

FAST: dict[str, Any] = {"learning_rate": 0.02, "quiet": True, "threads": 1, "evaluations": 4}


def numbers(folder: Path) -> list[tuple[int, str, str, float]]:
    """The rows of metrics.csv without the time."""
    return [(r.step, r.split, r.name, r.value) for r in read_metrics(folder / "metrics.csv")]


def train(kind: type[ToyLearner], out: Path, **keywords: Any) -> ToyLearner:
    settings, origin = resolve(ToySettings, {**FAST, **keywords, "out": out})
    learner = kind(settings)
    fit(learner, settings, origin=origin)
    return learner


def mse_of(learner: ToyLearner) -> float:
    with torch.no_grad():
        return learner.metrics([learner.evaluate(learner.module.eval(), learner.validation_rows())])["mse"]


class StopsAt17(ToyLearner):
    """Asks for a stop, as Ctrl-C does, at step 17."""

    def loss(self, networks: Networks, batch: Any, carry: Any) -> Any:
        if self.seen == 17 + estimate.NUM_STEPS - 1:
            os.kill(os.getpid(), 2)
        return super().loss(networks, batch, carry)


# Batches


def test_workers_change_no_number_also_where_a_run_is_continued(tmp_path: Path) -> None:
    train(ToyLearner, tmp_path / "plain", steps=25)
    train(ToyLearner, tmp_path / "workers", steps=25, workers=2)
    assert numbers(tmp_path / "workers") == numbers(tmp_path / "plain")
    with pytest.raises(TrainingInterrupted):
        train(StopsAt17, tmp_path / "parts", steps=25, workers=2)
    run(out=tmp_path / "parts", resume=True, quiet=True, workers=1)
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "plain")


def test_batches_from_workers_come_in_order_from_any_start() -> None:
    learner = ToyLearner(ToySettings())
    plain, ahead = Batches(learner), Batches(learner, workers=2)
    for epoch, start in ((0, 0), (1, 0), (1, 4), (0, 8)):
        for one, other in zip(plain.epoch(epoch, start), ahead.epoch(epoch, start), strict=True):
            assert torch.equal(one["x"], other["x"])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_batch_is_its_own_line(workers: int) -> None:
    class Broken(ToyLearner):
        def batch(self, rows: Any) -> Any:
            raise DataError("clip.wav has no sound, expected some: leave it out")

    with pytest.raises(DataError) as caught:
        next(Batches(Broken(ToySettings()), workers=workers).epoch(0))
    assert str(caught.value) == "clip.wav has no sound, expected some: leave it out"


def test_a_worker_is_sent_no_networks() -> None:
    learner = ToyLearner(ToySettings())
    assert learner.module["main"] is not None
    assert "module" not in learner.__getstate__()


# Averages


def test_the_moving_average_is_its_formula() -> None:
    networks = Networks({"main": torch.nn.Linear(1, 1, bias=False)})
    weight = networks["main"].get_parameter("weight")
    with torch.no_grad():
        weight.fill_(1.0)
        average = MovingAverage(networks, decay=0.5)
        expected = 1.0
        for step, value in enumerate((3.0, 5.0, -2.0), start=1):
            weight.fill_(value)
            average.after_step(networks)
            decay = min(0.5, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * value
        with average.applied(networks):
            assert weight.item() == pytest.approx(expected, rel=1e-5)
    assert weight.item() == -2.0


def test_the_mean_of_the_last_evaluations() -> None:
    networks = Networks({"main": torch.nn.Linear(1, 1, bias=False)})
    weight = networks["main"].get_parameter("weight")
    average = LastEvaluations(2)
    for value in (1.0, 4.0, 6.0):
        with torch.no_grad():
            weight.fill_(value)
        average.before_evaluation(networks)
    with average.applied(networks):
        assert weight.item() == 5.0
    assert weight.item() == 6.0


@pytest.mark.parametrize("average", [{"ema": 0.9}, {"average": 3}])
def test_averaged_weights_are_evaluated_and_saved_and_go_on_exactly(
    tmp_path: Path, average: dict[str, Any]
) -> None:
    learner = train(ToyLearner, tmp_path / "whole", steps=40, **average)
    own = mse_of(learner)
    rows = {r.step: r.value for r in read_metrics(tmp_path / "whole" / "metrics.csv") if r.name == "mse"}
    assert rows[40] != own  # the average was evaluated, the learner has the weights themselves
    best = min(rows, key=lambda step: rows[step])
    assert best == 40
    saved = congru.load(tmp_path / "whole").weights
    learner.module.load_state_dict({name: torch.from_numpy(value) for name, value in saved.items()})
    assert mse_of(learner) == pytest.approx(rows[40], rel=1e-6)
    with pytest.raises(TrainingInterrupted):
        train(StopsAt17, tmp_path / "parts", steps=40, **average)
    run(out=tmp_path / "parts", resume=True, quiet=True)
    assert numbers(tmp_path / "parts") == numbers(tmp_path / "whole")


def test_one_average_at_most() -> None:
    with pytest.raises(
        SettingsError, match=r"ema is 0.9 and average is 3, expected one average: give only one"
    ):
        resolve(ToySettings, {"ema": 0.9, "average": 3})


# Which weights move, and where they start


def test_frozen_weights_stay_and_the_others_move(tmp_path: Path) -> None:
    before = ToyLearner(ToySettings()).module.state_dict()
    after = train(ToyLearner, tmp_path / "run", steps=3, freeze=["main.rnn.*"]).module.state_dict()
    for name, value in before.items():
        assert torch.equal(value, after[name]) == name.startswith("main.rnn.")


def test_freezing_nothing_or_everything_is_one_line() -> None:
    with pytest.raises(
        SettingsError, match=r"freeze holds 'main.embed.\*', expected a pattern of some of main.rnn"
    ):
        assert ToyLearner(ToySettings(freeze=("main.embed.*",))).module
    with pytest.raises(SettingsError, match="freeze leaves no parameter to train, expected some"):
        assert ToyLearner(ToySettings(freeze=("*",))).module


def test_a_task_may_slow_some_weights_down(tmp_path: Path) -> None:
    class SlowHead(ToyLearner):
        rate_factors = {"main.head.*": 1e-6}  # noqa: RUF012

    before = ToyLearner(ToySettings()).module.state_dict()
    plain = train(ToyLearner, tmp_path / "plain", steps=3).module.state_dict()
    slow = train(SlowHead, tmp_path / "slow", steps=3).module.state_dict()
    moved = {name: (slow[name] - before[name]).abs().max() for name in before}
    for name in before:
        reference = (plain[name] - before[name]).abs().max()
        assert (moved[name] < 1e-4 * reference) == name.startswith("main.head.")


def test_weights_start_where_the_settings_and_the_task_say() -> None:
    class FromElsewhere(ToyLearner):
        def start(self, networks: Networks) -> None:
            with torch.no_grad():
                networks.get_parameter("main.head.bias").fill_(7.0)

    learner = FromElsewhere(ToySettings(orthogonal=True, chrono=50))
    assert learner.module.get_parameter("main.head.bias").item() == 7.0
    for block in learner.module.get_parameter("main.rnn.weight_hh_l0").detach().split(6):
        torch.testing.assert_close(block @ block.T, torch.eye(6), atol=1e-5, rtol=0.0)
    keep = learner.module.get_parameter("main.rnn.bias_ih_l0")[6:12].exp()
    assert ((keep >= 1) & (keep <= 49)).all()
    assert keep.max() > 2


# Loss, evaluation, samples


def test_the_objective_runs_matrix_products_in_the_precision_asked_for() -> None:
    seen: list[torch.dtype] = []

    class Watched(ToyLearner):
        def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, Any, Any]:
            seen.append((batch["x"] @ torch.ones(1, 1)).dtype)
            return super().loss(networks, batch, carry)

    learner = Watched(ToySettings())
    for precision in ("float32", "bfloat16"):
        objective = Objective(learner.module, learner.loss, precision)
        _, _, carry = objective(next(Batches(learner).epoch(0)), None)
        assert not carry["rnn.h"].requires_grad
    assert seen == [torch.float32, torch.bfloat16]


def test_validation_rows_come_in_order_and_in_small_groups(tmp_path: Path) -> None:
    class ByThrees(ToyLearner):
        evaluation_batch = 3

        def evaluate(self, networks: Networks, rows: Any) -> Any:
            groups.append(list(rows))
            return super().evaluate(networks, rows)

    groups: list[list[int]] = []
    train(ByThrees, tmp_path / "threes", steps=2)
    train(ToyLearner, tmp_path / "whole", steps=2)
    assert groups[:2] == [[0, 1, 2], [3]]
    for row, other in zip(numbers(tmp_path / "threes"), numbers(tmp_path / "whole")):
        assert row[3] == pytest.approx(other[3], rel=1e-5)


def test_a_second_metric_decides_where_the_first_is_equal(tmp_path: Path) -> None:
    class Tied(ToyLearner):
        def __init__(self, settings: ToySettings) -> None:
            super().__init__(settings)
            self.nats = iter([3.0, 1.0, 2.0, 1.0])

        def metrics(self, parts: Any) -> dict[str, float]:
            return {"mse": 0.5, "nats": next(self.nats)}

    class Decided(Tied):
        tie_metric = "nats"

    for learner, best in ((Tied, 0), (Decided, 2)):
        train(learner, tmp_path / learner.__name__, steps=6, evaluations=3)
        status = json.loads((tmp_path / learner.__name__ / "status.json").read_text())
        assert (status["best"], status["best_step"]) == (0.5, best)


def test_samples_are_text_and_files_and_may_be_left_out(tmp_path: Path) -> None:
    class Silent(ToyLearner):
        def sample(self, networks: Networks) -> Sample | None:
            return None

    train(ToyLearner, tmp_path / "run", steps=2, evaluations=1)
    names = sorted(os.listdir(tmp_path / "run" / "samples"))
    assert names == [f"step-000000{step}{end}" for step in (0, 2) for end in ("-numbers.json", ".txt")]
    train(Silent, tmp_path / "silent", steps=2)
    assert not (tmp_path / "silent" / "samples").exists()


def test_a_result_stands_for_its_run_folder(tmp_path: Path) -> None:
    result = run(**FAST, steps=2, out=tmp_path / "run")
    assert os.fspath(result) == str(tmp_path / "run")
    assert np.array_equal(
        congru.load(result).run(np.ones((1, 2, 1)))[0],
        congru.load(result.model_folder).run(np.ones((1, 2, 1)))[0],
    )  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="the result is of a dry run, expected a run folder"):
        os.fspath(run(**FAST, steps=2, dry_run=True))


class Taught(ToyLearner):
    """Has a second network that only its loss uses."""

    teachers = ("teacher",)

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        head = {"type": "linear", "name": "out", "size": 1}
        teacher = {"inputs": {"x": {"features": 1}}, "nodes": [head], "outputs": ["out"]}
        return {**super().networks(cell, hidden_size), "teacher": teacher}

    def loss(self, networks: Networks, batch: Any, carry: Any) -> Any:
        total, count, carry = super().loss(networks, batch, carry)
        return total + (networks["teacher"](torch.ones(1, 1, 1))[0] - 1).square().sum(), count, carry


def test_a_teacher_is_trained_and_not_saved(tmp_path: Path) -> None:
    learner = train(Taught, tmp_path / "run", steps=30)
    start = Taught(learner.settings).module.get_parameter("teacher.out.weight")
    assert not torch.equal(learner.module.get_parameter("teacher.out.weight"), start)
    model = congru.load(tmp_path / "run")
    assert list(model.networks) == ["main"]
    assert not [name for name in model.weights if name.startswith("teacher")]


def test_a_checkpoint_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    run(**FAST, steps=2, out=tmp_path / "run")
    path = tmp_path / "run" / "last" / checkpoint.FILE
    path.write_bytes(path.read_bytes().replace(b'"version":"3"', b'"version":"1"'))
    with pytest.raises(RunFolderError, match="is not a checkpoint of version 3: start another run"):
        run(out=tmp_path / "run", resume=True, quiet=True)
