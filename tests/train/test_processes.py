"""Real processes: killed, interrupted, terminated, and several at once. Each loads torch, so they are few."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from toy import run

from congru.train.folder import read_metrics

TOY = Path(__file__).with_name("toy.py")
TORCHRUN = Path(sys.executable).with_name("torchrun")
SETTINGS = {"learning_rate": 0.02, "threads": 1, "steps": 60, "evaluations": 6}
FLAGS = [f"--{key.replace('_', '-')}={value}" for key, value in SETTINGS.items()]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
# Largest difference of any row between 2 x half the batch and the whole batch over 20 seeds, times 4.
SPLIT_TOLERANCE = 4 * 1.8e-7


def start(*arguments: str, launcher: tuple[str, ...] = (sys.executable,)) -> subprocess.Popen[str]:
    command = [*launcher, str(TOY), *FLAGS, *arguments]
    return subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_step(out: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Return once metrics.csv shows ``step``."""
    deadline = time.monotonic() + 120
    metrics = out / "metrics.csv"
    while not metrics.exists() or f"\n{step}," not in metrics.read_text():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def numbers(out: Path) -> list[tuple[int, str, str, float]]:
    return [(r.step, r.split, r.name, r.value) for r in read_metrics(out / "metrics.csv")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str, str, float]]:
    """The numbers of a run that was not disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(**SETTINGS, quiet=True, out=out)
    return numbers(out)


def test_a_run_killed_in_the_middle_goes_on_with_the_same_numbers(
    tmp_path: Path, whole: list[tuple[int, str, str, float]]
) -> None:
    out = tmp_path / "run"
    process = start("--quiet", "--step-seconds=0.02", "--save-seconds=0.1", f"--out={out}")
    wait_for_step(out, 33, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert json.loads((out / "status.json").read_text())["state"] == "running"
    again = subprocess.run(
        [sys.executable, TOY, "--resume", f"--out={out}"], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    at_step = int(re.search(r"continuing .* at step (\d+)", again.stdout).group(1))  # type: ignore[union-attr]
    assert 20 <= at_step < 60
    assert numbers(out) == whole
    assert json.loads((out / "status.json").read_text())["state"] == "finished"


def test_control_c_saves_prints_the_line_that_resumes_and_exits_with_130(
    tmp_path: Path, whole: list[tuple[int, str, str, float]]
) -> None:
    out = tmp_path / "a run"
    process = start("--step-seconds=0.02", f"--out={out}")
    wait_for_step(out, 25, process)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert printed.endswith(f"saved; to continue:\n  congru train toy waves --out '{out}' --resume\n")
    assert json.loads((out / "status.json").read_text())["state"] == "interrupted"
    run(out=out, resume=True, quiet=True)
    assert numbers(out) == whole


def assert_close(found: Path, expected: list[tuple[int, str, str, float]], tolerance: float) -> None:
    rows = numbers(found)
    assert [row[:3] for row in rows] == [row[:3] for row in expected]
    for row, other in zip(rows, expected):
        assert row[3] == pytest.approx(other[3], abs=tolerance), row


def test_two_processes_give_the_numbers_of_one_also_after_sigterm_and_under_torchrun(tmp_path: Path) -> None:
    """Without dropout, whose masks are per process."""
    plain = {**SETTINGS, "dropout": 0.0}
    run(**plain, quiet=True, out=tmp_path / "one")
    one = numbers(tmp_path / "one")
    flags = ["--dropout=0", "--quiet"]
    two = tmp_path / "two"
    process = start(*flags, "--devices=2", "--step-seconds=0.02", f"--out={two}")
    wait_for_step(two, 12, process)
    process.send_signal(signal.SIGTERM)  # to the first process only: the other must hear of it
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert json.loads((two / "status.json").read_text())["state"] == "interrupted"
    stopped = len(numbers(two))
    assert 0 < stopped < len(one)
    shutil.copytree(two, tmp_path / "torchrun")
    finish = ["--resume", "--quiet"]
    first = subprocess.Popen([sys.executable, TOY, *finish, f"--out={two}"], env=ENVIRONMENT)
    second = subprocess.Popen(
        [TORCHRUN, "--nproc-per-node=2", TOY, *finish, f"--out={tmp_path / 'torchrun'}"], env=ENVIRONMENT
    )
    assert (first.wait(120), second.wait(120)) == (0, 0)
    assert_close(two, one, SPLIT_TOLERANCE)
    assert numbers(tmp_path / "torchrun") == numbers(two)
    assert json.loads((two / "env.json").read_text())["processes"] == 2
