"""Every backend that computes options, against the reference in float64: y, state, gates and every gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend_checks import leaf
from cases import make_case
from congru import ops
from congru.errors import CongruError
from congru.kernels import binding
from congru.reference import options as reference
from option_cases import OPTION_CALLS, OPTION_FORMS, call_id, make_option_case
from tolerances import assert_close, seeds

SIZES = [
    {"B": 1, "T": 3, "I": 5, "H": 6},
    {"B": 2, "T": 0, "I": 3, "H": 6},
    {"B": 2, "T": 63, "I": 1, "H": 6},
    {"B": 9, "T": 4, "I": 17, "H": 36},
]


def check(cell, case, backend):
    """The same call and the same loss by the reference and by a torch backend."""
    expected = reference.forward(cell, case.x, case.state, case.weights, **case.options)
    grads = reference.backward(cell, case.dy, case.dstate, case.x, case.state, case.weights, **case.options)
    given = {name: leaf(value) for name, value in case.options.items()}
    start = given.get("h_reset")
    for name in ("zoneout", "recurrent_mask"):
        if name in given:
            parts = given[name] if isinstance(given[name], tuple) else (given[name],)
            given[name] = tuple(part.detach() for part in parts) if name == "zoneout" else parts[0].detach()
    x, state, weights = leaf(case.x), leaf(case.state), leaf(case.weights)
    y, final, gates = ops.sequence(cell, x, state, weights, **given, return_gates=True, backend=backend)
    for what, a, b in zip(("y", "state", "gates"), (y, torch.stack(final), gates), expected):
        assert_close("options, backend, float64", a.detach(), np.asarray(b), what)
    loss = (y * torch.tensor(case.dy)).sum()
    loss = loss + sum((a * torch.tensor(b)).sum() for a, b in zip(final, case.dstate))
    loss.backward()
    leaves, found = [x, *state, *weights], [grads.dx, *grads.dstate, *grads.dweights]
    if start is not None:
        dstart = grads.dh_reset
        leaves += start if isinstance(start, tuple) else (start,)
        found += dstart if isinstance(dstart, tuple) else (dstart,)
    for what, (tensor, expected_grad) in enumerate(zip(leaves, found, strict=True)):
        grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        assert_close("options, backend gradients, float64", grad, expected_grad, f"gradient {what}")


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize(("cell", "before", "norm", "around"), OPTION_CALLS, ids=call_id)
def test_composite(cell, before, norm, around, seed):
    check(cell, make_option_case(cell, before, norm, seed, **around), "composite")


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(
    ("cell", "before", "norm"), [("gru", True, True), ("lstm", False, True), ("gru", False, "dreamer")]
)
def test_composite_at_every_size(cell, before, norm, sizes):
    check(cell, make_option_case(cell, before, norm, **sizes, zoneout=True, mask=True), "composite")


needs_core = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")


NATIVE_FORMS = [form for form in OPTION_FORMS if form != ("gru", False, False)]


@needs_core
@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize(("cell", "before", "norm", "around"), OPTION_CALLS, ids=call_id)
def test_native(cell, before, norm, around, seed):
    check(cell, make_option_case(cell, before, norm, seed, **around), "native")


@needs_core
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(("cell", "before", "norm"), NATIVE_FORMS)
def test_native_at_every_size(cell, before, norm, sizes, threads):
    was = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for reverse in (False, True):
            around = {
                "ragged": True,
                "resets": True,
                "h_reset": True,
                "reverse": reverse,
                "zoneout": True,
                "mask": True,
            }
            check(cell, make_option_case(cell, before, norm, **sizes, **around), "native")
    finally:
        torch.set_num_threads(was)


@needs_core
@pytest.mark.parametrize("H", [36, 200])
@pytest.mark.parametrize(("cell", "before", "norm"), NATIVE_FORMS)
def test_threads_that_share_the_units_of_a_row_agree_with_one(cell, before, norm, H):
    """With two rows and many units the core splits units, so every norm is summed by all of its threads."""
    case = make_option_case(cell, before, norm, B=2, T=12, I=70, H=H, zoneout=True, mask=True, reverse=True)
    results, S = [], len(case.state)
    was = torch.get_num_threads()
    for threads in (1, -2, -3):
        leaves = [leaf(part) for part in (case.x, *case.state, *case.weights)]
        given = {
            "zoneout": tuple(map(torch.tensor, case.options["zoneout"])),
            "layer_norm": norm,
            "reset_before": before,
            "reverse": True,
        }
        given["recurrent_mask"] = torch.tensor(case.options["recurrent_mask"])
        try:
            torch.set_num_threads(1)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
                state, weights = tuple(leaves[1 : 1 + S]), tuple(leaves[1 + S :])
                y, final, _ = ops.sequence(cell, leaves[0], state, weights, **given, backend="native")
                loss = (y * torch.tensor(case.dy)).sum() + sum(part.sum() for part in final)
                results.append([y, *final, *torch.autograd.grad(loss, leaves)])
        finally:
            torch.set_num_threads(was)
    for found in results[1:]:
        for a, b in zip(found, results[0]):
            assert torch.equal(a, b)


@needs_core
@pytest.mark.parametrize(("cell", "before", "norm", "around"), OPTION_CALLS, ids=call_id)
def test_numpy_arrays(cell, before, norm, around):
    case = make_option_case(cell, before, norm, **around)
    expected = reference.forward(cell, case.x, case.state, case.weights, **case.options)
    for backend in ("native", "reference"):
        found = ops.sequence(
            cell, case.x, case.state, case.weights, **case.options, return_gates=True, backend=backend
        )
        for a, b in zip(found, expected):
            assert_close("options, backend, float64", np.asarray(a), np.asarray(b))


@needs_core
@pytest.mark.parametrize(("cell", "before", "norm"), NATIVE_FORMS)
def test_the_same_bits_for_any_chunking_batch_and_number_of_threads(cell, before, norm):
    case = make_option_case(cell, before, norm, B=5, T=40, I=9, H=24, zoneout=True, mask=True)
    x, state, weights = (
        tuple(part.astype(np.float32) for part in parts) for parts in ((case.x,), case.state, case.weights)
    )
    zones = [part.astype(np.float32) for part in case.options["zoneout"]]
    mask = case.options["recurrent_mask"].astype(np.float32)
    form = {"layer_norm": norm, "backend": "native", "reset_before": before}

    def run(rows, begin, end, state):
        zone = tuple(part[rows, begin:end] for part in zones)
        given = {**form, "zoneout": zone, "recurrent_mask": mask[rows]}
        y, state, _ = ops.sequence(cell, x[0][rows, begin:end], state, weights, **given)
        return y, state

    whole, final = run(slice(5), 0, 40, state)
    pieces, carried = [], state
    for begin, end in ((0, 1), (1, 8), (8, 8), (8, 40)):
        y, carried = run(slice(5), begin, end, carried)
        pieces.append(y)
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)
    for part, expected in zip(carried, final):
        np.testing.assert_array_equal(part, expected)
    row = tuple(part[2:3] for part in state)
    np.testing.assert_array_equal(run(slice(2, 3), 0, 40, row)[0][0], whole[2])
    zone = tuple(part[:, 0] for part in zones)
    stepped = ops.step(cell, x[0][:, 0], state, weights, **form, zoneout=zone, recurrent_mask=mask)
    np.testing.assert_array_equal(stepped[0], whole[:, 0])
    before_threads = binding.extension().get_threads()
    try:
        binding.set_threads(3)
        np.testing.assert_array_equal(run(slice(5), 0, 40, state)[0], whole)
    finally:
        binding.set_threads(before_threads)


@needs_core
@pytest.mark.parametrize("around", [{}, {"num_heads": 2, "zoneout": True, "mask": True}], ids=call_id)
@pytest.mark.parametrize(("cell", "before", "norm"), NATIVE_FORMS)
def test_native_gradients_of_the_gates_and_second_derivatives_are_those_of_composite(
    cell, before, norm, around
):
    if norm == "dreamer":
        around = {name: value for name, value in around.items() if name != "num_heads"}
    case = make_option_case(cell, before, norm, B=2, T=3, I=2, H=4, **{"mask": True, **around}, reverse=True)
    rng = np.random.default_rng(0)
    G = len(case.weights[0]) // 4
    dgates, directions = torch.tensor(rng.normal(size=(2, 3, G, 4))), None
    results = []
    for backend in ("native", "composite"):
        leaves = [leaf(part) for part in (case.x, *case.state, *case.weights)]
        S = len(case.state)
        given = {
            k: v
            for k, v in case.options.items()
            if k in ("layer_norm", "num_heads", "reset_before", "reverse")
        }
        if "zoneout" in case.options:
            given["zoneout"] = tuple(map(torch.tensor, case.options["zoneout"]))
        given["recurrent_mask"] = torch.tensor(case.options["recurrent_mask"])
        y, final, gates = ops.sequence(
            cell,
            leaves[0],
            tuple(leaves[1 : 1 + S]),
            tuple(leaves[1 + S :]),
            **given,
            return_gates=True,
            backend=backend,
        )
        loss = (gates * dgates).sum() + y.square().sum() + sum(part.square().sum() for part in final)
        first = torch.autograd.grad(loss, leaves, create_graph=True)
        directions = directions or [torch.tensor(rng.normal(size=part.shape)) for part in leaves]
        second = torch.autograd.grad(sum((a * b).sum() for a, b in zip(first, directions)), leaves)
        plain = torch.autograd.grad(
            ops.sequence(
                cell,
                leaves[0],
                tuple(leaves[1 : 1 + S]),
                tuple(leaves[1 + S :]),
                **given,
                return_gates=True,
                backend=backend,
            )[2]
            .mul(dgates)
            .sum(),
            leaves,
            materialize_grads=True,
        )
        results.append([*first, *second, *plain])
    for a, b in zip(*results):
        assert_close("native, second derivatives", a.detach(), b.detach())


@pytest.mark.parametrize(
    ("cell", "before", "norm", "around"),
    [("lstm", False, True, {}), ("gru", False, "dreamer", {}), ("rnn", False, False, {"zoneout": True})],
)
@needs_core
def test_auto_takes_the_core_with_and_without_recompute(cell, before, norm, around):
    case = make_option_case(cell, before, norm, T=9, **around)
    found = []
    for recompute in (False, True):
        x, state = torch.tensor(case.x), tuple(map(torch.tensor, case.state))
        weights = tuple(leaf(part) for part in case.weights)
        given = {**case.options, "recompute": recompute}
        if "zoneout" in given:
            given["zoneout"] = tuple(map(torch.tensor, given["zoneout"]))
        assert "runs on 'native'" in ops.explain(cell, x, state, weights, **given)
        y = ops.sequence(cell, x, state, weights, **given)[0]
        found.append(torch.autograd.grad((y * torch.tensor(case.dy)).sum(), weights))
    for plain, again in zip(*found):
        assert torch.equal(plain, again)


def torch_gru(x):
    """The weights of a gru with layer norm on x, float64."""
    I = x.shape[2]
    return (
        *(torch.ones(18, n).double() for n in (I, 6)),
        None,
        None,
        *(torch.ones(18).double() for _ in range(2)),
    )


@pytest.mark.parametrize(
    ("cell", "change", "message"),
    [
        (
            "gru",
            {"layer_norm": True},
            r"weights has 4 arrays, expected 6 for gru: pass \(W, U, b_i, b_h, g_i, g_h\)",
        ),
        ("rnn", {"layer_norm": True}, "layer_norm is True, expected False for rnn"),
        ("mingru", {"num_heads": 2}, "num_heads is 2, expected none for mingru: it has no recurrent weights"),
        ("mingru", {"recurrent_mask": np.ones((3, 6))}, "recurrent_mask is given, expected none for mingru"),
        ("gru", {"num_heads": 5}, "num_heads is 5, expected a divisor of H = 6"),
        (
            "gru",
            {"num_heads": 2},
            r"U has shape \(18, 6\), expected \[3H, H/num_heads\] = \(18, 3\): give U the rows of W",
        ),
        (
            "lstm",
            {"zoneout": np.ones((3, 5, 6))},
            "zoneout has 1 arrays, expected 2 for lstm: pass one for each state",
        ),
        (
            "gru",
            {"zoneout": np.ones((3, 6))},
            r"zoneout has shape \(3, 6\), expected \[B, T, H\] = \(3, 5, 6\)",
        ),
        (
            "gru",
            {"recurrent_mask": np.ones(6)},
            r"recurrent_mask has shape \(6,\), expected \[B, H\] = \(3, 6\)",
        ),
        (
            "gru",
            {"recurrent_mask": torch.ones(3, 6)},
            "recurrent_mask is Tensor, expected numpy.ndarray as x",
        ),
    ],
)
def test_wrong_options(cell, change, message):
    case = make_case(cell, H=6)
    with pytest.raises(CongruError, match=message):
        ops.sequence(cell, case.x, case.state, case.weights, **change)


def test_a_mask_that_wants_a_gradient_and_a_gain_that_is_missing():
    x = torch.ones(3, 9, 2).double()
    mask = torch.ones(3, 6, requires_grad=True).double()
    weights = torch_gru(x)
    with pytest.raises(CongruError, match="recurrent_mask requires a gradient, expected none: pass"):
        ops.sequence("gru", x, None, weights, layer_norm=True, recurrent_mask=mask)
    with pytest.raises(CongruError, match="g_h is None, expected an array for gru: only a bias may be None"):
        ops.sequence("gru", x, None, (*weights[:5], None), layer_norm=True)
    with pytest.raises(
        CongruError, match=r"g_i has shape \(5,\), expected \[3H\] = \(18,\): pass ones for the norm alone"
    ):
        ops.sequence("gru", x, None, (*weights[:4], torch.ones(5).double(), weights[5]), layer_norm=True)
