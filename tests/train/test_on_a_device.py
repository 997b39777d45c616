"""A run begun on one device and continued on another; CONGRU_TEST_DEVICE=cuda names the other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from toy import ToySettings, run

from congru.errors import SettingsError
from congru.train.folder import read_metrics
from congru.train.seeding import rng_state, set_rng_state

DEVICE = os.environ.get("CONGRU_TEST_DEVICE", "cpu")
KEYWORDS = {"learning_rate": 0.02, "quiet": True, "threads": 1, "evaluations": 1, "dropout": 0.0}


def test_a_run_goes_on_on_another_device_and_back(tmp_path: Path) -> None:
    run(out=tmp_path / "run", **KEYWORDS, steps=10, device=DEVICE)
    run(out=tmp_path / "run", resume=True, **KEYWORDS, steps=20, device="cpu")
    run(out=tmp_path / "run", resume=True, **KEYWORDS, steps=30, device=DEVICE)
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    assert max(row.step for row in rows) == 30


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is there")
def test_without_a_card_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="device is 'cuda', expected a device that torch finds here: pass --device cpu"
    ):
        run(out=tmp_path / "run", device="cuda")


def test_generators_of_cards_that_are_not_here_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of two cards goes on with one, or without any."""
    restored: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda own, index: restored.append(index))
    two = [torch.zeros(16, dtype=torch.uint8)] * 2
    for count in (0, 1, 2):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        restored.clear()
        set_rng_state(rng_state() | {"cuda": two})
        assert restored == list(range(count))


def test_the_default_device_is_a_card_where_there_is_one() -> None:
    assert ToySettings().device == "auto"
