"""Every learner's loss and evaluation on "meta", which joins no other device: what is left on the CPU would break on a card."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from contract_cases import CASES

from congru.tasks import TASKS
from congru.train.batches import Batches

# Of a result that is read at the end, as it must be.
READ = r"^(Cannot copy out of meta tensor|Tensor\.item\(\) cannot be called on meta tensors)"


@pytest.fixture(autouse=True)
def without_what_meta_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast, and the loss of CTC, are not made for it."""
    monkeypatch.setattr(torch, "autocast", lambda *settings, **keywords: nullcontext())
    monkeypatch.setattr(torch.nn.functional, "ctc_loss", lambda log_p, *others, **keywords: log_p.sum((0, 2)))


@pytest.mark.parametrize("key", sorted(CASES))
def test_training_and_evaluation_stay_on_one_device(key: str, tmp_path: Path) -> None:
    task, case = TASKS[key.split()[0]], CASES[key]
    settings: dict[str, Any] = {**case.settings, "steps": 2, "threads": 1, "quiet": True}
    data = case.data(tmp_path)
    learner = task.make_learner(*data, settings=task.settings(**settings))
    networks = learner.module.to("meta")
    batch = learner.tensors(next(iter(Batches(learner).epoch(0))), networks)
    total, _, _ = learner.loss(networks, batch, None)
    assert total.is_meta
    total.backward()
    with torch.no_grad(), pytest.raises((NotImplementedError, RuntimeError), match=READ):
        learner.evaluate(networks.eval(), learner.validation_rows()[:1])
