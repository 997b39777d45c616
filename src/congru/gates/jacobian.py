"""The derivative of one step in closed form, J = d(state after) / d(state before), from gates and weights alone.

GRU, reset after, with a = U_n h + b_hn and diag(v) a diagonal matrix:

    J = diag(z) + diag((h-n) z (1-z)) U_z + diag((1-z)(1-n^2)) [diag(r) U_n + diag(a r (1-r)) U_r]

reset before: the bracket is U_n [diag(r) + diag(h r (1-r)) U_r]. minGRU: diag(z). RNN: diag(1-n^2) U. The
LSTM's state is (h, c), so its J is [2H, 2H]. `pull_back` gives d J for row vectors d without forming J.

Layer norm puts the derivative of g * norm(U h) in the place of U, `recurrent_slope`, and between an LSTM's cell and its
state. Zoneout: p + (1 - p) J. "dreamer" is reset after with a = a_n, the whole argument that r multiplies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from congru.gates.equations import cell_read, dreamer_sums, gates_of, input_part, state_part, update
from congru.gates.form import Form
from congru.gates.layer import Layer
from congru.gates.norm import norm_of
from congru.gates.weights import Array, Weights
from congru.reference.arguments import Bools
from congru.reference.option_equations import DREAMER_EPSILON


class Steps(NamedTuple):
    """N steps of one layer in float64: what the derivatives are made of. S = H, or 2H for the LSTM's (h, c).

    `h` [N, H] (and `c`) is the state before the steps, `gi` [N, G*H] the input's part, `gates` are [N, H] each,
    `steps` [N] their numbers in the input; `is_first` [N] marks steps that began from a new start and so depend on
    nothing before.
    """

    form: Form
    weights: Weights
    steps: npt.NDArray[np.int64]
    gi: Array
    h: Array
    c: Array | None
    gates: tuple[Array, ...]
    is_first: Bools

    @property
    def size(self) -> int:
        """S."""
        return int(self.h.shape[1]) * (1 if self.c is None else 2)


def steps_of(layer: Layer, row: int) -> Steps:
    """The valid steps of one row, in the order the layer processed them."""
    order = layer.order(row)
    h, *rest = (part[row, order].astype(np.float64) for part in layer.recovered.state_prev)
    return _steps(
        layer, layer.x[row, order], order, h, rest[0] if rest else None, layer.recovered.is_first[row, order]
    )


def states_at(layer: Layer, x: Array, states: Array) -> Steps:
    """The step from each state [N, S] under one input x [I]: what a search for fixed points evaluates."""
    h, c = np.split(states, 2, axis=1) if layer.cell == "lstm" else (states, None)
    inputs = np.broadcast_to(x, (len(states), len(x)))
    return _steps(layer, inputs, np.arange(len(states)), h, c, np.zeros(len(states), np.bool_))


def _steps(
    layer: Layer, x: Array, steps: npt.NDArray[np.int64], h: Array, c: Array | None, is_first: Bools
) -> Steps:
    wide = layer.weights.wide()
    gi = input_part(layer.form, x.astype(np.float64), wide)
    return Steps(layer.form, wide, steps, gi, h, c, gates_of(layer.form, gi, h, wide), is_first)


def after(s: Steps) -> Array:
    """The states after the steps, [N, S]."""
    parts = update(s.form, s.gates, (s.h,) if s.c is None else (s.h, s.c), s.weights)
    result: Array = np.concatenate(parts, axis=1)
    return result


def jacobians(s: Steps, which: npt.ArrayLike | None = None) -> Array:
    """J of the steps number `which` (default all), [N, S, S]."""
    chosen = np.arange(len(s.h)) if which is None else np.asarray(which, np.int64)
    return np.stack([jacobian(s, int(k)) for k in chosen]) if len(chosen) else np.zeros((0, s.size, s.size))


def jacobian(s: Steps, k: int) -> Array:
    """J of step k, [S, S]."""
    J, p = _plain_jacobian(s, k), s.form.zoneout
    return p * np.eye(len(J)) + (1 - p) * J if p else J


def pull_back(s: Steps, k: int, d: Array) -> Array:
    """d J of step k for row vectors d [..., S]: the gradient by the state before, from that by the state after."""
    p = s.form.zoneout
    pulled = _plain_pull_back(s, k, d)
    return p * d + (1 - p) * pulled if p else pulled


def recurrent_slope(s: Steps, k: int) -> Array:
    """d(what U contributes to the gates' arguments) / d(what U reads) at step k, [G*H, H]: U, or through its norm.

    The candidate of a GRU that resets before reads r * h.
    """
    U = s.weights.U
    assert U is not None
    if not s.form.layer_norm:
        return U
    if s.form.layer_norm == "dreamer":
        norm = norm_of((s.gi[k] + U @ s.h[k] + s.weights.b_h)[None], 1, DREAMER_EPSILON)
        return _gained(s.weights.g_i, norm.vjp(U.T).T)
    sums, size = U @ s.h[k], s.h.shape[1]
    if s.form.reset_before:
        sums[2 * size :] = U[2 * size :] @ (s.gates[0][k] * s.h[k])
    norm = norm_of(sums[None], len(s.form.gates) * s.form.num_heads)
    return _gained(s.weights.g_h, norm.vjp(U.T).T)


def _gained(gain: Array, slope: Array) -> Array:
    return gain[:, None] * slope


def _reset_argument(s: Steps, k: int) -> Array:
    """What r multiplies in the candidate of a GRU that resets after, [H]."""
    size, h = s.h.shape[1], s.h[k]
    if s.form.layer_norm == "dreamer":
        return dreamer_sums(s.gi[k], h, s.weights)[2 * size :]
    return state_part(s.form, h, s.weights, slice(2, 3))


def _plain_jacobian(s: Steps, k: int) -> Array:
    """J without zoneout."""
    if s.form.cell == "mingru":
        return np.diag(s.gates[0][k])
    U = recurrent_slope(s, k)
    if s.form.cell in ("rnn", "rnn_relu"):
        return _rnn_slope(s, k)[:, None] * U
    if s.form.cell == "lstm":
        return _lstm_jacobian(s, k, U)
    h = s.h[k]
    r, z, n = (gate[k] for gate in s.gates)
    U_r, U_z, U_n = np.split(U, 3)
    if s.form.reset_before:
        through_n = U_n * r + (U_n * (h * r * (1 - r))) @ U_r
    else:
        through_n = r[:, None] * U_n + (_reset_argument(s, k) * r * (1 - r))[:, None] * U_r
    J: Array = (
        np.diag(z) + ((h - n) * z * (1 - z))[:, None] * U_z + ((1 - z) * (1 - n * n))[:, None] * through_n
    )
    return J


def _plain_pull_back(s: Steps, k: int, d: Array) -> Array:
    """d J without zoneout."""
    if s.form.cell == "mingru":
        carried: Array = d * s.gates[0][k]
        return carried
    U = recurrent_slope(s, k)
    if s.form.cell in ("rnn", "rnn_relu"):
        through: Array = (d * _rnn_slope(s, k)) @ U
        return through
    if s.form.cell == "lstm":
        return _lstm_pull_back(s, k, d, U)
    h = s.h[k]
    r, z, n = (gate[k] for gate in s.gates)
    U_r, U_z, U_n = np.split(U, 3)
    d_z = d * ((h - n) * z * (1 - z))
    d_n = d * ((1 - z) * (1 - n * n))
    if s.form.reset_before:
        d_rh = d_n @ U_n
        result: Array = d * z + d_z @ U_z + d_rh * r + (d_rh * (h * r * (1 - r))) @ U_r
    else:
        a = _reset_argument(s, k)
        result = d * z + d_z @ U_z + (d_n * r) @ U_n + (d_n * (a * r * (1 - r))) @ U_r
    return result


def _rnn_slope(s: Steps, k: int) -> Array:
    n = s.gates[0][k]
    slope: Array = 1 - n * n if s.form.cell == "rnn" else (n > 0).astype(np.float64)
    return slope


def cell_pull(s: Steps, d_h: Array, k: int | None = None) -> Array:
    """d_h by the LSTM's state as a gradient by its new cell, through output gate, tanh and norm, before zoneout.

    d_h [N, H], one row for each step, or with `k` rows [M, H] that all belong to step k.
    """
    assert s.c is not None
    chosen = slice(None) if k is None else slice(k, k + 1)
    i, f, g, o = (gate[chosen] for gate in s.gates)
    c = f * s.c[chosen] + i * g
    squashed = np.tanh(cell_read(s.form, c, s.weights))
    d: Array = d_h * o * (1 - squashed * squashed)
    if not s.form.layer_norm:
        return d
    return norm_of(c, s.form.num_heads).vjp(d * s.weights.g_c)


def _lstm_parts(s: Steps, k: int) -> tuple[Array, Array]:
    """For i, f, g, o: dc~/d(argument) [3, H] of i, f, g; and dh~/d(argument) of o."""
    assert s.c is not None
    i, f, g, o = (gate[k] for gate in s.gates)
    c = s.c[k]
    squashed = np.tanh(cell_read(s.form, f * c + i * g, s.weights))
    by_argument = np.stack([g * i * (1 - i), c * f * (1 - f), i * (1 - g * g)])
    return by_argument, squashed * o * (1 - o)


def _lstm_jacobian(s: Steps, k: int, U: Array) -> Array:
    by_argument, by_o = _lstm_parts(s, k)
    U_i, U_f, U_g, U_o = np.split(U, 4)
    f = s.gates[1][k]
    c_by_h = sum(part[:, None] * block for part, block in zip(by_argument, (U_i, U_f, U_g)))
    if s.form.layer_norm:
        h_by_c = cell_pull(s, np.eye(len(f)), k)
        through_c = h_by_c @ c_by_h
    else:
        slope = cell_pull(s, np.ones((1, len(f))), k)[0]
        h_by_c, through_c = np.diag(slope), slope[:, None] * c_by_h
    return np.block([[through_c + by_o[:, None] * U_o, h_by_c * f], [c_by_h, np.diag(f)]])


def _lstm_pull_back(s: Steps, k: int, d: Array, U: Array) -> Array:
    by_argument, by_o = _lstm_parts(s, k)
    U_i, U_f, U_g, U_o = np.split(U, 4)
    d_h, d_c = np.split(d, 2, axis=-1)
    d_c = d_c + cell_pull(s, np.atleast_2d(d_h), k).reshape(d_h.shape)
    d_i, d_f, d_g = (d_c * part for part in by_argument)
    before = d_i @ U_i + d_f @ U_f + d_g @ U_g + (d_h * by_o) @ U_o
    return np.concatenate([before, d_c * s.gates[1][k]], axis=-1)
