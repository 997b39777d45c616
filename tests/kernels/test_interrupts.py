"""Ctrl-C ends a call of the core within 0.2 s; a handler that does not raise changes nothing; the next call is as ever."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

from congru import ops
from congru.kernels import binding
from faults import interrupts

pytestmark = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")


def test_every_long_call_comes_back_at_once() -> None:
    interrupts.all_calls(1, tries=3).check(10)


def test_a_handler_that_does_not_raise_is_called_and_the_call_goes_on() -> None:
    random = np.random.default_rng(0)
    H = 128
    weights = [
        (0.1 * random.standard_normal(s)).astype("float32")
        for s in ((3 * H, H), (3 * H, H), (3 * H,), (3 * H,))
    ]
    x = random.standard_normal((4, 4000, H)).astype("float32")
    seen = []

    def handler(number: int, frame: object) -> None:
        seen.append(
            ops.sequence("gru", x[:, :3], None, weights, backend="native")[0]
        )  # the core, inside itself

    before = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.03, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        y = ops.sequence("gru", x, None, weights, backend="native")[0]
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    np.testing.assert_array_equal(y, ops.sequence("gru", x, None, weights, backend="native")[0])
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], y[:, :3])
