"""How well does one recurrent layer forecast ETTh1, 96 to 720 hours ahead?

Standard protocol: 8,640 / 2,880 / 2,880 hours, z-score of the train part, all 7 channels, MSE and MAE over
every sliding window of the test part (none dropped). The validation part picks the epoch; the settings
below were tuned on it alone; the test part is read once, by the saved model folder, without torch.
Correctness first: the saved folder must give the validation error that training reported.

    CONGRU_DATA=FOLDER python -m bench.forecast_ett [--horizons 96 192 336 720] [--seeds 0]
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars
import torch

from bench.record import ROOT, spread, write_result
from congru.data.registry import read
from congru.tasks.forecast import Forecaster, evaluate_forecaster

TRAIN, VALIDATION, TEST = 8640, 2880, 2880
SETTINGS: dict[str, Any] = {
    "input_size": 720,
    "segment": 48,
    "lags": [1],
    "calendar": False,
    "hidden_size": 256,
    "dropout": 0.5,
    "loss": "mae",
    "metric": "mse",
    "batch_size": 224,
    "learning_rate": 2e-3,
    "weight_decay": 0.1,
    "epochs": 10,
    "evaluations": 10,
}
# MSE at 96, 192, 336, 720 (Lin et al. 2023, table 2 and Zhou et al. 2021 by way of it).
PUBLISHED = {
    "SegRNN (one GRU layer, look-back 720)": [0.351, 0.392, 0.423, 0.466],
    "DLinear": [0.375, 0.405, 0.439, 0.472],
    "PatchTST": [0.375, 0.418, 0.462, 0.495],
    "plain GRU": [1.135, 1.123, 1.080, 1.089],
}
AGREEMENT = 1e-4  # between torch in training and NumPy from the folder, relative


def load() -> polars.DataFrame:
    """The 14,400 hours of the protocol as a long table."""
    rows = list(csv.reader(io.StringIO(read("ett", "ETTh1.csv").decode())))
    header, body = rows[0], rows[1 : 1 + TRAIN + VALIDATION + TEST]
    times = np.array([row[0] for row in body], "datetime64[us]")
    parts = [
        polars.DataFrame({"unique_id": name, "ds": times, "y": [float(row[column]) for row in body]})
        for column, name in enumerate(header[1:], start=1)
    ]
    return polars.concat(parts)


def measure(table: polars.DataFrame, horizon: int, seed: int, changed: dict[str, Any]) -> dict[str, Any]:
    """Train at one horizon, then read the test part once."""
    settings = {**SETTINGS, **changed, "horizon": horizon, "seed": seed}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model = Forecaster.train(
            table, **settings, val_size=VALIDATION, test_size=TEST, out=f"{folder}/run", quiet=True
        )
        trained = time.perf_counter() - start
        assert model.result is not None
        assert model.result.model_folder is not None
        assert model.result.best is not None
        loaded = Forecaster.load(model.result.model_folder)
        check(loaded, table, model.result.best)
        rows = evaluate_forecaster(loaded, table)
    return {
        "validation_mse": model.result.best,
        "rows": rows,
        "train_seconds": round(trained, 1),
        "total_seconds": round(time.perf_counter() - start, 1),
        "parameters": model.result.num_parameters,
    }


def check(loaded: Forecaster, table: polars.DataFrame, reported: float) -> None:
    """The folder's validation error is the one training reported."""
    panel, _ = loaded.panel_of(table)
    cuts = np.arange(TRAIN, TRAIN + VALIDATION - loaded.window.horizon + 1)
    series, cut = np.repeat(np.arange(len(panel.lengths)), len(cuts)), np.tile(cuts, len(panel.lengths))
    error = loaded.windows(panel, series, cut)[..., 0] - panel.actual(series, cut)
    mse = float(((error / panel.units.scale[series][:, None]) ** 2).mean())
    if abs(mse - reported) > AGREEMENT * reported:
        raise SystemExit(f"training reported a validation MSE of {reported:.6f}, the folder gives {mse:.6f}")


def main() -> None:
    """Measure, and write results/forecast_ett.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--horizons", type=int, nargs="+", default=[96, 192, 336, 720])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    table, figures, spreads, baselines = load(), {}, {}, dict[str, Any](PUBLISHED)
    for horizon in arguments.horizons:
        runs = [measure(table, horizon, seed, {}) for seed in arguments.seeds]
        ours = [run["rows"]["GRU"] for run in runs]
        figures[str(horizon)] = {
            "test_mse": spread([row["mse"] for row in ours])["median"],
            "test_mae": spread([row["mae"] for row in ours])["median"],
            "validation_mse": spread([run["validation_mse"] for run in runs])["median"],
            "parameters": runs[0]["parameters"],
            "train_seconds": [run["train_seconds"] for run in runs],
            "total_seconds": [run["total_seconds"] for run in runs],
        }
        spreads[str(horizon)] = {"test_mse": spread([row["mse"] for row in ours])}
        for name in ("last value", "seasonal naive", "linear"):
            row = runs[0]["rows"][name]
            baselines.setdefault(name, {})[str(horizon)] = {"mse": row["mse"], "mae": row["mae"]}
        print(
            f"horizon {horizon}: " + ", ".join(f"{k} {v}" for k, v in figures[str(horizon)].items()),
            flush=True,
        )
        print(
            "  " + ", ".join(f"{name} {row['mse']:.4f}" for name, row in runs[0]["rows"].items()), flush=True
        )
    figures["settings"] = SETTINGS
    figures["threads"] = torch.get_num_threads()
    command = f"python -m bench.forecast_ett --seeds {' '.join(map(str, arguments.seeds))}"
    target = write_result(
        "forecast_ett",
        command,
        figures,
        repetitions=len(arguments.seeds),
        spreads=spreads,
        baselines=baselines,
        packages=("polars",),
        folder=arguments.folder,
    )
    print(target)


if __name__ == "__main__":
    main()
