"""The C core against the reference in float64 (y, state, gates, every gradient), and its float32 results bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import congru
from backend_checks import REFERENCE, check, extra
from cases import FORMS, make_case
from congru import ops
from congru.errors import BackendError
from congru.kernels import aten, binding
from tolerances import assert_close, seeds

pytestmark = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")

CELLS = [form for form in FORMS if form[0] != "mingru"]
OPTIONS = [
    {},
    {"reverse": True},
    {"ragged": True},
    {"ragged": True, "reverse": True},
    {"resets": True},
    {"resets": True, "reverse": True},
    {"resets": True, "ragged": True, "reverse": True},
]
SIZES = [
    {"B": 3, "T": 5, "I": 4, "H": 7},
    {"B": 1, "T": 3, "I": 5, "H": 3},
    {"B": 2, "T": 1, "I": 3, "H": 5},
    {"B": 2, "T": 63, "I": 1, "H": 3},
    {"B": 9, "T": 4, "I": 17, "H": 33},
]


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize(("cell", "reset_before"), CELLS)
def test_every_option_in_torch(cell, reset_before, options, seed):
    check(cell, reset_before, make_case(cell, seed, **options), "native")


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("cell", "reset_before"), CELLS)
def test_every_size_in_torch(cell, reset_before, sizes, seed):
    for reverse in (False, True):
        check(cell, reset_before, make_case(cell, seed, reverse=reverse, **sizes), "native")


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize(("cell", "reset_before"), CELLS)
def test_numpy_arrays(cell, reset_before, options):
    case = make_case(cell, **options)
    form = extra(reset_before)
    expected = REFERENCE[cell].forward(case.x, case.state, case.weights, **case.options, **form)
    found = ops.sequence(
        cell, case.x, case.state, case.weights, **case.options, **form, return_gates=True, backend="native"
    )
    for a, b in zip((found[0], *found[1], found[2]), (expected[0], *expected[1], expected[2])):
        assert_close("composite, float64", a, b)


@pytest.mark.parametrize(("cell", "reset_before"), CELLS)
def test_float32_is_the_same_bits_for_any_chunking_batch_and_number_of_threads(cell, reset_before):
    case = make_case(cell, B=5, T=40, I=9, H=21)
    x = case.x.astype(np.float32)
    state = tuple(part.astype(np.float32) for part in case.state)
    weights = tuple(part.astype(np.float32) for part in case.weights)
    options = {**extra(reset_before), "backend": "native"}
    whole, final, _ = ops.sequence(cell, x, state, weights, **options)
    pieces, carried = [], state
    for begin, end in ((0, 1), (1, 8), (8, 8), (8, 40)):
        y, carried, _ = ops.sequence(cell, x[:, begin:end], carried, weights, **options)
        pieces.append(y)
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    for a, b in zip(carried, final):
        np.testing.assert_array_equal(a, b)
    one, _, _ = ops.sequence(cell, x[2:3], tuple(part[2:3] for part in state), weights, **options)
    np.testing.assert_array_equal(one[0], whole[2])
    stepped = ops.step(cell, x[:, 0], state, weights, **options)
    np.testing.assert_array_equal(stepped[0], whole[:, 0])
    before = torch.get_num_threads()
    try:
        binding.set_threads(1)
        single, _, _ = ops.sequence(cell, x, state, weights, **options)
    finally:
        binding.set_threads(before)
    np.testing.assert_array_equal(single, whole)


@pytest.mark.parametrize(("cell", "reset_before"), CELLS)
def test_saturated_gates(cell, reset_before):
    case = make_case(cell, H=16, T=9)
    bias = 100.0 * np.random.default_rng(1).choice([-1.0, 1.0], size=len(case.weights[0]))
    check(cell, reset_before, case._replace(weights=(*case.weights[:-1], bias)), "native")


def test_what_it_cannot_run_is_said():
    case = make_case("mingru")
    with pytest.raises(BackendError, match="backend is 'native', expected one that runs this mingru"):
        ops.sequence("mingru", case.x, case.state, case.weights, backend="native")


def test_auto_takes_it_where_it_pays():
    weights = tuple(torch.ones(*shape) for shape in ((6, 3), (6, 2), (6,), (6,)))
    x = torch.ones(2, 4, 3)
    assert "runs on 'native'" in congru.explain("gru", x, None, weights)
    assert "runs on 'native'" in congru.explain("gru", x.numpy(), None, tuple(w.numpy() for w in weights))
    assert "runs on 'native'" in congru.explain("gru", x[:, 3:], None, weights)
    trained = tuple(part.requires_grad_() for part in weights)
    assert "runs on 'native'" in congru.explain("gru", x[:, 3:], None, trained)


@pytest.mark.parametrize("has", ["float32 only", "AVX-512 BF16", "AMX"])
def test_under_autocast_auto_leaves_the_core_where_another_backend_is_faster(has, monkeypatch):
    low, tiles = has != "float32 only", has == "AMX"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: low)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(aten, "_tried", lambda dtype, products: True)

    def said(cell, B, T, I, H, gradient=True, **options):
        G = {"gru": 3, "lstm": 4, "rnn": 1}[cell]
        shapes = (G * H, I), (G * H, H), (G * H,), (G * H,)
        weights = tuple(torch.empty(*shape).requires_grad_(gradient) for shape in shapes)
        with torch.autocast("cpu", torch.bfloat16):
            return congru.explain(cell, torch.empty(B, T, I), None, weights, **options).partition(
                ", runs on "
            )[2]

    faster = {"gru": "'bptt'", "lstm": "'aten'"} if low else {"gru": "'native'", "lstm": "'native'"}
    assert said("gru", 128, 50, 512, 512).startswith(faster["gru"])
    assert said("gru", 64, 64, 256, 256).startswith(faster["gru"])
    assert said("gru", 16, 64, 256, 1024).startswith(faster["gru"])
    for gradient in (False, True):
        assert said("lstm", 64, 64, 512, 512, gradient).startswith(faster["lstm"])
        assert said("lstm", 32, 100, 128, 128, gradient).startswith("'aten'" if tiles else "'native'")
    core = [
        said("gru", 1, 1000, 64, 128),
        said("gru", 128, 50, 512, 512, False),
        said("gru", 128, 50, 512, 512, lengths=torch.full((128,), 50)),  # bptt has none
        said("gru", 128, 3, 512, 512),
        said("gru", 32, 100, 128, 128),
        said("lstm", 1, 1000, 64, 128),
        said("lstm", 32, 3, 128, 256),
        said("rnn", 128, 50, 512, 512),
    ]
    assert all(line.startswith("'native'") for line in core)
    if low:
        assert said("gru", 128, 50, 512, 512).endswith(
            "not 'native': autocast asks for products in bfloat16, which 'bptt' has faster at this size."
        )
