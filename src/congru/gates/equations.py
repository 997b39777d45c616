"""The cells over any leading axes, in the dtype of their arrays: what recovery, what-if runs and pictures share.

    gi = P(x; W, g_i) + b_i      what the input adds to the gates' arguments
    gh = P(h; U, g_h) + b_h      what the state before the step adds
         P(v; M, g) = M v, with layer norm g * norm(M v) gate by gate (and head by head)
    GRU     r = s(gi_r + gh_r)   z = s(gi_z + gh_z)   n = tanh(gi_n + r * gh_n)   h~ = (1 - z) n + z h
            reset before: gh_n = P(r * h; U_n) + b_hn and n = tanh(gi_n + gh_n)
            "dreamer": a = g_i * norm(W x + U h + b_h) + b_i   r = s(a_r)   z = s(a_z + 1)   n = tanh(r * a_n)
    LSTM    i, f, o = s(gi + gh)   g = tanh(gi_g + gh_g)   c~ = f c + i g   h~ = o tanh(c~)
            with layer norm: h~ = o tanh(g_c * norm(c~) + b_c)
    RNN     n = tanh(gi + gh), or relu   h~ = n
    minGRU  z = s(gi_z)   n = g(gi_n)   h~ = (1 - z) n + z h
    h' = p h + (1 - p) h~   and so for c: zoneout as it acts in use; without it h' = h~

`congru.reference` defines these in float64, one step at a time; a test holds the two equal. x [..., I], h
[..., H], gates a tuple of [..., H] in the row order of the cell's weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from congru.gates.form import Form
from congru.gates.norm import norm_of
from congru.gates.weights import Array, Weights
from congru.reference.option_equations import DREAMER_EPSILON, UPDATE_BIAS

State: TypeAlias = tuple[Array, ...]
Gates: TypeAlias = tuple[Array, ...]
# (row of the gate, its values) -> the values to go on with.
Adjust: TypeAlias = Callable[[int, Array], Array]


def sigmoid(a: Array) -> Array:
    """s(a) = 1 / (1 + exp(-a)); exp may overflow to inf, which gives 0, the right value.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return _sigmoid_in_place(np.array(a))


def _sigmoid_in_place(a: Array) -> Array:
    np.negative(a, out=a)
    with np.errstate(over="ignore"):
        np.exp(a, out=a)
    a += 1
    return np.reciprocal(a, out=a)


def input_part(form: Form, x: Array, weights: Weights) -> Array:
    """gi, [..., G*H]; for "dreamer" W x alone, because its norm and b_i come after the sum."""
    gi = _product(x, weights.W)
    if form.layer_norm == "dreamer":
        return gi
    if form.layer_norm:
        gi = _scaled(gi, weights.g_i, len(form.gates) * form.num_heads)
    gi += weights.b_i
    return gi


def state_part(form: Form, h: Array, weights: Weights, gates: slice = slice(None)) -> Array:
    """gh of the gates chosen, [..., k*H]; zeros for minGRU, whose gates do not see the state."""
    if weights.U is None:
        return np.zeros((*h.shape[:-1], weights.W.shape[0]), h.dtype)
    first, stop, _ = gates.indices(len(form.gates))
    rows = slice(first * h.shape[-1], stop * h.shape[-1])
    gh = _product(h, weights.U[rows])
    if form.layer_norm is True:
        gh = _scaled(gh, weights.g_h[rows], (stop - first) * form.num_heads)
    gh += weights.b_h[rows]
    return gh


def _product(a: Array, M: Array) -> Array:
    """M a over all leading axes as one matrix product: a product per row of the batch would be many small ones."""
    rows: Array = a.reshape(-1, a.shape[-1]) @ M.T
    return rows.reshape(*a.shape[:-1], len(M))


def _scaled(a: Array, gain: Array, num_parts: int) -> Array:
    """gain * norm(a), part by part."""
    scaled: Array = (gain * norm_of(a, num_parts).hat).reshape(a.shape)
    return scaled


def gates_of(form: Form, gi: Array, h: Array, weights: Weights, adjust: Adjust | None = None) -> Gates:
    """The gates of every leading index, from gi [..., G*H] and the state before the step, h [..., H].

    `adjust(row, gate)` may replace a gate as soon as it is known, so that a changed reset gate reaches the
    candidate.
    """
    adjust = adjust or (lambda _row, gate: gate)
    if form.cell == "mingru":
        a_z, a_n = np.split(gi, 2, axis=-1)
        n = np.where(a_n >= 0, a_n + gi.dtype.type(0.5), sigmoid(a_n))
        return adjust(0, sigmoid(a_z)), adjust(1, n)
    if form.layer_norm == "dreamer":
        a_r, a_z, a_n = np.split(dreamer_sums(gi, h, weights), 3, axis=-1)
        r, z = adjust(0, sigmoid(a_r)), adjust(1, sigmoid(a_z + gi.dtype.type(UPDATE_BIAS)))
        return r, z, adjust(2, np.tanh(r * a_n))
    if form.cell == "gru":
        return _gru_gates(form, gi, h, weights, adjust)
    a = state_part(form, h, weights)
    a += gi
    if form.cell == "lstm":
        i, f, g, o = np.split(a, 4, axis=-1)
        return adjust(0, sigmoid(i)), adjust(1, sigmoid(f)), adjust(2, np.tanh(g)), adjust(3, sigmoid(o))
    return (adjust(0, np.tanh(a) if form.cell == "rnn" else np.maximum(a, 0)),)


def _gru_gates(form: Form, gi: Array, h: Array, weights: Weights, adjust: Adjust) -> Gates:
    """r, z and n; arrays are overwritten in place, because a whole sequence is large."""
    size = h.shape[-1]
    gh = state_part(form, h, weights, slice(2) if form.reset_before else slice(3))
    gates_rz = gh[..., : 2 * size]
    gates_rz += gi[..., : 2 * size]
    _sigmoid_in_place(gates_rz)
    r, z = adjust(0, gates_rz[..., :size]), adjust(1, gates_rz[..., size:])
    if form.reset_before:
        candidate = state_part(form, r * h, weights, slice(2, 3))
    else:
        candidate = gh[..., 2 * size :]
        candidate *= r
    candidate += gi[..., 2 * size :]
    return r, z, adjust(2, np.tanh(candidate, out=candidate))


def dreamer_sums(gi: Array, h: Array, weights: Weights) -> Array:
    """a = g_i * norm(W x + U h + b_h) + b_i, [..., 3H], from gi = W x."""
    assert weights.U is not None
    total = gi + _product(h, weights.U) + weights.b_h
    hat = norm_of(total, 1, DREAMER_EPSILON).hat.reshape(total.shape)
    a: Array = weights.g_i * hat + weights.b_i
    return a


def update(form: Form, gates: Gates, state: State, weights: Weights) -> State:
    """The new state from the gates and the state before: (h,) or, for the LSTM, (h, c)."""
    new: State = gates
    if form.cell == "lstm":
        i, f, g, o = gates
        c = f * state[1] + i * g
        new = (o * np.tanh(cell_read(form, c, weights)), c)
    elif form.cell in ("gru", "mingru"):
        z, n = gates[-2:]
        new = ((1 - z) * n + z * state[0],)
    p = form.zoneout
    return tuple(p * old + (1 - p) * part for old, part in zip(state, new)) if p else new


def cell_read(form: Form, c: Array, weights: Weights) -> Array:
    """What the LSTM's output tanh reads of its cell: c, or g_c * norm(c) + b_c."""
    if not form.layer_norm:
        return c
    return _scaled(c, weights.g_c, form.num_heads) + weights.b_c


def kept_share(form: Form, gate: Array) -> Array:
    """The share of the old memory that stays in all, from the gate that keeps: p + (1 - p) gate."""
    return form.zoneout + (1 - form.zoneout) * gate if form.zoneout else gate


def written_part(form: Form, gates: Gates) -> Array:
    """What the step adds to the memory: (1 - p) (1 - z) n, or (1 - p) i g of an LSTM."""
    if form.cell == "lstm":
        written = gates[0] * gates[2]
    else:
        written = (1 - gates[-2]) * gates[-1]
    return (1 - form.zoneout) * written if form.zoneout else written


def rounding_size(form: Form, x: Array, state: State, weights: Weights, gates: Gates) -> Array:
    """The yardstick of rounding: what a gate's argument sums up, the largest of each unit's gates, [..., H].

        |W| |x| + |b_i| + |U| |h| + |b_h|          a norm multiplies its side by |g| / sqrt(var + eps)

    A sum of such terms in floating point is off by a few eps times their size; a norm passes on the error of its
    sum, divided by the spread that it divides by. An LSTM's second norm does so once more.
    """
    size, rows = state[0].shape[-1], (-1, weights.W.shape[0])
    on_input: Array = _product(np.abs(x), np.abs(weights.W)).reshape(rows)
    on_state: Array = np.zeros_like(on_input)
    read = state[0]
    total: Array
    grown: Array
    sums: Array
    if weights.U is not None:
        on_state = _product(np.abs(read), np.abs(weights.U)).reshape(rows)
    if form.layer_norm == "dreamer":
        assert weights.U is not None
        sums = _product(x, weights.W) + _product(read, weights.U) + weights.b_h
        grown = np.abs(weights.g_i) * norm_of(sums, 1, DREAMER_EPSILON).amplification()
        total = grown * (on_input + on_state + np.abs(weights.b_h)) + np.abs(weights.b_i)
    else:
        if form.layer_norm:
            assert weights.U is not None
            num_parts = len(form.gates) * form.num_heads
            sums = _product(read, weights.U).reshape(rows)
            if form.reset_before:
                sums[:, 2 * size :] = _product(gates[0] * read, weights.U[2 * size :]).reshape(-1, size)
            on_input = (
                on_input * np.abs(weights.g_i) * norm_of(_product(x, weights.W), num_parts).amplification()
            )
            on_state = on_state * np.abs(weights.g_h) * norm_of(sums, num_parts).amplification()
        total = on_input + on_state + np.abs(weights.b_i) + np.abs(weights.b_h)
    largest = total.reshape(len(total), -1, size).max(axis=1)
    if form.cell == "lstm" and form.layer_norm:
        c = gates[1] * state[1] + gates[0] * gates[2]
        grown = np.abs(weights.g_c) * norm_of(c, form.num_heads).amplification()
        largest = np.maximum(largest, 1.0) * np.maximum(grown, 1.0)
    result: Array = largest.reshape(state[0].shape)
    return result
