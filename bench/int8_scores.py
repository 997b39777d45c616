"""What does int8 cost on the task's own score? A small trained model of every task, in float32 and as `congru export --to int8`.

Each model is trained by `congru train` with the settings below on the public data of its task, some minutes each, and both
models are scored by `congru eval` on the same part; nothing is chosen by these scores. Inputs are calibrated as the command does.
The first score is the task's own; its change is in percent of the float32 value. Runs that lie in --runs are not trained anew.

    CONGRU_DATA=FOLDER python -m bench.int8_scores [TASK ...] [--runs FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.record import ROOT, write_result
from congru.cli.export import _at_hand
from congru.cli.run import task_of
from congru.data.registry import VARIABLE, read
from congru.export.exporter import export_model
from congru.runtime.folder import find_model_folder, load


class Plan(NamedTuple):
    """What is read, below the folder of data sets or made in the folder of runs, and the flags of training and evaluation."""

    sources: tuple[str, ...]
    train: str
    evaluate: dict[str, Any]
    scored: tuple[str, ...] = ()  # where evaluation reads other files
    make: Callable[[Path], None] | None = None  # writes the first source


def hours_of_ett(path: Path) -> None:
    """ETTh1's first 14,400 hours as a long table."""
    rows = list(csv.reader(io.StringIO(read("ett", "ETTh1.csv").decode())))[:14401]
    with path.open("w") as file:
        file.write("unique_id,ds,y\n")
        for column, name in enumerate(rows[0][1:], start=1):
            file.writelines(f"{name},{row[0]},{row[column]}\n" for row in rows[1:])


def sixth_of_games(path: Path) -> None:
    """Every sixth of the games of 20 masters."""
    with (
        gzip.open(folder_of_data() / "chess/pgnmentor20/games.tsv.gz", "rt") as games,
        path.open("w") as file,
    ):
        file.writelines(line for k, line in enumerate(games) if k % 6 == 0)


_TOKENS = "translate/multi30k/tok/{}.lc.norm.tok.{}.gz"
_TRAIN, _VALID, _TEST = (
    tuple(_TOKENS.format(part, language) for language in ("de", "en"))
    for part in ("train", "val", "test_2016_flickr")
)
PLANS = {
    "text": Plan(("text/tinyshakespeare/input.txt",), "--hidden-size 256 --steps 900", {}),
    "forecast": Plan(("ett.csv",), "--horizon 24 --steps 1500", {}, make=hours_of_ett),
    "sentiment": Plan(("sentiment/sst2",), "--epochs 4", {}),
    "assistant": Plan(("chat/snips",), "--epochs 5", {}),
    "translate": Plan(
        _TRAIN,
        "--tokens word --bleu-tokenize none --hidden-size 128 --embedding-size 128 --batch-size 64 --steps 2400",
        {"beam": 3},
        scored=_TEST,
    ),
    "speech": Plan(
        ("speech/an4/an4_mfcc13.npz",), "--hidden-size 128 --conv-size 128 --num-layers 2 --steps 3000", {}
    ),
    "music": Plan(("music/boulanger/JSB_Chorales.mat",), "--epochs 4", {}),
    "video": Plan(
        ("video/libras/libras.npz",),
        "--steps 600 --streaming --window 7 --pool last --shift 1 --zoom 0.4 --turn 10 --learning-rate 0.005",
        {},
    ),
    "chess": Plan(("chess.tsv",), "--hidden-size 192 --steps 900", {}, make=sixth_of_games),
}


def folder_of_data() -> Path:
    return Path(os.environ[VARIABLE])


def train(task: str, plan: Plan, runs: Path) -> Path:
    """The run folder of a task's model, trained where it is not there."""
    run = runs / task
    if (run / "model").exists():
        return run
    if plan.make is not None:
        plan.make(runs / plan.sources[0])
    valid = (
        [word for path in located(_VALID, runs) for word in ("--valid", path)]
        if plan.sources == _TRAIN
        else []
    )
    flags = [*plan.train.split(), *valid, "--seed", "0", "--threads", "1", "--quiet", "--out", str(run)]
    command = [sys.executable, "-m", "congru", "train", task, *located(plan.sources, runs), *flags]
    subprocess.run(command, check=True, cwd=ROOT)
    return run


def located(sources: tuple[str, ...], runs: Path) -> list[str]:
    """Paths of sources: in the folder of data sets, or in that of runs where they are made."""
    return [str((folder_of_data() if "/" in source else runs) / source) for source in sources]


def scores(folder: Path, sources: list[str], options: dict[str, Any], out: Path) -> dict[str, Any]:
    """Every score of the model before and after, and what its files take."""
    export = export_model(folder, "int8", out / "int8", samples=_at_hand(folder))
    evaluate = task_of(folder).use("evaluate")
    before, after = (
        next(iter(evaluate(model, *sources, quiet=True, **options).values()))
        for model in (folder, out / "int8")
    )
    return {
        "float32": before,
        "int8": after,
        "change, %": {
            name: round(100 * (after[name] - before[name]) / abs(before[name]), 4)
            for name in before
            if before[name]
        },
        "bytes": {
            "float32": sum(
                int(entry.facts["float32, kB"].replace(",", "").split(".")[0]) for entry in export.written
            )
            * 1000,
            "int8": sum(entry.bytes for entry in export.written),
        },
    }


def measure(task: str, runs: Path) -> dict[str, Any]:
    """The scores of one task's model, and which model it is."""
    plan = PLANS[task]
    folder = find_model_folder(train(task, plan, runs))
    with tempfile.TemporaryDirectory() as out:
        row = scores(folder, located(plan.scored or plan.sources, runs), plan.evaluate, Path(out))
    loaded = load(folder)
    return row | {
        "model": loaded.fingerprint[:12],
        "parameters": loaded.num_parameters,
        "data": [Path(source).name for source in plan.scored or plan.sources],
        "training": plan.train,
    }


def main() -> int:
    """Measure, print and write results/int8_scores.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tasks", nargs="*", choices=[*PLANS, []], help="default: all")
    parser.add_argument("--runs", type=Path, help="keep the trained models here; default: a temporary folder")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        runs = arguments.runs or Path(temporary)
        runs.mkdir(parents=True, exist_ok=True)
        for task in arguments.tasks or PLANS:
            row = measure(task, runs)
            figures[task] = {row["model"]: row}
            print(task, row, flush=True)
    command = " ".join(["python -m bench.int8_scores", *arguments.tasks])
    print(write_result("int8_scores", command, figures).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
