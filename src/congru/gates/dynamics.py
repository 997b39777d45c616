"""What the layer does left to itself: Lyapunov exponents along a run, and fixed points under a constant input.

    lambda_i = mean ln |R_ii|,  Q_{t+1} R = J_t Q_t      by QR; positive: nearby states part; negative: they forget
    fixed points: minima of q(h) = |F(h, x) - h|^2 / 2   (Sussillo & Barak 2013; Jordan, Sokol & Park 2021)

A fixed point is stable where every eigenvalue of J lies inside the unit circle, a saddle with k unstable
directions where k lie outside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError, check_shape
from congru.gates.jacobian import Steps, after, jacobian, jacobians, states_at, steps_of
from congru.gates.layer import Layer
from congru.gates.weights import Array

SPEED = 1e-12  # q below this is a fixed point, not a slow place
ALIKE = 1e-3  # states closer than this (per unit, root mean square) are one point


class Lyapunov(NamedTuple):
    """exponents [k] per step, largest first, and the steps they were measured over."""

    exponents: Array
    num_steps: int

    def sentence(self, step: str = "step", steps: str = "steps") -> str:
        """What the largest exponent says; `step` and `steps` are what a step is called."""
        largest = float(self.exponents[0])
        if largest > 0.01:
            return f"largest exponent {largest:+.3f} per {step}: small differences grow, the layer is chaotic here"
        if largest > -0.01:
            return f"largest exponent {largest:+.3f} per {step}: marginal, differences neither grow nor die"
        return f"largest exponent {largest:+.3f} per {step}: differences shrink to 1/e in {-1 / largest:.1f} {steps}"


class FixedPoint(NamedTuple):
    """state [S], q, the eigenvalues of J there [S] (largest modulus first), its kind, and how many starts ended in it."""

    state: Array
    speed: float
    eigenvalues: npt.NDArray[np.complex128]
    kind: str
    starts: int


class FixedPoints(NamedTuple):
    """The points found under the input x [I], most visited first; `slow` counts starts that ended nowhere (q too large)."""

    x: Array
    points: list[FixedPoint]
    slow: int

    def sentence(self) -> str:
        """What was found, in one sentence."""
        if not self.points:
            return f"no fixed point found from {self.slow} starts: the layer drifts under this input"
        kinds = [point.kind for point in self.points]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        return f"{len(kinds)} fixed point(s) under this input: {counts}; {self.slow} starts found none"


def lyapunov_of(layer: Layer, row: int, count: int) -> Lyapunov:
    """The `count` largest Lyapunov exponents along one row's run (natural logarithm, per step).

    The products are those of the steps as they ran; a new start inside the row is passed over as if it were
    none.
    """
    s = steps_of(layer, row)
    if not 1 <= count <= s.size:
        raise CongruError(f"k is {count}, expected 1 to {s.size}: the state has {s.size} numbers")
    random = np.random.default_rng(0)
    Q, _ = np.linalg.qr(random.normal(size=(s.size, count)))
    sums = np.zeros(count)
    for k in range(len(s.h)):
        Q, R = np.linalg.qr(jacobian(s, k) @ Q)
        with np.errstate(divide="ignore"):
            sums += np.log(np.abs(np.diag(R)))
    return Lyapunov(np.sort(sums / len(s.h))[::-1], len(s.h))


def fixed_points_of(
    layer: Layer, row: int, x: npt.ArrayLike | None = None, starts: int = 32, seed: int = 0
) -> FixedPoints:
    """Search from `starts` states of the row's own run under a constant input x [I] (default: the mean input).

    Newton's method on F(h, x) - h with the closed-form Jacobian, damped (Levenberg-Marquardt) until q falls.
    An end that no run could reach counts as none.
    """
    s = steps_of(layer, row)
    if x is None:
        x = layer.x[row, s.steps].mean(axis=0)
    x = np.asarray(x, np.float64)
    check_shape("x", x, "[I]", (layer.x.shape[2],), "one input, held constant")
    random = np.random.default_rng(seed)
    states = after(s)
    picked = random.choice(len(states), min(starts, len(states)), replace=False)
    ends = [_descend(layer, x, states[k]) for k in picked]
    reach = max(1.0, float(np.abs(states).max()))
    at_rest = [(state, q) for state, q in ends if q < SPEED and _reachable(layer, state, reach)]
    points = [
        _describe(layer, x, state, q, count) for state, q, count in _merge(at_rest)
    ]  # fmt: skip
    points.sort(key=lambda point: -point.starts)
    return FixedPoints(x, points, len(ends) - len(at_rest))


def spectrum_of(layer: Layer, row: int, most: int = 64) -> npt.NDArray[np.complex128]:
    """The eigenvalues of J at up to `most` evenly spread steps of a row, [N, S]."""
    s = steps_of(layer, row)
    which = np.unique(np.linspace(0, len(s.h) - 1, min(most, len(s.h))).astype(np.int64))
    values: npt.NDArray[np.complex128] = np.linalg.eigvals(jacobians(s, which)).astype(np.complex128)
    return values


def _descend(layer: Layer, x: Array, state: Array, rounds: int = 60) -> tuple[Array, float]:
    """The minimum of q reached from a state, and q there."""
    damping = 1e-3
    s = states_at(layer, x, state[None])
    gap = after(s)[0] - state
    q = float(gap @ gap) / 2
    for _ in range(rounds):
        if q < SPEED * 1e-6 or damping > 1e8:
            break
        slope = jacobian(s, 0) - np.eye(len(state))
        step = np.linalg.solve(slope.T @ slope + damping * np.eye(len(state)), -slope.T @ gap)
        trial = states_at(layer, x, (state + step)[None])
        trial_gap = after(trial)[0] - (state + step)
        trial_q = float(trial_gap @ trial_gap) / 2
        if trial_q < q:
            state, s, gap, q, damping = state + step, trial, trial_gap, trial_q, damping * 0.1
        else:
            damping *= 10
    return state, q


def _reachable(layer: Layer, state: Array, reach: float) -> bool:
    """Whether the run could come there: |h| of a GRU never exceeds max(1, |start|).

    Far outside, a keep gate is 1 to the last bit and any state seems to rest.
    """
    return layer.cell != "gru" or float(np.abs(state).max()) <= reach


def _merge(ends: list[tuple[Array, float]]) -> list[tuple[Array, float, int]]:
    """Ends that are the same point, once each: the slowest of them, its q, and how many there were."""
    merged: list[tuple[Array, float, int]] = []
    for state, q in sorted(ends, key=lambda end: end[1]):
        for index, (other, best, count) in enumerate(merged):
            if np.sqrt(np.mean((state - other) ** 2)) < ALIKE:
                merged[index] = (other, best, count + 1)
                break
        else:
            merged.append((state, q, 1))
    return merged


def _describe(layer: Layer, x: Array, state: Array, q: float, count: int) -> FixedPoint:
    s: Steps = states_at(layer, x, state[None])
    values = np.linalg.eigvals(jacobian(s, 0)).astype(np.complex128)
    values = values[np.argsort(-np.abs(values), kind="stable")]
    size = np.abs(values)
    unstable = int((size > 1 + 1e-3).sum())
    marginal = int((np.abs(size - 1) <= 1e-3).sum())
    if unstable:
        kind = f"saddle with {unstable} unstable direction(s)" if unstable < len(values) else "repeller"
    else:
        kind = "marginal" if marginal else "stable"
    return FixedPoint(state, q, values, kind, count)
