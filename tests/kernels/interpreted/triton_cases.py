"""The Triton kernels in Triton's interpreter, against the reference in float64: y, states, gates and every gradient.

Run by tests/kernels/test_triton.py in a process of its own: TRITON_INTERPRET is read when triton is imported, and would
change every kernel of the process.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

from cases import make_case
from congru import nn, ops
from congru.errors import BackendError
from congru.kernels import triton
from congru.reference import mingru as mingru_reference
from congru.reference import options as reference
from option_cases import OPTION_FORMS, make_option_case
from tolerances import assert_close, seeds

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1",
    reason="not in the interpreter: run tests/kernels/test_triton.py",
)

FORMS = [form for form in OPTION_FORMS if form[0] != "rnn"]  # a plain RNN has no kernel
# Every option at once, forward with heads and in reverse without; and none.
AROUND = {
    "alone": {"T": 2, "B": 2},
    "heads": {
        "zoneout": True,
        "mask": True,
        "num_heads": 2,
        "H": 12,
        "ragged": True,
        "resets": True,
        "h_reset": True,
        "T": 3,
    },
    "reverse": {"zoneout": True, "mask": True, "ragged": True, "resets": True, "reverse": True, "T": 3},
}
SIZES = [
    {"B": 1, "T": 3, "I": 5, "H": 6},
    {"B": 2, "T": 0, "I": 3, "H": 6},
    {"B": 2, "T": 1, "I": 3, "H": 1},
    {"B": 17, "T": 2, "I": 3, "H": 17, "ragged": True, "resets": True},
]


def tensor(array, dtype=torch.float32):
    """The array as a tensor of `dtype` that wants a gradient; flags, integers and None stay what they are."""
    if isinstance(array, tuple):
        return tuple(tensor(part, dtype) for part in array)
    if not isinstance(array, np.ndarray):
        return array
    if array.dtype.kind != "f":
        return torch.tensor(array)
    return torch.tensor(array, dtype=dtype, requires_grad=True)


def detached(value):
    return tuple(part.detach() for part in value) if isinstance(value, tuple) else value.detach()


def rows_of(cell, dtype):
    """The rows of the table of tolerances for results and gradients."""
    kind = str(dtype).removeprefix("torch.")
    return f"triton, {kind}", f"triton gradients, {kind}"


def check(cell, case, dtype=torch.float32, normed=False, **more):
    """The same call and the same loss by the reference and by the kernels."""
    results, gradients = rows_of(cell, dtype)
    if normed:
        results = results.replace("triton", "triton layer norm")
        gradients = gradients.replace("triton", "triton layer norm")
    if cell == "mingru":
        module, head = mingru_reference, ()
    else:
        module, head = reference, (cell,)
    expected = module.forward(*head, case.x, case.state, case.weights, **case.options)
    grads = module.backward(*head, case.dy, case.dstate, case.x, case.state, case.weights, **case.options)
    options = {name: tensor(value, dtype) for name, value in case.options.items()}
    for name in ("zoneout", "recurrent_mask"):
        if name in options:
            options[name] = detached(options[name])
    x, state, weights = (tensor(part, dtype) for part in (case.x, case.state, case.weights))
    y, final, gates = ops.sequence(
        cell, x, state, weights, **options, return_gates=True, backend="triton", **more
    )
    for what, a, b in zip(("y", "state", "gates"), (y, torch.stack(final), gates), expected):
        assert_close(results, a.detach().float(), np.asarray(b), what)
    loss = (y.float() * torch.tensor(case.dy).float()).sum()
    loss = loss + sum((a.float() * torch.tensor(b).float()).sum() for a, b in zip(final, case.dstate))
    loss.backward()
    start = options.get("h_reset")
    leaves, expected_grads = [x, *state, *weights], [grads.dx, *grads.dstate, *grads.dweights]
    if start is not None:
        leaves += start if isinstance(start, tuple) else (start,)
        expected_grads += grads.dh_reset if isinstance(grads.dh_reset, tuple) else (grads.dh_reset,)
    for what, (leaf, expected_grad) in enumerate(zip(leaves, expected_grads, strict=True)):
        if leaf is not None:
            grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            assert_close(gradients, grad.float(), expected_grad, f"gradient {what}")


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(("cell", "before", "norm"), FORMS)
def test_every_form_and_option(cell, before, norm, around, seed):
    if norm == "dreamer" and around == "heads":
        pytest.skip("its norm joins all units")
    check(cell, make_option_case(cell, before, norm, seed, **AROUND[around]), normed=bool(norm))


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru"])
def test_every_size(cell, sizes):
    make = (
        make_case if cell == "mingru" else lambda cell, **sizes: make_option_case(cell, False, False, **sizes)
    )
    check(cell, make(cell, **sizes))


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("reverse", [False, True])
def test_mingru(reverse, seed):
    case = make_case("mingru", seed, B=3, T=10, H=5, ragged=True, resets=True, h_reset=True, reverse=reverse)
    check("mingru", case)


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru"])
def test_half_precision(cell, dtype, seed):
    check(cell, make_case(cell, seed, T=3, ragged=True), dtype)


def rounded(value, dtype):
    """The numbers of a case as a tensor of `dtype` holds them."""
    if isinstance(value, tuple):
        return tuple(rounded(part, dtype) for part in value)
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    return torch.tensor(value).to(dtype).double().numpy()


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("cell", "before", "norm"), [form for form in FORMS if form[2]])
def test_layer_norm_in_half_precision(cell, before, norm, dtype, seed):
    """Against float64 on the same rounded numbers: a norm divides by a spread that rounding changes."""
    case = make_option_case(cell, before, norm, seed, H=24, B=2, T=3, ragged=True)
    case = case._replace(
        **{name: rounded(getattr(case, name), dtype) for name in ("x", "state", "weights", "dy", "dstate")}
    )
    check(cell, case, dtype, normed=True)


@pytest.mark.parametrize("without", [{2}, {3}, {2, 3}], ids=str)
def test_without_bias(without):
    case = make_option_case("gru", False, False, T=2)
    check(
        "gru", case._replace(weights=tuple(None if k in without else w for k, w in enumerate(case.weights)))
    )


def test_recompute():
    check("gru", make_option_case("gru", True, False, T=2, B=1), recompute=True)


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize(("cell", "before"), [("gru", False), ("gru", True), ("lstm", False)])
def test_one_step(cell, before, seed):
    for B, I, H in ((17, 5, 33), (1, 35, 3)):
        case = make_case(cell, seed, B=B, T=1, I=I, H=H)
        x, state, weights = (
            detached(tensor(part, torch.float64)) for part in (case.x[:, 0], case.state, case.weights)
        )
        expected = ops.step(cell, x, state, weights, reset_before=before, backend="composite")
        for dtype in (torch.float32, torch.bfloat16):
            actual = ops.step(
                cell,
                x.to(dtype),
                tuple(part.to(dtype) for part in state),
                tuple(part.to(dtype) for part in weights),
                reset_before=before,
                backend="triton",
            )
            for a, b in zip(actual, expected):
                assert_close(rows_of(cell, dtype)[0], a.float(), b)


def test_a_step_with_a_gradient():
    case = make_case("gru", T=1)
    x, (h,), weights = tensor(case.x[:, 0]), tensor(case.state), tensor(case.weights)
    (new,) = ops.step("gru", x, (h,), weights, backend="triton")
    grad = torch.autograd.grad(new.square().sum(), h)[0]
    (same,) = ops.step("gru", x, (h,), weights, backend="composite")
    assert_close("triton gradients, float32", grad, torch.autograd.grad(same.square().sum(), h)[0])


@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru"])
def test_the_gradient_of_gates_and_second_derivatives(cell):
    case = make_case(cell, B=2, T=3, ragged=True, resets=True, reverse=True)
    options = {name: tensor(value) for name, value in case.options.items()}
    both = []
    for backend in ("triton", "composite"):
        leaves = [tensor(part) for part in (case.x, *case.state, *case.weights)]
        x, state, weights = (
            leaves[0],
            tuple(leaves[1 : 1 + len(case.state)]),
            tuple(leaves[1 + len(case.state) :]),
        )
        y, final, gates = ops.sequence(cell, x, state, weights, **options, return_gates=True, backend=backend)
        loss = y.square().sum() + gates.sin().sum() + final[-1].square().sum()
        first = torch.autograd.grad(loss, leaves, retain_graph=True)
        graph = torch.autograd.grad(loss, leaves, create_graph=True)
        second = torch.autograd.grad(sum(part.square().sum() for part in graph), leaves)
        both.append([*first, *graph, *second])
    for a, b in zip(*both):
        assert_close("triton second derivatives, float32", a.detach(), b.detach())


def test_many_gradients_at_once():
    x = torch.randn(1, 2, 3, generator=torch.Generator().manual_seed(0))
    layer = nn.GRU(3, 2, batch_first=True, backend="triton")
    whole = torch.autograd.functional.jacobian(lambda x: layer(x)[0].sum(0), x, vectorize=True)
    rows = torch.autograd.functional.jacobian(lambda x: layer(x)[0].sum(0), x)
    assert_close("triton gradients, float32", whole, rows)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_padding_may_hold_nan(cell):
    case = make_option_case(cell, False, False, B=2, T=4)
    x, lengths = tensor(case.x), torch.tensor([4, 2])
    with torch.no_grad():
        x[1, 2:] = torch.nan
    weights = tensor(case.weights)
    y, _, _ = ops.sequence(cell, x, None, weights, lengths=lengths, backend="triton")
    grads = torch.autograd.grad(y.sum(), [x, *weights])
    assert y.isfinite().all()
    assert all(part.isfinite().all() for part in grads)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_saturated_gates_are_finite_and_right(cell):
    case = make_case(cell, B=2, T=2, I=2, H=3)
    check(cell, case._replace(x=case.x * 100))


def test_the_same_call_has_the_same_bits():
    case = make_option_case("gru", False, True, B=20, T=2, ragged=True)
    lengths = torch.tensor(case.options["lengths"])
    runs = []
    for _ in range(2):
        leaves = [tensor(part) for part in (case.x, *case.weights)]
        y, _, _ = ops.sequence(
            "gru", leaves[0], None, tuple(leaves[1:]), lengths=lengths, layer_norm=True, backend="triton"
        )
        runs.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    assert all(torch.equal(a, b) for a, b in zip(*runs))


def test_autocast_multiplies_in_bfloat16_and_returns_float32():
    case = make_case("gru", T=3, H=16)
    x, state, weights = (detached(tensor(part)) for part in (case.x, case.state, case.weights))
    with torch.autocast("cpu", torch.bfloat16):
        y, (h,), _ = ops.sequence("gru", x, state, weights, backend="triton")
    exact, _, _ = ops.sequence("gru", x.double(), (state[0].double(),), tuple(w.double() for w in weights))
    assert y.dtype == h.dtype == torch.float32
    assert not torch.equal(y, y.bfloat16().float())
    assert_close("triton, bfloat16", y, exact)


NARROW = torch.ones(3, 2), torch.ones(3, 1), None, None
WIDE = torch.ones(3 * 1025, 2), torch.ones(3 * 1025, 1025), None, None


@pytest.mark.parametrize(
    ("cell", "x", "weights", "reason"),
    [
        ("rnn", torch.ones(1, 2, 2), (torch.ones(2, 2), torch.ones(2, 2), None, None), "it has no rnn"),
        (
            "gru",
            torch.ones(1, 2, 2),
            WIDE,
            "it takes 1024 units of a head at most, not 1025",
        ),
        (
            "gru",
            torch.ones(1, 2, 2).double(),
            tuple(w if w is None else w.double() for w in NARROW),
            "it computes in float32, bfloat16 and float16, not float64",
        ),
    ],
)
def test_what_it_refuses(cell, x, weights, reason):
    with pytest.raises(BackendError, match=reason):
        ops.sequence(cell, x, None, weights, backend="triton")


def test_transforms_do_not_see_into_its_kernels():
    def run(x):
        return ops.sequence("gru", x, None, NARROW, backend="triton")[0]

    with pytest.raises(BackendError, match=r"torch\.func and forward-mode derivatives"):
        torch.func.vmap(run)(torch.ones(2, 1, 2, 2))
    with (
        forward_ad.dual_level(),
        pytest.raises(BackendError, match=r"torch\.func and forward-mode derivatives"),
    ):
        run(torch.ones(1, 2, 2))


def test_auto_passes_it_over_and_says_why():
    weights = tuple(w if w is None else w.bfloat16() for w in NARROW)
    sentence = ops.explain("gru", torch.ones(1, 2, 2).bfloat16(), None, weights, lengths=torch.tensor([1]))
    assert "runs on 'composite'" in sentence
    assert "not 'triton': no card has run it yet" in sentence
    asked = ops.explain("gru", torch.ones(1, 2, 2), None, NARROW, backend="triton")
    assert asked == "gru, torch float32 on cpu, runs on 'triton' (Triton kernels for CUDA), as asked."


def test_a_wide_step_splits_its_units():
    weights = torch.ones(3 * 256, 2), torch.ones(3 * 256, 256), None, None
    with torch.no_grad():
        (h,) = ops.step("gru", torch.ones(1, 2), None, weights, backend="triton")
    assert h.shape == (1, 256)


def test_two_directions_are_one_launch(monkeypatch):
    launches = []
    run = triton.sequences
    monkeypatch.setattr(triton, "sequences", lambda calls: launches.append(len(calls)) or run(calls))
    torch.manual_seed(0)
    both = {}
    for backend in ("triton", "composite"):
        layer = nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True, backend=backend)
        if both:
            layer.load_state_dict(both["triton"][0].state_dict())
        x = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y, (h, c), gates = layer(x, lengths=torch.tensor([4, 0, 2]), return_gates=True)
        (y.square().sum() + h.sum() + c.sum() + gates.sum()).backward()
        both[backend] = layer, y, h, c, gates, x.grad, *(part.grad for part in layer.parameters())
    assert launches == [2, 2]
    for a, b in zip(both["triton"][1:], both["composite"][1:]):
        assert_close("triton gradients, float32", a.detach(), b.detach())
