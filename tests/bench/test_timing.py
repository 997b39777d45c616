"""Turns of calls: after a pause, and in a row."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from bench import tables
from bench.cell_speed import entry_of
from bench.record import ROOT
from bench.timing import IN_A_ROW, SETTLED, after_pause, in_a_row, interleaved, ratio, rows


def test_every_function_is_called_in_a_row_after_one_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(time, "sleep", lambda seconds: log.append(f"pause {seconds}"))
    functions = {name: (lambda name=name: log.append(name)) for name in ("a", "b")}
    seconds = rows(functions, 2, calls=3, pause_s=0.5)
    turn = ["pause 0.5", "a", "a", "a", "pause 0.5", "b", "b", "b"]
    assert log == ["a", "a", "b", "b", *turn, *turn]  # a warm-up of two calls first
    assert {name: [len(row) for row in turns] for name, turns in seconds.items()} == {
        "a": [3, 3],
        "b": [3, 3],
    }
    assert len(interleaved(functions, 4)["a"]) == 4


def test_a_budget_ends_the_turns_but_not_before_three(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10_000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now)))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert len(rows({"a": lambda: None}, 100, budget_s=0.0)["a"]) == 3
    assert 3 < len(rows({"a": lambda: None}, 100, budget_s=100.0)["a"]) < 100


def test_the_first_call_counts_after_a_pause_and_the_last_ones_in_a_row() -> None:
    assert SETTLED < IN_A_ROW
    seconds = {"peer": [[8.0, 7.0, 4.0, 6.0, 5.0]] * 2, "congru GRU": [[2.0, 2.0, 1.0, 1.0, 9.0]] * 2}
    assert after_pause(seconds) == {"peer": [8.0] * 2, "congru GRU": [2.0] * 2}
    assert in_a_row(seconds) == {"peer": [5.0] * 2, "congru GRU": [1.0] * 2}
    assert ratio(in_a_row(seconds), "peer", "congru GRU") == 5.0
    entry = entry_of(seconds, bar=1.5, flops=4 * 10**9)
    assert entry["times_ours"] == {"peer": 4.0}
    assert entry["times_ours_in_a_row"] == {"peer": 5.0}
    assert entry["ms"]["peer"]["median"] == 8000.0
    assert entry["ms_in_a_row"]["peer"]["median"] == 5000.0
    assert (entry["bar_times_nn_gru"], entry["gflops"], entry["turns"]) == (1.5, 2.0, 2)


def record(*with_row: str) -> dict[str, Any]:
    """A result of one shape; `with_row` are its peers, or nothing for a result without calls in a row."""
    names = with_row or ("torch.nn.GRU",)
    entry: dict[str, Any] = {
        "ms": {name: {"median": 1.234} for name in ("congru GRU", *names)},
        "times_ours": dict.fromkeys(names, 3.0),
    }
    if with_row:
        entry["ms_in_a_row"] = {name: {"median": 0.5} for name in ("congru GRU", *names)}
        entry["times_ours_in_a_row"] = dict.fromkeys(names, 2.0)
    return {"figures": {"threads": 2, "inference 1, 2, 3, 4": entry, "training 1, 2, 3, 4": entry}}


def test_the_table_of_speed_shows_both_where_it_has_both() -> None:
    without = tables.speed(record()).splitlines()
    assert without[0] == (
        "| B, T, I, H | ours, ms | inference: torch.nn.GRU | training, ours, ms | training: torch.nn.GRU |"
    )
    assert without[2] == "| 1, 2, 3, 4 | 1.23 | 3.0x | 1.23 | 3.0x |"
    both = tables.speed(record("torch.nn.GRU", "JAX GRU")).splitlines()
    assert both[0].startswith(
        "| B, T, I, H (in brackets: calls in a row) | ours, ms | inference: torch.nn.GRU |"
    )
    assert both[0].endswith("| training: JAX GRU |")
    assert both[2] == (
        "| 1, 2, 3, 4 | 1.23 (0.5) | 3.0x (2.0x) | 3.0x (2.0x) | 1.23 (0.5) | 3.0x (2.0x) | 3.0x (2.0x) |"
    )


def test_the_table_of_speed_takes_the_result_at_hand() -> None:
    held = json.loads((ROOT / "results" / "cell_speed.json").read_text())
    assert tables.speed() == tables.speed(held)
    assert "torch.nn.LSTM" in tables.speed()
