"""composite and aten against the reference in float64: y, state, gates and every gradient, at every size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend_checks import REFERENCE, check, leaf
from cases import FORMS, make_case
from congru import ops
from congru.kernels.cells import CELLS
from tolerances import assert_close, seeds

OPTIONS = [
    {},
    {"reverse": True},
    {"ragged": True},
    {"ragged": True, "reverse": True},
    {"resets": True},
    {"resets": True, "reverse": True},
    {"resets": True, "h_reset": True},
    {"resets": True, "h_reset": True, "ragged": True},
    {"resets": True, "h_reset": True, "ragged": True, "reverse": True},
]
SIZES = [
    {"B": 3, "T": 5, "I": 4, "H": 7},
    {"B": 1, "T": 3, "I": 5, "H": 3},
    {"B": 2, "T": 1, "I": 3, "H": 5},
    {"B": 2, "T": 0, "I": 3, "H": 5},
    {"B": 2, "T": 63, "I": 1, "H": 3},
    {"B": 0, "T": 3, "I": 2, "H": 3},
]
PLAIN = [form for form in FORMS if form[0] != "mingru" and not form[1]]


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_composite_with_every_option(cell, reset_before, options, seed):
    check(cell, reset_before, make_case(cell, seed, **options), "composite")


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_composite_at_every_size(cell, reset_before, sizes, seed):
    for reverse in (False, True):
        check(cell, reset_before, make_case(cell, seed, reverse=reverse, **sizes), "composite")
        case = make_case(cell, seed, ragged=True, resets=True, h_reset=True, reverse=reverse, **sizes)
        check(cell, reset_before, case, "composite")


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("sizes", [s for s in SIZES if s["B"] * s["T"]], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("cell", "reset_before"), PLAIN)
def test_aten_at_every_size(cell, reset_before, reverse, sizes, seed):
    check(cell, reset_before, make_case(cell, seed, reverse=reverse, **sizes), "aten")


@pytest.mark.parametrize("without", ["b_i", "b_h", "both"])
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_without_bias(cell, reset_before, without):
    case = make_case(cell)
    drop = {"b_i", "b_h"} if without == "both" else {without}
    names = CELLS[cell].weights
    case = case._replace(weights=tuple(None if n in drop else w for n, w in zip(names, case.weights)))
    check(cell, reset_before, case, "composite")
    if (cell, reset_before) in PLAIN:
        check(cell, reset_before, case, "aten")


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_saturated_gates(cell, reset_before):
    case = make_case(cell, H=16, T=9)
    bias = 100.0 * np.random.default_rng(1).choice([-1.0, 1.0], size=len(case.weights[0]))
    case = case._replace(weights=(*case.weights[:-1], bias))
    check(cell, reset_before, case, "composite")
    if (cell, reset_before) in PLAIN:
        check(cell, reset_before, case, "aten")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn", "rnn_relu"])
def test_gates_recovered_after_the_fused_kernel_carry_the_gradients_of_the_loop(cell, reverse):
    case = make_case({"rnn_relu": "rnn"}.get(cell, cell), reverse=reverse)
    dgates = torch.randn(3, 5, len(CELLS[cell].gates), 7, generator=torch.Generator().manual_seed(0)).double()
    results = []
    for backend in ("aten", "composite"):
        inputs = [leaf(case.x), *leaf(case.state), *leaf(case.weights)]
        num_states = len(case.state)
        x, state, weights = inputs[0], tuple(inputs[1 : 1 + num_states]), tuple(inputs[1 + num_states :])
        y, _, gates = ops.sequence(
            cell, x, state, weights, reverse=reverse, return_gates=True, backend=backend
        )
        loss = (gates * dgates).sum() + (y * torch.tensor(case.dy)).sum()
        results.append([y, gates, *torch.autograd.grad(loss, inputs)])
    for a, b in zip(*results):
        assert_close("composite gradients, float64", a.detach(), b.detach())


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_composite_keeps_the_dtype(cell, reset_before, dtype, seed):
    case = make_case(cell, seed, ragged=True, resets=True, h_reset=True)
    form = {"reset_before": reset_before} if cell == "gru" else {}
    expected = REFERENCE[cell].forward(case.x, case.state, case.weights, **case.options, **form)

    def cast(parts):
        return tuple(map(cast, parts)) if isinstance(parts, tuple) else parts.to(dtype)

    options = {name: leaf(value) for name, value in case.options.items()}
    options["h_reset"] = cast(options["h_reset"])
    arguments = (cast(leaf(part)) for part in (case.x, case.state, case.weights))
    found = ops.sequence(cell, *arguments, **options, **form, return_gates=True, backend="composite")
    row = f"composite, {str(dtype).removeprefix('torch.')}"
    for what, a, b in zip(("y", "state", "gates"), found, expected):
        a = torch.stack(a) if what == "state" else a
        assert a.dtype == dtype
        assert_close(row, a.detach().double(), np.asarray(b), what)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_second_derivatives(cell, reset_before, reverse):
    case = make_case(cell, B=2, T=3, I=2, H=2, ragged=True, resets=True, h_reset=True, reverse=reverse)
    case.options["lengths"][:] = [3, 2]
    form = {"reset_before": reset_before} if cell == "gru" else {}
    options = {name: leaf(value) for name, value in case.options.items()}
    start = options.pop("h_reset")
    start = start if isinstance(start, tuple) else (start,)
    num_states = len(case.state)

    def run(x, *rest):
        state, weights, begin = rest[:num_states], rest[num_states:-num_states], rest[-num_states:]
        y, final, gates = ops.sequence(
            cell, x, state, weights, h_reset=begin, **options, **form, return_gates=True, backend="composite"
        )
        return (y, *final, gates)

    inputs = (leaf(case.x), *leaf(case.state), *leaf(case.weights), *start)
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_nan_in_the_padding_reaches_nothing(cell, reset_before, reverse):
    case = make_case(cell, ragged=True, reverse=reverse)
    case.options["lengths"][:] = [5, 0, 3]
    form = {"reset_before": reset_before} if cell == "gru" else {}
    results = []
    for filling in (0.0, np.nan):
        case.x[1], case.x[2, 3:] = filling, filling
        inputs = [leaf(case.x), *leaf(case.weights)]
        options = {name: leaf(value) for name, value in case.options.items()}
        y, final, gates = ops.sequence(
            cell, inputs[0], None, tuple(inputs[1:]), **options, **form, return_gates=True
        )
        grads = torch.autograd.grad(y.sum() + final[0].sum() + gates.sum(), inputs)
        results.append([y, *final, gates, *grads])
    for a, b in zip(*results):
        assert torch.equal(a, b)
