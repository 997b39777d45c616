"""Trainings that are killed, or meet errors, anywhere, and are started again: they end with the same bits.

A training here takes six steps of a toy, writes a checkpoint after each, and leaves out its plots unless asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from congru.train.folder import read_metrics
from faults.crashes import FAILED, KILLED, SURVIVED, child, killed_after
from faults.tally import Tally
from train.toy import run

MOST = 2000  # operations; a training has fewer
FULL = OSError("no space left on device")  # comes from the disk itself
STEPS = 6


def train(out: Path, *, plots: bool = False, **settings: Any) -> None:
    """Start the training in ``out``, or continue what is left of it there."""
    drawn = contextlib.nullcontext() if plots else mock.patch("congru.train.summary.draw_plots")
    with drawn:
        run(
            out=out,
            resume=out.exists(),
            quiet=True,
            **{"steps": STEPS, "evaluations": 2, "save_seconds": 1e-9, **settings},
        )


def outcome(out: Path) -> tuple[str, str, list[tuple[Any, ...]]]:
    """State, sum of the weights, and the measurements without their times: what must come out alike."""
    state = json.loads((out / "status.json").read_text())["state"]
    weights = hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()
    return state, weights, [(m.step, m.split, m.name, m.value) for m in read_metrics(out / "metrics.csv")]


def check(out: Path, expected: Any) -> None:
    """Finish the training in ``out``: it ends as if nothing had happened, and nothing of the accident is left."""
    with contextlib.suppress(FileNotFoundError):
        if json.loads((out / "status.json").read_text())["state"] == "finished":
            assert outcome(out) == expected
    train(out)
    assert outcome(out) == expected
    left = [str(path) for path in out.rglob(".*")]
    assert not left, left


def killed_at_every_operation(folder: Path, every: int = 1, plots: bool = False) -> Tally:
    """Kill a training at every (``every``-th) operation on its files, and finish it."""
    tally, out = Tally("trainings killed at an operation"), folder / "run"
    expected = undisturbed()
    for number in range(1, MOST, every):
        ended = child(folder, number, lambda: train(out, plots=plots))
        with tally.case(f"operation {number}"):
            assert ended in (KILLED, SURVIVED), ended
            check(out, expected)
        shutil.rmtree(out, ignore_errors=True)
        if ended == SURVIVED:
            return tally
    raise AssertionError(f"a training has more than {MOST} operations")


def error_at_every_operation(folder: Path, error: BaseException, every: int = 1, until: int = 9) -> Tally:
    """Raise ``error`` at every (``every``-th) operation on the files of a training, and finish it.

    It ends when so many trainings in a row survive: one alone may be an error while leftovers are looked for.
    """
    tally, out = Tally(f"trainings with {error.args[-1]}"), folder / "run"
    expected, survived = undisturbed(), 0
    for number in range(1, MOST, every):
        ended = child(folder, number, lambda: train(out), error)
        with tally.case(f"operation {number}"):
            assert ended in (FAILED, SURVIVED), ended
            check(out, expected)
        shutil.rmtree(out, ignore_errors=True)
        survived = survived + 1 if ended == SURVIVED else 0
        if survived == until:
            return tally
    raise AssertionError(f"a training has more than {MOST} operations")


def killed_at_random(folder: Path, times: int, seed: int = 0) -> Tally:
    """Kill a training of about half a second anywhere, again and again until it ends."""
    tally, out, random = Tally("trainings killed at random"), folder / "run", np.random.default_rng(seed)
    expected = undisturbed()
    while tally.tried < times:
        with tally.case(f"kill {tally.tried}"):
            killed_after(random.uniform(0, 0.4), lambda: train(out, step_seconds=0.02))
            if random.uniform() < 0.3:
                check(out, expected)
                shutil.rmtree(out)
    return tally


def on_a_full_disk(disk: Path, sizes: range) -> Tally:
    """Train on a disk of too few kilobytes; more are added, and the training ends as if nothing had happened."""
    tally, out = Tally("trainings on a full disk"), disk / "run"
    expected = undisturbed()
    for size in sizes:
        with tally.case(f"{size} KB"), mounted(disk, size):
            assert child(disk, MOST, lambda: train(out), FULL) in (FAILED, SURVIVED)
            subprocess.run(["mount", "-o", "remount,size=4096k", disk], check=True)
            check(out, expected)
    return tally


@contextlib.contextmanager
def mounted(disk: Path, size: int) -> Iterator[None]:
    """A disk of so many kilobytes; raises CalledProcessError where that is not allowed."""
    disk.mkdir(exist_ok=True)
    options = f"size={size}k,nr_inodes=4k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "congru", disk], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", disk], check=True)


@cache
def undisturbed() -> Any:
    """The outcome of a training to which nothing happens."""
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder) / "run")
        expected = outcome(Path(folder) / "run")
    assert expected[0] == "finished"
    return expected
