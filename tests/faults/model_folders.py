"""Model folders that are replaced, read and damaged: there is a whole model at any moment, and no other is ever taken for one."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import congru
from congru.errors import ModelFolderError
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.runtime.network import Network
from faults.crashes import FAILED, KILLED, SURVIVED, child
from faults.tally import Tally
from runtime_models import char_file, random_weights, token_config

CONFIG = token_config()
MOST = 400  # operations; a save has fewer


def parts(seed: int) -> dict[str, Any]:
    """What `save_model` takes; `seed` is found again in the model and on its card."""
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
        "files": {"tokenizer.json": char_file()},
        "card": str(seed),
    }


OLD, NEW = parts(1), parts(2)


def check_whole(folder: Path) -> int:
    """Load the folder, which must be the old or the new one, and return which."""
    seed = congru.load(folder).task_config["seed"]
    assert seed in (1, 2)
    assert (folder / "README.md").read_text() == str(seed)
    return int(seed)


def killed_at_every_operation(folder: Path, whole_at_all_times: bool = True, every: int = 1) -> Tally:
    """Kill a save that replaces a model at every (``every``-th) operation; the next save clears what was left."""
    tally, seen = Tally("saves of a model killed at an operation"), set()
    save_model(folder, **OLD)
    for number in range(1, MOST, every):
        ended = child(folder.parent, number, lambda: save_model(folder, **NEW))
        with tally.case(f"operation {number}"):
            assert ended in (KILLED, SURVIVED), ended
            if whole_at_all_times or folder.exists():  # two renames leave a moment without a model
                seen.add(check_whole(folder))
            save_model(folder, **OLD)
            assert os.listdir(folder.parent) == [folder.name]
            assert check_whole(folder) == 1
        if ended == SURVIVED:
            assert seen == {1, 2}
            return tally
    raise AssertionError(f"a save has more than {MOST} operations")


def error_at_every_operation(folder: Path, error: BaseException, every: int = 1) -> Tally:
    """Raise an error at every (``every``-th) operation of a save that replaces a model."""
    tally = Tally(f"saves of a model with {error.args[-1]}")
    save_model(folder, **OLD)
    for number in range(1, MOST, every):
        ended = child(folder.parent, number, lambda: save_model(folder, **NEW), error)
        with tally.case(f"operation {number}"):
            assert ended in (FAILED, SURVIVED), ended  # while leftovers are looked for it changes nothing
            if check_whole(folder) == 2:
                save_model(folder, **OLD)
        if ended == SURVIVED and number > 40:
            return tally
    raise AssertionError(f"a save has more than {MOST} operations")


def reads_during_saves(folder: Path, seconds: float) -> Tally:
    """Load a model again and again while another process replaces it."""
    tally, seen = Tally("loads of a model during saves"), set()
    save_model(folder, **OLD)
    until = time.monotonic() + seconds
    writer = multiprocessing.get_context("fork").Process(target=_save_again_and_again, args=(folder, until))
    writer.start()
    while time.monotonic() < until:
        with tally.case("load"):
            seen.add(congru.load(folder).task_config["seed"])
    writer.join()
    assert writer.exitcode == 0
    assert seen == {1, 2}
    return tally


def _save_again_and_again(folder: Path, until: float) -> None:
    while time.monotonic() < until:
        save_model(folder, **NEW)
        save_model(folder, **OLD)


def damaged(folder: Path, times: int, seed: int = 0) -> Tally:
    """Flip a bit of a file of a model folder, or cut it off: it is refused, or reads as it was saved."""
    tally, random = Tally("damaged model folders"), np.random.default_rng(seed)
    save_model(folder, **OLD)
    whole = congru.load(folder)
    contents = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    for number in range(times):
        path = list(contents)[random.integers(len(contents))]
        path.write_bytes(damage(contents[path], random, cut=number % 4 == 0))
        with tally.case(f"{path.name} {number}"):
            try:
                model = congru.load(folder)
            except ModelFolderError:
                model = None
            if model is not None:  # a space of config.json
                assert path.name == "config.json"
                assert (model.config, model.files) == (whole.config, {**model.files, **_others(whole.files)})
                assert all(np.array_equal(model.weights[k], v) for k, v in whole.weights.items())
        path.write_bytes(contents[path])
    return tally


def _others(files: Any) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != "config.json"}


def damage(content: bytes, random: np.random.Generator, cut: bool) -> bytes:
    """The content with one bit flipped, or without its end."""
    at = int(random.integers(len(content)))
    if cut:
        return content[:at]
    return content[:at] + bytes([content[at] ^ 1 << int(random.integers(8))]) + content[at + 1 :]
