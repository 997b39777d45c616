"""The closed-form Jacobian against automatic differentiation, and what is built on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import congru
from congru import ops
from congru.errors import CongruError, ShapeError
from congru.gates import Stack
from congru.gates.jacobian import after, jacobians, pull_back, states_at, steps_of
from gates_cases import FORMS, known_keep, random_stack, random_trace

ALL_FORMS = [*FORMS, ("rnn_relu", False)]


def trace_of(cell: str, reset_before: bool, **options: object):
    if cell != "rnn_relu":
        return random_trace(cell, reset_before, **options)
    weights = random_trace("rnn").top.weights[:4]
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    return congru.inspect(Stack("rnn_relu", [[weights]]), x)


def autograd_jacobian(trace, row: int, t: int) -> np.ndarray:
    layer = trace.top
    state_prev = [torch.tensor(part[row, t][None]) for part in layer.recovered.state_prev]
    arrays = layer.weights[:4] if trace.cell != "mingru" else (layer.weights.W, layer.weights.b_i)
    weights = tuple(torch.tensor(part) for part in arrays)
    x = torch.tensor(layer.x[row, t][None])

    def step(*state: torch.Tensor) -> torch.Tensor:
        new = ops.step(
            trace.cell, x, state, weights, reset_before=layer.form.reset_before, backend="composite"
        )
        return torch.cat([part[0] for part in new])

    parts = torch.autograd.functional.jacobian(step, tuple(state_prev))
    return torch.cat([part[:, 0] for part in parts], dim=1).numpy()


@pytest.mark.parametrize(("cell", "reset_before"), ALL_FORMS)
def test_closed_form_is_the_derivative(cell: str, reset_before: bool) -> None:
    trace = trace_of(cell, reset_before)
    for row, t in ((0, 0), (1, 4)):
        J = trace.jacobians([t], row=row)[0]
        np.testing.assert_allclose(J, autograd_jacobian(trace, row, t), atol=1e-12)


@pytest.mark.parametrize(("cell", "reset_before"), ALL_FORMS)
def test_pull_back_is_a_product_with_it(cell: str, reset_before: bool) -> None:
    trace = trace_of(cell, reset_before)
    s = steps_of(trace.top, 0)
    d = np.random.default_rng(1).normal(size=(3, s.size))
    for k in (0, 5):
        np.testing.assert_allclose(pull_back(s, k, d), d @ jacobians(s, [k])[0], atol=1e-12)


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_states_after_the_steps(cell: str, reset_before: bool) -> None:
    trace = random_trace(cell, reset_before)
    s = steps_of(trace.top, 1)
    np.testing.assert_allclose(after(s)[:, :5], trace.state[0, 0, 1], atol=1e-13)
    again = states_at(
        trace.top, trace.x[1, 2], np.concatenate([s.h[2:3], *([] if s.c is None else [s.c[2:3]])], 1)
    )
    np.testing.assert_allclose(after(again)[0], after(s)[2], atol=1e-13)


def test_no_steps_no_jacobians() -> None:
    assert random_trace("gru").jacobians([]).shape == (0, 5, 5)


def test_lyapunov_of_a_known_map() -> None:
    """Units that only keep: J = diag(keep), so the exponents are ln keep, largest first."""
    trace = known_keep([0.5, 0.9, 0.7], T=800)
    lyapunov = trace.lyapunov(3)
    np.testing.assert_allclose(lyapunov.exponents, np.log([0.9, 0.7, 0.5]), atol=0.005)
    assert lyapunov.num_steps == 800
    assert "differences shrink to 1/e in" in lyapunov.sentence()


def test_lyapunov_sum_is_the_mean_log_determinant() -> None:
    for cell in ("gru", "lstm", "rnn"):
        trace = random_trace(cell, T=12)
        J = trace.jacobians()
        _, logs = np.linalg.slogdet(J)
        assert trace.lyapunov(J.shape[1]).exponents.sum() == pytest.approx(logs.mean(), abs=1e-9)


def test_lyapunov_in_words() -> None:
    trace = random_trace("gru")
    lyapunov = trace.lyapunov(1)
    assert "chaotic" in lyapunov._replace(exponents=np.array([0.2])).sentence()
    assert "marginal" in lyapunov._replace(exponents=np.array([0.0])).sentence()
    with pytest.raises(CongruError, match="k is 6, expected 1 to 5: the state has 5 numbers"):
        trace.lyapunov(6)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_fixed_points_are_at_rest_and_typed(cell: str) -> None:
    trace = random_trace(cell, T=20, B=1)
    fixed = trace.fixed_points(starts=6)
    assert fixed.points
    for point in fixed.points:
        s = states_at(trace.top, fixed.x, point.state[None])
        assert np.abs(after(s)[0] - point.state).max() < 1e-5
        stable = bool((np.abs(point.eigenvalues) < 1 - 1e-3).all())
        assert (point.kind == "stable") == stable
    assert sum(point.starts for point in fixed.points) + fixed.slow == 6


def test_a_bistable_unit_has_two_stable_points_and_a_saddle() -> None:
    """h' = tanh(4 h): rests at +-0.9993 and, unstable, at 0."""
    weights = (np.zeros((1, 1)), np.array([[4.0]]), None, None)
    x = np.zeros((1, 9, 1))
    starts = np.linspace(-0.9, 0.9, 9)
    points = {}
    for start in starts:
        trace = congru.inspect(
            Stack("rnn", [[weights]]),
            x[:, :1],
            h0=np.array([[[np.arctanh(start) / 4 if abs(start) < 1 else 0]]]),
        )
        for point in trace.fixed_points(starts=1).points:
            points[round(float(point.state[0]), 3)] = point.kind
    assert points[0.999] == points[-0.999] == "stable"
    assert points[0.0] == "repeller"


def test_fixed_point_sentences_and_bad_input() -> None:
    trace = random_trace("gru", T=10)
    fixed = trace.fixed_points(starts=3)
    assert "fixed point(s) under this input" in fixed.sentence()
    assert "drifts" in fixed._replace(points=[], slow=3).sentence()
    with pytest.raises(ShapeError, match=r"x has shape \(2,\), expected \[I\] = \(3,\): one input"):
        trace.fixed_points(np.zeros(2))


@pytest.mark.parametrize("seed", [0, 2, 9])
def test_fixed_points_lie_where_a_run_can_come(seed: int) -> None:
    """Newton's method also ends far outside, where a keep gate is 1 to the last bit and any state seems to rest."""
    weights = tuple(8 * part for part in random_stack("gru", H=6, seed=seed).weights[0][0])
    x = np.random.default_rng(seed).normal(size=(1, 20, 3))
    fixed = congru.inspect(Stack("gru", [[weights]]), x).fixed_points()
    assert fixed.slow + sum(point.starts for point in fixed.points) == 20
    for point in fixed.points:
        assert np.abs(point.state).max() <= 1
