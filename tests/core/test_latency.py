"""A step takes as long whatever its input: of every step the shortest of several runs, so that interrupts are in none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.bits import BARS, latency
from bench.record import ROOT


@pytest.mark.skipif(
    shutil.which("cc") is None or not list(ROOT.glob("build/*/core/libcongru_core.a")),
    reason="no C compiler or no build of the core is here; to run this: apt-get install gcc, then make setup",
)
def test_the_slowest_step_in_a_thousand_is_no_slow_one(tmp_path: Path) -> None:
    figures = latency(tmp_path, 3000, 5)
    slow = {
        f"{size}, {name}": clocks["alone"]["p99.9 over median"]
        for size, kinds in figures.items()
        for name, clocks in kinds.items()
    }
    assert set(slow) == {f"H {size}, {name}" for size in (64, 256) for name in ("float32", "int8", "control")}
    assert {name: ratio for name, ratio in slow.items() if ratio > BARS["p99.9 over median"]} == {}
