"""The derivative of one step in closed form, J = d(state after) / d(state before), from gates and weights
alone.

GRU, reset after, with a = U_n h + b_hn and diag(v) a diagonal matrix:

    J = diag(z) + diag((h-n) z (1-z)) U_z + diag((1-z)(1-n^2)) [diag(r) U_n + diag(a r (1-r)) U_r]

reset before: the bracket is U_n [diag(r) + diag(h r (1-r)) U_r]. minGRU: diag(z). RNN: diag(1-n^2) U. The
LSTM's state is (h, c), so its J is [2H, 2H]. `pull_back` gives d J for row vectors d without forming J.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from congru.gates.equations import Array, Weights, gates_of, input_part, update
from congru.gates.layer import Layer
from congru.reference.arguments import Bools


class Steps(NamedTuple):
    """N steps of one layer in float64: what the derivatives are made of. S = H, or 2H for the LSTM's (h, c).

    `h` [N, H] (and `c`) entered the steps, `gates` are [N, H] each, `steps` [N] their places in the input,
    `fresh` [N] marks steps that began from a new start and so depend on nothing before.
    """

    cell: str
    reset_before: bool
    weights: Weights
    steps: npt.NDArray[np.int64]
    h: Array
    c: Array | None
    gates: tuple[Array, ...]
    fresh: Bools

    @property
    def size(self) -> int:
        """S."""
        return int(self.h.shape[1]) * (1 if self.c is None else 2)


def steps_of(layer: Layer, row: int) -> Steps:
    """The valid steps of one row, in the order the layer processed them."""
    order = layer.order(row)
    entering = [part[row, order].astype(np.float64) for part in layer.recovered.entering]
    wide = layer.weights.wide()
    gi = input_part(layer.x[row, order].astype(np.float64), wide)
    gates = gates_of(layer.cell, gi, entering[0], wide, layer.reset_before)
    c = entering[1] if layer.cell == "lstm" else None
    fresh = layer.recovered.fresh[row, order]
    return Steps(layer.cell, layer.reset_before, wide, order, entering[0], c, gates, fresh)


def states_at(layer: Layer, x: Array, states: Array) -> Steps:
    """The step from each state [N, S] under one input x [I]: what a search for fixed points evaluates."""
    wide = layer.weights.wide()
    h, c = np.split(states, 2, axis=1) if layer.cell == "lstm" else (states, None)
    gi = input_part(np.broadcast_to(x, (len(states), len(x))).astype(np.float64), wide)
    gates = gates_of(layer.cell, gi, h, wide, layer.reset_before)
    order = np.arange(len(states))
    return Steps(layer.cell, layer.reset_before, wide, order, h, c, gates, np.zeros(len(states), np.bool_))


def after(s: Steps) -> Array:
    """The states after the steps, [N, S]."""
    parts = update(s.cell, s.gates, (s.h,) if s.c is None else (s.h, s.c))
    result: Array = np.concatenate(parts, axis=1)
    return result


def jacobian(s: Steps, k: int) -> Array:
    """J of step k, [S, S]."""
    h, size = s.h[k], s.h.shape[1]
    if s.cell == "mingru":
        return np.diag(s.gates[0][k])
    U = s.weights.U
    assert U is not None
    if s.cell in ("rnn", "rnn_relu"):
        n = s.gates[0][k]
        slope: Array = 1 - n * n if s.cell == "rnn" else (n > 0).astype(np.float64)
        result: Array = slope[:, None] * U
        return result
    if s.cell == "lstm":
        return _lstm_jacobian(s, k, U)
    r, z, n = (gate[k] for gate in s.gates)
    U_r, U_z, U_n = np.split(U, 3)
    if s.reset_before:
        through_n = U_n * r + (U_n * (h * r * (1 - r))) @ U_r
    else:
        a = U_n @ h + s.weights.b_h[2 * size :]
        through_n = r[:, None] * U_n + (a * r * (1 - r))[:, None] * U_r
    J: Array = (
        np.diag(z) + ((h - n) * z * (1 - z))[:, None] * U_z + ((1 - z) * (1 - n * n))[:, None] * through_n
    )
    return J


def jacobians(s: Steps, which: npt.ArrayLike | None = None) -> Array:
    """J of the steps number `which` (default all), [N, S, S]."""
    chosen = np.arange(len(s.h)) if which is None else np.asarray(which, np.int64)
    return np.stack([jacobian(s, int(k)) for k in chosen]) if len(chosen) else np.zeros((0, s.size, s.size))


def pull_back(s: Steps, k: int, d: Array) -> Array:
    """d J of step k for row vectors d [..., S]: the gradient by the state before, from that by the state
    after.
    """
    if s.cell == "mingru":
        carried: Array = d * s.gates[0][k]
        return carried
    U = s.weights.U
    assert U is not None
    if s.cell in ("rnn", "rnn_relu"):
        n = s.gates[0][k]
        result: Array = (d * ((1 - n * n) if s.cell == "rnn" else (n > 0))) @ U
        return result
    if s.cell == "lstm":
        return _lstm_pull_back(s, k, d, U)
    h, size = s.h[k], s.h.shape[1]
    r, z, n = (gate[k] for gate in s.gates)
    U_r, U_z, U_n = np.split(U, 3)
    d_z = d * ((h - n) * z * (1 - z))
    d_n = d * ((1 - z) * (1 - n * n))
    if s.reset_before:
        d_rh = d_n @ U_n
        result = d * z + d_z @ U_z + d_rh * r + (d_rh * (h * r * (1 - r))) @ U_r
    else:
        a = U_n @ h + s.weights.b_h[2 * size :]
        result = d * z + d_z @ U_z + (d_n * r) @ U_n + (d_n * (a * r * (1 - r))) @ U_r
    return result


def _lstm_parts(s: Steps, k: int) -> tuple[Array, Array, Array]:
    """For i, f, g, o: dc'/d(argument) [3, H] of i, f, g; dh'/d(argument) of o; and dh'/dc' [H]."""
    assert s.c is not None
    i, f, g, o = (gate[k] for gate in s.gates)
    c = s.c[k]
    squashed = np.tanh(f * c + i * g)
    by_argument = np.stack([g * i * (1 - i), c * f * (1 - f), i * (1 - g * g)])
    return by_argument, squashed * o * (1 - o), o * (1 - squashed * squashed)


def _lstm_jacobian(s: Steps, k: int, U: Array) -> Array:
    by_argument, by_o, shown = _lstm_parts(s, k)
    U_i, U_f, U_g, U_o = np.split(U, 4)
    f = s.gates[1][k]
    c_by_h = sum(part[:, None] * block for part, block in zip(by_argument, (U_i, U_f, U_g)))
    h_by_h = shown[:, None] * c_by_h + by_o[:, None] * U_o
    return np.block([[h_by_h, np.diag(shown * f)], [c_by_h, np.diag(f)]])


def _lstm_pull_back(s: Steps, k: int, d: Array, U: Array) -> Array:
    by_argument, by_o, shown = _lstm_parts(s, k)
    U_i, U_f, U_g, U_o = np.split(U, 4)
    d_h, d_c = np.split(d, 2, axis=-1)
    d_c = d_c + d_h * shown
    d_i, d_f, d_g = (d_c * part for part in by_argument)
    before = d_i @ U_i + d_f @ U_f + d_g @ U_g + (d_h * by_o) @ U_o
    return np.concatenate([before, d_c * s.gates[1][k]], axis=-1)
