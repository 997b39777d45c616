"""What do ten thousand idle streams of one model take, and what do threads gain from asking together?

A text model (65 symbols, embedding, one GRU of 256 units, head), float32, one thread of the core. Correctness first: streams of
a pool that evicts all the time have the bits of sessions alone. `megabytes`: what the process grows by when 10,000 streams have
read a token and lie as bytes, in a process of its own. `us`: a step of a session, of a stream of a pool, of one that lies as
bytes and wakes another to sleep, and packing and unpacking alone. `threads`: steps a second of 1, 2, 4 and 8 threads that
each call `Pool.step`, and of `Model.advance` on 64 sessions by 1 and by 2 threads with sessions of their own: more where no
lock is held, as far as there are cores.

    python -m bench.pool [--repetitions 15]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import ROOT, write_result
from bench.sessions import CALLS, NUM_OUTPUTS, repeated, resident, text_network
from bench.timing import interleaved, ratio, summary
from congru.kernels import binding
from congru.runtime.model import Model
from congru.runtime.pool import Pool

BARS = {"megabytes of 10,000 idle streams": 25.0}
SIZE, STREAMS = 256, 10_000
THREADS = (1, 2, 4, 8)
SECONDS = 0.4  # of threads that step


def text_model() -> Model:
    """A model around the network, as `congru.load` gives it."""
    network = text_network(SIZE)
    config = {"task": "text", "cell": "gru", "networks": {"main": {}}}
    return Model(Path("."), config, {"main": network}, network.weights, {})


def idle_megabytes() -> dict[str, float]:
    """What 10,000 streams that lie as bytes add to this process, and those bytes themselves."""
    pool = Pool(text_model(), resident=1)
    pool.open("first").step("first", 1)
    pool.evict()
    gc.collect()
    before = resident()
    for key in range(STREAMS):
        pool.open(key).step(key, key % NUM_OUTPUTS)
    pool.evict()
    gc.collect()
    grown = resident() - before
    return {
        "process": round(grown, 3),
        "bytes": round(sum(len(pool.to_bytes(key)) for key in range(STREAMS)) / 1e6, 3),
    }


def in_a_process() -> dict[str, float]:
    """`idle_megabytes` where nothing else grows."""
    command = [sys.executable, "-c", "import json, bench.pool as p; print(json.dumps(p.idle_megabytes()))"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    megabytes: dict[str, float] = json.loads(done.stdout)
    return megabytes


def check(model: Model) -> None:
    """Exit unless 50 streams of a pool with 3 residents have the bits of sessions alone."""
    tokens = np.random.default_rng(0).integers(0, NUM_OUTPUTS, (50, 8))
    pool = Pool(model, resident=3)
    for key in range(50):
        pool.open(key)
    rows = np.stack([pool.advance(list(range(50)), column) for column in tokens.T], axis=1)
    for row, line in zip(rows, tokens):
        session = model.session()
        if not np.array_equal(row, np.stack([session.step(int(token)) for token in line])):
            raise SystemExit("the bits of a stream depend on the pool")


def one_by_one(model: Model, repetitions: int) -> dict[str, Any]:
    """Microseconds of a step in each way, and of packing and unpacking."""
    session, pool = model.session().feed([1]), Pool(model).open("a")
    sleepy = Pool(model, resident=1).open(0).open(1)
    content, other = session.to_bytes(), model.session()
    calls = {
        "session.step": repeated(lambda: session.step(3), CALLS),
        "pool.step": repeated(lambda: pool.step("a", 3), CALLS),
        "pool.step of bytes": repeated(lambda: (sleepy.step(0, 3), sleepy.step(1, 3)), CALLS // 2),
        "to_bytes": repeated(session.to_bytes, CALLS),
        "restore": repeated(lambda: other.restore(content), CALLS),
    }
    seconds = interleaved(calls, repetitions, pause_s=0.0)
    return {
        "us": {name: summary(values, CALLS * 1e-6) for name, values in seconds.items()},
        "pool in sessions": ratio(seconds, "pool.step", "session.step"),
    }


def counted(calls: list[Callable[[], int]]) -> float:
    """Steps a second of threads that call until the time is over."""
    until, counts = time.perf_counter() + SECONDS, [0] * len(calls)

    def run(index: int) -> None:
        while time.perf_counter() < until:
            counts[index] += calls[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def of_pool(model: Model, threads: int) -> float:
    """Steps a second of threads with one stream each."""
    pool = Pool(model)
    for key in range(threads):
        pool.open(key)

    def step(key: int) -> Callable[[], int]:
        return lambda: len([pool.step(key, 3) for _ in range(8)])

    return counted([step(key) for key in range(threads)])


def of_advance(model: Model, threads: int) -> float:
    """Steps a second of threads that advance 64 sessions of their own."""

    def step() -> Callable[[], int]:
        sessions = [model.session() for _ in range(64)]
        tokens = np.arange(64) % NUM_OUTPUTS
        return lambda: len(model.advance(sessions, tokens))

    return counted([step() for _ in range(threads)])


def together(model: Model, repetitions: int) -> dict[str, Any]:
    """Medians of steps a second, the ways in turn."""
    rates: dict[str, list[float]] = {}
    for _ in range(repetitions):
        for threads in THREADS:
            rates.setdefault(f"pool.step, {threads} threads", []).append(of_pool(model, threads))
        for threads in (1, 2):
            rates.setdefault(f"model.advance of 64, {threads} threads", []).append(of_advance(model, threads))
    medians = {name: round(float(np.median(values))) for name, values in rates.items()}
    one, two = (np.array(rates[f"model.advance of 64, {threads} threads"]) for threads in (1, 2))
    return {
        "steps_per_second": medians,
        "advance by 2 threads times 1": round(float(np.median(two / one)), 3),
        "best of 2 threads times best of 1": round(float(two.max() / one.max()), 3),
    }


def main() -> None:
    """Measure, print and write results/pool.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=15)
    repetitions = parser.parse_args().repetitions
    binding.set_threads(1)
    model = text_model()
    check(model)
    figures: dict[str, Any] = {
        "instruction_set": binding.extension().isa(),
        "cores": os.cpu_count(),
        "bars": BARS,
    }
    figures["megabytes of 10,000 idle streams"] = in_a_process()
    print(figures, flush=True)
    figures["steps"] = one_by_one(model, repetitions)
    figures["threads"] = together(model, max(3, repetitions // 2))
    print(json.dumps(figures), flush=True)
    target = write_result(
        "pool", f"python -m bench.pool --repetitions {repetitions}", figures, repetitions=repetitions
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
