"""A GRU solved over time at once: the states and gradients of the layer itself, the proof, and the fall-back."""

from __future__ import annotations

import pytest
import torch

from congru import nn
from congru.errors import CongruError
from congru.kernels.newton import Limits, States, _evaluate, linear_scan, solve
from tolerances import assert_close, seeds


def scaled(layer, by):
    """The layer with all of its weights `by` times as large: the state forgets less."""
    with torch.no_grad():
        for part in layer.parameters():
            part.mul_(by)
    return layer


def run_both(layer, x, hx=None, **options):
    """y, h and every gradient by the layer and at once, and the result."""
    leaves = [x, *(() if hx is None else (hx,)), *layer.parameters()]
    runs = []
    for run in (layer, lambda x, hx: nn.run_in_parallel(layer, x, hx, **options)):
        y, h, *proof = run(x, hx)
        weight = torch.sin(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
        grads = torch.autograd.grad((y * weight).sum() + h.square().sum(), leaves, materialize_grads=True)
        runs.append((y.detach(), h.detach(), *grads))
    return (*runs, proof)


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("kind", [torch.nn.GRU, nn.GRU])
@pytest.mark.parametrize(
    "options", [{}, {"bias": False}, {"num_layers": 2, "bidirectional": True, "batch_first": True}], ids=str
)
@pytest.mark.parametrize("T", [1, 2, 130])
def test_equals_the_layer_in_value_and_gradient(T, options, kind, seed):
    torch.manual_seed(seed)
    layer = kind(3, 5, dtype=torch.float64, **options)
    x = torch.randn(2, T, 3, dtype=torch.float64)
    x = (x if layer.batch_first else x.transpose(0, 1)).requires_grad_()
    hx = torch.randn(4 if layer.num_layers == 2 else 1, 2, 5, dtype=torch.float64, requires_grad=True)
    expected, actual, (residual, iterations, sequential_steps) = run_both(layer, x, hx)
    for a, b in zip(actual, expected):
        assert_close("parallel in time, float64", a, b)
    assert residual <= 64 * torch.finfo(torch.float64).eps
    assert iterations <= 64
    assert sequential_steps == 0


@pytest.mark.parametrize("seed", seeds())
def test_float32_within_its_own_residual(seed):
    torch.manual_seed(seed)
    layer = torch.nn.GRU(3, 24)
    x = torch.randn(3000, 1, 3, requires_grad=True)
    expected, actual, (residual, iterations, sequential_steps) = run_both(layer, x)
    for k, (a, b) in enumerate(zip(actual, expected)):
        assert_close(f"parallel in time{'' if k < 2 else ' gradients'}, float32", a, b)
    assert residual <= 64 * torch.finfo(torch.float32).eps
    assert iterations < 16
    assert sequential_steps == 0


def test_where_it_does_not_converge_it_runs_step_by_step():
    torch.manual_seed(1)
    layer = scaled(torch.nn.GRU(3, 16, dtype=torch.float64), 12)
    x = torch.randn(300, 2, 3, dtype=torch.float64, requires_grad=True)
    expected, actual, (residual, iterations, sequential_steps) = run_both(layer, x, max_iterations=4)
    assert 0 < sequential_steps < 300
    assert iterations == 4
    assert residual <= 64 * torch.finfo(torch.float64).eps
    # The state of such a network grows apart from a difference in the last bit: the first steps are compared.
    assert_close("parallel in time, float64", actual[0][:20], expected[0][:20])
    assert all(part.isfinite().all() for part in actual)


def test_a_state_that_forgets_slowly_takes_more_iterations():
    torch.manual_seed(2)
    layer = scaled(torch.nn.GRU(3, 32, dtype=torch.float64), 2.5)
    x = torch.randn(512, 1, 3, dtype=torch.float64)
    with torch.no_grad():
        result = nn.run_in_parallel(layer, x)
        one = nn.run_in_parallel(layer, x, max_iterations=16)
        y, _ = layer(x)
    assert result.sequential_steps == 0
    assert one.sequential_steps > 0
    for part in (result, one):
        assert_close("parallel in time, float64", part.y, y)


def test_k_iterations_make_k_steps_exact():
    torch.manual_seed(3)
    U, b = 9 * torch.randn(12, 4, dtype=torch.float64), torch.randn(12, dtype=torch.float64)
    gi, h0 = torch.randn(40, 1, 12, dtype=torch.float64), torch.zeros(1, 4, dtype=torch.float64)
    solution = solve(gi, h0, U, b, Limits(tolerance=1e-12, max_iterations=40))
    assert len(solution.states) == 40
    assert solution.residual <= 1e-12


def test_a_gradient_that_does_not_converge_goes_step_by_step():
    """The states are those of a run with many iterations, the gradient may take one."""
    torch.manual_seed(4)
    U = (4 * torch.randn(12, 4, dtype=torch.float64)).requires_grad_()
    gi, h0 = torch.randn(30, 1, 12, dtype=torch.float64), torch.zeros(1, 4, dtype=torch.float64)
    solution = solve(gi, h0, U.detach(), None, Limits(1e-13, 30))
    grads = [
        torch.autograd.grad(States.apply(gi, h0, U, None, solution.states, Limits(1e-13, n)).sum(), U)[0]
        for n in (1, 60)
    ]
    assert_close(
        "parallel in time, float64", grads[0] / grads[1].abs().max(), grads[1] / grads[1].abs().max()
    )


def test_the_diagonal_is_that_of_the_jacobian():
    torch.manual_seed(5)
    U, b = torch.randn(12, 4, dtype=torch.float64), torch.randn(12, dtype=torch.float64)
    gi, h = torch.randn(1, 1, 12, dtype=torch.float64), torch.randn(1, 4, dtype=torch.float64)
    states = torch.zeros(1, 1, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda h: _evaluate(gi, h, states, U, b).new[0, 0], h)[:, 0]
    assert_close(
        "parallel in time, float64", _evaluate(gi, h, states, U, b).diagonal[0, 0], jacobian.diagonal()
    )


def test_linear_scan_equals_the_loop():
    a, b = torch.randn(2, 37, 3, dtype=torch.float64)
    h, rows = torch.zeros(3, dtype=torch.float64), []
    for t in range(37):
        h = a[t] * h + b[t]
        rows.append(h)
    assert_close("parallel in time, float64", linear_scan(a, b), torch.stack(rows))


def test_without_steps_or_rows():
    layer = torch.nn.GRU(3, 4)
    for T, B in ((0, 2), (2, 0)):
        result = nn.run_in_parallel(layer, torch.zeros(T, B, 3))
        assert result.y.shape == (T, B, 4)
        assert result.h.shape == (1, B, 4)
        assert result.residual == 0


X = torch.zeros(5, 1, 3)


@pytest.mark.parametrize(
    ("layer", "arguments", "message"),
    [
        (torch.nn.LSTM(3, 4), {}, "layer is LSTM, expected a congru.nn.GRU or torch.nn.GRU"),
        (nn.GRU(3, 4, reset_before=True), {}, "layer has reset_before, expected a GRU without options"),
        (nn.GRU(3, 4, layer_norm=True), {}, "layer has layer_norm, expected a GRU without options"),
        (nn.GRU(3, 4, num_heads=2), {}, "layer has 2 heads, expected 1: call the layer itself"),
        (
            torch.nn.GRU(3, 4, 2, dropout=0.1),
            {},
            r"layer has dropout 0.1 in training, expected 0: call layer.eval\(\)",
        ),
        (torch.nn.GRU(3, 4).half(), {}, "expected float32 or float64 of both: convert them"),
        (torch.nn.GRU(3, 4), {"tolerance": 0}, "tolerance is 0, expected more than 0"),
        (torch.nn.GRU(3, 4), {"max_iterations": 0}, "max_iterations is 0, expected a whole number from 1"),
        (torch.nn.GRU(3, 4), {"window": 2.5}, "window is 2.5, expected a whole number from 1"),
        (
            torch.nn.GRU(3, 4),
            {"hx": torch.zeros(1, 4)},
            r"hx has shape \(1, 4\), expected \[L\*D, B, H\] = \(1, 1, 4\)",
        ),
        (torch.nn.GRU(2, 4), {}, r"input has shape \(5, 1, 3\), expected \[T, B, I\]"),
    ],
)
def test_what_it_refuses(layer, arguments, message):
    with pytest.raises(CongruError, match=message):
        nn.run_in_parallel(layer, X, **arguments)
