"""The Triton kernels in a CUDA graph: nothing between a call and its launches waits for the host or reads a value there.

Without a card the launching code runs on tensors that have no values, where every read of one is an error, and the
kernels are stand-ins. With one (CONGRU_TEST_DEVICE=cuda) calls are captured, and replayed on other inputs.
"""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from congru import nn
from congru.kernels import triton
from congru.kernels.call import make_call
from congru.kernels.triton import plan
from tolerances import assert_close

DEVICE = os.environ.get("CONGRU_TEST_DEVICE", "cpu")
LAYERS = {
    "GRU": (nn.GRU, {}),
    "GRU before": (nn.GRU, {"reset_before": True}),
    "GRU norm": (nn.GRU, {"layer_norm": True}),
    "GRU wide": (nn.GRU, {"hidden_size": 260}),
    "LSTM": (nn.LSTM, {}),
    "LSTM wide": (nn.LSTM, {"hidden_size": 1024, "layer_norm": True}),
    "MinGRU": (nn.MinGRU, {}),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)


def make(name, **more):
    kind, options = LAYERS[name]
    options = {"hidden_size": 6} | options
    return kind(3, batch_first=True, bidirectional=True, backend="triton", **options, **more)


def call_of(device):
    """x [4, 5, 3] and keywords."""
    x = torch.randn(4, 5, 3, device=device)
    lengths = torch.tensor([5, 0, 3, 4]).to(device)
    reset = torch.zeros(4, 5, dtype=torch.bool, device=device)
    reset[:, 2] = True
    return x, {"lengths": lengths, "reset": reset}


@pytest.fixture
def launches(monkeypatch):
    """The grid of every launch; the kernels are stand-ins, on a card with the sizes of an H100."""
    grids = []

    class Kernel:
        def __getitem__(self, grid):
            return lambda *arguments, **options: grids.append((grid, options))

    from congru.kernels.triton import launch, mingru

    for module in (launch, mingru):
        for kernel in [name for name in vars(module) if name.endswith(("_forward", "_backward"))]:
            if hasattr(getattr(module, kernel), "arg_names"):
                monkeypatch.setattr(module, kernel, Kernel())
    return grids


@needs_triton
@every_layer
def test_the_launching_code_reads_no_value(name, launches):
    """That of layers is held by tests/nn/test_device.py, on "meta"."""
    options = LAYERS[name][1]
    with FakeTensorMode():
        layer = make(name)
        x, keywords = call_of("cpu")
        both = layer.named_parameters()
        parameters = {key: part for key, part in both if not key.endswith("_reverse")}
        weights = tuple(parameters.values())
        cell = {"GRU": "gru", "LSTM": "lstm", "MinGRU": "mingru"}[name.split()[0]]
        more = {key: part for key, part in options.items() if key != "hidden_size"}
        calls = tuple(
            make_call(cell, x.requires_grad_(), None, weights, **keywords, **more, reverse=reverse)
            for reverse in (False, True)
        )
        results = triton.sequences(calls)
        sum(y.sum() for y, *_ in results).backward()
        assert all(part.grad is not None for part in (x, *weights))
    for grid, launched in launches:
        cooperative = launched.get("launch_cooperative_grid", False)
        assert not cooperative or grid[0] * grid[1] <= plan.PROCESSORS
    assert any(launched.get("launch_cooperative_grid") for _, launched in launches) == ("wide" in name)
    assert len(launches) == (4 if cell == "mingru" else 2)  # two directions of the others are one launch


@needs_triton
def test_the_check_notices_a_read():
    with FakeTensorMode():
        _, keywords = call_of("cpu")
        with pytest.raises(DataDependentOutputException):
            int(keywords["lengths"].max())


@pytest.mark.skipif(DEVICE != "cuda", reason="CONGRU_TEST_DEVICE is not cuda")
@every_layer
def test_a_captured_call_runs_on_other_inputs(name):
    torch.manual_seed(0)
    layer = make(name).to("cuda")
    parameters = list(layer.parameters())
    x, keywords = call_of("cuda")

    def run(x):
        y = layer(x, **keywords)[0]
        return [y, *torch.autograd.grad(y.square().sum(), parameters)]

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run(x)
    for seed in range(2):
        x.copy_(torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)))
        keywords["lengths"].copy_(torch.tensor([1 + seed, 5, 0, 2]))
        graph.replay()
        for a, b in zip(captured, run(x)):
            assert_close("triton gradients, float32", a.detach().cpu(), b.detach().cpu())
