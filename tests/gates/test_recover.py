"""Recovered gates are the gates: against the reference, against golden cases of other libraries, and in
float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import congru
from cases import make_case
from congru.errors import CongruError, ShapeError
from congru.gates import recover
from congru.gates.equations import gates_of, input_part, sigmoid, update
from congru.gates.form import GATES, Form
from congru.gates.layer import make_layer
from congru.gates.simulate import simulate
from congru.gates.weights import as_weights
from congru.reference import conventions
from congru.reference.stack import CELLS
from gates_cases import FORMS, random_trace
from golden.case_file import load
from golden.check import PATHS

OPTIONS: list[dict[str, Any]] = [
    {},
    {"reverse": True},
    {"ragged": True},
    {"ragged": True, "reverse": True},
    {"resets": True, "h_reset": True},
    {"resets": True, "h_reset": True, "ragged": True, "reverse": True},
    {"T": 1, "B": 1},
    {"T": 0},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_gates_are_those_of_the_reference(cell: str, reset_before: bool, options: dict[str, Any]) -> None:
    case = make_case(cell, **dict(options))
    form = {"reset_before": reset_before} if cell == "gru" else {}
    y, _, gates = CELLS[cell].forward(case.x, case.state, case.weights, **case.options, **form)
    recovered = recover(cell, case.x, y, case.weights, case.state, **case.options, **form)
    np.testing.assert_allclose(recovered.stacked(), gates, atol=1e-12)
    layer = make_layer("layer", cell, case.x, y, case.weights, case.state, **case.options, **form)
    assert layer.residual < 1e-13


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_equations_are_those_of_the_reference(cell: str, reset_before: bool) -> None:
    case = make_case(cell, T=1)
    own = Form(cell, reset_before)
    weights = as_weights(own, case.weights, np.float64)
    gates = gates_of(own, input_part(own, case.x[:, 0], weights), case.state[0], weights)
    form = {"reset_before": reset_before} if cell == "gru" else {}
    expected, rows = CELLS[cell].step(case.x[:, 0], case.state, case.weights, **form)
    np.testing.assert_allclose(np.stack(gates, 1), rows, atol=1e-14)
    np.testing.assert_allclose(
        np.stack(update(own, gates, case.state, weights)), np.stack(expected), atol=1e-14
    )


def test_relu_layers_are_recovered_too() -> None:
    layer = torch.nn.RNN(3, 4, nonlinearity="relu", batch_first=True)
    trace = congru.inspect(layer, torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)))
    assert trace.cell == "rnn_relu"
    assert trace.residual < 1e-6


@pytest.mark.parametrize(
    "path", [path for path in PATHS if "clip" not in path.stem], ids=lambda path: path.stem
)
def test_outputs_of_other_libraries_are_explained(path: Any) -> None:
    """Golden cases: y came from torch, Keras, onnxruntime, Flax, Equinox, Haiku or MLX."""
    case = load(path)
    about, D = case.about, case.about["num_directions"]
    read = [
        conventions.to_canonical(about["system"], arrays, cell=about["cell"], **about["options"])
        for arrays in case.arrays
    ]
    weights = [[part.weights for part in read[k : k + D]] for k in range(0, len(read), D)]
    stack = congru.gates.Stack(about["cell"], weights, read[0].reset_before)
    from congru.gates.sources.stack import trace_stack

    layers = trace_stack(stack, case.x, state=case.state, y=case.y, lengths=case.lengths)
    assert max(way.residual for row in layers for way in row) < 1e-6


@pytest.mark.parametrize("form", [torch.nn.GRU, torch.nn.LSTM, torch.nn.RNN])
def test_float32_residual_of_torch(form: Any) -> None:
    torch.manual_seed(0)
    layer = form(16, 32, num_layers=2, bidirectional=True)
    assert congru.inspect(layer, torch.randn(20, 3, 16)).check(1e-6) <= 1e-6


def test_a_wrong_equation_is_noticed() -> None:
    case = make_case("gru", H=6)
    y, _, _ = CELLS["gru"].forward(case.x, case.state, case.weights)
    for changed in (
        {"reset_before": True},
        {"state": None},
        {"weights": tuple(np.roll(part, 6, axis=0) for part in case.weights)},
    ):
        state = changed.get("state", case.state)
        weights = changed.get("weights", case.weights)
        layer = make_layer(
            "layer", "gru", case.x, y, weights, state, reset_before=bool(changed.get("reset_before"))
        )
        assert layer.residual > 1e-3


def test_check_names_the_layer_and_the_residual() -> None:
    trace = random_trace("gru")
    assert trace.check(1e-12) < 1e-12
    broken = make_layer("encoder", "gru", trace.x, trace.top.y + 0.5, trace.top.weights)
    with pytest.raises(
        CongruError, match=r"encoder \(GRU\): the equations miss its output by .*expected at most"
    ):
        congru.gates.Trace(((broken,),), trace.tokens).check()


def test_simulation_runs_the_same_equations() -> None:
    for cell, reset_before in FORMS:
        trace = random_trace(cell, reset_before, lengths=[6, 3])
        layer = trace.top
        y, _ = simulate(
            layer.form, layer.x, layer.weights, layer.start, layer.restart,
            valid=layer.recovered.valid, is_first=layer.recovered.is_first,
        )  # fmt: skip
        np.testing.assert_allclose(y, layer.y, atol=1e-14)


def test_sigmoid_is_right_at_the_ends_and_leaves_its_argument_alone() -> None:
    a = np.array([-100.0, 100.0], np.float32)
    np.testing.assert_allclose(sigmoid(a), [0.0, 1.0], atol=1e-30)
    assert a.tolist() == [-100.0, 100.0]


def test_gate_rows_are_named_as_in_the_reference() -> None:
    assert {cell: module.CELL.gates for cell, module in CELLS.items()} == {
        cell: rows for cell, rows in GATES.items() if cell in CELLS
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": "gru2"}, "cell is 'gru2', expected one of gru, lstm"),
        ({"weights": ()}, r"weights has 0 parts, expected 4 for gru: pass \(W, U, b_i, b_h\)"),
        (
            {"weights": (np.ones((7, 3)), np.ones((7, 2)), None, None)},
            "W has 7 rows, expected a multiple of 3",
        ),
        ({"weights": (np.ones((6, 3)), None, None, None)}, "U is None, expected"),
        (
            {"weights": (np.ones((6, 3)), np.ones((6, 2)), np.ones(5), None)},
            r"b_i has shape \(5,\), expected \[3H\]",
        ),
        ({"x": np.ones((1, 4, 2))}, r"x has shape \(1, 4, 2\), expected \[B, T, I\] = \(any, any, 3\)"),
        ({"y": np.ones((1, 5, 2))}, r"y has shape \(1, 5, 2\), expected \[B, T, H\] = \(1, 4, 2\)"),
        ({"state": np.ones((1, 2))}, r"state has 1 parts, expected \(h,\) for gru"),
        ({"state": (np.ones((3, 2)),)}, r"state h has shape \(3, 2\), expected \[B, H\] = \(1, 2\)"),
        ({"h_reset": np.ones(3)}, r"h_reset has shape \(3,\), expected \[H\] = \(2,\)"),
        ({"lengths": [9]}, r"lengths\[0\] is 9, expected 0 to T = 4"),
    ],
)
def test_bad_arrays_have_their_line(change: dict[str, Any], message: str) -> None:
    call: dict[str, Any] = {
        "cell": "gru",
        "x": np.ones((1, 4, 3)),
        "y": np.ones((1, 4, 2)),
        "weights": (np.ones((6, 3)), np.ones((6, 2)), None, None),
        **change,
    }
    with pytest.raises((ShapeError, CongruError), match=message):
        recover(**call)
