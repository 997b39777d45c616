"""torch's tools for derivatives on layers and cells as users build them, by the default backend, at few and more steps."""

import pytest
import torch
from torch.func import (
    functional_call,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    stack_module_state,
    vmap,
)

from congru import nn
from congru.kernels.native_ops import run_backward

LAYERS = (nn.GRU, nn.LSTM, nn.RNN, nn.MinGRU)
CELLS = (nn.GRUCell, nn.LSTMCell, nn.RNNCell)
STEPS = (1, 2, 3, 8)

pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script` is deprecated:DeprecationWarning",  # torch.func.jvp compiles a table on first use
)


def _built(kind, *sizes, **settings):
    torch.manual_seed(len(kind.__name__))
    return kind(*sizes, **settings, dtype=torch.float64)


def _first(results):
    return results[0] if isinstance(results, tuple) else results


@pytest.fixture(
    params=[*((layer, steps) for layer in LAYERS for steps in STEPS), *((cell, 0) for cell in CELLS)]
)
def problem(request):
    """(model, function x -> y, x)."""
    kind, steps = request.param
    model = _built(kind, 3, 2)
    torch.manual_seed(steps)
    sizes = (steps, 2, 3) if steps else (2, 3)
    return model, lambda x: _first(model(x)), torch.randn(sizes, dtype=torch.float64)


def test_jacobians_agree_and_hessians_exist(problem):
    _, f, x = problem
    wanted = torch.autograd.functional.jacobian(f, x)
    for jacobian in (jacrev(f)(x), jacfwd(f)(x), torch.autograd.functional.jacobian(f, x, vectorize=True)):
        torch.testing.assert_close(jacobian, wanted)
    v = torch.ones_like(x)
    torch.testing.assert_close(jvp(f, (x,), (v,))[1], wanted.flatten(-x.dim()).sum(-1))
    twice = torch.autograd.functional.hessian(lambda x: f(x).square().sum(), x)
    torch.testing.assert_close(hessian(lambda x: f(x).square().sum())(x), twice)


@pytest.mark.parametrize("gradient", [True, False])
def test_vmap_is_a_loop(problem, gradient):
    _, f, x = problem
    rows = torch.stack([x, 2 * x, -x])
    with torch.set_grad_enabled(gradient):
        torch.testing.assert_close(vmap(f)(rows), torch.stack([f(row) for row in rows]))


def test_gradients_of_a_batch_of_cotangents(problem):
    model, f, x = problem
    x = x.clone().requires_grad_()
    inputs, y = [x, *model.parameters()], f(x)
    cotangents = torch.stack([torch.ones_like(y), y.detach(), y.detach().cos()])
    batched = torch.autograd.grad(y, inputs, cotangents, is_grads_batched=True, retain_graph=True)
    each = [torch.autograd.grad(y, inputs, one, retain_graph=True) for one in cotangents]
    for actual, wanted in zip(batched, zip(*each)):
        torch.testing.assert_close(actual, torch.stack(wanted))
    assert torch.autograd.gradcheck(f, x, check_batched_grad=True, check_forward_ad=True)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("kind", LAYERS)
def test_ensembles_train(kind, steps):
    models = [_built(kind, 3, 2) for _ in range(2)]
    for scale, model in enumerate(models, 1):
        for parameter in model.parameters():
            parameter.data.mul_(scale)
    x = torch.randn(steps, 2, 3, dtype=torch.float64)
    parameters, _ = stack_module_state(models)

    def losses(parameters):
        return vmap(lambda one: functional_call(models[0], one, (x,))[0].square().sum())(parameters)

    gradients = grad(lambda parameters: losses(parameters).sum())(parameters)
    for row, model in enumerate(models):
        loss = model(x)[0].square().sum()
        torch.testing.assert_close(losses(parameters)[row], loss)
        loss.backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[name][row], parameter.grad)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("batch_first", [True, False])
def test_the_result_may_be_changed_in_place(kind, batch_first):
    layer = _built(kind, 3, 2, batch_first=batch_first)
    x = torch.randn(3, 3, 3, dtype=torch.float64)

    def gradients(in_place):
        layer.zero_grad()
        y, h = layer(x)
        if in_place:
            y += 0.1
            y = torch.nn.ReLU(inplace=True)(y)
        else:
            y = (y + 0.1).relu()
        (y.square().sum() + _first(h).sum()).backward()
        return [parameter.grad.clone() for parameter in layer.parameters()]

    for actual, wanted in zip(gradients(True), gradients(False)):
        assert torch.equal(actual, wanted)


def test_changed_gates_too():
    layer = _built(nn.LSTM, 3, 2, return_gates=True)
    x = torch.randn(3, 2, 3, dtype=torch.float64)

    def gradient(change):
        y, _, gates = layer(x)
        gates = gates.mul_(2) if change else gates * 2
        return torch.autograd.grad(y.sum() + gates.square().sum(), layer.weight_hh_l0)[0]

    torch.testing.assert_close(gradient(True), gradient(False), rtol=0, atol=0)


def test_a_backward_without_the_saved_states_of_an_lstm_computes_them():
    W, U, x = (torch.randn(sizes, dtype=torch.float64) for sizes in ((8, 3), (8, 2), (2, 3, 3)))
    nothing, y = x.new_empty(0), x.new_zeros(2, 3, 2)
    arguments = [x, None, None, W, U, *[None] * 13]
    wanted = [True, *[False] * 12]
    dx = run_backward(
        2, False, False, wanted, y + 1, None, None, None, *arguments, y, nothing, nothing, nothing
    )[0]
    layer = nn.LSTM(3, 2, bias=False, batch_first=True, dtype=torch.float64)
    layer.weight_ih_l0.data, layer.weight_hh_l0.data = W, U
    x.requires_grad_()
    torch.testing.assert_close(dx, torch.autograd.grad(layer(x)[0].sum(), x)[0])


@pytest.mark.parametrize("kind", LAYERS)
def test_wrong_shapes_are_runtime_errors_too(kind):
    with pytest.raises(RuntimeError, match="input has shape"):
        kind(3, 2)(torch.zeros(3, 2, 7))


def test_an_exported_batch_with_lengths_stays_free():
    layer = nn.GRU(3, 2, batch_first=True)
    batch = torch.export.Dim("batch", min=2, max=64)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, lengths):
            return self.layer(x, lengths=lengths)[0]

    arguments = torch.randn(3, 4, 3), torch.tensor([1, 2, 3])
    exported = torch.export.export(
        Model(), arguments, dynamic_shapes={"x": {0: batch}, "lengths": {0: batch}}
    )
    more = torch.randn(5, 4, 3), torch.tensor([4, 0, 1, 2, 3])
    torch.testing.assert_close(exported.module()(*more), layer(more[0], lengths=more[1])[0])


FORMS = {
    "GRU": nn.GRU,
    "LSTM": nn.LSTM,
    "RNN": nn.RNN,
    "RNN relu": lambda *sizes, **keywords: nn.RNN(*sizes, nonlinearity="relu", **keywords),
    "MinGRU": nn.MinGRU,
}


@pytest.mark.parametrize("given", [(), ("lengths", "reset")], ids=["plain", "lengths and resets"])
@pytest.mark.parametrize("name", FORMS)
def test_exported_batch_and_time_stay_free(name, given):
    torch.manual_seed(0)
    layer = FORMS[name](3, 2, 2, batch_first=True, bidirectional=True)
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")

    def call(*sizes):
        flags = {"lengths": torch.randint(0, sizes[1] + 1, sizes[:1]), "reset": torch.rand(sizes) < 0.3}
        return torch.randn(*sizes, 3), {name: flags[name] for name in given}

    shapes = {"lengths": {0: batch}, "reset": {0: batch, 1: time}}
    shapes = {"input": {0: batch, 1: time}, **{name: shapes[name] for name in given}}
    x, flags = call(3, 4)
    exported = torch.export.export(layer, (x,), flags, dynamic_shapes=shapes)
    for sizes in ((3, 4), (1, 1), (5, 9)):
        x, flags = call(*sizes)
        for a, b in zip(exported.module()(x, **flags), layer(x, **flags)):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ["RNN relu", "MinGRU"])
def test_a_compiled_layer_trains_at_any_length(name):
    """The loop over time of these is no part of the graph, so one graph is for every T."""
    torch._dynamo.reset()
    layer = FORMS[name](3, 2).double()
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph

    compiled = torch.compile(layer, backend=count, fullgraph=True, dynamic=True)
    for steps in (5, 7, 9):  # not another size: torch would take them for one
        x = torch.randn(steps, 2, 3, dtype=torch.float64, requires_grad=True)
        inputs = [x, *layer.parameters()]
        flags = torch.rand(2, steps) < 0.5
        found, wanted = (
            torch.autograd.grad(run(x, reset=flags)[0].sin().sum(), inputs) for run in (compiled, layer)
        )
        for a, b in zip(found, wanted):
            torch.testing.assert_close(a, b)
    assert len(graphs) == 1


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("steps", [2, 3, 8, 17])
@pytest.mark.parametrize("name", FORMS)
def test_nan_stays_in_the_sequence_it_came_from(name, steps, bidirectional):
    """Values and gradients of what stands on the other side of a reset have the bits that they have without it."""
    torch.manual_seed(steps)
    layer = FORMS[name](3, 2, batch_first=True, bidirectional=bidirectional).double()
    begin = steps // 2
    reset = torch.zeros(2, steps, dtype=torch.bool)
    reset[:, begin] = True
    clean = torch.randn(2, steps, 3, dtype=torch.float64)
    for bad, good in ((slice(0, begin), slice(begin, steps)), (slice(begin, steps), slice(0, begin))):
        found = []
        for value in (0.5, torch.nan):
            x = clean.clone()
            x[:, bad] = value
            x.requires_grad_()
            y, _ = layer(x, reset=reset)
            gradient = torch.autograd.grad(y.square().sum(), x)[0]
            found.append((y[:, good].detach(), gradient[:, good]))
        for a, b in zip(*found):
            assert torch.equal(a, b)
