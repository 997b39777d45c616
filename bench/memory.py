"""Who still learns when what matters is 50 to 1,000 steps old, and by which path does the gradient get there?

RNN, GRU, LSTM and minGRU at equal parameters, equal sequences and equal steps on the adding problem and the copy task,
with torch's start values and with chrono initialisation; then the gradient against the lag in the trained networks.
Correctness first: the gradient of a minGRU must be its carry path. results/memory.json is written after every part, keeps the
others, and says of each at which commit it was measured.

    python -m bench.memory [--parts PART ...] [--draw]      --draw: only make docs/memory.svg from results/memory.json
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch

from bench.memory_picture import draw
from bench.record import ROOT, commit, spread, write_result
from congru.contest.contest import Contest, Run, measure
from congru.contest.copying import unordered_loss
from congru.contest.learner import TEST, held_out
from congru.contest.paths import flow
from congru.contest.problem import Batch, Problem
from congru.nn import Network

LAGS = (50, 100, 200, 500, 1000)
SHORT_LAGS = (50, 100, 200)
SIZE = {"batch_size": 16, "hidden_size": 48}
STEPS = {"adding": 1000, "copy": 2000}
# Short lags only: the copy task of minGRU, whose scan takes several times a GRU's seconds on a CPU, and of what does not learn.
PARTS: dict[str, dict[str, Any]] = {
    f"{task}, {init}, {name}": {
        "task": task,
        "init": init,
        "cells": cells,
        "lags": lags,
        "steps": STEPS[task],
        **SIZE,
    }
    for task, init, name, cells, lags in (
        ("adding", "default", "all lags", ("gru", "lstm", "rnn"), LAGS),
        ("adding", "chrono", "all lags", ("gru", "lstm"), LAGS),
        ("adding", "default", "minGRU", ("mingru",), LAGS),
        ("adding", "chrono", "minGRU", ("mingru",), LAGS),
        ("copy", "chrono", "all lags", ("gru", "lstm"), LAGS),
        ("copy", "default", "short lags", ("gru", "lstm", "rnn"), SHORT_LAGS),
        ("copy", "default", "minGRU", ("mingru",), SHORT_LAGS),
        ("copy", "chrono", "minGRU", ("mingru",), SHORT_LAGS),
    )
}
FLOW_LAG = 200
RESULT = ROOT / "results" / "memory.json"
SEQUENCES = 16  # test sequences that are looked into


def measure_part(settings: dict[str, Any]) -> dict[str, Any]:
    """Losses of one part, and the gradient flow at FLOW_LAG, thinned to 60 lags."""
    flows: dict[str, Any] = {}

    def look(run: Run, problem: Problem, network: Network) -> None:
        if run.lag != FLOW_LAG or run.seed != settings["seeds"][0]:
            return
        x, target, planted = held_out(problem, TEST)
        path = flow(network, problem, Batch(x[:SEQUENCES], target[:SEQUENCES], planted[:SEQUENCES]))
        if run.cell == "mingru" and (path.carry is None or not np.allclose(path.gradient, path.carry, 1e-3)):
            raise SystemExit("minGRU: the gradient is not its carry path")
        lags = np.unique(np.linspace(0, len(path.gradient) - 1, 60).round().astype(int))
        flows[run.cell] = {
            "lag": lags.tolist(),
            "gradient": _rounded(path.gradient[lags]),
            "carry": None if path.carry is None else _rounded(path.carry[lags]),
        }

    contest = measure(settings, say=lambda line: print(f"  {line}", flush=True), keep=look)
    print(contest.table(), flush=True)
    return {"runs": _rows(contest), "flow": flows}


def _rows(contest: Contest) -> list[dict[str, Any]]:
    keys = ("cell", "lag", "seed", "hidden_size", "num_parameters", "learning_rate", "steps")
    return [
        {
            **{key: getattr(run, key) for key in keys},
            "loss": round(run.loss, 6),
            "share": round(run.share, 5),
            "seconds": round(run.seconds, 1),
            "cpu_seconds": round(run.cpu_seconds, 1),
        }
        for run in contest.runs
    ]


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.3g}") for value in values]


def main() -> None:
    """Measure, write results/memory.json and draw docs/memory.svg."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draw", action="store_true", help="only draw the picture from the results")
    parser.add_argument("--parts", nargs="+", default=[*PARTS], choices=[*PARTS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.draw:
        parts = _measured()
        for part in arguments.parts:
            print(f"-- {part}", flush=True)
            measured = measure_part({**PARTS[part], "seeds": arguments.seeds})
            parts[part] = {"commit": commit(), **measured}
            _write(parts, arguments.seeds)
    record = json.loads(RESULT.read_text())
    print(draw(record, FLOW_LAG, ROOT / "docs" / "memory.svg").relative_to(ROOT))


def _measured() -> dict[str, Any]:
    """The parts that results/memory.json holds."""
    parts: dict[str, Any] = json.loads(RESULT.read_text())["figures"]["parts"] if RESULT.exists() else {}
    return parts


def _write(parts: dict[str, Any], seeds: list[int]) -> None:
    spreads = {
        f"{name}, {cell}, lag {lag}": {"share": spread(values)}
        for name, part in parts.items()
        for cell, lag in dict.fromkeys((run["cell"], run["lag"]) for run in part["runs"])
        if len(values := [run["share"] for run in part["runs"] if (run["cell"], run["lag"]) == (cell, lag)])
        > 1
    }
    write_result(
        "memory",
        f"python -m bench.memory --seeds {' '.join(map(str, seeds))}",
        {"steps": STEPS, **SIZE, "threads": 1, "parts": parts},
        repetitions=len(seeds),
        spreads=spreads,
        baselines={
            "adding, always 1 (MSE)": 1 / 6,
            "copy, guessing (nats per symbol)": float(np.log(8)),
            "copy, the symbols without their order": unordered_loss(),
        },
    )


if __name__ == "__main__":
    main()
