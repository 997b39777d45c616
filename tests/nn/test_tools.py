"""Tools of torch that look into a model: they see our layers as they see torch.nn's, or read in one line what to do."""

from __future__ import annotations

import io

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from congru import nn
from congru.errors import SettingsError
from congru.kernels import binding

LAYERS = {
    "GRU": nn.GRU,
    "LSTM": nn.LSTM,
    "RNN": nn.RNN,
    "RNN relu": lambda *sizes, **keywords: nn.RNN(*sizes, nonlinearity="relu", **keywords),
    "MinGRU": nn.MinGRU,
}
CELLS = {"GRU": nn.GRUCell, "LSTM": nn.LSTMCell, "RNN": nn.RNNCell, "MinGRU": nn.MinGRUCell}
needs_core = pytest.mark.skipif(not binding.is_available(), reason=f"no C core: {binding.missing()}")


class Model(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, torch.nn.Linear(4, 2)

    def forward(self, x, hx=None, lengths=None):
        if lengths is None:
            y, h = self.layer(x, hx)
        else:
            y, h = self.layer(x, hx, lengths=lengths)
        return self.head(y), h


class OneStep(torch.nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x, hx):
        return self.cell(x, hx)


def start(name, *sizes):
    h = torch.randn(*sizes)
    return (h, h.cos()) if name == "LSTM" else h


@pytest.mark.parametrize("name", LAYERS)
def test_a_symbolic_trace_sees_a_layer_as_one_module(name):
    torch.manual_seed(0)
    model = Model(LAYERS[name](3, 4))
    for concrete in ({"lengths": None}, {}):
        x, lengths = torch.randn(5, 2, 3), torch.tensor([5, 2])
        if concrete:
            graph, arguments = torch.fx.symbolic_trace(model, concrete), (x, start(name, 1, 2, 4))
        else:
            graph = torch.fx.GraphModule(
                model, torch.fx.Tracer().trace(model, {"hx": None, "lengths": torch.fx.PH})
            )
            arguments = (x, None, lengths)
        calls = {node.target for node in graph.graph.nodes if node.op == "call_module"}
        assert calls == {"layer", "head"}
        assert torch.equal(graph(*arguments)[0], model(*arguments)[0])


@pytest.mark.parametrize("name", CELLS)
def test_a_symbolic_trace_sees_a_cell_as_one_module(name):
    model = OneStep(CELLS[name](3, 4))
    graph = torch.fx.symbolic_trace(model)
    x, hx = torch.randn(2, 3), start(name, 2, 4)
    for a, b in zip(graph(x, hx), model(x, hx)):
        assert torch.equal(a, b)


def test_a_symbolic_trace_of_a_layer_alone_says_what_to_do():
    with pytest.raises(
        SettingsError, match=r"expected one inside a module: trace torch.nn.Sequential\(layer\)$"
    ):
        torch.fx.symbolic_trace(nn.GRU(3, 4))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_a_traced_module_runs_at_any_length_and_trains_and_is_saved(name):
    """Tracing gives no warning: those that pytest makes errors would fail here."""
    torch.manual_seed(0)
    model = Model(LAYERS[name](3, 4))
    traced = torch.jit.trace(model, (torch.randn(5, 2, 3),))
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    loaded = torch.jit.load(file)
    for sizes in ((5, 2, 3), (9, 4, 3), (1, 1, 3)):
        x = torch.randn(sizes)
        for copy in (traced, loaded):
            torch.testing.assert_close(copy(x)[0], model(x)[0])
    x = torch.randn(7, 2, 3)
    gradients = [
        torch.autograd.grad(run(x)[0].sin().sum(), list(model.parameters())) for run in (traced, model)
    ]
    for a, b in zip(*gradients):
        torch.testing.assert_close(a, b)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", ["GRU", "LSTM", "RNN"])
def test_a_script_says_what_to_do_and_then_works(name):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), LAYERS[name](3, 4))
    with pytest.raises(
        SettingsError, match=r"script congru.nn.convert\(model, back=True\), or use torch.jit.trace"
    ):
        torch.jit.script(model)
    x = torch.randn(5, 2, 3)
    expected = model(x)[0]
    torch.testing.assert_close(torch.jit.script(nn.convert(model, back=True))(x)[0], expected)


@needs_core
@pytest.mark.parametrize("name", ["GRU", "RNN"])
def test_flops_are_those_that_torch_counts_for_its_layer(name):
    layers = [getattr(module, name)(3, 4, 2, bidirectional=True) for module in (nn, torch.nn)]
    x, h = torch.randn(5, 2, 3), torch.randn(4, 2, 4)
    for gradient in ((), (x,), (x, h)):
        for part in gradient:
            part.requires_grad_()
        counts = []
        for layer in layers:
            with FlopCounterMode(display=False) as counter:
                layer(x, h)[0].sum().backward()
            counts.append(counter.get_total_flops())
        assert counts[0] == counts[1] > 0


@needs_core
@pytest.mark.parametrize("steps", [1, 8])
@pytest.mark.parametrize("name", ["GRU", "LSTM", "RNN"])
def test_counters_and_profiles_name_the_operators(name, steps):
    layer, x = LAYERS[name](3, 4), torch.randn(steps, 2, 3)
    rows = {"GRU": 12, "LSTM": 16, "RNN": 4}[name]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(x)
    assert counter.get_flop_counts()["Global"] == {torch.ops.congru.forward: 2 * 2 * steps * rows * 7}
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        layer(x)[0].sum().backward()
        with torch.no_grad():
            layer(x)
    counts = {event.key: event.count for event in seen.key_averages()}
    assert counts["congru::forward"] == 2
    assert counts["congru::backward"] == 1
