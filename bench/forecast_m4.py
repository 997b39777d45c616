"""How well does one recurrent model for all series forecast M4 Hourly: 414 series, 48 hours ahead?

Official formulas: sMAPE and MASE (season 24) averaged over the series, OWA against Naive2. The settings
below were tuned on the last 48 hours of the train file (`--tune` repeats that); the test file is read once,
after training on the whole train file. `--defaults` gives the horizon and nothing else.
Correctness first: Naive2 must come out as published. Single models and the mean of their forecasts are told apart.

    CONGRU_DATA=FOLDER python -m bench.forecast_m4 [--seeds 0 1 2] [--tune] [--defaults] [--peers PYTHON]

PYTHON is an interpreter that has statsforecast: its models then stand beside, on the same figures.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars
import torch
from numpy.typing import NDArray

from bench.record import ROOT, spread, write_result
from congru.data.registry import read
from congru.tasks.forecast import Forecaster
from congru.tasks.forecast.baselines import naive2, seasonal_naive
from congru.tasks.forecast.metrics import naive_error, owa, smape

Array = NDArray[np.float64]

HORIZON, SEASON = 48, 24
NAIVE2 = {"smape": 18.383, "mase": 2.395}  # as published
PUBLISHED_OWA = {"ES-RNN (winner)": 0.440, "organisers' RNN": 1.036, "Naive2": 1.0}
SETTINGS: dict[str, Any] = {
    "horizon": HORIZON,
    "season": SEASON,
    "input_size": 336,
    "segment": 24,
    "lags": [24, 168],
    "calendar": False,
    "hidden_size": 128,
    "dropout": 0.2,
    "loss": "owa",
    "batch_size": 512,
    "learning_rate": 3e-3,
    "weight_decay": 0.0,
    "steps": 1000,
    "val_size": 0,
    "evaluations": 1,
}
DEFAULTS: dict[str, Any] = {"horizon": HORIZON}
_PEERS = """
import json, sys, time
import numpy as np, pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import MSTL, AutoETS, DynamicOptimizedTheta, SeasonalNaive
series = json.load(open(sys.argv[1]))
frame = pd.concat([pd.DataFrame({"unique_id": k, "ds": np.arange(len(y)), "y": y}) for k, y in enumerate(series)])
models = {"SeasonalNaive": SeasonalNaive(24), "MSTL 24, 168": MSTL([24, 168]), "DynamicOptimizedTheta": DynamicOptimizedTheta(24)}
forecasts = {}
for name, model in models.items():
    start = time.time()
    table = StatsForecast([model], freq=1).forecast(df=frame, h=48)
    forecasts[name] = {"seconds": time.time() - start, "values": table.iloc[:, -1].to_numpy().reshape(len(series), -1).tolist()}
json.dump(forecasts, open(sys.argv[2], "w"))
"""


def load(name: str) -> list[Array]:
    """The series of a file of the competition, in its order."""
    rows = csv.reader(io.StringIO(read("m4_hourly", name).decode()))
    next(rows)
    return [np.array([float(value) for value in row[1:] if value]) for row in rows]


def table_of(series: list[Array]) -> polars.DataFrame:
    """The series as a long table with counted hours."""
    return polars.DataFrame(
        {
            "unique_id": np.repeat([f"H{n + 1}" for n in range(len(series))], [len(y) for y in series]),
            "ds": np.concatenate([np.arange(len(y)) for y in series]),
            "y": np.concatenate(series),
        }
    )


def scores(train: list[Array], actual: Array, forecasts: Array) -> dict[str, float]:
    """sMAPE and MASE averaged over the series, and OWA; actual and forecasts [N, h]."""
    errors = np.array([naive_error(y, SEASON) for y in train])
    second = np.stack([naive2(y, HORIZON, SEASON) for y in train])

    def both(values: Array) -> tuple[float, float]:
        scaled = np.abs(actual - values).mean(1) / errors
        return float(smape(actual, values).mean()), float(scaled.mean())

    ours, theirs = both(forecasts), both(second)
    figures = {"smape": ours[0], "mase": ours[1], "owa": owa(*ours, *theirs)}
    return {name: round(value, 4) for name, value in figures.items()}


def measure(train: list[Array], seed: int, settings: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
    """Train on whole series and forecast what follows: values [N, h], and what it took."""
    start, start_cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        model = Forecaster.train(table_of(train), **settings, seed=seed, out=f"{folder}/run", quiet=True)
        assert model.result is not None
        values = model.values()[..., 0]
    return values, {
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - start_cpu, 1),
        "parameters": model.result.num_parameters,
        "steps": model.result.steps,
    }


def peers(python: str, train: list[Array], actual: Array) -> dict[str, Any]:
    """The models of statsforecast, run by another interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        series_file, forecast_file = Path(folder, "series.json"), Path(folder, "forecasts.json")
        series_file.write_text(json.dumps([y.tolist() for y in train]))
        subprocess.run([python, "-c", _PEERS, str(series_file), str(forecast_file)], check=True)
        rows = json.loads(forecast_file.read_text())
    return {
        f"statsforecast {name}": {
            **scores(train, actual, np.array(row["values"])),
            "seconds": round(row["seconds"], 1),
        }
        for name, row in rows.items()
    }


def main() -> None:
    """Measure, and write results/forecast_m4.json, with --defaults results/forecast_m4_defaults.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--tune", action="store_true", help="score the last 48 hours of the train file instead"
    )
    parser.add_argument("--defaults", action="store_true", help="the horizon alone, all else by default")
    parser.add_argument("--peers", help="an interpreter with statsforecast")
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    train = load("Hourly-train.csv")
    if arguments.tune:
        train, actual = [y[:-HORIZON] for y in train], np.stack([y[-HORIZON:] for y in train])
    settings = DEFAULTS if arguments.defaults else SETTINGS
    forecasts, spent = zip(*(measure(train, seed, settings) for seed in arguments.seeds))
    if not arguments.tune:
        actual = np.stack(load("Hourly-test.csv"))
        check_naive2(train, actual)
    single = [scores(train, actual, values) for values in forecasts]
    figures: dict[str, Any] = {
        "single": {key: spread([row[key] for row in single])["median"] for key in single[0]},
        "ensemble": scores(train, actual, np.mean(forecasts, axis=0)),
        "runs": [{**row, **took} for row, took in zip(single, spent)],
        "settings": settings,
        "threads": torch.get_num_threads(),
    }
    last = np.stack([seasonal_naive(y[None], HORIZON, SEASON)[0] for y in train])
    baselines: dict[str, Any] = {
        "last value": scores(train, actual, np.stack([np.full(HORIZON, y[-1]) for y in train])),
        "seasonal naive": scores(train, actual, last),
    }
    if arguments.peers:
        baselines.update(peers(arguments.peers, train, actual))
    for name, row in {
        "GRU single": figures["single"],
        "GRU ensemble": figures["ensemble"],
        **baselines,
    }.items():
        print(f"{name:<40} " + "  ".join(f"{key} {value:.4f}" for key, value in row.items()))
    if arguments.tune:
        return
    seeds, flags = " ".join(map(str, arguments.seeds)), " --peers PYTHON" if arguments.peers else ""
    if arguments.defaults:
        flags = " --defaults" + flags
    target = write_result(
        "forecast_m4_defaults" if arguments.defaults else "forecast_m4",
        f"python -m bench.forecast_m4 --seeds {seeds}{flags}",
        figures,
        repetitions=len(single),
        spreads={"owa": spread([row["owa"] for row in single])},
        baselines={**baselines, **PUBLISHED_OWA},
        packages=("polars",),
        folder=arguments.folder,
    )
    print(target)


def check_naive2(train: list[Array], actual: Array) -> None:
    """Our Naive2 has the published sMAPE and MASE."""
    second = np.stack([naive2(y, HORIZON, SEASON) for y in train])
    errors = np.array([naive_error(y, SEASON) for y in train])
    computed = {
        "smape": float(smape(actual, second).mean()),
        "mase": float((np.abs(actual - second).mean(1) / errors).mean()),
    }
    for name, published in NAIVE2.items():
        if abs(computed[name] - published) > 1e-3 * published:
            raise SystemExit(
                f"Naive2 has {name} {computed[name]:.3f}, published is {published}: the formulas differ"
            )


if __name__ == "__main__":
    main()
