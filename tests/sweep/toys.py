"""The toy task of the loop's tests, for sweeps; run as a program it is a worker that a test may kill: ``toys.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))

from toy import ToyLearner, ToySettings

from congru.errors import TrainingError
from congru.sweep.start import open_sweep
from congru.sweep.worker import Sweep


class Touchy(ToyLearner):
    """A toy that cannot be trained with seven units."""

    def __init__(self, settings: ToySettings) -> None:
        if settings.hidden_size == 7:
            raise TrainingError("hidden_size is 7, expected another number: change it")
        super().__init__(settings)


def make_learner(*, settings: ToySettings) -> ToyLearner:
    return Touchy(settings)


def opened(folder: Path, say: Any = print) -> Sweep:
    return open_sweep(make_learner, ToySettings, folder, data=(), say=say)


if __name__ == "__main__":
    opened(Path(sys.argv[1])).run()
