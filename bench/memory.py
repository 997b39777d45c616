"""Who still learns when what matters is 50 to 1,000 steps old, and by which path does the gradient get there?

RNN, GRU, LSTM and minGRU at equal parameters, equal sequences and equal steps on the adding problem and the copy task,
with torch's start values and with chrono initialisation; then the gradient against the lag in the trained networks, and
the share of the GRU's exact memory that lies on the planted steps, as it trains by itself and with a cost on writing.
Correctness first: the shares must add up to the answer. results/memory.json is written anew after every part.

    python -m bench.memory [--draw]          --draw: only make docs/memory.svg from results/memory.json
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import torch

from bench.memory_picture import draw
from bench.record import ROOT, spread, write_result
from congru.nn import Network
from congru.tasks.memory.contest import Contest, Run, measure
from congru.tasks.memory.paths import flow, planted_share
from congru.tasks.memory.problem import Batch, Problem
from congru.tasks.memory.training import TEST, held_out

LAGS = (50, 100, 200, 500, 1000)
SHORT_LAGS = (50, 100, 200)  # minGRU: its scan takes five times a GRU's seconds on one thread of a CPU
SIZE = {"batch_size": 16, "hidden_size": 48}
STEPS = {"adding": 1000, "copy": 2000}
PARTS: dict[str, dict[str, Any]] = {
    f"{task}, {init}, {name}": {
        "task": task,
        "init": init,
        "cells": cells,
        "lags": lags,
        "steps": STEPS[task],
        **SIZE,
    }
    for name, lags, choices in (
        ("all lags", LAGS, {"default": ("gru", "lstm", "rnn"), "chrono": ("gru", "lstm")}),
        ("minGRU", SHORT_LAGS, {"default": ("mingru",), "chrono": ("mingru",)}),
    )
    for task in ("adding", "copy")
    for init, cells in choices.items()
}
FLOW_LAG = 200
SEQUENCES = 16  # test sequences that are looked into
PLANTED: dict[str, Any] = {
    "init": "chrono",
    "cells": ("gru",),
    "lags": (50,),
    "batch_size": 32,
    "hidden_size": 64,
    "learning_rates": (0.01,),
}
WRITE_COST: dict[str, dict[str, Any]] = {
    "adding": {"write_cost": 0.03, "steps": 2000},
    "copy": {"write_cost": 0.01, "steps": 3000},
}
IDENTITY = 1e-5  # largest residual of shares against answers


class Looks:
    """What is seen in the trained networks of one part."""

    def __init__(self) -> None:
        self.flows: dict[str, Any] = {}
        self.planted: dict[str, Any] = {}

    def look(self, run: Run, problem: Problem, network: Network) -> None:
        """Note the gradient flow at FLOW_LAG, and the planted share where the cell has exact shares."""
        x, target, planted = held_out(problem, TEST)
        batch = Batch(x[:SEQUENCES], target[:SEQUENCES], planted[:SEQUENCES])
        if run.lag == FLOW_LAG:
            path = flow(network, problem, batch)
            places = np.unique(np.linspace(0, len(path.gradient) - 1, 60).round().astype(int))
            self.flows[run.cell] = {
                "lag": places.tolist(),
                "gradient": _rounded(path.gradient[places]),
                "carry": None if path.carry is None else _rounded(path.carry[places]),
            }
        found = planted_share(network, problem, batch)
        if found is not None:
            if not found.residual <= IDENTITY:
                raise SystemExit(f"{run.cell} lag {run.lag}: shares miss the answer by {found.residual:.1e}")
            shares = {name: round(value, 4) for name, value in found._asdict().items() if name != "residual"}
            self.planted[f"{run.cell}, lag {run.lag}"] = {**shares, "loss_share": round(run.share, 5)}


def measure_part(settings: dict[str, Any]) -> dict[str, Any]:
    """The figures of one part."""
    looks = Looks()
    contest = measure(settings, say=lambda line: print(f"  {line}", flush=True), keep=looks.look)
    print(contest.table(), flush=True)
    return {"runs": _rows(contest), "flow": looks.flows, "planted": looks.planted}


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
    parser.add_argument("--parts", nargs="+", default=[*PARTS, "planted"], choices=[*PARTS, "planted"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {
        "steps": STEPS,
        **SIZE,
        "flow_lag": FLOW_LAG,
        "threads": 1,
        "parts": {},
        "planted": {},
    }
    if not arguments.draw:
        for part in arguments.parts:
            print(f"-- {part}", flush=True)
            if part == "planted":
                for task, settings in WRITE_COST.items():
                    given = {**PLANTED, **settings, "task": task, "seeds": arguments.seeds}
                    figures["planted"][task] = {"settings": given, **measure_part(given)}
            else:
                figures["parts"][part] = measure_part({**PARTS[part], "seeds": arguments.seeds})
            _write(figures, arguments.seeds)
    record = json.loads((ROOT / "results" / "memory.json").read_text())
    print(draw(record, FLOW_LAG, ROOT / "docs" / "memory.svg").relative_to(ROOT))


def _write(figures: dict[str, Any], seeds: list[int]) -> None:
    spreads = {
        f"{name}, {cell}, lag {lag}": {"share": spread(values)}
        for name, part in figures["parts"].items()
        for cell, lag in dict.fromkeys((run["cell"], run["lag"]) for run in part["runs"])
        if len(values := [run["share"] for run in part["runs"] if (run["cell"], run["lag"]) == (cell, lag)])
        > 1
    }
    write_result(
        "memory",
        f"python -m bench.memory --seeds {' '.join(map(str, seeds))}",
        figures,
        repetitions=len(seeds),
        spreads=spreads,
        baselines={"adding, always 1 (MSE)": 1 / 6, "copy, guessing (nats per symbol)": float(np.log(8))},
    )


if __name__ == "__main__":
    main()
