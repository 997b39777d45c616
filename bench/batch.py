"""How many inputs a second does a batch answer, and in how much memory?

    python -m bench.batch [--series 1000000] [--sentences 100000] [--games 10000] [--workers 2]

Series of 100 days to forecasts of 7, in Parquet; sentences of SST-2, over and over, to classes; games of pgnmentor20 to hits and
bits. Each by `congru run MODEL --data FILE --out FOLDER --workers N` as one types it: in processes of one thread each,
imports and loading included. The models have the default sizes of their tasks (chess: 256 units) and a few steps of training:
speed does not depend on what they learnt. `peak_mb` is the largest memory of any of the processes; a tenth of the input is run
before the whole, so that a memory that grows with the input would be seen. `again_seconds` is the same command once more, when
every shard is finished.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.record import cpu_seconds, write_result
from congru.data import registry
from congru.tasks.registry import TASKS

STEPS, HORIZON, GROUP = 100, 7, 1000  # days of a series, of its forecast, series of a row group
SHARDS = 16
TRAINING = {"steps": 5, "evaluations": 1, "quiet": True, "threads": 1}
SETTINGS: dict[str, dict[str, Any]] = {
    "forecast": {"horizon": HORIZON, "levels": [80]},
    "sentiment": {},
    "chess": {"hidden_size": 256},
}


def write_series(path: Path, count: int) -> None:
    """So many noisy weeks, each series a name, in row groups of GROUP series."""
    rng, days = np.random.default_rng(0), np.datetime64("2024-01-01") + np.arange(STEPS)
    week = np.sin(np.arange(STEPS) * 2 * np.pi / 7)
    writer: Any = None
    for first in range(0, count, GROUP):
        number = min(GROUP, count - first)
        y = 20 + rng.uniform(1, 5, (number, 1)) * week + rng.standard_normal((number, STEPS))
        names = [f"series-{k:07d}" for k in range(first, first + number)]
        table = pa.table({"unique_id": np.repeat(names, STEPS), "ds": np.tile(days, number), "y": y.ravel()})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def write_sentences(path: Path, count: int) -> None:
    """The sentences of SST-2's train part, one a line, over and over."""
    rows = registry.read("sst2", "train.tsv").decode().splitlines()
    path.write_text("".join(f"{row.partition(chr(9))[0]}\n" for row in islice(cycle(rows), count)))


def write_games(path: Path, count: int) -> None:
    """So many games of the train part of pgnmentor20, as PGN."""
    header, *rows = registry.read("pgnmentor20", "games.tsv").decode().splitlines()
    names = header.split("\t")
    games = (dict(zip(names, row.split("\t"))) for row in rows)
    with path.open("w") as file:
        for game in islice((one for one in games if one["split"] == "train"), count):
            tags = "".join(f'[{tag} "{game[tag.lower()].strip()}"]\n' for tag in ("White", "Black", "Result"))
            file.write(f"{tags}\n{game['moves']} {game['result']}\n\n")


def sst2_with_labels(path: Path) -> None:
    """Something for the classifier to train on."""
    path.write_bytes(b"text\tlabel\n" + registry.read("sst2", "train.tsv"))


WRITE: dict[str, Callable[[Path, int], None]] = {
    "forecast": write_series,
    "sentiment": write_sentences,
    "chess": write_games,
}
SUFFIX = {"forecast": "parquet", "sentiment": "txt", "chess": "pgn"}


def model_for(task: str, folder: Path) -> Path:
    """A model of the task's default size, hardly trained."""
    source = folder / f"{task}-train.{'tsv' if task == 'sentiment' else SUFFIX[task]}"
    if task == "sentiment":
        sst2_with_labels(source)
    else:
        WRITE[task](source, 200)
    result = TASKS[task].train(
        str(source), settings={**TRAINING, **SETTINGS[task], "out": folder / f"{task}-run"}
    )
    assert result.model_folder is not None
    return result.model_folder


def batch(model: Path, data: Path, out: Path, workers: int) -> dict[str, Any]:
    """Run one, and what it cost."""
    command = [sys.executable, "-m", "congru", "run", str(model), "--data", str(data), "--out", str(out)]
    command += ["--workers", str(workers), "--shards", str(SHARDS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began, cpu = time.perf_counter(), cpu_seconds()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    shards = [json.loads(path.read_text()) for path in out.glob("_part-*.json")]
    assert len(shards) == SHARDS
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds() - cpu, 1),
        "rows_in": sum(one["rows_in"] for one in shards),
        "rows_out": sum(one["rows_out"] for one in shards),
        "peak_mb": max(one["peak_mb"] for one in shards),
        "answer_bytes": sum(path.stat().st_size for path in out.glob("part-*")),
    }


def measure(task: str, count: int, workers: int, folder: Path) -> dict[str, Any]:
    """A tenth of the input, all of it, and all of it again."""
    model, figures = model_for(task, folder), {}
    for name, number in (("tenth", count // 10), ("whole", count)):
        data, out = folder / f"{task}-{name}.{SUFFIX[task]}", folder / f"{task}-{name}-answers"
        WRITE[task](data, number)
        figures[name] = {
            "inputs": number,
            "input_bytes": data.stat().st_size,
            **batch(model, data, out, workers),
        }
        figures[name]["inputs_per_second"] = round(number / figures[name]["seconds"], 1)
        print(task, name, figures[name], flush=True)
    again = batch(model, data, out, workers)
    figures["again_seconds"] = again["seconds"]
    data.unlink()
    return figures


def main() -> None:
    """Measure, print and write results/batch.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=int, default=1_000_000)
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--games", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    counts = {"forecast": asked.series, "sentiment": asked.sentences, "chess": asked.games}
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            task: measure(task, count, asked.workers, Path(folder)) for task, count in counts.items() if count
        }
    flags = f"--series {asked.series} --sentences {asked.sentences} --games {asked.games} --workers {asked.workers}"
    print(
        write_result(
            "batch",
            f"python -m bench.batch {flags}",
            {"workers": asked.workers, **figures},
            packages=("pyarrow",),
        ).name
    )


if __name__ == "__main__":
    main()
