"""What does a step cost in int8? One GRU layer with I = H, one row, in float32 and in integers, and sessions of such models.

Correctness first: every kernel gives the integers of NumPy over 200 steps. `layer` are steppers of the core, float32 beside each
integer kernel that runs here, in turn; `together` are rows of 64 steppers in one call; `session` are whole steps of a loaded
model folder in float32 and of its int8 export, the door that users take. Bytes are those of the packed weights. Bars: twice as
fast as float32 at H = 64, four times at 256. `baseline` is float32 and the plain kernel on a machine without AVX2.

    python -m bench.int8_speed [--repetitions 60]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import congru
from bench.export import save
from bench.record import ROOT, write_result
from bench.sessions import CALLS, repeated, weights_of
from bench.timing import interleaved, ratio, summary
from congru.export.exporter import export_model
from congru.kernels import binding, packed
from congru.runtime.cells import run_cell
from congru.runtime.form import Form
from congru.runtime.integer import IntegerGRU, quantise

BARS = {"H 64": 2.0, "H 256": 4.0}
SIZES = (32, 64, 128, 256, 512)
ROWS = 64


def cell_of(size: int) -> IntegerGRU:
    """The float layer's weights in int8."""
    W, U, b_i, b_h = weights_of(size, size)
    return IntegerGRU(quantise(W), quantise(U), b_i, b_h, Form("gru", "gru", size), 0.03)


def check(cell: IntegerGRU, kernels: list[str]) -> None:
    """Exit unless 200 steps give the integers of NumPy."""
    x = np.random.default_rng(0).standard_normal((200, 1, cell.size)).astype(np.float32)
    h = np.zeros((1, cell.size), np.float32)
    expected, _ = run_cell(cell, x, (h,))
    for kernel in kernels:
        if not np.array_equal(cell.packed(kernel).sequence(x, h.copy(), None, False), expected):
            raise SystemExit(f"the kernel {kernel} gives other integers than NumPy at H = {cell.size}")


def layers(size: int, repetitions: int) -> dict[str, Any]:
    """Microseconds of a step of one row, and how many times faster than float32 each kernel is."""
    core, cell = binding.extension(), cell_of(size)
    kernels, x = core.int8_kernels(), np.random.default_rng(1).standard_normal((1, size)).astype(np.float32)
    check(cell, kernels)
    made = packed.pack("gru", weights_of(size, size))
    steppers = {"float32": made.stepper(), **{kernel: cell.packed(kernel).stepper(1) for kernel in kernels}}
    before = core.isa()
    core.set_isa("baseline")
    steppers["float32, baseline"] = packed.pack("gru", weights_of(size, size)).stepper()
    core.set_isa(before)
    calls = {
        name: repeated(lambda one=one: one.step(x), CALLS)  # type: ignore[misc]
        for name, one in steppers.items()
    }
    seconds = interleaved(calls, repetitions, pause_s=0.0)
    return {
        "us": {name: summary(values, CALLS * 1e-6) for name, values in seconds.items()},
        "times": {kernel: ratio(seconds, "float32", kernel) for kernel in kernels},
        "plain times baseline": ratio(seconds, "float32, baseline", "plain"),
        "bytes": {"float32": 4 * 6 * size * size, "int8": 6 * size * size},
    }


def together(size: int, repetitions: int) -> dict[str, Any]:
    """Rows a second of 64 steppers that advance in one call, by the kernel of this machine."""
    x = np.random.default_rng(2).standard_normal((ROWS, size)).astype(np.float32)
    wide, small = packed.pack("gru", weights_of(size, size)), cell_of(size).packed()
    many = [[layer.stepper(1) for _ in range(ROWS)] for layer in (wide, small)]
    seconds = interleaved(
        {"float32": lambda: wide.advance(many[0], x), "int8": lambda: small.advance(many[1], x)},
        repetitions,
        pause_s=0.0,
    )
    return {
        "rows_per_second": {name: round(ROWS / np.median(values)) for name, values in seconds.items()},
        "times": ratio(seconds, "float32", "int8"),
    }


def sessions(size: int, repetitions: int, out: Path) -> dict[str, Any]:
    """A step of a session of a loaded folder, float32 and int8."""
    config = {
        "inputs": {"x": {"features": size}},
        "nodes": [{"type": "gru", "name": "rnn", "hidden_size": size}],
        "outputs": ["rnn"],
    }
    folder = save(out / str(size), "text", {"main": config})
    export_model(folder, "int8", out / f"{size}-int8")
    x = np.random.default_rng(3).standard_normal(size).astype(np.float32)
    calls = {}
    for name, where in (("float32", folder), ("int8", out / f"{size}-int8")):
        session = congru.load(where).session()
        calls[name] = repeated(lambda session=session: session.step(x), CALLS)  # type: ignore[misc]
    seconds = interleaved(calls, repetitions, pause_s=0.0)
    return {
        "us": {name: summary(values, CALLS * 1e-6) for name, values in seconds.items()},
        "times": ratio(seconds, "float32", "int8"),
    }


def main() -> None:
    """Measure, print and write results/int8_speed.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=60)
    repetitions = parser.parse_args().repetitions
    binding.set_threads(1)
    core = binding.extension()
    figures: dict[str, Any] = {"instruction_set": core.isa(), "kernels": core.int8_kernels(), "bars": BARS}
    with tempfile.TemporaryDirectory() as out:
        for size in SIZES:
            figures[f"H {size}"] = {
                "layer": layers(size, repetitions),
                "together": together(size, max(10, repetitions // 3)),
                "session": sessions(size, repetitions, Path(out)),
            }
            print(f"H {size}:", json.dumps(figures[f"H {size}"]), flush=True)
    command = f"python -m bench.int8_speed --repetitions {repetitions}"
    print(write_result("int8_speed", command, figures, repetitions=repetitions).relative_to(ROOT))


if __name__ == "__main__":
    main()
