"""What does it cost to see the gates, and how exact is what one sees?

Recovery of all gates from x and y, side by side with the forward passes whose gates they are: torch.nn.GRU, and
our C core with and without returning its own gates. Correctness first: the recovered gates must be those the C
core returns, the residual of the equations and the completeness of the shares must be within their limits.

    OMP_NUM_THREADS=1 python -m bench.gates [--repetitions 15] [--threads 1]

Times are interleaved in one process; a ratio is that of two medians. `--threads` is for torch and the C core;
NumPy's matrix products, which recovery is made of, take OMP_NUM_THREADS.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import congru
from bench.record import ROOT, spread, write_result
from congru.gates.memory import attribute_all
from congru.gates.readout import Readout
from congru.gates.recover import recover
from congru.gates.trace import Trace

SHAPES = ((1, 512, 64, 128), (1, 1000, 64, 256), (16, 1000, 64, 64), (32, 100, 128, 256), (64, 200, 128, 512))
RESIDUAL, COMPLETE, SAME = 1e-6, 1e-5, 1e-5
OUTPUTS = (100, 1000)


def milliseconds(calls: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """Times of each call, taken in turns after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repetitions + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - began))
    return times


def recovery(shape: tuple[int, int, int, int], repetitions: int) -> dict[str, Any]:
    """Times of recovery and of forward passes at one shape (B, T, I, H), and how exact the gates are."""
    B, T, I, H = shape
    torch.manual_seed(0)
    theirs = torch.nn.GRU(I, H, batch_first=True)
    ours = congru.nn.GRU(I, H, batch_first=True, backend="native")
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(B, T, I)
    with torch.no_grad():
        y, _, gates = ours(x, return_gates=True)
    weights = tuple(part.detach().numpy() for part in ours.parameters())
    recovered = recover("gru", x.numpy(), y.numpy(), weights)
    if np.abs(recovered.stacked() - gates.numpy()[0, 0]).max() > SAME:
        raise SystemExit("the recovered gates are not those of the forward pass")
    residual = max(congru.inspect(layer, x).check(RESIDUAL) for layer in (theirs, ours))

    def forward(layer: Any, **options: Any) -> Callable[[], Any]:
        def call() -> None:
            with torch.no_grad():
                layer(x, **options)

        return call

    times = milliseconds(
        {
            "recovery": lambda: recover("gru", x.numpy(), y.numpy(), weights),
            "torch.nn.GRU": forward(theirs),
            "congru": forward(ours),
            "congru with gates": forward(ours, return_gates=True),
        },
        repetitions,
    )
    return {"ms": {name: spread(values) for name, values in times.items()}, "residual": residual}


def attribution(outputs: int, repetitions: int) -> dict[str, Any]:
    """Exact shares of all outputs of one row, T = 1,000, H = 256."""
    torch.manual_seed(0)
    trace = congru.inspect(torch.nn.GRU(64, 256, batch_first=True), torch.randn(1, 1000, 64))
    random = np.random.default_rng(0)
    weight, bias = random.normal(size=(outputs, 256)).astype(np.float32), np.zeros(outputs, np.float32)
    readout = Readout("head", "steps", weight, bias)
    output = readout.apply(trace.top.y, trace.lengths)
    trace = Trace(trace.layers, trace.tokens, trace.title, trace.layer_names, output, readout)
    shares = attribute_all(trace)
    missing = np.abs(shares.contributions.sum(axis=0) + shares.start + shares.bias - output[0, -1])
    incomplete = float(missing.max() / np.abs(output[0, -1]).max())
    if not incomplete <= COMPLETE:
        raise SystemExit(f"shares miss the outputs by {missing.max():.1e}")
    times = milliseconds({"all outputs": lambda: attribute_all(trace)}, repetitions)["all outputs"]
    return {"ms": spread(times), "incompleteness": incomplete}


def main() -> None:
    """Measure, and write results/gates.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures: dict[str, Any] = {
        "threads": arguments.threads,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
    }
    worst = []
    spreads: dict[str, Any] = {}
    for shape in SHAPES:
        measured = recovery(shape, arguments.repetitions)
        name = "recovery (B, T, I, H) = " + str(shape)
        middle = {key: values["median"] for key, values in measured["ms"].items()}
        ratios = {f"of {key}": middle["recovery"] / middle[key] for key in middle if key != "recovery"}
        worst.append(ratios["of torch.nn.GRU"])
        figures[name] = {"ms": middle, "ratio": ratios, "residual": measured["residual"]}
        spreads[name] = measured["ms"]
        print(name, {key: round(value, 2) for key, value in (middle | ratios).items()})
    for outputs in OUTPUTS:
        name = f"shares of {outputs} outputs, T = 1000, H = 256"
        measured = attribution(outputs, arguments.repetitions)
        figures[name] = {"ms": measured["ms"]["median"], "incompleteness": measured["incompleteness"]}
        spreads[name] = measured["ms"]
        print(name, figures[name])
    figures["largest ratio to torch.nn.GRU"] = max(worst)
    target = write_result(
        "gates",
        f"python -m bench.gates --repetitions {arguments.repetitions} --threads {arguments.threads}",
        figures,
        repetitions=arguments.repetitions,
        spreads=spreads,
    )
    print(f"wrote {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
