"""Ctrl-C during the core's long calls: each ends at once, and what it was called on goes on as before."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from congru import ops
from congru.kernels import packed
from congru.kernels.binding import extension, set_threads
from congru.kernels.dense import dense
from faults.tally import Tally

SECONDS = 0.2
H = 256


def all_calls(times: int, tries: int = 1) -> Tally:
    """Interrupt every kind of long call so many times, with one thread and with two.

    On a machine with other work a call has so many `tries` to come back in time.
    """
    tally, own, of_torch = Tally("interrupted calls"), extension().get_threads(), torch.get_num_threads()
    for name, call in calls().items():
        for number in range(times):
            for threads in (1, 2):
                set_threads(threads)
                torch.set_num_threads(threads)
                with tally.case(f"{name} with {threads} threads, {number}"):
                    seconds = min(seconds_to_return(call, 0.02 + 0.02 * number) for _ in range(tries))
                    assert seconds < SECONDS, f"came back after {seconds:.2f} s"
    set_threads(own)
    torch.set_num_threads(of_torch)
    return tally


def calls() -> dict[str, Callable[[], object]]:
    """Calls that take many seconds each, unless something ends them."""
    random = np.random.default_rng(0)

    def weights(gates: int) -> list[Any]:
        shapes = ((gates * H, H), (gates * H, H), (gates * H,), (gates * H,))
        return [(0.05 * random.standard_normal(shape)).astype(np.float32) for shape in shapes]

    gru, lstm = weights(3), weights(4)
    x = np.zeros((2, 1, H), np.float32)
    long = np.broadcast_to(x, (2, 100_000, H))
    kept, wide = packed.pack("gru", gru), dense(np.ones((2048, H), np.float32))
    leaves = [torch.from_numpy(part).requires_grad_() for part in gru]
    total = ops.sequence("gru", torch.zeros(4, 15_000, H), None, leaves, backend="native")[0].sum()
    return {
        "a sequence": lambda: ops.sequence("lstm", long, None, lstm, backend="native"),
        "reset before": lambda: ops.sequence("gru", long, None, gru, reset_before=True, backend="native"),
        "packed weights": lambda: kept.sequence(long),
        "backward": lambda: total.backward(retain_graph=True),
        "a dense layer": lambda: wide(np.broadcast_to(x[:1], (1, 200_000, H))),
    }


def seconds_to_return(call: Callable[[], object], after: float) -> float:
    """How long a call goes on after Ctrl-C; raises AssertionError where it ends before."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(after, send)
    try:
        timer.start()
        call()
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    raise AssertionError("the call ended before it was interrupted")
