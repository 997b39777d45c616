"""The measurement of a card as far as it runs without one: what it compares, and the line it ends with."""

from __future__ import annotations

import sys

import pytest
import torch

from bench import gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is there")
def test_without_a_card_it_says_so(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench.gpu"])
    with pytest.raises(SystemExit, match="torch finds no CUDA device here, and this measures one: run it on"):
        gpu.main()


@pytest.mark.parametrize("kind", gpu.KINDS)
@pytest.mark.parametrize("variant", gpu.VARIANTS)
def test_every_way_is_compared_before_it_is_timed(variant, kind, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda module: module)
    runs = gpu.runs_at((3, 8, 4, 6), variant, kind, "float32", "cpu")
    assert {"auto", "torch.nn.GRU", "torch.nn.LSTM"} <= set(runs) or variant in ("resets", "layer norm")
    assert "triton" not in runs  # it computes on CUDA
    monkeypatch.setitem(gpu.LIMITS, "float32", -1.0)
    with pytest.raises(SystemExit, match="from float64"):
        gpu.runs_at((3, 8, 4, 6), variant, kind, "float32", "cpu")


def test_the_arithmetic_of_a_call():
    assert gpu.flops_of((2, 3, 4, 5), "inference") == 2 * 6 * 15 * 9
    assert gpu.flops_of((2, 3, 4, 5), "training") == 3 * gpu.flops_of((2, 3, 4, 5), "inference")
