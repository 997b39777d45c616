"""Whatever happens while a model folder is replaced, there is a whole model in its place, old or new."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

import congru
from congru.runtime import atomic
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.runtime.network import Network
from faults.crashes import FAILED, KILLED, SURVIVED, child
from runtime_models import random_weights, token_config

CONFIG = token_config()
MOST = 400  # operations; a save has fewer


def parts(seed: int) -> dict[str, Any]:
    weights = random_weights(CONFIG, seed)
    return {
        "config": {
            "task": "text",
            "cell": "gru",
            "networks": {"main": CONFIG},
            "task_config": {"seed": seed},
        },
        "weights": {"main": weights},
        "golden": {"main": make_golden(CONFIG, Network(CONFIG, weights).run)},
        "files": {},
        "card": str(seed),
    }


OLD, NEW = parts(1), parts(2)


def check_whole(folder: Path) -> int:
    """Load the folder, which must be the old or the new one, and return which."""
    seed = congru.load(folder).task_config["seed"]
    assert seed in (1, 2)
    assert (folder / "README.md").read_text() == str(seed)
    return int(seed)


@pytest.mark.parametrize("one_step", [True, False], ids=["one step", "two renames"])
def test_killed_at_every_operation(one_step: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not one_step:
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    folder, seen, number = tmp_path / "model", set(), 0
    save_model(folder, **OLD)
    for number in range(1, MOST):
        ended = child(tmp_path, number, lambda: save_model(folder, **NEW))
        if one_step or folder.exists():  # two renames leave a moment without a model
            seen.add(check_whole(folder))
        save_model(folder, **OLD)
        assert os.listdir(tmp_path) == ["model"]  # the next save clears what was left
        assert check_whole(folder) == 1
        if ended == SURVIVED:
            break
        assert ended == KILLED
    assert 20 < number < MOST
    assert seen == {1, 2}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.EACCES, "Permission denied"),
        KeyboardInterrupt("stop"),
    ],
    ids=["full", "broken", "denied", "interrupted"],
)
def test_an_error_at_every_operation(error: BaseException, tmp_path: Path) -> None:
    folder, number = tmp_path / "model", 0
    save_model(folder, **OLD)
    for number in range(1, MOST):
        ended = child(tmp_path, number, lambda: save_model(folder, **NEW), error)
        if check_whole(folder) == 2:
            save_model(folder, **OLD)
        if ended == SURVIVED and number > 30:
            break
        assert ended in (FAILED, SURVIVED)  # an error while leftovers are looked for changes nothing
    assert number < MOST


def _save_again_and_again(folder: Path, until: float) -> None:
    while time.monotonic() < until:
        save_model(folder, **NEW)
        save_model(folder, **OLD)


def test_a_reader_during_saves_gets_one_model_or_the_other(tmp_path: Path) -> None:
    folder, seen = tmp_path / "model", set()
    save_model(folder, **OLD)
    until = time.monotonic() + 1.5
    writer = multiprocessing.get_context("fork").Process(target=_save_again_and_again, args=(folder, until))
    writer.start()
    while time.monotonic() < until:
        seen.add(congru.load(folder).task_config["seed"])
    writer.join()
    assert writer.exitcode == 0
    assert seen == {1, 2}
