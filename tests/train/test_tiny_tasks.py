"""The frame holds three kinds of tasks: they learn, answer without torch as in training, and share out their work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors
from tiny import LEARNERS, Settings, run

import congru
from congru.errors import ModelFolderError, SettingsError
from congru.runtime.answer import ANSWER, check_answer
from congru.train.folder import read_metrics
from congru.train.summary import RunResult

FAST: dict[str, Any] = {"quiet": True, "threads": 1, "evaluations": 2}
# Largest difference of any row between 2 x half the batch and the whole batch over 20 seeds, times 4.
SPLIT_TOLERANCE = 4 * 8.4e-7


@pytest.fixture(scope="module", params=LEARNERS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(request.param, steps=250, out=tmp_path_factory.mktemp(request.param) / "run", **FAST)


def test_it_learns(trained: RunResult) -> None:
    rows = [row for row in read_metrics(trained.folder / "metrics.csv") if row.split == "validation"]  # type: ignore[operator]
    first = next(row.value for row in rows if row.name == trained.metric)
    assert trained.best is not None
    assert trained.best < 0.5 * first


def test_the_whole_answer_is_replayed_without_torch(trained: RunResult) -> None:
    model = congru.load(trained)
    reply = LEARNERS[model.task].reply
    check_answer(model.files[ANSWER], lambda inputs: reply(model, inputs), model.folder)
    tensors = parse_tensors(model.files[ANSWER])
    for name in [name for name in tensors if name.startswith("output.")]:
        changed = format_tensors({**tensors, name: np.asarray(tensors[name] * 1.01 + 0.01, np.float64)})
        with pytest.raises(ModelFolderError, match=rf"the answer '{name.removeprefix('output.')}' is off by"):
            check_answer(changed, lambda inputs: reply(model, inputs), model.folder)


def test_weights_of_the_task_lie_beside_the_networks(tmp_path: Path) -> None:
    model = congru.load(run("rules", steps=3, out=tmp_path / "run", **FAST))
    assert set(model.task_weights) == {"prior"}
    assert np.abs(model.task_weights["prior"]).max() > 0
    assert (tmp_path / "run" / "samples" / "step-0000003-board.svg").read_bytes() == b"<svg></svg>"


def test_several_networks_stand_in_one_folder(tmp_path: Path) -> None:
    model = congru.load(run("reverse", steps=2, out=tmp_path / "run", **FAST))
    assert set(model.networks) == {"encoder", "decoder"}


def test_gates_of_a_named_network_are_monitored(tmp_path: Path) -> None:
    run("beeps", steps=2, out=tmp_path / "run", monitor=True, **FAST)
    assert any(row.split == "gates" for row in read_metrics(tmp_path / "run" / "metrics.csv"))
    with pytest.raises(
        SettingsError, match="monitor is True, expected False for the task rules, which has no"
    ):
        run("rules", steps=2, out=tmp_path / "other", monitor=True, **FAST)


@pytest.mark.parametrize("name", ["reverse", "rules"])
def test_two_processes_with_unequal_counts_have_one_objective(name: str, tmp_path: Path) -> None:
    """Sequences of unequal length: the mean over all rows is not the mean of the processes' means."""
    run(name, steps=12, out=tmp_path / "one", **FAST)
    command = [sys.executable, Path(__file__).with_name("tiny.py"), name, "--steps=12", "--evaluations=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
    flags = ["--quiet", "--threads=1", "--devices=2", f"--out={tmp_path / 'two'}"]
    done = subprocess.run([*command, *flags], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    one, two = (read_metrics(tmp_path / folder / "metrics.csv") for folder in ("one", "two"))
    assert [row[:1] + row[2:4] for row in one] == [row[:1] + row[2:4] for row in two]
    for row, other in zip(one, two):
        assert other.value == pytest.approx(row.value, abs=SPLIT_TOLERANCE), row


def test_first_weights_are_the_same_in_every_build() -> None:
    states = [LEARNERS["reverse"](Settings(seed=3)).module.state_dict() for _ in range(2)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
