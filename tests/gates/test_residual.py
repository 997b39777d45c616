"""The residual is a backward error: near eps for every right layer at any scale, large for every wrong one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.errors import CongruError
from congru.gates.layer import Layer, make_layer

# T, and what the weights and the input are multiplied by.
SCALES = [(64, 1, 1), (512, 4, 1), (512, 1, 30), (1000, 8, 3)]
KINDS = {
    "torch.nn.GRU": lambda: torch.nn.GRU(16, 32, batch_first=True),
    "torch.nn.LSTM": lambda: torch.nn.LSTM(16, 32, batch_first=True),
    "torch.nn.RNN": lambda: torch.nn.RNN(16, 32, batch_first=True),
    "GRU, native": lambda: congru.nn.GRU(16, 32, batch_first=True, backend="native"),
    "GRU, reset before": lambda: congru.nn.GRU(16, 32, batch_first=True, reset_before=True),
    "LSTM, native": lambda: congru.nn.LSTM(16, 32, batch_first=True, backend="native"),
    "MinGRU": lambda: congru.nn.MinGRU(16, 32, batch_first=True),
}


def scaled(kind: str, weights: float, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    layer = KINDS[kind]()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(weights)
    return layer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("T", "weights", "inputs"), SCALES)
def test_every_float32_layer_is_within_one_in_a_million(
    kind: str, T: int, weights: float, inputs: float
) -> None:
    layer = scaled(kind, weights)
    trace = congru.inspect(layer, inputs * torch.randn(2, T, 16))
    assert trace.check() == trace.residual <= 1e-6


def test_float64_layers_are_at_their_own_precision() -> None:
    layer = scaled("torch.nn.GRU", 4).double()
    assert congru.inspect(layer, torch.randn(1, 512, 16, dtype=torch.float64)).check(1e-15) > 0


@pytest.mark.parametrize(("T", "weights", "inputs"), SCALES)
def test_weights_changed_by_one_in_a_thousand_are_noticed(T: int, weights: float, inputs: float) -> None:
    layer = scaled("torch.nn.GRU", weights)
    trace = congru.inspect(layer, inputs * torch.randn(2, T, 16))
    changed = [part * (1 + 1e-3) for part in trace.top.weights[:4]]
    other = make_layer("changed", "gru", trace.x, trace.top.y, changed)
    with pytest.raises(
        CongruError, match=r"changed \(GRU\): the equations miss its output by .*at most 1e-06"
    ):
        congru.gates.Trace(((other,),), trace.tokens).check()


def backward_error(layer: Layer) -> float:
    """The definition, one step at a time, by the float64 reference."""
    worst = 0.0
    W, U, b_i, b_h = (np.asarray(part, np.float64) for part in layer.weights[:4])
    for t in range(layer.y.shape[1]):
        x, h = layer.x[:, t].astype(np.float64), layer.recovered.state_prev[0][:, t].astype(np.float64)
        y, _, _ = congru.reference.gru.forward(x[:, None], (h,), (W, U, b_i, b_h))
        size = np.abs(x) @ np.abs(W).T + np.abs(h) @ np.abs(U).T + np.abs(b_i) + np.abs(b_h)
        size = np.maximum(1.0, size.reshape(len(x), 3, -1).max(axis=1))
        worst = max(worst, float((np.abs(layer.y[:, t] - y[:, 0]) / size).max()))
    return worst


def test_the_residual_is_what_its_formula_says() -> None:
    trace = congru.inspect(scaled("torch.nn.GRU", 4), 3 * torch.randn(2, 40, 16))
    assert trace.residual == pytest.approx(backward_error(trace.top), rel=1e-5)


@pytest.mark.parametrize(("dtype", "limit"), [("float16", 2e-3), ("bfloat16", 1.5e-2)])
@pytest.mark.parametrize("kind", ["torch.nn.GRU", "torch.nn.LSTM", "torch.nn.RNN"])
def test_layers_in_half_precision_are_held_to_their_own(kind: str, dtype: str, limit: float) -> None:
    for seed in range(3):
        layer = scaled(kind, 2, seed).to(getattr(torch, dtype))
        trace = congru.inspect(layer, torch.randn(2, 64, 16).to(getattr(torch, dtype)))
        assert trace.top.precision == dtype
        assert 1e-6 < trace.check() <= limit / 3
    wrong = make_layer(
        "w", trace.top.form, trace.x, 0.5 * trace.top.y, trace.top.weights[:4], precision=dtype
    )
    with pytest.raises(CongruError, match="expected at most"):
        congru.gates.Trace(((wrong,),), trace.tokens).check()
