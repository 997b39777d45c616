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


def other_process(process: subprocess.Popen[str]) -> int:
    """The process that the first has started."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return int(text.split()[0])


def wait_until_gone(process: int, seconds: float = 10) -> None:
    """Until a process has ended; fails where it has not."""
    end = time.monotonic() + seconds
    while Path(f"/proc/{process}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the second process in /proc: run it on Linux")
@pytest.mark.parametrize(("number", "slack"), [(signal.SIGKILL, 40), (signal.SIGSTOP, 50)])
def test_a_lost_process_is_named_the_others_save_and_one_process_goes_on(
    tmp_path: Path, number: signal.Signals, slack: float, capsys: pytest.CaptureFixture[str]
) -> None:
    out, short = tmp_path / "run", {**ENVIRONMENT, "CONGRU_LOST_AFTER": "5"}
    command = [
        sys.executable,
        str(TOY),
        *FLAGS,
        "--dropout=0",
        "--devices=2",
        "--step-seconds=0.05",
        f"--out={out}",
    ]
    process = subprocess.Popen(command, env=short, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_step(out, 12, process)
    other = other_process(process)
    os.kill(other, number)
    began = time.monotonic()
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == os.EX_TEMPFAIL, errors
    assert time.monotonic() - began < slack
    assert "processes   2 on 1 machine, 1 thread each" in printed
    match = re.search(
        rf"rank 1 \(.*, process {other}\) has not been heard of for .*: saved at step (\d+)", errors
    )
    assert match is not None, errors
    assert f"congru train toy waves --out {out} --resume" in errors
    assert json.loads((out / "status.json").read_text())["state"] == "interrupted"
    if number == signal.SIGSTOP:
        wait_until_gone(other)
        return
    run(out=out, resume=True, devices=1)
    resumed = f"at step {match[1]} (1 now, saved by 2 processes: same batches and objective"
    shown = capsys.readouterr().out
    assert resumed in shown, shown
    assert numbers(out)[-1][0] == SETTINGS["steps"]


def test_weights_averaged_every_few_steps_learn_as_well(tmp_path: Path) -> None:
    plain = {**SETTINGS, "dropout": 0.0}
    best = run(**plain, quiet=True, out=tmp_path / "one").best
    process = start("--dropout=0", "--quiet", "--devices=2", "--sync-every=4", f"--out={tmp_path / 'two'}")
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    status = json.loads((tmp_path / "two" / "status.json").read_text())
    assert status["step"] == SETTINGS["steps"]
    assert status["best"] == pytest.approx(best, rel=0.3)
    steps = {row[0] for row in numbers(tmp_path / "two") if row[1] == "validation"}
    assert steps == {0, 10, 20, 30, 40, 50, 60}


def assert_close(out: Path, expected: list[tuple[int, str, str, float]], tolerance: float) -> None:
    rows = numbers(out)
    assert [row[:3] for row in rows] == [row[:3] for row in expected]
    for row, other in zip(rows, expected):
        assert row[3] == pytest.approx(other[3], abs=tolerance), row


def test_two_processes_give_the_numbers_of_one_also_after_sigterm_and_under_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without dropout, whose masks are per process."""
    plain = {**SETTINGS, "dropout": 0.0}
    run(**plain, quiet=True, out=tmp_path / "one")
    one = numbers(tmp_path / "one")
    flags = ["--dropout=0", "--quiet"]
    two = tmp_path / "two"
    monkeypatch.setitem(ENVIRONMENT, "TOY_MADE", str(tmp_path / "made"))
    monkeypatch.setitem(ENVIRONMENT, "TMPDIR", str(tmp_path / "shared"))
    (tmp_path / "shared").mkdir()
    process = start(*flags, "--devices=2", "--step-seconds=0.02", f"--out={two}")
    wait_for_step(two, 12, process)
    assert (
        tmp_path / "made"
    ).read_text() == f"{process.pid}\n"  # the first process made the learner for both
    assert list((tmp_path / "shared").glob("congru-*")) == []
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
