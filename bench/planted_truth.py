"""Does the exact memory of a trained GRU lie on the steps that were planted?

The share of |C| (`congru.gates.memory`) on the marked steps of the adding problem and on the shown symbols of the copy
task, in GRUs trained from a chrono start; each as it trains by itself, and with a cost on writing. Beside it the share
around the mean and by every path (`congru.contest.paths`), the trust share, and the share that evenly spread
contributions would have. Correctness first: the exact shares must add up to the answer.

    python -m bench.planted_truth [--seeds 0 1]
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from bench.record import ROOT, spread, write_result
from congru.contest.contest import Run, measure
from congru.contest.learner import TEST, held_out
from congru.contest.paths import Planted, planted_share
from congru.contest.problem import Batch, Problem
from congru.nn import Network

COMMON: dict[str, Any] = {"cells": ("gru",), "init": "chrono", "batch_size": 32, "learning_rates": (0.01,)}
ADDING: dict[str, Any] = {"task": "adding", "lags": (50,), "hidden_size": 64}
COPY: dict[str, Any] = {"task": "copy", "lags": (10,), "hidden_size": 48}
CASES: dict[str, dict[str, Any]] = {
    "adding": {**ADDING, "steps": 2000},
    "adding, write cost": {**ADDING, "steps": 5000, "write_cost": 0.03},
    "copy": {**COPY, "steps": 2500},
    "copy, write cost": {**COPY, "steps": 5000, "write_cost": 0.003},
}
SEQUENCES = 64  # test sequences that are looked into
IDENTITY = 1e-5  # largest residual of the shares against the answer


def measure_case(settings: dict[str, Any], seeds: list[int]) -> list[dict[str, Any]]:
    """One row of results for every seed."""
    rows: list[dict[str, Any]] = []

    def look(run: Run, problem: Problem, network: Network) -> None:
        x, target, planted = held_out(problem, TEST)
        batch = Batch(x[:SEQUENCES], target[:SEQUENCES], planted[:SEQUENCES])
        shares = planted_share(network, problem, batch)
        assert isinstance(shares, Planted)
        if not shares.residual <= IDENTITY:
            raise SystemExit(f"the shares miss the answer by {shares.residual:.1e}")
        rows.append(
            {
                "seed": run.seed,
                **{name: round(value, 4) for name, value in shares._asdict().items() if name != "residual"},
                "even": round(planted.shape[1] / x.shape[1], 4),
                "loss_share": round(run.share, 5),
                "cpu_seconds": round(run.cpu_seconds, 1),
            }
        )

    measure({**COMMON, **settings, "seeds": seeds}, keep=look)
    return rows


def main() -> None:
    """Measure, and write results/planted_truth.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = {}
    for name, settings in CASES.items():
        cases[name] = measure_case(settings, arguments.seeds)
        for row in cases[name]:
            print(name, row, flush=True)
    keys = ("plain", "centred", "entered", "trust", "loss_share")
    spreads = {
        name: {key: spread([row[key] for row in rows]) for key in keys} for name, rows in cases.items()
    }
    target = write_result(
        "planted_truth",
        f"python -m bench.planted_truth --seeds {' '.join(map(str, arguments.seeds))}",
        {name: {key: values["median"] for key, values in by_key.items()} for name, by_key in spreads.items()}
        | {"runs": cases, "settings": {"all": COMMON, **CASES}, "threads": 1, "sequences": SEQUENCES},
        repetitions=len(arguments.seeds),
        spreads=spreads,
        baselines={f"{name}, evenly spread": rows[0]["even"] for name, rows in cases.items()},
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
