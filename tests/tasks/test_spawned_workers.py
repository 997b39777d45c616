"""The learner of every task sent to other processes: workers that are started anew, and the other processes of a training."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract_cases import CASES

from congru.tasks.registry import TASKS
from congru.train import batches, sharing
from congru.train.nests import to_tensors, tree_map


def learner_of(name: str, folder: Path) -> Any:
    case, task = CASES[name], TASKS[name.split()[0]]
    settings = task.settings(**case.settings, steps=2)
    return task.make_learner(*case.data(folder), settings=settings)


def tensors(batch: Any) -> list[torch.Tensor]:
    """The tensors of a batch, in order."""
    leaves: list[torch.Tensor] = []
    tree_map(lambda tensor: leaves.append(tensor), batch)
    assert leaves
    return leaves


def same(one: Any, other: Any) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_the_learner_of_every_task_makes_the_same_batches_after_a_journey(name: str, tmp_path: Path) -> None:
    steps = batches._Steps(learner_of(name, tmp_path), 0, 1)
    again = pickle.loads(pickle.dumps(steps))
    for position in ((0, 0), (1, 0)):
        assert same(to_tensors(steps.make(*position)), to_tensors(again.make(*position)))


@pytest.mark.parametrize("name", CASES)
def test_a_learner_over_the_file_of_the_first_process_trains_and_scores_alike(
    name: str, tmp_path: Path
) -> None:
    learner = learner_of(name, tmp_path)
    with open(tmp_path / "learner", "wb") as file:
        sharing.write_learner(learner, file)
        file.write(bytes(sharing._MARK_SIZE))
    again = sharing.read_learner(tmp_path / "learner")
    assert again.describe() == learner.describe()
    assert dict(again.baselines) == dict(learner.baselines)
    batch, other = (batches._Steps(one, 0, 1).make(0, 0) for one in (learner, again))
    assert same(to_tensors(batch), to_tensors(other))
    for one in (learner, again):
        torch.manual_seed(0)
        total, _, _ = one.loss(one.module, one.tensors(batch, one.module), None)
        total.backward()
    for weight, its in zip(learner.module.parameters(), again.module.parameters(), strict=True):
        np.testing.assert_array_equal(weight.grad, its.grad)
    rows = learner.validation_rows()
    with torch.no_grad():
        parts = [one.evaluate(one.module.eval(), rows[: one.evaluation_batch]) for one in (learner, again)]
    np.testing.assert_equal(parts[1], parts[0])


def test_spawned_workers_change_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "START_METHOD", "spawn")
    learner = learner_of("forecast", tmp_path)
    before = torch.get_rng_state().numpy().copy()
    ahead = batches.Batches(learner, workers=1).epoch(0)
    plain = batches.Batches(learner).epoch(0)
    for _ in range(min(3, learner.steps_per_epoch)):
        assert same(next(ahead), next(plain))
    np.testing.assert_array_equal(torch.get_rng_state().numpy(), before)
