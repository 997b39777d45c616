"""Does a step of a whole model cost more since networks are graphs?

Text models (embedding, GRU, read-out of 65 symbols) and streaming forecasters (linear, relu, GRU, read-out) of three
sizes, written as folders of format 1 by the code before the graph; that code and today's load the same folders, each
in a process of its own on one core, and take the same steps in turn. Correctness first: both give the same outputs.
Microseconds a step of one stream.

    python -m bench.graph_steps --before PYTHON [--repetitions 200]

PYTHON is an interpreter that has congru as it was before the graph (commit d9ce5de) installed, with torch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import ROOT, write_result
from bench.timing import ratio, summary

HIDDEN_SIZES = (64, 256, 512)
STEPS = 100  # in one measurement: short, so that both meet the same load in turn
TOLERANCE = 1e-5
_MAKE = """
import sys, numpy as np, pandas as pd, congru
folder, sizes = sys.argv[1], [int(size) for size in sys.argv[2:]]
letters = [chr(33 + k) for k in range(65)]
text = "".join(np.random.default_rng(0).choice(letters, 20000)) + "".join(letters)
open(f"{folder}/text.txt", "w").write(text)
days = pd.date_range("2020-01-01", periods=400, freq="D")
table = pd.DataFrame({"unique_id": "a", "ds": days, "y": np.sin(np.arange(400) / 9) + np.arange(400) % 7})
for size in sizes:
    shared = {"hidden_size": size, "steps": 1, "evaluations": 1, "quiet": True}
    congru.tasks.text.train(f"{folder}/text.txt", embedding_size=64, out=f"{folder}/text-{size}", **shared)
    congru.tasks.forecast.train(table, horizon=7, out=f"{folder}/forecast-{size}", **shared)
"""
_STEP = """
import os, sys, time, numpy as np, congru
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # both on one core, in turn
sessions, inputs = {}, {}
for line in sys.stdin:
    name, folder, steps = line.rstrip("\\n").split("\\t")
    if name not in sessions:
        model = congru.load(f"{folder}/{name}/model")
        rng, sessions[name] = np.random.default_rng(1), model.session()
        size = model.network.input_size
        inputs[name] = [int(k) for k in rng.integers(0, 65, 400)] if size is None else list(
            rng.standard_normal((400, size)).astype(np.float32))
        first = np.stack([sessions[name].step(x) for x in inputs[name][:20]])
        np.save(f"{folder}/{name}-{os.getpid()}.npy", first)
    step, xs = sessions[name].step, inputs[name][: int(steps)]
    start = time.perf_counter()
    for x in xs:
        step(x)
    print(time.perf_counter() - start, os.getpid(), flush=True)
"""


class Worker:
    """A process of one interpreter that steps models when it is told to."""

    def __init__(self, python: str, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [python, "-c", _STEP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )

    def seconds(self, name: str) -> float:
        """What STEPS steps of a model take."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{name}\t{self.folder}\t{STEPS}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline().split()[0])

    def first_outputs(self, name: str) -> np.ndarray:
        """The outputs of the model's first steps."""
        outputs: np.ndarray = np.load(self.folder / f"{name}-{self.process.pid}.npy")
        return outputs


def measure(before: str, repetitions: int, folder: Path) -> dict[str, Any]:
    """Microseconds a step of every model by code, in turn, and how many times as long today's takes."""
    subprocess.run([before, "-c", _MAKE, str(folder), *map(str, HIDDEN_SIZES)], check=True, cwd=folder)
    workers = {"before": Worker(before, folder), "today": Worker(sys.executable, folder)}
    figures: dict[str, Any] = {}
    for name in [f"{task}-{size}" for task in ("text", "forecast") for size in HIDDEN_SIZES]:
        for worker in workers.values():
            worker.seconds(name)
        old, new = (worker.first_outputs(name) for worker in workers.values())
        worst = float(np.abs(old - new).max())
        if worst > TOLERANCE:
            raise SystemExit(f"{name}: the outputs differ by {worst:.1e}")
        seconds: dict[str, list[float]] = {which: [] for which in workers}
        for _ in range(repetitions):
            for which, worker in workers.items():
                seconds[which].append(worker.seconds(name))
        figures[name] = {
            "us": {which: summary(values, STEPS * 1e-6) for which, values in seconds.items()},
            "today_times_before": ratio(seconds, "today", "before"),
            "largest_difference": worst,
        }
        print(name, figures[name], flush=True)
    for worker in workers.values():
        worker.process.terminate()
        worker.process.wait()
    return figures


def commit_of(python: str) -> str:
    """The commit of the sources that an interpreter has installed."""
    code = "import congru, pathlib; print(pathlib.Path(congru.__file__).parent)"
    source = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=source, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def main() -> None:
    """Measure, print and write results/graph_steps.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", required=True, help="interpreter with congru as it was before the graph")
    parser.add_argument("--repetitions", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(arguments.before, arguments.repetitions, Path(folder))
    target = write_result(
        "graph_steps",
        f"python -m bench.graph_steps --before PYTHON --repetitions {arguments.repetitions}",
        {"steps": STEPS, "commit_before": commit_of(arguments.before), "models": figures},
        repetitions=arguments.repetitions,
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
