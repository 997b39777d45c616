"""The tables of exports say what the file of the measurement holds."""

from __future__ import annotations

from typing import Any

import pytest

from bench import export_tables
from congru.tasks.registry import find_task


def entry(form: str, error: float, step_us: float, facts: dict[str, int] | None = None) -> dict[str, Any]:
    return {
        "network": "main",
        "form": form,
        "bytes": 4000,
        "error": error,
        "step_us": step_us,
        "source_us": 5.0,
        "facts": facts or {},
    }


def test_int8_costs_no_task_more_than_the_page_says() -> None:
    tasks = export_tables.result("int8_scores")["figures"]
    assert len(tasks) == 9
    for task, models in tasks.items():
        for scores in models.values():
            name, change = next(iter(scores["change, %"].items()))
            assert name == next(iter(scores["float32"]))
            assert (-change if find_task(task).is_rising(name) else change) <= 0.1, name


def test_one_hash_everywhere() -> None:
    """Every cell of every profile, and the exports, as docs/promises.md says."""
    same = export_tables.result("bits")["figures"]["one hash"]
    assert len(same) == 12
    assert set(same.values()) == {True}


def test_a_row_takes_the_step_form(monkeypatch: pytest.MonkeyPatch) -> None:
    none: dict[str, Any] = {"written": [], "refused": {"main": "reads all"}, "notes": []}
    onnx = {**none, "written": [entry("sequence", 1e-3, 9.0), entry("step", 2e-7, 12.0)]}
    c = {**none, "written": [entry("step", 3e-7, 2.0, {"weights, B": 2500})]}
    figures = {
        "tasks": {"text": {"onnx": onnx, "c": c, "int8": none, "c, int8": none, "wasm": none}},
        "microcontrollers": {
            "int8": {"RAM": 256, "flash": {"Cortex-M4": 28658}, "error": {"qemu-arm": 0.0}},
        },
    }
    monkeypatch.setattr(export_tables, "result", lambda name: {"figures": figures})
    assert export_tables.export().splitlines()[-1] == (
        "| text, main | 5.0 | 2e-07, 4 kB, 12.0 | 3e-07, 2 kB, 2.0 | - | - | - | - | - | - | - |"
    )
    assert export_tables.microcontrollers().splitlines()[-1] == "| int8 | 28,658 | 256 | qemu-arm 0.0e+00 |"
