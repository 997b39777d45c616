"""A training that is killed, or meets an error, anywhere ends with the same bits; bench/reliability.py tries every operation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from faults import trainings
from faults.crashes import ERRORS


def test_killed_at_some_operations(tmp_path: Path) -> None:
    trainings.killed_at_every_operation(tmp_path, every=97).check(3)


@pytest.mark.parametrize("kind", ["full", "interrupted"])
def test_an_error_at_some_operations(kind: str, tmp_path: Path) -> None:
    trainings.error_at_every_operation(tmp_path, ERRORS[kind], every=151, until=1).check(2)


def test_killed_at_random(tmp_path: Path) -> None:
    trainings.killed_at_random(tmp_path, 2).check(2)


def test_on_a_full_disk(tmp_path: Path) -> None:
    try:
        with trainings.mounted(tmp_path / "disk", 16):
            pass
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk takes the rights of root")
    trainings.on_a_full_disk(tmp_path / "disk", range(16, 100, 60)).check(2)
