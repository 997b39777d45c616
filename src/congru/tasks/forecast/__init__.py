"""Forecasting of many series from a long table: unique_id, ds, y.

    f = Forecaster(horizon=24, levels=[80, 95]).fit(df)
    f.predict()                                    # unique_id, ds, GRU, GRU-lo-80, GRU-hi-80, GRU-lo-95, ...
    f.update(new_rows).predict()                   # goes on, without training
    Forecaster.load(f.model.folder).predict()      # the same, anywhere, without torch

``train`` loads torch; everything else does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.forecast.forecaster import Forecaster
    from congru.tasks.forecast.learner import make_learner
    from congru.tasks.forecast.scoring import evaluate_forecaster, evaluation_of
    from congru.tasks.forecast.settings import Settings
    from congru.tasks.forecast.streaming import stream
    from congru.tasks.forecast.use import evaluate, inspect_inputs, run
    from congru.tasks.keywords import ForecastKeywords
    from congru.train.summary import RunResult

__all__ = [
    "SUMMARY",
    "Forecaster",
    "Settings",
    "evaluate",
    "evaluate_forecaster",
    "evaluation_of",
    "inspect_inputs",
    "make_learner",
    "run",
    "stream",
    "train",
]

SUMMARY = "Forecast many series from a long table: unique_id, ds, y."


def train(data: Any, **settings: Unpack[ForecastKeywords]) -> RunResult:
    """Train on a long table (CSV path, pandas, polars or pyarrow); keywords are fields of :class:`Settings`.

    Returns the :class:`~congru.train.summary.RunResult`; ``Forecaster.load(result)`` forecasts with it, and
    :meth:`Forecaster.train` does both. Raises :class:`~congru.errors.DataError` for rows that cannot be used.
    """
    return TASKS["forecast"].train(data, settings=settings)


__getattr__ = lazy_names(
    __name__,
    {
        "Forecaster": "forecaster",
        "Settings": "settings",
        "evaluate": "use",
        "evaluate_forecaster": "scoring",
        "evaluation_of": "scoring",
        "inspect_inputs": "use",
        "make_learner": "learner",
        "run": "use",
        "stream": "streaming",
    },
)
