"""What is refused before processes are started; what several processes do is in test_processes.py."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor
from toy import ToyLearner, ToySettings

from congru.errors import SettingsError
from congru.train import devices
from congru.train.devices import (
    has_unused_parameters,
    is_rank_zero,
    num_processes,
    open_fabric,
    raise_on_rank_zero,
)
from congru.train.events import Summary
from congru.train.interrupt import TrainingInterrupted
from congru.train.launch import Launch, detect, threads_for, waiting_threads
from congru.train.networks import Networks
from congru.train.seeding import rng_state
from congru.train.settings import TrainSettings
from congru.train.wording import before_text


def refusal(settings: TrainSettings) -> str:
    with pytest.raises(SettingsError) as caught:
        open_fabric(settings)
    return str(caught.value)


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refusal(TrainSettings(device="cuda")) == (
        "device is 'cuda', expected a device that torch finds here: pass --device cpu"
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert refusal(TrainSettings(device="auto", devices=2)) == (
        "devices is 2, expected at most 1: pass --devices 1 or --device cpu"
    )


def test_a_batch_that_cannot_be_shared() -> None:
    assert refusal(TrainSettings(device="cpu", devices=2, batch_size=7)) == (
        "batch_size is 7, expected a multiple of the 2 devices: pass --batch-size 6"
    )
    assert "pass --batch-size 4" in refusal(TrainSettings(device="cpu", devices=4, batch_size=3))


def test_several_processes_cannot_start_from_an_interactive_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert refusal(TrainSettings(device="cpu", devices=2)) == (
        "devices is 2, expected 1 in interactive use: start a script or command"
    )


def test_torchrun_says_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert num_processes(TrainSettings(devices=3)) == 3
    assert is_rank_zero()
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("WORLD_SIZE", "4"), ("LOCAL_WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RANK", "2")
    assert num_processes(TrainSettings()) == 4
    assert not is_rank_zero()
    assert refusal(TrainSettings(device="cpu", devices=2)) == (
        "devices is 2, expected 4 as given to torchrun: leave out --devices"
    )


def test_ray_train_says_it_in_the_same_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "3"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    assert detect(1) == Launch("Ray Train", 3, 4, 2)
    assert num_processes(TrainSettings()) == 4
    assert refusal(TrainSettings(device="cpu", devices=4)) == (
        "devices is 4, expected 2 as given to Ray Train: leave out --devices"
    )


def test_srun_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("JOB_ID", "7"), ("NTASKS", "4"), ("NNODES", "2"), ("PROCID", "3")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert num_processes(TrainSettings()) == 4
    assert not is_rank_zero()
    assert detect(1).machines == 2
    assert "batch_size is 6, expected a multiple of the 4 devices" in refusal(
        TrainSettings(device="cpu", batch_size=6)
    )
    monkeypatch.setenv("SLURM_NTASKS", "3")
    assert refusal(TrainSettings()) == (
        "SLURM_NTASKS is 3, expected as many on each of the 2 machines: pass srun --ntasks-per-node"
    )


def test_a_login_node_of_slurm_is_not_warned_about(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Lightning warns of an unused srun, with the whole command line in it; `congru train` trains on that machine alone."""
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert open_fabric(TrainSettings(device="cpu")).world_size == 1
    assert not [warning for warning in recwarn if "srun" in str(warning.message)]


def test_processes_of_a_machine_share_its_cores() -> None:
    two, alone = Launch("torchrun", 0, 4, 2), Launch("hand", 0, 1, 1)
    assert threads_for(two, None, 16, {}) == 8
    assert threads_for(two, None, 1, {}) == 1
    assert threads_for(two, 3, 16, {}) == 3
    assert threads_for(two, None, 16, {"OMP_NUM_THREADS": "2"}) is None
    assert threads_for(alone, None, 16, {}) is None
    assert threads_for(Launch("hand", 0, 2, 2), None, 16, {"OMP_NUM_THREADS": "1"}) is None


@pytest.mark.parametrize("error", [SettingsError("x"), TrainingInterrupted("y")])
def test_an_error_of_all_processes_is_told_by_the_first_only(error: BaseException) -> None:
    def meet(first: bool) -> None:
        with raise_on_rank_zero(SimpleNamespace(is_global_zero=first)):  # type: ignore[arg-type]
            raise error

    with pytest.raises(type(error)):
        meet(True)
    with pytest.raises(SystemExit) as caught:
        meet(False)
    assert caught.value.code == 0


class LearnedStart(ToyLearner):
    """Has a first state that is used only where no state is carried over."""

    def weights(self, cell: str, hidden_size: int) -> dict[str, Tensor]:
        return {"h0": torch.zeros(1, 1, hidden_size)}

    def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, Any, Any]:
        if carry is None:
            carry = {"rnn.h": networks.get_parameter("h0").expand(1, len(batch["x"]), -1)}
        return super().loss(networks, batch, carry)


def test_parameters_without_a_gradient_in_some_steps_are_found() -> None:
    before = rng_state()["torch"]
    assert not has_unused_parameters(ToyLearner(ToySettings()))
    assert torch.equal(rng_state()["torch"], before)
    learner = LearnedStart(ToySettings())
    assert has_unused_parameters(learner)
    assert all(parameter.grad is None for parameter in learner.module.parameters())


def test_other_work_on_the_cores_is_named_with_what_to_do() -> None:
    assert waiting_threads(2, 2, 0.4) is None
    assert waiting_threads(1, 2, 5.0) is None  # one thread waits for no other
    assert waiting_threads(8, 64, 30.0) is None
    assert waiting_threads(2, 2, 5.3) == (
        "2 threads, and other work keeps 2.0 of 2 cores busy: --threads 1 may be faster"
    )
    assert waiting_threads(64, 64, 30.0) == (
        "64 threads, and other work keeps 30.0 of 64 cores busy: --threads 34 may be faster"
    )


def test_the_summary_of_a_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_load_before", 1e3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert "--threads 1 may be faster" in str(devices.crowded(Fabric(accelerator="cpu", devices=1)))
    summary = Summary(
        "text", str(tmp_path), [], {}, 1, 1, 1.0, 1, 1.0, "nats", {}, crowded="2 threads: --threads 1"
    )
    assert "threads     2 threads: --threads 1" in before_text(summary)
