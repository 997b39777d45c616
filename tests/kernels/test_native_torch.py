"""The core's two operators in torch: traced, mapped, differentiated in every way, on any layout of memory."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from cases import FORMS
from congru.kernels import binding, native_torch
from tolerances import assert_close
from torch_problem import BACKENDS, NESTINGS_EVERYWHERE, agree, plain_problem

pytestmark = [
    pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}"),
    # torch.func.jvp compiles a table of its own on first use.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated:DeprecationWarning"),
]
every_cell = pytest.mark.parametrize(
    ("cell", "reset_before"), [form for form in FORMS if form[0] != "mingru"]
)


def operator_arguments(cell, reset_before, time_first):
    """Arguments of congru::forward and congru::backward for one call."""
    problem = plain_problem(cell, reset_before)
    code, lstm = native_torch.CODES[cell, reset_before], cell == "lstm"
    rest = iter(problem.inputs)
    x, h0, c0 = next(rest), next(rest), next(rest) if lstm else None
    weights = [next(rest) for _ in range(4)]
    begin = [next(rest), next(rest) if lstm else None]
    flags = [problem.options["lengths"], problem.options["reset"]]
    inputs = (x, h0, c0, *weights, *[None] * 4, *begin)
    keep = 0 if cell == "rnn" else 3 if not reset_before else 1
    forward = (code, False, time_first, keep, *inputs, *flags, *[None] * 3)
    y, h, c, *kept = (part.detach() for part in torch.ops.congru.forward(*forward))
    grad_outputs = [torch.ones_like(part).requires_grad_() for part in (y, h, c)]
    wanted = [part is not None for part in inputs]
    grad_outputs[2] = grad_outputs[2] if lstm else None
    backward = (code, False, time_first, wanted, *grad_outputs, None, *forward[4:], y, *kept)
    return forward, backward


# A whole opcheck traces forward and backward with free sizes, for seconds: once without c and once with it. Layouts and cells
# differ in shapes and strides alone, and every layer is traced in tests/nn/test_native_layers.py.
BY_SHAPE = ("test_schema", "test_faketensor", "test_autograd_registration")


@pytest.mark.parametrize("time_first", [False, True])
@every_cell
def test_opcheck(cell, reset_before, time_first):
    whole = not time_first and (cell, reset_before) in (("gru", False), ("lstm", False))
    keywords = {} if whole else {"test_utils": BY_SHAPE}
    forward, backward = operator_arguments(cell, reset_before, time_first)
    torch.library.opcheck(torch.ops.congru.forward.default, forward, **keywords)
    torch.library.opcheck(torch.ops.congru.backward.default, backward, **keywords)


@every_cell
def test_a_hessian_vector_product_equals_the_composite_one(cell, reset_before):
    problem = plain_problem(cell, reset_before)

    def product(loss):
        first = torch.autograd.grad(loss(*problem.inputs), problem.inputs, create_graph=True)
        return torch.autograd.grad(first, problem.inputs, problem.directions())

    agree("native, second derivatives", *problem.both(product))


@pytest.mark.parametrize("reverse", [False, True])
@every_cell
def test_gradients_of_gradients_by_finite_differences(cell, reset_before, reverse):
    problem = plain_problem(cell, reset_before, B=2, T=3, I=2, H=2, reverse=reverse)
    problem.options["lengths"][:] = torch.tensor([3, 2])

    def run(*inputs):
        return problem.call("native", *inputs)

    assert torch.autograd.gradcheck(run, problem.inputs)
    assert torch.autograd.gradgradcheck(run, problem.inputs)


@every_cell
def test_third_derivatives(cell, reset_before):
    problem = plain_problem(cell, reset_before, B=2, T=3, I=2, H=2)

    def third(loss):
        value = loss(*problem.inputs)
        for _ in range(3):
            gradients = torch.autograd.grad(value, problem.inputs, create_graph=True)
            value = sum(part.sin().sum() for part in gradients)
        return (value,)

    agree("native, second derivatives", *problem.both(third))


NESTINGS = {
    **NESTINGS_EVERYWHERE,
    "hessian": lambda f, v: torch.func.hessian(f),
    "vmap of grad of grad": lambda f, v: (
        lambda x: torch.func.vmap(lambda w: torch.func.grad(lambda x: (torch.func.grad(f)(x) * w).sum())(x))(
            torch.stack([v, 2 * v])
        )
    ),
}


@pytest.mark.parametrize("nesting", NESTINGS)
@every_cell
def test_transforms_of_torch_func_nest(cell, reset_before, nesting):
    problem = plain_problem(cell, reset_before, B=2, T=3, I=2, H=2)
    problem.agree_on_every_input(NESTINGS[nesting])


@every_cell
def test_forward_mode_without_torch_func(cell, reset_before):
    problem = plain_problem(cell, reset_before)
    agree("composite gradients, float64", *problem.tangents())


@every_cell
def test_forward_mode_through_a_gradient_taken_before(cell, reset_before):
    problem = plain_problem(cell, reset_before)
    found = []
    for backend in BACKENDS:
        results, vjp = torch.func.vjp(lambda *inputs, b=backend: problem.call(b, *inputs), *problem.values())
        grad_outputs = tuple(torch.ones_like(part) for part in results)
        found.append(torch.func.jvp(vjp, (grad_outputs,), (tuple(part.cos() for part in results),))[1])
    agree("composite gradients, float64", *found)


@pytest.mark.parametrize("mapped", ["x and h0", "flags", "weights"])
@every_cell
def test_vmap_is_a_loop(cell, reset_before, mapped):
    problem = plain_problem(cell, reset_before)
    num_states, values = problem.sizes[1], list(problem.values())
    places = range(1 + num_states) if mapped == "x and h0" else range(1 + num_states, 5 + num_states)
    in_dims: list[int | None] = [None] * len(values)
    for place in [] if mapped == "flags" else places:
        in_dims[place] = -1
        values[place] = torch.stack([values[place], values[place].cos(), -values[place]], -1)
    lengths, reset = problem.options["lengths"], problem.options["reset"]
    flags, dims = (lengths, reset), (None, None)
    if mapped == "flags":
        flags, dims = (
            (torch.stack([lengths, 5 - lengths, lengths]), torch.stack([reset, reset, ~reset])),
            (0, 0),
        )

    def run(lengths, reset, *inputs):
        return problem.call("native", *inputs, lengths=lengths, reset=reset)

    def row(part, dim, k):
        return part if dim is None else part.select(dim, k)

    found = torch.func.vmap(run, (*dims, *in_dims))(*flags, *values)
    for k in range(3):
        alone = run(*(row(part, dim, k) for part, dim in zip((*flags, *values), (*dims, *in_dims))))
        for a, b in zip(found, alone):
            assert_close("layer properties, float64", a[k], b)


@every_cell
def test_gradients_through_a_vmap(cell, reset_before):
    problem = plain_problem(cell, reset_before)
    x, *rest = problem.values()
    rows = torch.stack([x, x.cos()])

    def total(loss):
        return torch.func.grad(
            lambda *rest: torch.func.vmap(lambda row: loss(row, *rest))(rows).sum(), tuple(range(len(rest)))
        )(*rest)

    agree("composite gradients, float64", *problem.both(total))


def layouts(x):
    """Tensors of the shape of x [B, T, I] that lie otherwise in memory."""
    B, T, I = x.shape
    return {
        "time first": x.transpose(0, 1).contiguous().transpose(0, 1),
        "features first": x.permute(2, 1, 0).contiguous().permute(2, 1, 0),
        "every second step": x.repeat_interleave(2, 1)[:, ::2],
        "every second feature": x.repeat_interleave(2, 2)[:, :, ::2],
        "one row for all": x[:1].expand(B, T, I),
        "one step for all": x[:, :1].expand(B, T, I),
        "one for all": x[:1, :1].expand(B, T, I),
        "one feature for all": x[:, :, :1].expand(B, T, I),
    }


@pytest.mark.parametrize("layout", layouts(torch.zeros(1, 1, 1)))
@every_cell
def test_any_layout_of_inputs_and_gradients(cell, reset_before, layout):
    problem = plain_problem(cell, reset_before)
    x, *rest = problem.values()
    found = []
    for contiguous in (False, True):
        start = layouts(x)[layout]
        start = (start.contiguous() if contiguous else start).requires_grad_()
        weights = [part.clone().requires_grad_() for part in rest]
        if not contiguous:
            weights = [
                part.detach().mT.contiguous().mT.requires_grad_() if part.dim() > 1 else part
                for part in weights
            ]
        y, *others = problem.call("native", start, *weights)
        dy = layouts(torch.sin(torch.arange(y.numel()).view_as(y)).double())[layout]
        dgates = torch.ones(1, dtype=y.dtype).expand_as(others[-1])
        grad_outputs = [dy, torch.ones_like(others[0]), dgates]
        if contiguous:
            grad_outputs = [part.contiguous() for part in grad_outputs]
        targets = [start, *weights]
        found.append([y, *others, *torch.autograd.grad([y, others[0], others[-1]], targets, grad_outputs)])
    for a, b in zip(*found):
        assert torch.equal(a, b)


@every_cell
def test_only_what_needs_a_gradient_gets_one(cell, reset_before):
    for place in range(len(plain_problem(cell, reset_before).inputs)):
        problem = plain_problem(cell, reset_before)
        for k, part in enumerate(problem.inputs):
            part.requires_grad_(k == place)
        problem.loss("native", *problem.inputs).backward()
        alone = problem.inputs[place].grad
        assert [k for k, part in enumerate(problem.inputs) if part.grad is not None] == [place]
        problem = plain_problem(cell, reset_before)
        problem.loss("native", *problem.inputs).backward()
        assert_close("layer properties, float64", alone, problem.inputs[place].grad)
    assert not any(part.requires_grad for part in problem.call("native", *problem.values()))


@pytest.mark.parametrize("sizes", [(0, 4), (3, 0), (0, 0)])
@every_cell
def test_empty_batch_and_no_steps(cell, reset_before, sizes):
    problem = plain_problem(cell, reset_before, B=sizes[0], T=sizes[1])
    results = problem.call("native", *problem.inputs)
    num_states = problem.sizes[1]
    assert results[0].shape == (*sizes, 7)
    for final, start in zip(results[1:-1], problem.inputs[1 : 1 + num_states]):
        assert torch.equal(final, start)
    gradients = torch.autograd.grad(sum((part * part).sum() for part in results), problem.inputs)
    for place, gradient in enumerate(gradients):
        expected = 2 * problem.inputs[place] if 1 <= place <= num_states else torch.zeros_like(gradient)
        assert torch.equal(gradient, expected)


@every_cell
def test_autocast_computes_in_float32(cell, reset_before):
    problem = plain_problem(cell, reset_before, torch.float32)
    exact = problem.call("native", *problem.inputs)
    with torch.autocast("cpu", torch.bfloat16):
        found = problem.call("native", *problem.inputs)
        low = problem.call("native", problem.inputs[0].bfloat16(), *problem.inputs[1:])
        loss = sum(part.square().sum() for part in found)
        first = torch.autograd.grad(loss, problem.inputs, create_graph=True)
        second = torch.autograd.grad(sum(part.sum() for part in first), problem.inputs)
    assert all(torch.equal(a, b) for a, b in zip(found, exact))
    assert all(part.dtype == torch.float32 for part in low)
    loss = sum(part.square().sum() for part in exact)
    expected = torch.autograd.grad(loss, problem.inputs, create_graph=True)
    assert all(torch.equal(a, b) for a, b in zip(first, expected))
    again = torch.autograd.grad(sum(part.sum() for part in expected), problem.inputs)
    assert all(torch.equal(a, b) for a, b in zip(second, again))


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
@every_cell
def test_a_trace_records_the_operator_also_where_no_gradient_is_wanted(cell, reset_before, mode):
    problem = plain_problem(cell, reset_before, B=2, T=3)
    del problem.options["lengths"]  # their values are checked, and a trace has none
    x, *rest = problem.values()

    def run(x, reset, *rest):
        return problem.call("native", x, *rest, reset=reset)[0]

    graph = make_fx(run, tracing_mode=mode)(x, problem.options["reset"], *rest)
    assert "congru.forward" in graph.code
    arguments = (2 * x, ~problem.options["reset"], *rest)
    assert torch.equal(graph(*arguments), run(*arguments))


@pytest.mark.parametrize("turned", [(True,), (False, True), (True, False), (True, False, False)], ids=str)
@every_cell
def test_saved_tensors_may_come_back_in_another_layout(cell, reset_before, turned):
    problem = plain_problem(cell, reset_before)
    expected = torch.autograd.grad(problem.loss("native", *problem.inputs), problem.inputs)
    turn = itertools.cycle(turned)

    def unpack(tensor):
        features_first = tensor.dim() == 3 and next(turn)
        return tensor.permute(2, 1, 0).contiguous().permute(2, 1, 0) if features_first else tensor

    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
        loss = problem.loss("native", *problem.inputs)
    assert all(torch.equal(a, b) for a, b in zip(torch.autograd.grad(loss, problem.inputs), expected))
