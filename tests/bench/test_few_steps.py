"""Calls of a few steps: every way is measured on the same work, and the table says where the core is faster."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from bench import few_steps, tables


@pytest.mark.parametrize("what", few_steps.KINDS)
def test_every_way_gives_the_same_and_is_measured(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = few_steps.runs_at(2, 3, 4, 5, what)
    assert list(runs) == ["torch.nn.GRU", "core", "aten"]
    entry = few_steps.entry_of(runs, 3)
    assert set(entry["us"]) == set(runs)
    assert set(entry["times_core"]) == {"torch.nn.GRU", "aten"}
    assert all(math.isfinite(times) and times > 0 for times in entry["times_core"].values())
    assert entry["calls_per_measurement"] >= 1
    layers = few_steps.layers

    def other(I: int, H: int) -> dict[str, torch.nn.Module]:
        modules = layers(I, H)
        torch.nn.init.zeros_(modules["core"].weight_hh_l0)  # type: ignore[arg-type]
        return modules

    monkeypatch.setattr(few_steps, "layers", other)
    with pytest.raises(SystemExit, match=r"core at \(2, 3, 4, 5\): result 0 differs"):
        few_steps.runs_at(2, 3, 4, 5, what)


def test_the_core_runs_where_it_was_asked_for() -> None:
    layers, x = few_steps.layers(4, 5), torch.zeros(1, 1, 4)
    for name, backend in (("core", "native"), ("aten", "aten")):
        assert f"runs on '{backend}'" in layers[name].explain(x)  # type: ignore[operator]


def test_steps_that_differ_from_the_whole_end_it() -> None:
    layer, x, h = few_steps.layers(4, 5)["core"], torch.randn(2, 3, 4), torch.randn(1, 2, 5)
    few_steps.check_steps(layer, x, h)
    with pytest.raises(SystemExit, match=r"step 0 of \(2, 3, 4\) differs from the whole"):
        few_steps.check_steps(_Drifting(layer), x, h)


class _Drifting(torch.nn.Module):
    """A layer that is right in whole sequences alone."""

    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, h = self.layer(x, h)
        return (y + 1e-6 if x.shape[1] == 1 else y), h


def test_a_block_holds_as_many_calls_as_fill_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter((0.0, 0.1, 0.0, 9.0))
    monkeypatch.setattr(few_steps.time, "perf_counter", lambda: next(now))
    assert few_steps.calls_in_a_block(lambda: None, 0.5) == 5
    assert few_steps.calls_in_a_block(lambda: None, 0.5) == 1
    log: list[int] = []
    few_steps.repeated(lambda: log.append(0), 4)()
    assert len(log) == 4


def test_the_table_of_few_steps() -> None:
    def entry(times: float) -> dict[str, Any]:
        return {"us": {}, "times_core": {"torch.nn.GRU": times, "aten": 0.1}}

    figures = {"threads": 2, "inference 1, 1, 64, 64": entry(0.5), "inference 1, 8, 64, 64": entry(2.0)}
    figures["training 1, 1, 64, 64"] = entry(1.5)
    lines = tables.few_steps({"figures": figures}).splitlines()
    assert lines[0] == "|  | B | I, H | T = 1 | T = 8 |"
    assert lines[2:] == [
        "| inference | 1 | 64, 64 | 0.50 | **2.00** |",
        "| training | 1 | 64, 64 | **1.50** |  |",
    ]
