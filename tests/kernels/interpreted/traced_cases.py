"""The Triton kernels in graphs of torch.compile and torch.export, in the interpreter, beside the same calls without a graph."""

from __future__ import annotations

import os

import pytest
import torch

from congru import nn
from congru.errors import BackendError

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("TRITON_INTERPRET") != "1",
        reason="not in the interpreter: run tests/kernels/test_triton.py",
    ),
    pytest.mark.filterwarnings("ignore"),  # torch's compiler warns of its own code
]
LAYERS = {"GRU": (nn.GRU, {"reset_before": True}), "LSTM": (nn.LSTM, {"layer_norm": True})}


def call_of():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 3, generator=draw, requires_grad=True)
    return x, {"lengths": torch.tensor([4, 0, 2]), "return_gates": True}


def run(layer, x, keywords):
    """Every result and gradient."""
    y, state, gates = layer(x, **keywords)
    states = state if isinstance(state, tuple) else (state,)
    results = [y, *states, *(gates if isinstance(gates, (list, tuple)) else (gates,))]
    loss = sum(part.square().sum() for part in results)
    return [*results, *torch.autograd.grad(loss, [x, *layer.parameters()])]


@pytest.mark.parametrize("name", LAYERS)
def test_compiled(name):
    torch.manual_seed(0)
    kind, options = LAYERS[name]
    layer = kind(3, 6, batch_first=True, bidirectional=True, backend="triton", **options)
    x, keywords = call_of()
    graphs = []

    def keep(graph, _):
        graphs.append(graph)
        return graph

    eager = run(layer, x, keywords)
    traced = run(torch.compile(layer, backend=keep, fullgraph=True), x, keywords)
    compiled = run(torch.compile(layer, backend="aot_eager", fullgraph=True), x, keywords)
    launches = [node for node in graphs[0].graph.nodes if "triton_forward" in str(node.target)]
    assert len(launches) == 1  # both directions
    for a, b, c in zip(eager, traced, compiled, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@pytest.mark.parametrize("name", LAYERS)
def test_exported(name):
    torch.manual_seed(0)
    kind, options = LAYERS[name]
    layer = kind(3, 6, batch_first=True, backend="triton", **options)
    x, keywords = call_of()
    with torch.no_grad():
        program = torch.export.export(layer, (x,), keywords)
        assert "congru.triton_forward" in str(program.graph)
        assert torch.equal(program.module()(x, **keywords)[0], layer(x, **keywords)[0])


def test_the_operators_have_the_shapes_of_their_results():
    from congru.kernels.triton import traced
    from congru.kernels.triton.launch import INPUTS, MASKS

    B, T, H, D = 2, 3, 4, 2
    sizes = {"gi": (B, T, D, 3 * H), "h0": (D, B, H), "U": (D, 3 * H, H), "b": (D, 3 * H)}
    tensors = [torch.randn(sizes[name]) if name in sizes else None for name in INPUTS + MASKS]
    tensors[len(INPUTS)] = torch.tensor([3, 1])
    settings = ("gru", [False, True], False, 0, 1, True, torch.float32, torch.float32, True, "cpu")
    forward, backward = torch.ops.congru.triton_forward, torch.ops.congru.triton_backward
    tests = ("test_schema", "test_faketensor")
    torch.library.opcheck(forward.default, (*settings, *tensors), test_utils=tests)
    y, h, _, gates, c_states, kept, rows = forward(*settings, *tensors)
    tensors[len(INPUTS) + 1] = rows
    wanted = [name in sizes for name in INPUTS]
    arguments = (*settings, wanted, y, h, None, gates, *tensors, y, gates, c_states, kept)
    torch.library.opcheck(backward.default, arguments, test_utils=tests)
    assert len(traced.RESULTS) == 7


def test_a_compiled_step():
    cell = nn.GRUCell(3, 6, backend="triton")
    x, h = torch.randn(2, 3), torch.randn(2, 6)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(cell, backend="eager", fullgraph=True)(x, h), cell(x, h))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.MinGRU(3, 6, backend="triton"), "does not see into its kernel of the mingru"),
        (nn.GRU(3, 6, backend="triton", recompute=True), "computes nothing again"),
    ],
)
def test_what_a_graph_cannot_hold_is_one_line(layer, reason):
    with pytest.raises((BackendError, torch._dynamo.exc.TorchDynamoException), match=reason):
        torch.compile(layer, backend="eager")(torch.randn(2, 3, 3, requires_grad=True))
