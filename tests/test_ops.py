"""The dispatcher: what it runs where, what it says about it, and the line for each wrong argument."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import congru
from backend_checks import REFERENCE, extra
from cases import FORMS, make_case
from congru import ops
from congru.errors import BackendError, CongruError, SettingsError, ShapeError
from congru.kernels.cells import CELLS
from tolerances import assert_close

W, U, b = torch.ones(6, 3), torch.ones(6, 2), torch.ones(6)
WEIGHTS = (W, U, b, b)
x = torch.ones(4, 5, 3)


@pytest.mark.usefixtures("without_native")
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_numpy_arrays_run_on_the_reference_and_keep_their_dtype(cell, reset_before):
    case = make_case(cell, ragged=True, resets=True, h_reset=True, reverse=True)
    options = {**case.options, **extra(reset_before)}
    expected = REFERENCE[cell].forward(case.x, case.state, case.weights, **options)
    actual = ops.sequence(cell, case.x, case.state, case.weights, return_gates=True, **options)
    np.testing.assert_array_equal(actual[0], expected[0])
    np.testing.assert_array_equal(actual[1], expected[1])
    np.testing.assert_array_equal(actual[2], expected[2])
    y, state, gates = ops.sequence(cell, case.x.astype("float32"), None, case.weights, **options)
    assert (y.dtype, state[0].dtype, gates) == (np.float32, np.float32, None)


@pytest.mark.usefixtures("without_native")
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_step_is_a_sequence_of_one_step(cell, reset_before):
    case = make_case(cell, T=1)
    _, expected, _ = ops.sequence(cell, case.x, case.state, case.weights, **extra(reset_before))
    state_after = ops.step(cell, case.x[:, 0], case.state, case.weights, **extra(reset_before))
    np.testing.assert_array_equal(state_after, expected)
    state, weights = (
        map(torch.tensor, case.state),
        (None if w is None else torch.tensor(w) for w in case.weights),
    )
    arguments = (torch.tensor(case.x[:, 0]), tuple(state), tuple(weights))
    for backend in ("auto", "composite"):
        actual = ops.step(cell, *arguments, **extra(reset_before), backend=backend)
        assert_close("composite, float64", torch.stack(actual), expected)
    nothing = ops.step(cell, arguments[0], None, arguments[2], **extra(reset_before))
    zeros = tuple(torch.zeros_like(part) for part in arguments[1])
    for a, b in zip(nothing, ops.step(cell, arguments[0], zeros, arguments[2], **extra(reset_before))):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("without_native")
@pytest.mark.parametrize(
    ("cell", "options", "backend", "reason"),
    [
        ("gru", {}, "aten", "no gradient is wanted here"),
        ("gru", {"reverse": True, "return_gates": True}, "aten", None),
        ("gru", {"reset_before": True}, "composite", "PyTorch has no reset_before form"),
        (
            "gru",
            {"lengths": torch.ones(4, dtype=torch.int64)},
            "composite",
            "neither lengths nor reset flags",
        ),
        (
            "gru",
            {"reset": torch.ones(4, 5, dtype=torch.bool)},
            "composite",
            "neither lengths nor reset flags",
        ),
        ("mingru", {}, "composite", "PyTorch has no mingru"),
        ("rnn_relu", {}, "aten", None),
    ],
)
def test_explain_says_what_auto_takes_and_why(cell, options, backend, reason):
    rows = len(CELLS[cell].gates) * 2
    weights = (W[:rows], U[:rows], b[:rows], b[:rows]) if cell != "mingru" else (W[:rows], b[:rows])
    sentence = congru.explain(cell, x, None, weights, **options)
    assert sentence.startswith(f"{cell}, torch float32 on cpu, runs on '{backend}' (")
    assert sentence.count(".") == 1
    assert reason is None or reason in sentence
    asked = congru.explain(cell, x, None, weights, **options, backend=backend)
    assert asked.endswith(", as asked.")


@pytest.mark.usefixtures("without_native")
def test_explain_of_an_empty_batch():
    assert "'composite'" in congru.explain("gru", x[:0], None, WEIGHTS)
    assert "'composite'" in congru.explain("gru", x[:, :0], None, WEIGHTS)


def test_the_native_backend_runs_where_it_is_asked_for_or_pays(monkeypatch):
    calls = []

    def supports(call):
        calls.append(call)
        return "it has no gates" if call.return_gates else None

    y, h, seen = torch.zeros(2, 4, 2), torch.zeros(2, 2), []

    def sequence(call):
        seen.append(call)
        return y, (h,), None

    core = SimpleNamespace(supports=supports, sequence=sequence, declines=lambda call: "it rests")
    monkeypatch.setitem(ops._loaded, "native", core)
    result, state, _ = ops.sequence("gru", x, None, WEIGHTS, backend="native", reverse=True)
    assert result is y
    assert state[0] is h
    assert seen[0].x is x
    assert seen[0].reverse
    assert (
        "'aten' (PyTorch's fused kernels), the first that can; not 'native': it rests; not"
        in congru.explain("gru", x, None, WEIGHTS)
    )
    core.declines = lambda call: None
    assert "runs on 'native' (the compiled CPU core), the first that can." in congru.explain(
        "gru", x, None, WEIGHTS
    )
    message = "backend is 'native', expected one that runs this gru: it has no gates; use backend='auto'"
    with pytest.raises(BackendError, match=message):
        ops.sequence("gru", x, None, WEIGHTS, return_gates=True, backend="native")
    call = calls[0]
    assert (call.library, call.dtype, call.device, call.gradient) == ("torch", "float32", "cpu", False)
    assert (call.batch, call.steps, call.input_size, call.hidden_size) == (4, 5, 3, 2)
    congru.explain("gru", x.clone().requires_grad_(), None, WEIGHTS, backend="native")
    assert calls[-1].gradient
    with torch.no_grad():
        congru.explain("gru", x.clone().requires_grad_(), None, WEIGHTS, backend="native")
    assert not calls[-1].gradient


ARRAYS = tuple(part.numpy() for part in WEIGHTS)


@pytest.mark.usefixtures("without_native")
@pytest.mark.parametrize(
    ("cell", "input", "weights", "backend", "message"),
    [
        (
            "gru",
            x,
            WEIGHTS,
            "cudnn",
            "backend is 'cudnn', expected auto, native, reference, bptt, aten, triton, composite: pass",
        ),
        ("gru", x, WEIGHTS, "native", "it is not part of this installation; use backend='auto'"),
        ("gru", x, WEIGHTS, "reference", "it computes with NumPy arrays and has no gradients for torch; use"),
        (
            "gru",
            x.numpy(),
            ARRAYS,
            "aten",
            "runs this gru: it computes with torch tensors only; use backend='auto'",
        ),
        ("gru", x.numpy(), ARRAYS, "composite", "it computes with torch tensors only; use backend='auto'"),
        (
            "rnn_relu",
            x.numpy(),
            tuple(a[:2] for a in ARRAYS),
            "auto",
            "it has no rnn_relu; pass torch tensors",
        ),
        ("mingru", x, (W[:4], None), "aten", "PyTorch has no mingru; use backend='auto'"),
        ("gru", x[:0], WEIGHTS, "aten", "PyTorch's kernels refuse empty input; use backend='auto'"),
    ],
)
def test_a_backend_that_cannot_run_says_why(cell, input, weights, backend, message):
    with pytest.raises(BackendError, match=message):
        ops.sequence(cell, input, None, weights, backend=backend)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            ("gruu", x, None, WEIGHTS),
            {},
            SettingsError,
            "cell is 'gruu', expected one of gru, lstm, rnn, rnn_relu, mingru",
        ),
        (
            ("rnn", x, None, WEIGHTS),
            {"reset_before": True},
            SettingsError,
            "reset_before is True, expected False for rnn",
        ),
        (("gru", x[0], None, WEIGHTS), {}, ShapeError, r"x has shape \(5, 3\), expected \[B, T, I\]"),
        (("gru", x, None, WEIGHTS[:3]), {}, ShapeError, "weights has 3 arrays, expected 4 for gru: pass"),
        (("gru", x, None, W), {}, ShapeError, "weights is Tensor, expected a tuple of arrays: pass"),
        (
            ("gru", x, None, (None, U, b, b)),
            {},
            ShapeError,
            "W is None, expected an array for gru: only a bias",
        ),
        (
            ("gru", x, None, (W, None, b, b)),
            {},
            ShapeError,
            "U is None, expected an array for gru: only a bias",
        ),
        (
            ("gru", x, None, (W[:5], U, b, b)),
            {},
            ShapeError,
            r"W has shape \(5, 3\), expected \[3H, I\]: gru has 3",
        ),
        (
            ("gru", x[:, :, :2], None, WEIGHTS),
            {},
            ShapeError,
            r"W has shape \(6, 3\), expected \[3H, I\] = \(6, 2\)",
        ),
        (
            ("gru", x, None, (W, U[:, :1], b, b)),
            {},
            ShapeError,
            r"U has shape \(6, 1\), expected \[3H, H\] = \(6, 2\)",
        ),
        (
            ("gru", x, None, (W, U, b[:2], b)),
            {},
            ShapeError,
            r"b_i has shape \(2,\), expected \[3H\] = \(6,\): pass None",
        ),
        (("gru", x, (b, b), WEIGHTS), {}, ShapeError, r"state has 2 arrays, expected 1 for gru: pass \(h,\)"),
        (
            ("gru", x, b, WEIGHTS),
            {},
            ShapeError,
            r"state is Tensor, expected a tuple of arrays: pass \(state,\)",
        ),
        (
            ("gru", x, (U,), WEIGHTS),
            {},
            ShapeError,
            r"h has shape \(6, 2\), expected \[B, H\] = \(4, 2\): pass None",
        ),
        (
            ("gru", x, None, WEIGHTS),
            {"h_reset": b},
            ShapeError,
            r"h_reset has shape \(6,\), expected \[H\] = \(2,\)",
        ),
        (
            ("gru", x.numpy(), None, WEIGHTS),
            {},
            ShapeError,
            "weights is Tensor, expected numpy.ndarray as x: convert",
        ),
        (("gru", x, None, ARRAYS), {}, ShapeError, "weights is ndarray, expected torch.Tensor as x: convert"),
        (("gru", [[[1.0]]], None, ARRAYS), {}, ShapeError, "x is list, expected numpy.ndarray as x"),
        (
            ("gru", x.double(), None, WEIGHTS),
            {},
            ShapeError,
            "x has dtype torch.float64, expected torch.float32 as weights",
        ),
        (
            ("gru", x.int(), None, tuple(w.int() for w in WEIGHTS)),
            {},
            ShapeError,
            "x has dtype torch.int32, expected a float",
        ),
        (
            ("gru", x.numpy().astype(int), None, ARRAYS),
            {},
            ShapeError,
            "x has dtype int64, expected a floating dtype",
        ),
        (
            ("gru", x.to("meta"), None, WEIGHTS),
            {},
            ShapeError,
            "x is on meta, expected cpu as weights: move it",
        ),
        (
            ("gru", x, None, WEIGHTS),
            {"lengths": b[:3].int()},
            ShapeError,
            r"lengths has shape \(3,\), expected \[B\]",
        ),
        (
            ("gru", x, None, WEIGHTS),
            {"lengths": b[:4]},
            ShapeError,
            "lengths has dtype torch.float32, expected integers",
        ),
        (
            ("gru", x, None, WEIGHTS),
            {"lengths": torch.tensor([1, 6, 0, 5])},
            CongruError,
            "lengths holds 6, expected 0 to T = 5",
        ),
        (
            ("gru", x, None, WEIGHTS),
            {"lengths": torch.tensor([1, -1, 0, 5])},
            CongruError,
            "lengths holds -1, expected 0 to",
        ),
        (
            ("gru", x, None, WEIGHTS),
            {"reset": torch.ones(4, 4).bool()},
            ShapeError,
            r"reset has shape \(4, 4\), expected \[B, T\]",
        ),
        (
            ("gru", x, None, WEIGHTS),
            {"reset": torch.ones(4, 5)},
            ShapeError,
            "reset has dtype torch.float32, expected bool",
        ),
    ],
)
def test_a_wrong_argument_has_its_line(arguments, options, error, message):
    with pytest.raises(error, match=message) as caught:
        ops.sequence(*arguments, **options)
    assert "\n" not in str(caught.value)


def test_all_tensors_are_on_one_device():
    lengths = torch.tensor([1, 2, 3, 4], device="meta")
    with pytest.raises(
        ShapeError, match=r"lengths is on meta, expected cpu as x: move it with .to\(x.device\)"
    ):
        ops.sequence("gru", x, None, WEIGHTS, lengths=lengths)


def test_a_step_with_a_time_axis_has_its_line():
    with pytest.raises(
        ShapeError, match=r"x has shape \(4, 5, 3\), expected \[B, I\] .*: one step has no time axis"
    ):
        ops.step("gru", x, None, WEIGHTS)


def test_numpy_calls_import_no_torch():
    code = """
import sys
import numpy as np
from congru import ops
weights = np.ones((6, 3)), np.ones((6, 2)), None, None
ops.sequence("gru", np.ones((1, 4, 3)), None, weights, backend="reference")
ops.explain("gru", np.ones((1, 4, 3)), None, weights)
try:
    ops.sequence("gru", np.ones((1, 4, 3)), None, weights, backend="composite")
except ops.BackendError:
    print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_plain_is_sequence_in_the_layout_of_torch(cell):
    generator = torch.Generator().manual_seed(0)
    rows = len(CELLS[cell].gates) * 2
    W, U, b_i, b_h = (
        torch.randn(shape, generator=generator) for shape in ((rows, 3), (rows, 2), (rows,), (rows,))
    )
    start = tuple(torch.randn(1, 4, 2, generator=generator) for _ in CELLS[cell].states)
    for state, weights, reverse in product(
        (start, None), ((W, U, b_i, b_h), (W, U, None, b_h), (W, U, b_i, None)), (False, True)
    ):
        rows_first = state and tuple(part[0] for part in state)
        y, final, _ = ops.sequence(cell, x, rows_first, weights, reverse=reverse, backend="native")
        for batch_first in (True, False):
            steps = x if batch_first else x.transpose(0, 1)
            results = ops.plain(cell, steps, state, weights, reverse=reverse, batch_first=batch_first)
            assert results is not None
            assert torch.equal(results[0] if batch_first else results[0].transpose(0, 1), y)
            assert torch.equal(torch.stack(results[1]), torch.stack(final).unsqueeze(1))
        one = rows_first, weights
        if not reverse:
            assert torch.equal(ops.step(cell, x[:, 0], *one)[0], ops.sequence(cell, x[:, :1], *one)[0][:, 0])


def test_plain_leaves_to_sequence_what_other_kernels_run():
    assert ops.plain("gru", x, None, WEIGHTS, batch_first=True) is not None
    assert ops.plain("gru", x, None, WEIGHTS, batch_first=True, backend="composite") is None
    assert ops.plain("mingru", x, None, (W, b), batch_first=True) is None
    assert ops.plain("gru", x[:, :0], None, WEIGHTS, batch_first=True) is None
    assert ops.plain("gru", x, (torch.ones(2, 4, 2),), WEIGHTS, batch_first=True) is None


@pytest.mark.usefixtures("without_native")
def test_plain_runs_nothing_without_the_core():
    assert ops.plain("gru", x, None, WEIGHTS, batch_first=True) is None
    assert ops.step("gru", x[:, 0], None, WEIGHTS)[0].shape == (4, 2)
