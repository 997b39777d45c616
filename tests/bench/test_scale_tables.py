"""The tables of several hosts and of batches say what the files of the measurements hold."""

from __future__ import annotations

from typing import Any

from bench import scale_tables


def row(latency_ms: int, steps_per_second: float) -> dict[str, Any]:
    return {
        "ranks": 2,
        "latency_ms": latency_ms,
        "megabits": None,
        "sync_every": 1,
        "steps_per_second": steps_per_second,
        "efficiency": 0.5,
    }


FIGURES = {
    "one_process": {"1": 10.0, "2": 16.0},
    "network": [row(1, 8.0), row(20, 1 / (0.125 + 5 * 0.019))],  # five round trips a step
    "parameters": 1_000_000,
    "load": [0.5],
    "undisturbed_value": 1.5,
    "faults": {"killed": {"noticed_seconds": 4.6, "resume_line": True, "continued_value": 1.25}},
}


def test_hosts_and_lost_ones() -> None:
    record = {"figures": FIGURES}
    assert "| 2 | 1 ms | as fast as the host | 1 | 8.00 | 50 % |" in scale_tables.hosts(record)
    assert "| killed | 5 s | yes |" in scale_tables.lost(record)
    assert "ended at 1.2500 nats per character" in scale_tables.lost(record)


def test_the_plan_follows_its_formula() -> None:
    text = scale_tables.plan({"figures": FIGURES})
    # 0.1 / (0.01 + 5 * log2(10) * 0.0002 + 1.8 * 4e6 / 1.25e8) = 1.4
    assert "| 1.0 M parameters, 0.100 s a step | 1 Gb/s | 1.4 |" in text
    assert "5.0 round trips a step" in text


def test_batches() -> None:
    tenth = {"peak_mb": 90.0}
    whole = {"inputs": 1000, "inputs_per_second": 50.0, "seconds": 20.0, "peak_mb": 100.0}
    record = {"figures": {"workers": 2, "chess": {"tenth": tenth, "whole": whole, "again_seconds": 1.5}}}
    assert "| 1,000 games | 50 | 20 s | 100 MB | 90 MB | 1.5 s |" in scale_tables.batches(record)
