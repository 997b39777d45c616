"""bptt: the hand-written gradient of the GRU against the reference, in bfloat16, and differentiated again."""

from __future__ import annotations

import pytest
import torch

import congru
from backend_checks import check, leaf
from cases import make_case
from congru import ops
from congru.kernels import binding, bptt
from tolerances import assert_close, seeds

needs_avx512 = pytest.mark.skipif(
    not binding.is_available() or binding.extension().isa() != "avx512", reason="the core has no AVX-512 here"
)
SIZES = [
    {"B": 3, "T": 5, "I": 4, "H": 7},
    {"B": 1, "T": 3, "I": 5, "H": 3},
    {"B": 2, "T": 1, "I": 3, "H": 5},
    {"B": 2, "T": 63, "I": 1, "H": 3},
]


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_equals_the_reference(reverse, sizes, seed):
    check("gru", False, make_case("gru", seed, reverse=reverse, **sizes), "bptt", return_gates=False)


@pytest.mark.parametrize("without", [{2}, {3}, {2, 3}])
def test_without_bias(without):
    case = make_case("gru")
    case = case._replace(weights=tuple(None if k in without else w for k, w in enumerate(case.weights)))
    check("gru", False, case, "bptt", return_gates=False)


def run(backend, inputs):
    x, h, *weights = inputs
    y, (h,), _ = ops.sequence("gru", x, (h,), tuple(weights), backend=backend)
    return y, h


def inputs_of(case, dtype=torch.float64):
    return [
        part.to(dtype).detach().requires_grad_() for part in map(leaf, (case.x, *case.state, *case.weights))
    ]


def test_a_hessian_vector_product_equals_the_composite_one():
    case = make_case("gru")
    found = []
    for backend in ("bptt", "composite"):
        inputs = inputs_of(case)
        y, h = run(backend, inputs)
        gradient = torch.autograd.grad(y.square().sum() + h.sin().sum(), inputs, create_graph=True)
        found.append(torch.autograd.grad(sum(part.sin().sum() for part in gradient), inputs))
    for a, b in zip(*found):
        assert_close("composite gradients, float64", a, b)


def test_only_what_needs_a_gradient_gets_one():
    x, h, *weights = inputs_of(make_case("gru"))
    x, h = x.detach(), h.detach()
    y, _ = run("bptt", [x, h, *weights])
    y.sum().backward()
    assert x.grad is None
    assert h.grad is None
    assert all(part.grad is not None for part in weights)


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("with_core", [pytest.param(True, marks=needs_avx512), False])
def test_bfloat16_products_keep_the_state_in_float32(with_core, seed, monkeypatch):
    if not with_core:
        monkeypatch.setattr(binding, "_CORE", None)
    assert bptt._in_core(torch.float32, torch.bfloat16) == with_core
    case = make_case("gru", seed, B=4, T=40, I=8, H=16)
    small = tuple(
        0.3 * part for part in case.weights
    )  # as trained weights are: rounding does not grow with time
    exact = inputs_of(case._replace(weights=small))
    rounded = inputs_of(case._replace(weights=small), torch.float32)
    y, _ = run("bptt", exact)
    with torch.autocast("cpu", torch.bfloat16):
        low, h = run("bptt", rounded)
    assert low.dtype == h.dtype == torch.float32
    assert_close("bptt, bfloat16 products", low.detach(), y.detach(), "y")
    assert not torch.equal(low, low.bfloat16().float())
    for a, b in zip(torch.autograd.grad(low.mean(), rounded), torch.autograd.grad(y.mean(), exact)):
        assert a.dtype == torch.float32
        assert_close("bptt, bfloat16 products", a, b)


@pytest.mark.usefixtures("without_native")
def test_auto_takes_it_for_training_only():
    x, h, *weights = inputs_of(make_case("gru"), torch.float32)
    assert "runs on 'bptt'" in congru.explain("gru", x, (h,), tuple(weights))
    with torch.no_grad():
        sentence = congru.explain("gru", x, (h,), tuple(weights))
    assert "runs on 'aten'" in sentence
    assert "no gradient is wanted here" in sentence


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reset_before": True}, "it knows the GRU with reset after only"),
        ({"return_gates": True}, "returns no gates"),
        ({"lengths": torch.tensor([1, 2, 3])}, "it knows neither lengths nor reset flags"),
    ],
)
def test_says_what_it_cannot_do(change, reason):
    x, h, *weights = inputs_of(make_case("gru", B=3))
    with pytest.raises(congru.CongruError, match=reason):
        ops.sequence("gru", x, (h,), tuple(weights), backend="bptt", **change)


def test_per_sample_gradients_go_round_it():
    x, _, *weights = (part.detach() for part in inputs_of(make_case("gru", B=3)))

    def loss(W, row):
        y, _, _ = ops.sequence("gru", row[None], None, (W, *weights[1:]))
        return y.square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights[0], x)
    W = weights[0].clone().requires_grad_()
    whole = torch.autograd.grad(loss(W, x[0]), W)[0]
    assert_close("composite gradients, float64", each[0], whole)
