"""How fast are the shortest calls of a torch layer? The C core does not pack the weights of calls of a few steps.

One GRU layer, float32, from a state: our layer on the core (what it chooses) and on PyTorch's kernels (the backend `aten`),
and torch.nn.GRU, all in turn and in this process, results and gradients compared first, and on the core the steps one by one
with the whole, bit for bit. Calls are short, so one measurement is as many calls in a row as fill half a millisecond, without
pauses. What core/forward.c calls short stands on this.

    python -m bench.few_steps [--repetitions 21] [--threads N]
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from typing import Any

import torch
from torch import Tensor

from bench.cell_speed import Run, check, training
from bench.record import ROOT, write_result
from bench.timing import interleaved, ratio, summary
from congru import nn
from congru.kernels.binding import extension

STEPS = (1, 2, 3, 4, 8, 16, 32)  # T
BATCHES = (1, 16, 128)  # B
SIZES = ((64, 64), (128, 128), (256, 256), (512, 512))  # I, H
KINDS = ("inference", "training")
BLOCK_S = 0.0005  # of one measurement, at least
BUDGET_S = 2.0  # of one shape, in inference or in training


def layers(I: int, H: int) -> dict[str, torch.nn.Module]:
    """The same GRU by three ways, batch first."""
    torch.manual_seed(0)
    theirs = torch.nn.GRU(I, H, batch_first=True)
    modules: dict[str, torch.nn.Module] = {"torch.nn.GRU": theirs}
    for name, backend in (("core", "auto"), ("aten", "aten")):
        modules[name] = nn.GRU(I, H, batch_first=True, backend=backend)
        modules[name].load_state_dict(theirs.state_dict())
    return modules


def inference(layer: torch.nn.Module, x: Tensor, h: Tensor) -> Run:
    """A call from a state, as in a loop of steps."""

    def run() -> Tensor:
        with torch.inference_mode():
            y: Tensor = layer(x, h)[0]
        return y

    return run


def check_steps(layer: torch.nn.Module, x: Tensor, h: Tensor) -> None:
    """End the benchmark unless single steps have the bits of the whole, without and with gradients."""
    with torch.no_grad():
        y, _ = layer(x, h)
    for gradient in (False, True):
        state = h
        for t in range(x.shape[1]):
            with torch.set_grad_enabled(gradient):
                step, state = layer(x[:, t : t + 1], state)
            if not torch.equal(step, y[:, t : t + 1]):
                raise SystemExit(f"step {t} of {tuple(x.shape)} differs from the whole")


def runs_at(B: int, T: int, I: int, H: int, what: str) -> dict[str, Run]:
    """One call of each way, checked against torch.nn."""
    ways = layers(I, H)
    x, dy, h = torch.randn(B, T, I), torch.randn(B, T, H), torch.randn(1, B, H)
    check_steps(ways["core"], x, h)
    runs = {
        name: inference(layer, x, h) if what == "inference" else training(layer, x, dy)
        for name, layer in ways.items()
    }
    for name, run in runs.items():
        check(f"{name} at {(B, T, I, H)}", run(), runs["torch.nn.GRU"]())
    return runs


def calls_in_a_block(run: Run, block_s: float = BLOCK_S) -> int:
    """How many calls of `run` fill a block: measured on the second call."""
    run()
    begin = time.perf_counter()
    run()
    return max(1, round(block_s / (time.perf_counter() - begin)))


def repeated(run: Run, calls: int) -> Run:
    def block() -> None:
        for _ in range(calls):
            run()

    return block


def entry_of(runs: dict[str, Run], repetitions: int) -> dict[str, Any]:
    """Microseconds of a call by each way, and how many times as long as on the core."""
    calls = calls_in_a_block(runs["torch.nn.GRU"])
    blocks = {name: repeated(run, calls) for name, run in runs.items()}
    seconds = interleaved(blocks, repetitions, BUDGET_S, pause_s=0.0)
    return {
        "us": {name: summary(values, calls * 1e-6) for name, values in seconds.items()},
        "times_core": {name: ratio(seconds, name, "core") for name in seconds if name != "core"},
        "calls_per_measurement": calls,
    }


def main() -> None:
    """Measure, and write results/few_steps.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=21)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures: dict[str, Any] = {
        "threads": arguments.threads,
        "instruction_set": extension().isa(),
    }
    for what, (I, H), B, T in product(KINDS, SIZES, BATCHES, STEPS):
        entry = entry_of(runs_at(B, T, I, H, what), arguments.repetitions)
        figures[f"{what} {B}, {T}, {I}, {H}"] = entry
        print(what, (B, T, I, H), entry["times_core"], flush=True)
    target = write_result(
        "few_steps",
        f"python -m bench.few_steps --repetitions {arguments.repetitions} --threads {arguments.threads}",
        figures,
        repetitions=arguments.repetitions,
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
