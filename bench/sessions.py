"""What do a thousand streams of one model cost: memory, a fork, and steps one by one, together and as a batch?

One GRU layer, float32. Correctness first: rows that advance together have the bits of rows stepped alone and of a batch, and a
sequence on packed weights those of one that packs its own. Memory is what the process grows by, in a process of its own: a
thousand steppers that have stepped, and fifty forks with a step each, of a model of 4 MB. Rows a second are measured with one
thread, in turn: steppers one by one, `Packed.advance`, and one stepper of the whole batch. `dense` is a head of 65 outputs
beside NumPy's product; one row, and a batch. `sessions` are those of a whole text model: embedding, GRU, head.

    python -m bench.sessions [--repetitions 40]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import ROOT, write_result
from bench.timing import interleaved, ratio, summary
from congru import ops
from congru.kernels import binding, packed
from congru.kernels import dense as dense_layers
from congru.runtime.graph import Graph
from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.runtime.together import advance

BARS = {
    "megabytes of 1,000 steppers": 30.0,
    "megabytes of 50 forks": 2.0,
    "fork in steps": 2.0,
    "together times one by one": 1.0,
}
MODEL = {"input_size": 204, "hidden_size": 512}  # 4.4 MB of weights
HIDDEN_SIZES = (64, 256, 512)
BATCHES = (8, 64, 256)
NUM_OUTPUTS = 65
CALLS = 50  # of a fork or a step in one measurement
Weights = list[np.ndarray]


def weights_of(input_size: int, hidden_size: int) -> Weights:
    """Random weights of a GRU layer."""
    rng = np.random.default_rng(hidden_size)
    shapes = (
        (3 * hidden_size, input_size),
        (3 * hidden_size, hidden_size),
        (3 * hidden_size,),
        (3 * hidden_size,),
    )
    return [(hidden_size**-0.5 * rng.standard_normal(shape)).astype(np.float32) for shape in shapes]


def resident() -> float:
    """Megabytes that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def memory() -> dict[str, float]:
    """What steppers and forks of the model add to this process, in megabytes."""
    model = packed.pack("gru", weights_of(**MODEL))
    x = np.zeros((1, MODEL["input_size"]), np.float32)
    first = model.stepper()
    first.step(x)
    before = resident()
    steppers = [model.stepper() for _ in range(1000)]
    for stepper in steppers:
        stepper.step(x)
    thousand = resident() - before
    before = resident()
    forks = [first.copy() for _ in range(50)]
    for fork in forks:
        fork.step(x)
    return {"1,000 steppers": round(thousand, 3), "50 forks": round(resident() - before, 3)}


def alone_in_a_process(function: str) -> dict[str, float]:
    """`memory` or `session_memory` in a new process, where nothing else grows."""
    command = [sys.executable, "-c", f"import json, bench.sessions as s; print(json.dumps(s.{function}()))"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    megabytes: dict[str, float] = json.loads(done.stdout)
    return megabytes


def check(model: packed.Packed, weights: Weights, x: np.ndarray) -> None:
    """Exit unless all ways of taking three steps have the same bits."""
    alone, together = ([model.stepper() for _ in x] for _ in range(2))
    batch, line = model.stepper(len(x)), np.stack([x, x, x], axis=1)
    whole, _, _ = ops.sequence("gru", line, None, tuple(weights), backend="native")
    same = [np.array_equal(model.sequence(line)[0], whole)]
    for step in range(3):
        rows = np.concatenate([stepper.step(row[None]) for stepper, row in zip(alone, x)])
        ways = (rows, model.advance(together, x), batch.step(x))
        same += [np.array_equal(y, whole[:, step]) for y in ways]
    if not all(same):
        raise SystemExit(f"the bits depend on how {len(x)} rows step, at H = {model.hidden_size}")


def repeated(call: Callable[[], object], calls: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(calls):
            call()

    return run


def rows_per_second(size: int, repetitions: int) -> dict[str, Any]:
    """N rows of a layer with I = H = size, every way of stepping them."""
    weights = weights_of(size, size)
    model, figures = packed.pack("gru", weights), {}
    for N in BATCHES:
        x = np.random.default_rng(N).standard_normal((N, size)).astype(np.float32)
        check(model, weights, x)
        steppers, batch = [model.stepper() for _ in range(N)], model.stepper(N)
        pairs = [(stepper, x[i : i + 1]) for i, stepper in enumerate(steppers)]
        seconds = interleaved(
            {
                "one by one": lambda pairs=pairs: [stepper.step(row) for stepper, row in pairs],  # type: ignore[misc]
                "advance": lambda steppers=steppers, x=x: model.advance(steppers, x),  # type: ignore[misc]
                "batch": lambda batch=batch, x=x: batch.step(x),  # type: ignore[misc]
            },
            repetitions,
            pause_s=0.0,
        )
        figures[f"N {N}"] = {
            "rows_per_second": {name: round(N / np.median(values)) for name, values in seconds.items()},
            "advance_times_one_by_one": ratio(seconds, "one by one", "advance"),
            "advance_times_batch": ratio(seconds, "batch", "advance"),
        }
    return figures


def forks(size: int, repetitions: int) -> dict[str, Any]:
    """Microseconds of a step and of a fork, and a fork in steps."""
    one, x = packed.pack("gru", weights_of(size, size)).stepper(), np.zeros((1, size), np.float32)
    calls = {"step": repeated(lambda: one.step(x), CALLS), "fork": repeated(one.copy, CALLS)}
    seconds = interleaved(calls, repetitions, pause_s=0.0)
    microseconds = {name: summary(values, CALLS * 1e-6) for name, values in seconds.items()}
    return {"us": microseconds, "fork in steps": ratio(seconds, "fork", "step")}


def dense(size: int, repetitions: int) -> dict[str, Any]:
    """Microseconds of a head of 65 outputs, and of NumPy's product, whose bits depend on the batch."""
    rng = np.random.default_rng(size)
    weight, bias = rng.standard_normal((NUM_OUTPUTS, size), np.float32), rng.standard_normal(65, np.float32)
    layer, transposed, figures = dense_layers.dense(weight, bias), np.ascontiguousarray(weight.T), {}
    for N in (1, 64):
        x = rng.standard_normal((N, size), np.float32)
        y, expected = layer(x), x @ transposed + bias
        if not np.array_equal(layer(x[:1]), y[:1]) or not np.allclose(y, expected, atol=1e-3):
            raise SystemExit(f"the dense layer is wrong at F = {size}, N = {N}")
        calls = {
            "dense": repeated(lambda x=x: layer(x), CALLS),  # type: ignore[misc]
            "NumPy": repeated(lambda x=x: x @ transposed + bias, CALLS),  # type: ignore[misc]
        }
        seconds = interleaved(calls, repetitions, pause_s=0.0)
        figures[f"N {N}"] = {
            "us": {name: summary(values, CALLS * 1e-6) for name, values in seconds.items()},
            "times": ratio(seconds, "NumPy", "dense"),
        }
    return figures


def text_network(size: int) -> Network:
    """A text model of 65 symbols with random weights."""
    config = {
        "inputs": {"text": {"tokens": NUM_OUTPUTS}},
        "nodes": [
            {"type": "embedding", "name": "embed", "size": 64},
            {"type": "gru", "name": "rnn", "hidden_size": size},
            {"type": "linear", "name": "head", "size": NUM_OUTPUTS},
        ],
        "outputs": ["head"],
    }
    rng = np.random.default_rng(size)
    shapes = Graph(config).weight_shapes
    weights = {name: (0.05 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    return Network(config, weights)


def session_memory() -> dict[str, float]:
    """What sessions and forks of a text model with 512 units add to this process, in megabytes."""
    network = text_network(512)
    first = Session(network)
    first.step(0)
    before = resident()
    sessions = [Session(network) for _ in range(1000)]
    for session in sessions:
        session.step(1)
    thousand = resident() - before
    before = resident()
    twins = [first.fork() for _ in range(50)]
    for twin in twins:
        twin.step(1)
    return {"1,000 sessions": round(thousand, 3), "50 forks": round(resident() - before, 3)}


def sessions_of(size: int, repetitions: int) -> dict[str, Any]:
    """A step and a fork of a session, and rows a second of N sessions one by one and together."""
    network = text_network(size)
    one = Session(network)
    one.step(0)
    calls = {"step": repeated(lambda: one.step(3), CALLS), "fork": repeated(one.fork, CALLS)}
    seconds = interleaved(calls, repetitions, pause_s=0.0)
    figures: dict[str, Any] = {
        "us": {name: summary(values, CALLS * 1e-6) for name, values in seconds.items()},
        "fork in steps": ratio(seconds, "fork", "step"),
    }
    for N in BATCHES:
        tokens = np.random.default_rng(N).integers(0, NUM_OUTPUTS, N)
        alone, together = ([Session(network) for _ in tokens] for _ in range(2))
        rows = np.stack([session.step(int(token)) for session, token in zip(alone, tokens)])
        if not np.array_equal(advance(together, tokens), rows):
            raise SystemExit(
                f"sessions that advance together differ from those alone, at H = {size}, N = {N}"
            )
        pairs = [(session, int(token)) for session, token in zip(alone, tokens)]
        seconds = interleaved(
            {
                "one by one": lambda pairs=pairs: [session.step(token) for session, token in pairs],  # type: ignore[misc]
                "together": lambda many=together, tokens=tokens: advance(many, tokens),  # type: ignore[misc]
            },
            repetitions,
            pause_s=0.0,
        )
        figures[f"N {N}"] = {
            "rows_per_second": {name: round(N / np.median(values)) for name, values in seconds.items()},
            "together_times_one_by_one": ratio(seconds, "one by one", "together"),
        }
    return figures


def main() -> None:
    """Measure, print and write results/sessions.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=40)
    repetitions = parser.parse_args().repetitions
    threads = binding.extension().get_threads()
    binding.set_threads(1)
    figures: dict[str, Any] = {"instruction_set": binding.extension().isa(), "threads": 1, "bars": BARS}
    figures["megabytes"] = alone_in_a_process("memory")
    figures["megabytes of a text model"] = alone_in_a_process("session_memory")
    print("MB:", figures["megabytes"], figures["megabytes of a text model"], flush=True)
    for size in HIDDEN_SIZES:
        figures[f"H {size}"] = {
            "fork": forks(size, repetitions),
            "rows": rows_per_second(size, repetitions),
            "dense": dense(size, repetitions),
            "sessions": sessions_of(size, repetitions),
        }
        print(f"H {size}:", json.dumps(figures[f"H {size}"]), flush=True)
    binding.set_threads(threads)
    target = write_result(
        "sessions", f"python -m bench.sessions --repetitions {repetitions}", figures, repetitions=repetitions
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
