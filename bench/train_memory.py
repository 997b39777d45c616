"""How much memory does one training step of a GRU layer take, beside torch.nn.GRU's, and with recompute=True?

Forward and backward with all gradients, input included. Each measurement has a process of its own, which prints the peak of
its resident memory above what it was before the step, and the bytes that the forward keeps for the backward (as torch
saves them: tensors by their storage, parameters and input apart). Correctness first: outputs and gradients must be those
of torch.nn.GRU. Linux only: peaks come from /proc.

    python -m bench.train_memory [--repetitions 3]
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bench.cell_speed import SHAPES
from bench.record import spread, write_result
from congru import nn

KINDS = ("torch.nn.GRU", "congru.nn.GRU", "congru.nn.GRU recompute")
THREADS = 1
AGREEMENT = 1e-4


def make(kind: str, I: int, H: int) -> torch.nn.Module:
    torch.manual_seed(0)
    if kind == "torch.nn.GRU":
        return torch.nn.GRU(I, H)
    return nn.GRU(I, H, backend="native", recompute=kind.endswith("recompute"))


def step(layer: torch.nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """y and every gradient of one training step on x [T, B, I]."""
    y, _ = layer(x)
    y.sum().backward()
    return [y.detach(), x.grad, *(part.grad for part in layer.parameters())]


def memory_kib(name: str) -> int:
    """VmRSS (now) or VmHWM (the peak) of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise SystemExit(f"/proc/self/status has no {name}")


def saved_bytes(layer: torch.nn.Module, x: torch.Tensor) -> int:
    own = {part.untyped_storage().data_ptr() for part in (x, *layer.parameters())}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y, _ = layer(x)
    del y
    return sum(size for address, size in kept.items() if address not in own)


def one(kind: str, shape: tuple[int, ...]) -> dict[str, float]:
    """Measure in this process, which has done nothing else."""
    B, T, I, H = shape
    torch.set_num_threads(THREADS)
    layer, x = make(kind, I, H), torch.randn(T, B, I, requires_grad=True)
    step(make(kind, I, H), torch.randn(2, B, I, requires_grad=True))  # libraries, threads, their buffers
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = memory_kib("VmRSS")
    results = step(layer, x)
    peak = memory_kib("VmHWM") - before
    kept = saved_bytes(layer, x)
    if kind != "torch.nn.GRU":
        expected = step(make("torch.nn.GRU", I, H), x.detach().clone().requires_grad_())
        for a, b in zip(results, expected):
            error = float((a - b).abs().max() / b.abs().max())
            if not error < AGREEMENT:
                raise SystemExit(f"{kind} {shape} differs from torch.nn.GRU by {error:.2g}")
    return {"peak_mib": peak / 1024, "saved_mib": kept / 2**20}


def in_its_own_process(kind: str, shape: tuple[int, ...]) -> dict[str, float]:
    context = multiprocessing.get_context("fork")  # with torch imported, and none of its threads started
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sending.send(one(kind, shape)))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)
    measured: dict[str, float] = receiving.recv()
    return measured


def main() -> None:
    """Measure, and write results/train_memory.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    baselines: dict[str, Any] = {}
    spreads: dict[str, Any] = {}
    for shape in SHAPES:
        name = "B={}, T={}, I={}, H={}".format(*shape)
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for _ in range(arguments.repetitions):
            for kind in KINDS:
                runs[kind].append(in_its_own_process(kind, shape))
        rows = {
            kind: {key: round(median(run[key] for run in runs[kind]), 2) for key in runs[kind][0]}
            for kind in KINDS
        }
        baselines[name] = rows.pop("torch.nn.GRU")
        for row in rows.values():
            for key in ("peak", "saved"):
                row[f"{key}_over_torch"] = round(row[f"{key}_mib"] / baselines[name][f"{key}_mib"], 3)
        figures[name] = rows
        spreads[name] = {kind: spread([run["peak_mib"] for run in runs[kind]]) for kind in KINDS}
        print(name, baselines[name], rows, flush=True)
    write_result(
        "train_memory",
        "python -m bench.train_memory",
        {"threads": THREADS, "shapes": figures},
        repetitions=arguments.repetitions,
        spreads=spreads,
        baselines={"torch.nn.GRU": baselines},
    )


if __name__ == "__main__":
    main()
