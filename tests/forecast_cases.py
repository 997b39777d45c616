"""Tiny tables and short trainings for the tests of the forecast task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from congru.tasks.forecast import Forecaster

SHORT: dict[str, Any] = {
    "horizon": 3,
    "hidden_size": 8,
    "steps": 12,
    "evaluations": 2,
    "batch_size": 8,
    "quiet": True,
}
STEPWISE = {"input_size": 10, "segment": 1}
SEGMENTS = {"input_size": 12, "segment": 4}


def noise(number: int, length: int) -> NDArray[np.float64]:
    """Standard normal noise; a longer one begins with the shorter one."""
    return np.random.default_rng(number).standard_normal(length)


def two_series(length: int = 90) -> pd.DataFrame:
    """Two daily series with a week in them, of different level."""
    days = pd.date_range("2024-01-01", periods=length, freq="D")
    week = np.sin(2 * np.pi * np.arange(length) / 7)
    parts = [
        pd.DataFrame({"unique_id": name, "ds": days, "y": level * (3 + week + 0.1 * noise(number, length))})
        for number, (name, level) in enumerate((("north", 1.0), ("south", 50.0)))
    ]
    return pd.concat(parts, ignore_index=True)


def one_series(length: int = 90) -> pd.DataFrame:
    """One series without a name."""
    frame = two_series(length)
    return frame[frame.unique_id == "north"][["ds", "y"]].reset_index(drop=True)


def train(data: Any, folder: Path, **settings: Any) -> Forecaster:
    """A short training into `folder`/run; without the charts, which cost more than it, unless they are asked for."""
    with nullcontext() if settings.get("monitor") else without_charts():
        return Forecaster.train(data, **{**SHORT, "out": folder / "run", **settings})


@contextmanager
def without_charts() -> Iterator[None]:
    """Trainings in it draw nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("congru.train.summary.draw_plots", lambda *parts: None)
        yield
