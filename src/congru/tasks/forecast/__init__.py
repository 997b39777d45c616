"""Forecasting of many series from a long table: unique_id, ds, y.

    f = congru.tasks.forecast.train(df, horizon=24, levels=[80, 95])
    f.predict()                                    # unique_id, ds, GRU, GRU-lo-80, GRU-hi-80, GRU-lo-95,
    GRU-hi-95 f.update(new_rows).predict()                   # goes on, without training
    Forecaster.load(f.model.folder).predict()      # the same, anywhere, without torch

``train`` loads torch; everything else does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from congru.errors import SettingsError
from congru.tasks.registry import TASKS

if TYPE_CHECKING:
    from congru.tasks.forecast.command import inspect_inputs, run
    from congru.tasks.forecast.forecaster import Forecaster
    from congru.tasks.forecast.learner import make_learner
    from congru.tasks.forecast.scoring import evaluate, evaluate_forecaster
    from congru.tasks.forecast.settings import ForecastSettings
    from congru.tasks.forecast.streaming import stream

__all__ = [
    "ForecastSettings",
    "Forecaster",
    "evaluate",
    "evaluate_forecaster",
    "inspect_inputs",
    "make_learner",
    "run",
    "stream",
    "train",
]

TASK = TASKS["forecast"]
_HOME = {
    "ForecastSettings": "settings",
    "Forecaster": "forecaster",
    "evaluate": "scoring",
    "evaluate_forecaster": "scoring",
    "inspect_inputs": "command",
    "make_learner": "learner",
    "run": "command",
    "stream": "streaming",
}


def train(data: Any, **settings: object) -> Forecaster:
    """Train on a long table (CSV path, pandas, polars or pyarrow); keywords are fields of
    :class:`ForecastSettings`.

    Returns a :class:`Forecaster` that stands after the last row of `data`; `forecaster.result` is the
    :class:`~congru.train.summary.RunResult` (best validation metric, baselines, folder).
    Raises :class:`~congru.errors.DataError` for rows that cannot be used.
    """
    from congru.runtime.folder import load
    from congru.tasks.forecast.forecaster import Forecaster
    from congru.tasks.forecast.learner import make_learner
    from congru.tasks.forecast.settings import ForecastSettings
    from congru.train.loop import fit
    from congru.train.resolve import resolve

    resolved, origin = resolve(ForecastSettings, settings)
    if resolved.dry_run:
        raise SettingsError(
            "dry_run is True, expected False: train() returns a forecaster; use congru train --dry-run"
        )
    learner = make_learner(data, resolved)
    result = fit(learner, resolved, origin=origin)
    assert result.model_folder is not None  # only a dry run leaves none
    forecaster = Forecaster.of(load(result.model_folder), learner.data.table)
    forecaster.result = result
    return forecaster


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'congru.tasks.forecast' has no attribute {name!r}")
    return getattr(importlib.import_module(f"congru.tasks.forecast.{_HOME[name]}"), name)
