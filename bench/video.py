"""Accuracy of classifiers of clips: hand paths (Libras), moving digits, silhouettes; the error of predicted frames.

    python -m bench.video libras | online | cells | digit | direction | order | weizmann | figures | frames

Beside the GRU stand the nearest training clip by its average frame (and by its whole path, for tracks) and the most frequent
class, on the same test clips. Settings were chosen on validation clips taken from the training part (Weizmann: on people
of the training part), a run's model is its best evaluation on them, and the test clips are read once by it.

    libras      180 paths to train, 180 to test; both directions
    online      the same, forward only: at the end, after 60 % of the frames, and with early decisions
    cells       the same as libras: GRU, LSTM and RNN with as many parameters
    digit, direction, order   clips of moving digits as .mp4 files, new ones every epoch, other digits to test; order starts
                from the networks of digit (the same digits to train; those of --runs, if they are there)
    weizmann    whole silhouettes, nine folds: one person left out, another one to validate; figures: cut out by --figure
    frames      a convolutional GRU that sees 10 frames of a moving digit and predicts 5; writes docs/video_strip.png
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.data import data_root
from bench.record import ROOT, count_kept, cpu_seconds, write_result
from bench.runs import CELLS, kept, mean_and_spread, of_equal_parameters
from congru.tasks.video.learner import make_learner
from congru.tasks.video.settings import Settings
from congru.tasks.video.use import evaluate
from congru.tasks.video.use import run as run_model
from congru.train.loop import fit

COMMON: dict[str, Any] = {"threads": 1, "quiet": True, "evaluations": 6, "ema": 0.99}
PATHS: dict[str, Any] = {
    "steps": 1500,
    "stretch": 0.2,
    "shift": 1.0,
    "zoom": 0.4,
    "turn": 10,
    "warp": 0.3,
    "noise": 0.02,
    "learning_rate": 5e-3,
    "weight_decay": 0.05,
    "window": 7,
    "pool": "max",
    "hidden_size": 96,
    "encoder_size": 96,
    "validation": 0.08,
    "metric": "nats",
}
SILHOUETTES: dict[str, Any] = {"flip": True, "stretch": 0.2, "metric": "nats"}
DIGITS: dict[str, Any] = {
    "steps": 1500,
    "height": 32,
    "width": 32,
    "batch_size": 32,
    "made_clips": 1600,
    "workers": 1,
    "learning_rate": 4e-3,
    "shift": 0.05,
    "turn": 10,
    "stretch": 0,
    "noise": 0.02,
}
WHICH: dict[str, Any] = {**DIGITS, "moving_digits": "digit", "figure": True, "made_clips": 8000}
SETTINGS: dict[str, dict[str, Any]] = {
    "libras": PATHS,
    # Networks, weight, loss and earliest frame were chosen on six folds of the training paths (docs/LOG.md).
    "online": {
        **PATHS,
        "streaming": True,
        "pool": "last",
        "validation": 0.15,
        "seeds": 5,
        "early_weight": 0.8,
        "early_loss": 0.025,
        "earliest": 0.3,
    },
    "cells": PATHS,
    "direction": {**DIGITS, "moving_digits": "direction", "steps": 400, "turn": 0},
    "digit": {**WHICH, "steps": 6000, "seeds": 3},
    "order": {**WHICH, "moving_digits": "order", "steps": 2400, "seeds": 3, "pool": "last"},
    "weizmann": {
        **SILHOUETTES,
        "steps": 3000,
        "height": 72,  # at half of it the legs of a figure are two pixels wide
        "width": 90,
        "rate": 12.5,
        "crop": 16,
        "batch_size": 8,
        "channels": (8, 16, 32, 64),
        "columns": "max",
        "seeds": 3,
        "shift": 0.15,
        "zoom": 0.15,
        "dropout": 0.3,
        "learning_rate": 3e-3,
    },
    "figures": {
        **SILHOUETTES,
        "figure": True,
        "steps": 450,
        "height": 32,
        "width": 32,
        "crop": 32,
        "batch_size": 12,
        "shift": 0.06,
        "zoom": 0.1,
        "dropout": 0.3,
        "learning_rate": 4e-3,
    },
    "frames": {
        "predict": "frames",
        "moving_digits": "digit",
        "steps": 4800,
        "height": 32,
        "width": 32,
        "batch_size": 16,
        "made_clips": 6400,
        "workers": 1,
        "learning_rate": 4e-3,
    },
}
SOURCES = {
    "libras": "libras/libras.npz",
    "online": "libras/libras.npz",
    "cells": "libras/libras.npz",
    **dict.fromkeys(("digit", "direction", "order", "frames"), "mnist10k"),
    **dict.fromkeys(("weizmann", "figures"), "weizmann_silhouettes/clips.tsv"),
}
PUBLISHED = {
    "libras": {"ResNet (another split)": 95.4, "FCN (another split)": 96.4},
}
FOLDS = ("weizmann", "figures")
PEOPLE = tuple(f"s{number}" for number in range(1, 10))


def source_of(name: str) -> str:
    """Where the clips lie, in the folder that CONGRU_DATA names: these sets are never downloaded."""
    return str(data_root("video") / SOURCES[name])


STRIP = ROOT / "docs" / "video_strip.png"


def digits_told_apart(source: str, seed: int, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The run of digit in a folder, trained unless it is there, and what a result that starts from it says of it."""
    own = folder / f"digit-{seed}"
    path = own / "run.json"
    there = path.is_file()
    if not there:
        kept_measure(source, variants("digit", [seed])[0], own)
    record = json.loads(path.read_text())
    if there:
        count_kept(record["run"])
    told = {key: record["run"][key] for key in ("validation", "steps", "seconds", "cpu_seconds")}
    return own / f"digit-{seed}", {"commit": record["commit"], **told}


def measure(source: str, settings: Settings, runs: Path | None = None) -> dict[str, Any]:
    """Train once; scores on the test clips, what it took (with the run it starts from), and the baselines.

    The run stays in `runs`, if there is one.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = runs or Path(temporary, "run")
        out = folder / f"{settings.moving_digits or 'run'}-{settings.seed}"
        # A run cut off is trained anew: its seconds are to be those of the whole.
        shutil.rmtree(out, ignore_errors=True)
        settings, start = settings.model_copy(update={"out": out}), dict[str, Any]()
        if settings.moving_digits == "order":
            told_apart, start = digits_told_apart(source, settings.seed, folder.parent)
            settings = settings.model_copy(update={"start_from": told_apart})
        wall, cpu = time.perf_counter(), cpu_seconds()
        result = fit(make_learner(source, settings=settings), settings)
        seconds = time.perf_counter() - wall + start.get("seconds", 0.0)
        used = cpu_seconds() - cpu + start.get("cpu_seconds", 0.0)
        scores = evaluate(out, source, part="test", quiet=True)
        size = sum(path.stat().st_size for path in Path(out, "model").iterdir())
        if settings.predict == "frames":
            run_model(out, strip=STRIP)
    run = foreseen(scores) if settings.predict == "frames" else recognised(scores)
    return {
        **run,
        "validation": result.best,
        "seed": settings.seed,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used, 1),
        "steps": result.steps,
        "parameters": result.num_parameters,
        "model_mb": round(size / 1e6, 2),
        **({"start": start} if start else {}),
    }


def recognised(scores: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Accuracies in per cent, of the model and of what stands beside it."""
    run = {name: 100 * scores["model"][name] for name in ("accuracy", "macro_f1")}
    run["nats"] = scores["model"]["nats"]
    if "model, early decisions" in scores:
        run["accuracy_at_60"] = 100 * scores["model after 60 % of the frames"]["accuracy"]
        run["early_accuracy"] = 100 * scores["model, early decisions"]["accuracy"]
        run["frames_saved"] = 100 * scores["model, early decisions"]["frames_saved"]
    beside = {
        title: round(100 * row["accuracy"], 2)
        for title, row in scores.items()
        if not title.startswith("model")
    }
    return {**{name: round(value, 4) for name, value in run.items()}, "baselines": beside}


def foreseen(scores: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Mean squared errors by frames ahead, and their shares of the copy's."""
    own, copied = scores["model"], scores["copy the last frame"]
    return {
        **own,
        **{name.replace("mse", "share_of_copy"): round(own[name] / copied[name], 4) for name in own},
        "baselines": {f"copy the last frame, {name}": round(value, 5) for name, value in copied.items()},
    }


def variants(name: str, seeds: Sequence[int]) -> list[Settings]:
    """The settings of every run: one per seed, or for silhouettes one per person left out."""
    settings = Settings(**COMMON, **SETTINGS[name])
    if name in FOLDS:
        return [
            settings.model_copy(update={"leave_out": (person,), "seed": k}) for k, person in enumerate(PEOPLE)
        ]
    return [settings.model_copy(update={"seed": seed}) for seed in seeds]


def kept_measure(source: str, settings: Settings, folder: Path | None) -> dict[str, Any]:
    """`measure`, not repeated where it is finished in this folder."""
    return kept(folder and folder / "run.json", functools.partial(measure, source, settings, folder))


def cells(source: str, seeds: Sequence[int], folder: Path | None) -> dict[str, list[dict[str, Any]]]:
    """GRU, LSTM and RNN with as many parameters, the same steps and seeds."""
    runs: dict[str, list[dict[str, Any]]] = {cell: [] for cell in CELLS}
    for settings in variants("cells", seeds):
        for chosen in of_equal_parameters(make_learner(source, settings=settings), settings):
            out = folder and folder / f"cells-{chosen.cell}-{settings.seed}"
            run = kept_measure(source, chosen, out)
            runs[chosen.cell].append({**run, "hidden_size": chosen.hidden_size})
            print(chosen.cell, settings.seed, runs[chosen.cell][-1], flush=True)
    return runs


def main() -> None:
    """Measure one set, and write results/video_NAME.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=sorted(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--runs", type=Path, help="where run folders stay; what is finished there is not repeated"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    name, seeds, source = arguments.name, arguments.seeds, source_of(arguments.name)
    figures: dict[str, Any] = {"settings": {**COMMON, **SETTINGS[name]}}
    if name == "cells":
        by_cell = cells(source, seeds, arguments.runs)
        for cell, runs in by_cell.items():
            figures[cell] = {"accuracy": mean_and_spread(runs, "accuracy"), "runs": runs}
        runs = by_cell["gru"]
    else:
        runs = []
        for settings in variants(name, seeds):
            folder = arguments.runs and arguments.runs / f"{name}-{settings.seed}"
            runs.append(kept_measure(source, settings, folder))
            print(name, runs[-1], flush=True)
        figures["runs"] = runs
        keys = (
            *("accuracy", "macro_f1", "accuracy_at_60", "early_accuracy", "frames_saved"),
            *("mse_1_ahead", "mse_5_ahead", "share_of_copy_1_ahead", "share_of_copy_5_ahead"),
        )
        figures.update({key: mean_and_spread(runs, key) for key in keys if key in runs[0]})
    baselines = {
        f"{baseline} (measured)": round(statistics.fmean(run["baselines"][baseline] for run in runs), 5)
        for baseline in runs[0]["baselines"]
    }
    written = "" if name in FOLDS else " --seeds " + " ".join(map(str, seeds))
    path = write_result(
        f"video_{name}",
        f"python -m bench.video {name}{written}",
        figures,
        repetitions=len(runs),
        spreads={
            key: figures[key] for key in figures if isinstance(figures[key], dict) and "mean" in figures[key]
        },
        baselines={**baselines, **PUBLISHED.get(name, {})},
        packages=("av",),
        folder=arguments.folder,
    )
    print(path)


if __name__ == "__main__":
    main()
