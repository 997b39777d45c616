"""Batches made ahead of time in processes that are started anew, as on macOS and Windows: the learner is sent there, pickled."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract_cases import CASES

from congru.tasks.registry import TASKS
from congru.train import batches
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


def test_spawned_workers_change_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "START_METHOD", "spawn")
    learner = learner_of("forecast", tmp_path)
    before = torch.get_rng_state().numpy().copy()
    ahead = batches.Batches(learner, workers=1).epoch(0)
    plain = batches.Batches(learner).epoch(0)
    for _ in range(min(3, learner.steps_per_epoch)):
        assert same(next(ahead), next(plain))
    np.testing.assert_array_equal(torch.get_rng_state().numpy(), before)
