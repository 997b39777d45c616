"""What PyTorch's kernels cannot run on this processor is asked before they are chosen."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest
import torch

from congru import nn, ops
from congru.errors import BackendError
from congru.kernels import aten

LOW = [torch.bfloat16, torch.float16]

# As on a processor without AVX-512.
PLAIN_PROCESSOR = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "CONGRU_ISA": "avx2"}


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's LSTM runs on this processor in no dtype of autocast."""
    monkeypatch.setattr(aten, "_tried", lambda dtype, products: False)


def lstm_arguments():
    return torch.ones(2, 1, 3), None, (torch.ones(16, 3), torch.ones(16, 4), None, None)


@pytest.mark.parametrize("products", LOW)
@pytest.mark.parametrize("gradient", [False, True])
def test_an_lstm_layer_runs_under_autocast_on_every_processor(products, gradient):
    layer = nn.LSTM(3, 4)
    with torch.set_grad_enabled(gradient), torch.autocast("cpu", products):
        y, _ = layer(torch.ones(2, 1, 3))
    if gradient:
        y.float().sum().backward()
        assert layer.weight_hh_l0.grad.isfinite().all()
    assert y.isfinite().all()


@pytest.mark.usefixtures("nowhere", "without_native")
def test_another_backend_runs_what_pytorch_cannot():
    with torch.autocast("cpu", torch.bfloat16):
        said = ops.explain("lstm", *lstm_arguments())
        y, _, _ = ops.sequence("lstm", *lstm_arguments())
    assert "not 'aten': PyTorch has no LSTM in bfloat16 on this processor" in said
    assert "'composite'" in said
    whole, _, _ = ops.sequence("lstm", *lstm_arguments())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, whole, rtol=0.02, atol=0.02)


def test_by_name_it_says_so(nowhere):
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(BackendError) as caught:
        ops.sequence("lstm", *lstm_arguments(), backend="aten")
    reason = "PyTorch has no LSTM in bfloat16 on this processor"
    wanted = f"backend is 'aten', expected one that runs this lstm: {reason}; use backend='auto'"
    assert str(caught.value) == wanted


def test_a_traced_call_asks_too(nowhere):
    torch._dynamo.reset()
    layer = nn.LSTM(3, 4)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(compiled(torch.ones(2, 1, 3))[0], layer(torch.ones(2, 1, 3))[0])


def test_asking_is_not_misled_by_the_modes_of_the_caller():
    wanted = aten._one_step(torch.float32, torch.bfloat16)
    aten._tried.cache_clear()
    with torch.inference_mode(), torch.device("meta"):
        assert aten._tried("float32", torch.bfloat16) == wanted
    aten._tried.cache_clear()
    assert torch.func.vmap(lambda x: x * aten._tried("float32", torch.bfloat16))(torch.ones(2))[0] == wanted


def test_a_processor_without_bfloat16_is_told_apart():
    script = (
        "import torch; from congru.kernels import aten;"
        "print(aten._tried('float32', torch.bfloat16), aten._tried('float64', torch.bfloat16))"
    )
    environment = {**os.environ, **PLAIN_PROCESSOR}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_pytorch_is_told_whether_a_gradient_is_wanted(kind, steps, gradient, monkeypatch):
    """cuDNN differentiates only what it ran as training, whatever the mode of the module."""
    cell = kind.__name__.lower()
    seen = []

    def record(x, state, weights, has_biases, num_layers, dropout, train, *more):
        seen.append((has_biases, num_layers, dropout, train, *more))
        return theirs(x, state, weights, has_biases, num_layers, dropout, train, *more)

    theirs = aten._SEQUENCE[cell]
    monkeypatch.setitem(aten._SEQUENCE, cell, record)
    layer, x = kind(3, 4, backend="aten").eval(), torch.ones(steps, 2, 3)
    with torch.set_grad_enabled(gradient):
        y, _ = layer(x)
    assert seen == [(True, 1, 0.0, gradient, False, False)]
    if gradient:
        y.sum().backward()
    layer.requires_grad_(False)
    layer(x)
    layer(x.requires_grad_())
    layer(
        x.detach(),
        tuple(h.requires_grad_() for h in torch.zeros(2, 1, 2, 4))
        if cell == "lstm"
        else torch.zeros(1, 2, 4, requires_grad=True),
    )
    assert [call[3] for call in seen[1:]] == [False, True, True]


def test_cudnn_does_not_ask_for_flat_parameters(monkeypatch):
    """cuDNN's wrapper warns in every call whose weights lie apart in memory, as ours do."""

    def warns(*arguments):
        warnings.warn(
            "RNN module weights are not part of single contiguous chunk of memory. This means..", stacklevel=1
        )
        return torch.gru(*arguments)

    monkeypatch.setitem(aten._SEQUENCE, "gru", warns)
    weights = torch.ones(6, 3), torch.ones(6, 2), None, None
    with pytest.warns(UserWarning, match="RNN module"):
        ops.sequence("gru", torch.ones(1, 4, 3), None, weights, backend="aten")
    monkeypatch.setattr(aten, "_on_cuda", lambda x: True)
    ops.sequence("gru", torch.ones(1, 4, 3), None, weights, backend="aten")
