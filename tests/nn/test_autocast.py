"""Under autocast results have the dtype of the weights, by every backend, and the core computes where it is the fastest."""

from __future__ import annotations

import pytest
import torch

from congru import nn
from congru.errors import BackendError
from congru.kernels import binding

LAYERS = {
    "GRU": nn.GRU,
    "GRU before": lambda *sizes, **keywords: nn.GRU(*sizes, reset_before=True, **keywords),
    "LSTM": nn.LSTM,
    "RNN": nn.RNN,
    "RNN relu": lambda *sizes, **keywords: nn.RNN(*sizes, nonlinearity="relu", **keywords),
    "MinGRU": nn.MinGRU,
}
CELLS = {"GRU": nn.GRUCell, "LSTM": nn.LSTMCell, "RNN": nn.RNNCell, "MinGRU": nn.MinGRUCell}
BACKENDS = ("auto", "native", "bptt", "aten", "composite")


def parts(h):
    return h if isinstance(h, tuple) else (h,)


def agree(layer, x, gradient, exact, **options):
    """The results under autocast; of the dtype of the weights, near those without it, and with a gradient if so asked."""
    whole = layer.to(torch.float64)(x.double(), **options)
    layer.to(torch.float32 if exact is None else exact)
    with torch.autocast("cpu", torch.bfloat16):
        results = layer(x, **options)
    found, wanted = [[*parts(each)] for each in (results, whole)]
    found, wanted = ([one for each in group for one in parts(each)] for group in (found, wanted))
    for a, b in zip(found, wanted):
        assert a.dtype == layer._first_weight().dtype
        torch.testing.assert_close(a.double(), b, rtol=0.05, atol=0.05)
        assert a.requires_grad == gradient
    if gradient:
        gradients = torch.autograd.grad(sum(part.sum() for part in found), list(layer.parameters()))
        assert all(part.dtype == layer._first_weight().dtype and part.isfinite().all() for part in gradients)


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
@pytest.mark.parametrize("name", LAYERS)
def test_results_of_layers_have_the_dtype_of_the_weights(name, steps, gradient):
    torch.manual_seed(0)
    with torch.set_grad_enabled(gradient):
        for backend in BACKENDS:
            layer = LAYERS[name](3, 4, backend=backend)
            for x in (torch.randn(steps, 2, 3), torch.randn(steps, 2, 3).bfloat16()):
                try:
                    agree(layer, x, gradient, None)
                except BackendError:
                    assert backend != "auto"
        layer = LAYERS[name](3, 4)
        agree(layer, torch.randn(steps, 2, 3, dtype=torch.float64), gradient, torch.float64)
        flags = {"lengths": torch.tensor([1, steps]), "reset": torch.rand(2, steps) < 0.5}
        agree(layer, torch.randn(steps, 2, 3), gradient, None, return_gates=True, **flags)


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_results_of_cells_too(name, gradient):
    torch.manual_seed(0)
    with torch.set_grad_enabled(gradient):
        for backend in BACKENDS:
            cell = CELLS[name](3, 4, backend=backend)
            for x in (torch.randn(2, 3), torch.randn(2, 3).bfloat16()):
                try:
                    agree(cell, x, gradient, None)
                except BackendError:
                    assert backend != "auto"


@pytest.mark.skipif(not binding.is_available(), reason=f"no C core: {binding.missing()}")
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_where_the_core_computes_autocast_changes_no_bit(kind, steps):
    torch.manual_seed(0)
    layer, x = kind(3, 4, 2, bidirectional=True), torch.randn(steps, 2, 3)
    for gradient in (False, True):
        with torch.set_grad_enabled(gradient):
            y, h = layer(x)
            with torch.autocast("cpu", torch.bfloat16):
                assert "'native'" in layer.explain(x)
                again, last = layer(x)
        assert torch.equal(y, again)
        assert all(torch.equal(a, b) for a, b in zip(parts(h), parts(last)))
