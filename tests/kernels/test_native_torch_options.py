"""The core's options in torch: layer norm, zoneout, masks and heads, traced, mapped and differentiated in every way."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from congru import nn
from congru.kernels import binding
from congru.kernels.native_ops import GRAD_OUTPUTS, INPUTS, NUM_SETTINGS
from option_cases import OPTION_FORMS, call_id, make_option_case
from tolerances import assert_close
from torch_problem import NESTINGS_EVERYWHERE, agree, option_problem

pytestmark = [
    pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}"),
    # torch.func.jvp compiles a table of its own on first use.
    pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated:DeprecationWarning"),
]
EVERYTHING = {"ragged": True, "resets": True, "h_reset": True, "reverse": True}
SMALL = {"B": 2, "T": 3, "I": 2, "H": 4}
ROW = "options, backend gradients, float64"


# Of every form the call with most options, on one head and on two.
MASKS = {"mask": True, "zoneout": True}
CALLS = [
    (*form, around)
    for form in OPTION_FORMS
    for around in (MASKS, {**MASKS, "num_heads": 2})
    if form[2] != "dreamer" or "num_heads" not in around
]
NAMES = ("cell", "before", "norm", "around")
every_call = pytest.mark.parametrize(NAMES, CALLS, ids=call_id)


def problem_of(cell, before, norm, around, **sizes):
    return option_problem(cell, before, norm, **EVERYTHING, **around, **sizes)


class Operators(TorchDispatchMode):
    """Notes the calls of the core's operators."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, operator, types, arguments=(), keywords=None):
        if operator.namespace == "congru":
            self.calls.append((operator, arguments))
        return operator(*arguments, **(keywords or {}))


@pytest.mark.parametrize(NAMES, [call for call in CALLS if "num_heads" not in call[3]], ids=call_id)
def test_opcheck(cell, before, norm, around):
    # Every call is traced with its gradients in test_torch_compile_makes_one_graph_with_the_core_in_it; one here too.
    whole = cell == "rnn"  # the fewest gates, hence the smallest graph of second derivatives
    problem = problem_of(cell, before, norm, around)
    with Operators() as seen:
        loss = problem.loss("native", *problem.inputs)
        torch.autograd.grad(loss, problem.inputs)
    assert [operator.name() for operator, _ in seen.calls] == ["congru::forward", "congru::backward"]
    for (operator, arguments), differentiable in zip(seen.calls, (INPUTS, GRAD_OUTPUTS + INPUTS)):
        given = [part.detach() if isinstance(part, torch.Tensor) else part for part in arguments]
        for part in given[NUM_SETTINGS : NUM_SETTINGS + len(differentiable)]:
            if part is not None:
                part.requires_grad_()
        keywords = (
            {} if whole else {"test_utils": ("test_schema", "test_faketensor", "test_autograd_registration")}
        )
        torch.library.opcheck(operator, tuple(given), **keywords)


@pytest.mark.parametrize("padding", [False, True])
@every_call
def test_every_element_of_every_result_is_written(cell, before, norm, around, padding):
    problem = problem_of(cell, before, norm, around)
    if not padding:
        del problem.options["lengths"]
    torch.use_deterministic_algorithms(True)  # fills what is allocated with NaN
    try:
        with Operators() as seen:
            torch.autograd.grad(problem.loss("native", *problem.inputs), problem.inputs)
        results = [part for operator, arguments in seen.calls for part in operator(*arguments)]
    finally:
        torch.use_deterministic_algorithms(False)
    assert sum(part.numel() for part in results) > 0
    assert all(torch.isfinite(part).all() for part in results)


# Inductor compiles C++ of its own for half a minute: one call is enough.
COMPILED = [(*call, "aot_eager") for call in CALLS]
COMPILED += [(*call, "inductor") for call in CALLS if call[:3] == ("gru", False, True)][:1]


# Importing inductor compiles a script of its own, by functions that torch itself calls deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method. is deprecated:DeprecationWarning")
@pytest.mark.parametrize((*NAMES, "backend"), COMPILED, ids=call_id)
def test_torch_compile_makes_one_graph_with_the_core_in_it(cell, before, norm, around, backend):
    torch._dynamo.reset()
    problem = problem_of(cell, before, norm, around, T=9)
    del problem.options["lengths"]  # a whole row is padding: nothing of it is left to differentiate
    compiled = torch.compile(lambda *inputs: problem.loss("native", *inputs), fullgraph=True, backend=backend)
    found = torch.autograd.grad(compiled(*problem.inputs), problem.inputs)
    agree(ROW, found, torch.autograd.grad(problem.loss("composite", *problem.inputs), problem.inputs))


@every_call
def test_a_hessian_vector_product_equals_the_composite_one(cell, before, norm, around):
    problem = problem_of(cell, before, norm, around)

    def product(loss):
        first = torch.autograd.grad(loss(*problem.inputs), problem.inputs, create_graph=True)
        second = torch.autograd.grad(first, problem.inputs, problem.directions(), create_graph=True)
        return [*second, *torch.autograd.grad(sum(part.sin().sum() for part in second), problem.inputs)]

    agree("native, second derivatives", *problem.both(product))


# Norms of a few units bend more than a difference can follow: theirs are held by the product above. With heads one
# random direction is followed; every direction would take four times as long.
@pytest.mark.parametrize(NAMES, [call for call in CALLS if not call[2]], ids=call_id)
def test_gradients_of_gradients_by_finite_differences(cell, before, norm, around):
    problem = problem_of(cell, before, norm, around, **SMALL)

    def run(*inputs):
        return problem.call("native", *inputs)

    one_direction = "num_heads" in around
    assert torch.autograd.gradcheck(run, problem.inputs)
    assert torch.autograd.gradgradcheck(run, problem.inputs, fast_mode=one_direction)


NESTINGS = {
    **NESTINGS_EVERYWHERE,
    "jacrev": lambda f, v: torch.func.jacrev(torch.func.grad(f)),
}


@pytest.mark.parametrize("nesting", NESTINGS)
@every_call
def test_transforms_of_torch_func_nest(cell, before, norm, around, nesting):
    problem = problem_of(cell, before, norm, around, **SMALL)
    problem.agree_on_every_input(NESTINGS[nesting])


@every_call
def test_forward_mode_without_torch_func(cell, before, norm, around):
    problem = problem_of(cell, before, norm, around)
    agree(ROW, *problem.tangents())


MAPPED = ["rows", "masks", "weights", "everything"]


@pytest.mark.parametrize("mapped", MAPPED)
@every_call
def test_vmap_is_a_loop_forward_and_backward(cell, before, norm, around, mapped):
    problem = problem_of(cell, before, norm, around)
    num_rows = 1 + problem.sizes[1]
    places = {"rows": range(num_rows), "masks": (), "weights": range(num_rows, len(problem.inputs))}
    chosen = places.get(mapped, range(len(problem.inputs)))
    values = [
        torch.stack([part, part.cos(), -part]) if k in chosen else part
        for k, part in enumerate(problem.values())
    ]
    dims = [0 if k in chosen else None for k in range(len(values))]
    masks = {k: v for k, v in problem.options.items() if k in ("zoneout", "recurrent_mask")}
    if mapped in ("masks", "everything"):
        masks = {
            k: tuple(torch.stack([d, 1 - d, 0.3 * d], 1) for d in v)
            if isinstance(v, tuple)
            else torch.stack([v, 2 - v, 3 * v], 1)
            for k, v in masks.items()
        }
        mask_dims = dict.fromkeys(masks, 1)
    else:
        mask_dims = dict.fromkeys(masks)

    def run(masks, *inputs):
        def loss(*inputs):
            results = problem.call("native", *inputs, **masks)
            return sum((part.sin() * part).sum() for part in results), results

        gradients, results = torch.func.grad(loss, tuple(range(len(inputs))), has_aux=True)(*inputs)
        return (*results, *gradients)

    def row(part, dim, k):
        if isinstance(part, tuple):
            return tuple(row(each, dim, k) for each in part)
        return part if dim is None else part.select(dim, k)

    found = torch.func.vmap(run, (mask_dims, *dims))(masks, *values)
    for k in range(3):
        alone = run(
            {name: row(part, mask_dims[name], k) for name, part in masks.items()},
            *(row(part, dim, k) for part, dim in zip(values, dims)),
        )
        for a, b in zip(found, alone):
            assert_close(ROW, a[k], b)


@every_call
def test_recompute_gives_the_same_gradients_also_transformed(cell, before, norm, around):
    problem = problem_of(cell, before, norm, around)

    def loss(recompute, *inputs, return_gates=True):
        results = problem.call("native", *inputs, recompute=recompute, return_gates=return_gates)
        return sum((part.sin() * part).sum() for part in results if part is not None)

    for return_gates in (True, False):
        expected = torch.autograd.grad(
            loss(False, *problem.inputs, return_gates=return_gates), problem.inputs, materialize_grads=True
        )
        again = torch.autograd.grad(
            loss(True, *problem.inputs, return_gates=return_gates), problem.inputs, materialize_grads=True
        )
        agree(ROW, again, expected)
        places = tuple(range(len(problem.inputs)))
        transformed = torch.func.grad(
            lambda *inputs, r=return_gates: loss(True, *inputs, return_gates=r), places
        )(*problem.values())
        agree(ROW, transformed, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@every_call
def test_autocast_computes_in_float32(cell, before, norm, around, dtype):
    case = make_option_case(cell, before, norm, **around)
    problem = option_problem(cell, before, norm, **around)
    problem.inputs = [part.detach().to(dtype).float().requires_grad_() for part in problem.inputs]
    exact_options = {
        k: tuple(p.float() for p in v) if isinstance(v, tuple) else v.float()
        for k, v in problem.options.items()
        if k in ("zoneout", "recurrent_mask")
    }
    expected = problem.call("native", *problem.inputs, **exact_options)
    with torch.autocast("cpu", torch.bfloat16):
        found = problem.call("native", problem.inputs[0].to(dtype), *problem.inputs[1:], **exact_options)
    assert len(found) == 2 + len(case.state)
    assert all(torch.equal(a, b) for a, b in zip(found, expected))


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"num_heads": 2, "zoneout": 0.1}], ids=str)
def test_torch_export_with_dynamic_batch_and_time(options):
    torch.manual_seed(0)
    layer = nn.GRU(3, 6, 2, batch_first=True, bidirectional=True, backend="native", **options).double().eval()
    B, T = torch.export.Dim("B"), torch.export.Dim("T")
    x, reset = torch.randn(4, 6, 3).double(), torch.rand(4, 6) < 0.3
    shapes = {"input": {0: B, 1: T}, "reset": {0: B, 1: T}}
    exported = torch.export.export(layer, (x,), {"reset": reset}, dynamic_shapes=shapes)
    assert "congru.forward" in exported.graph_module.code
    layer.backend = "composite"
    for sizes in ((4, 6), (1, 1), (7, 19)):
        x, reset = torch.randn(*sizes, 3).double(), torch.rand(*sizes) < 0.3
        agree("options, backend, float64", exported.module()(x, reset=reset), layer(x, reset=reset))


def test_zoneout_laid_out_in_any_way():
    """The shares of h and of c have strides of their own in torch, and one pair in the core."""
    for cell in ("gru", "lstm"):
        problem = option_problem(cell, False, False, zoneout=True, mask=True)
        expected = problem.call("native", *problem.values())
        shares = problem.options["zoneout"]
        layouts = [
            lambda d: d.transpose(0, 1).contiguous().transpose(0, 1),
            lambda d: d.permute(2, 1, 0).contiguous().permute(2, 1, 0),
            lambda d: torch.cat([d, d], 2)[:, :, : d.shape[2]],
            lambda d: d,
        ]
        for k, layout in enumerate(layouts):
            other = layouts[(k + 1) % len(layouts)]
            given = tuple(way(d) for way, d in zip((layout, other), shares))
            found = problem.call("native", *problem.values(), zoneout=given)
            assert all(torch.equal(a, b) for a, b in zip(found, expected))
