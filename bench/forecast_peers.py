"""How does the forecaster stand beside neuralforecast's GRU, NHITS and AutoGRU: error, processor time, memory?

M4 Hourly: 48 hours of 414 series after the train file, OWA. ETTh1: 96 hours ahead, every window of the standard test part,
MSE in standard deviations of the train part. The forecaster is told the horizon and the split, all else by default. The
peers run by another interpreter, which has neuralforecast: GRU and NHITS by default but for the horizon, an input of 4
horizons and `--steps` optimizer steps; AutoGRU searches its own space, `--trials` trials of as many steps each. Every
model has a process and one thread of its own: processor seconds and the peak of memory are those of that process, its
imports among them. A run that is in the folder `--runs` already is not made again.

    CONGRU_DATA=FOLDER python -m bench.forecast_peers --python PATH --runs FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars

from bench.forecast_ett import TEST, TRAIN, VALIDATION
from bench.forecast_ett import load as load_ett
from bench.forecast_m4 import HORIZON, check_naive2, scores, table_of
from bench.forecast_m4 import load as load_m4
from bench.record import ROOT, write_result

ETT_HORIZON = 96
OURS, PEERS = "congru GRU", ("GRU", "NHITS", "AutoGRU")
_PEER = """
import json, logging, resource, sys, time, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
import numpy as np, pandas as pd, torch
torch.set_num_threads(1)
from neuralforecast import NeuralForecast, models
from neuralforecast.auto import AutoGRU
from importlib.metadata import version
task = json.load(open(sys.argv[1]))
frame, h, steps = pd.read_parquet(task["table"]), task["horizon"], task["steps"]
frame["ds"] = frame["ds"].astype("int64")
quiet = dict(enable_progress_bar=False, logger=False, enable_model_summary=False, enable_checkpointing=False)
if task["model"] == "AutoGRU":
    import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = AutoGRU.get_default_config(h=h, backend="optuna")
    config = lambda trial: {**space(trial), "max_steps": steps, "accelerator": "cpu", **quiet}
    search = dict(num_samples=task["trials"], backend="optuna", search_alg=optuna.samplers.TPESampler(seed=0))
    model = AutoGRU(h=h, config=config, **search)
else:
    kind = getattr(models, task["model"])
    model = kind(h=h, input_size=4 * h, max_steps=steps, random_seed=0, accelerator="cpu", **quiet)
forecast = NeuralForecast(models=[model], freq=1)
def clock():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([time.perf_counter(), used.ru_utime + used.ru_stime])
start = clock()
if task["test_size"]:
    marks = []
    one = forecast.models[0]
    fit = one.fit
    def timed(*arguments, **options):
        fitted = fit(*arguments, **options)
        marks.append(clock())
        return fitted
    one.fit = timed
    rows = forecast.cross_validation(frame, n_windows=None, step_size=1, **{k: task[k] for k in ("val_size", "test_size")})
    trained = marks[0]
    figures = {"mse": float(((rows["y"] - rows[task["model"]]) ** 2).mean()), "windows": len(rows) // h}
else:
    forecast.fit(frame, val_size=task["val_size"])
    trained = clock()
    rows = forecast.predict().sort_values(["unique_id", "ds"])
    figures = {"values": rows[task["model"]].to_numpy().reshape(-1, h).tolist()}
done = clock()
json.dump({
    **figures, "train": (trained - start).round(1).tolist(), "predict": (done - trained).round(2).tolist(),
    "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
    "versions": {name: version(name) for name in ("neuralforecast", "torch", "pytorch-lightning")},
}, open(sys.argv[2], "w"))
"""


def ett() -> polars.DataFrame:
    """The hours of the protocol in standard deviations of the train part, counted."""
    table = load_ett()
    parts = []
    for (name,), part in table.group_by("unique_id", maintain_order=True):
        y = part["y"].to_numpy()
        y = (y - y[:TRAIN].mean()) / y[:TRAIN].std()
        parts.append(polars.DataFrame({"unique_id": [name] * len(y), "ds": np.arange(len(y)), "y": y}))
    return polars.concat(parts)


def task_of(name: str) -> dict[str, Any]:
    """The table of a set, its horizon and its split."""
    if name == "ETTh1":
        return {"frame": ett(), "horizon": ETT_HORIZON, "val_size": VALIDATION, "test_size": TEST}
    table = table_of(load_m4("Hourly-train.csv"))
    padded = polars.col("unique_id").str.slice(1).str.zfill(3)  # in their order, also when sorted
    return {"frame": table.with_columns(padded), "horizon": HORIZON, "val_size": HORIZON, "test_size": 0}


def own(name: str) -> dict[str, Any]:
    """Train and score the forecaster in this process, with one thread."""
    from congru.tasks.forecast import Forecaster, evaluate_forecaster

    task = task_of(name)
    settings: dict[str, Any] = {"horizon": task["horizon"], "seed": 0, "threads": 1, "quiet": True}
    if task["test_size"]:
        settings |= {key: task[key] for key in ("val_size", "test_size")} | {"metric": "mse"}
    marks = [clock()]
    with tempfile.TemporaryDirectory() as folder:
        model = Forecaster.train(task["frame"], **settings, out=f"{folder}/run")
        marks.append(clock())
        if task["test_size"]:
            figures: dict[str, Any] = {"mse": evaluate_forecaster(model)["GRU"]["mse"]}
        else:
            figures = {"values": model.values()[..., 0].tolist()}
    marks.append(clock())
    took = {name: np.round(b - a, 2).tolist() for name, a, b in zip(("train", "predict"), marks, marks[1:])}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {**figures, **took, "peak_megabytes": round(peak)}


def clock() -> Any:
    """Seconds on the wall and of the processor."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([time.perf_counter(), used.ru_utime + used.ru_stime])


def run_peer(python: str, name: str, model: str, steps: int, trials: int) -> dict[str, Any]:
    """One peer on one set, in a process of its own."""
    task = task_of(name)
    with tempfile.TemporaryDirectory() as folder:
        table, told, answer = (Path(folder, part) for part in ("table.parquet", "task.json", "answer.json"))
        task.pop("frame").write_parquet(table)
        told.write_text(
            json.dumps({**task, "table": str(table), "model": model, "steps": steps, "trials": trials})
        )
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        subprocess.run([python, "-c", _PEER, str(told), str(answer)], check=True, cwd=folder, env=environment)
        return dict(json.loads(answer.read_text()))


def run_own(name: str) -> dict[str, Any]:
    """The forecaster on one set, in a process of its own."""
    code = f"import json, bench.forecast_peers as b; print(json.dumps(b.own({name!r})))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def scored(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """A run's figures: its forecasts of M4 Hourly become scores."""
    values = row.pop("values", None)
    if values is None:
        return row
    train, actual = load_m4("Hourly-train.csv"), np.stack(load_m4("Hourly-test.csv"))
    check_naive2(train, actual)
    return {**scores(train, actual, np.array(values)), **row}


def main() -> None:
    """Measure what is not measured yet, and write results/forecast_peers.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True, help="an interpreter with neuralforecast")
    parser.add_argument("--runs", type=Path, required=True, help="a folder that keeps every run")
    parser.add_argument("--steps", type=int, default=500, help="optimizer steps of a peer")
    parser.add_argument("--trials", type=int, default=2, help="trials of AutoGRU")
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {}
    for name in ("M4 Hourly", "ETTh1"):
        for model in (OURS, *PEERS):
            path = arguments.runs / f"{name} {model}.json"
            if not path.exists():
                limits = arguments.steps, arguments.trials
                row = run_own(name) if model == OURS else run_peer(arguments.python, name, model, *limits)
                path.write_text(json.dumps(scored(name, row)))
            figures.setdefault(name, {})[model] = json.loads(path.read_text())
            print(name, model, figures[name][model], flush=True)
    figures["settings"] = {"steps": arguments.steps, "trials": arguments.trials, "threads": 1}
    command = f"python -m bench.forecast_peers --python PATH --runs FOLDER --steps {arguments.steps} --trials {arguments.trials}"
    target = write_result("forecast_peers", command, figures, packages=("polars",), folder=arguments.folder)
    print(target)


if __name__ == "__main__":
    main()
