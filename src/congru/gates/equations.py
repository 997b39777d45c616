"""The cells over any leading axes, in the dtype of their arrays: what recovery, what-if runs and pictures
share.

    gi = W x + b_i            what the input adds to the gates' arguments
    gh = U h + b_h            what the state that enters the step adds
    GRU     r = s(gi_r + gh_r)   z = s(gi_z + gh_z)   n = tanh(gi_n + r * gh_n)   h' = (1 - z) n + z h
            reset before: gh_n = U_n (r * h) + b_hn and n = tanh(gi_n + gh_n)
    LSTM    i, f, o = s(gi + gh)   g = tanh(gi_g + gh_g)   c' = f c + i g   h' = o tanh(c')
    RNN     n = tanh(gi + gh), or relu   h' = n
    minGRU  z = s(gi_z)   n = g(gi_n)   h' = (1 - z) n + z h

`congru.reference` defines these in float64, one step at a time; a test holds the two equal. x [..., I], h
[..., H], gates a tuple of [..., H] in the row order of the cell's weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError, ShapeError, check_shape

Array: TypeAlias = npt.NDArray[np.floating[Any]]
State: TypeAlias = tuple[Array, ...]
Gates: TypeAlias = tuple[Array, ...]
# (row of the gate, its values) -> the values to go on with.
Adjust: TypeAlias = Callable[[int, Array], Array]

GATES = {
    "gru": ("r", "z", "n"),
    "lstm": ("i", "f", "g", "o"),
    "rnn": ("n",),
    "rnn_relu": ("n",),
    "mingru": ("z", "n"),
}
# The row that says how much of the old memory stays, and the row that is written.
KEEP = {"gru": "z", "lstm": "f", "mingru": "z"}
CANDIDATE = {"gru": "n", "lstm": "g", "rnn": "n", "rnn_relu": "n", "mingru": "n"}
TITLES = {
    "gru": "GRU",
    "lstm": "LSTM",
    "rnn": "plain RNN",
    "rnn_relu": "plain RNN (relu)",
    "mingru": "minGRU",
}


class Weights(NamedTuple):
    """W [G*H, I], U [G*H, H] (None for minGRU), b_i and b_h [G*H] (zeros where the layer has no bias)."""

    W: Array
    U: Array | None
    b_i: Array
    b_h: Array

    def wide(self) -> Weights:
        """The same in float64."""
        U = None if self.U is None else self.U.astype(np.float64)
        W, b_i, b_h = (part.astype(np.float64) for part in (self.W, self.b_i, self.b_h))
        return Weights(W, U, b_i, b_h)


def hidden_size(cell: str, W: Array) -> int:
    """H: the rows of W over the number of gates."""
    return int(W.shape[0]) // len(GATES[cell])


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


def as_weights(cell: str, weights: Any, dtype: npt.DTypeLike) -> Weights:
    """Return the cell's weight tuple in `dtype`, its shapes checked against each other.

    >>> as_weights("gru", (np.ones((6, 1)), np.ones((6, 3)), None, None), float)
    Traceback (most recent call last):
    congru.errors.ShapeError: U has shape (6, 3), expected [3H, H] = (6, 2): H is the rows of W over the gates
    """
    if cell not in GATES:
        raise CongruError(f"cell is {cell!r}, expected one of {', '.join(GATES)}: pass one of these names")
    parts = [None if part is None else np.asarray(part, dtype) for part in weights]
    expected = 2 if cell == "mingru" else 4
    if len(parts) != expected or parts[0] is None or parts[0].ndim != 2:
        names = "(W, b_i)" if cell == "mingru" else "(W, U, b_i, b_h)"
        raise ShapeError(f"weights has {len(parts)} parts, expected {expected} for {cell}: pass {names}")
    num_gates = len(GATES[cell])
    rows = parts[0].shape[0]
    num_hidden = rows // num_gates
    if rows % num_gates or rows == 0:
        raise ShapeError(
            f"W has {rows} rows, expected a multiple of {num_gates}: {cell} has {num_gates} blocks"
        )
    if cell == "mingru":
        U, biases = None, [parts[1], None]
    else:
        U, biases = parts[1], parts[2:]
        if U is None:
            raise ShapeError("U is None, expected [G*H, H]: pass the recurrent weights")
        fix = "H is the rows of W over the gates"
        check_shape("U", U, f"[{num_gates}H, H]", (rows, num_hidden), fix)
    for name, bias in zip(("b_i", "b_h"), biases):
        if bias is not None:
            check_shape(name, bias, f"[{num_gates}H]", (rows,), "pass None for no bias")
    b_i, b_h = (np.zeros(rows, dtype) if bias is None else bias for bias in biases)
    return Weights(parts[0], U, b_i, b_h)


def input_part(x: Array, weights: Weights) -> Array:
    """gi = W x + b_i, [..., G*H]."""
    gi = _product(x, weights.W)
    gi += weights.b_i
    return gi


def state_part(h: Array, weights: Weights) -> Array:
    """gh = U h + b_h, [..., G*H]; zeros for minGRU, whose gates do not see the state."""
    if weights.U is None:
        return np.zeros((*h.shape[:-1], weights.W.shape[0]), h.dtype)
    gh = _product(h, weights.U)
    gh += weights.b_h
    return gh


def _product(a: Array, M: Array) -> Array:
    """M a over all leading axes as one matrix product: a product per row of the batch would be many small ones."""
    rows: Array = a.reshape(-1, a.shape[-1]) @ M.T
    return rows.reshape(*a.shape[:-1], len(M))


def argument_size(x: Array, h: Array, weights: Weights) -> Array:
    """|W| |x| + |b_i| + |U| |h| + |b_h|, the largest of each unit's gates, [..., H].

    It is the yardstick of rounding: a sum of such terms in floating point is off by a few eps times their size.
    """
    size = _product(np.abs(x), np.abs(weights.W)) + (np.abs(weights.b_i) + np.abs(weights.b_h))
    if weights.U is not None:
        size += _product(np.abs(h), np.abs(weights.U))
    result: Array = size.reshape(*size.shape[:-1], -1, h.shape[-1]).max(axis=-2)
    return result


def gates_of(
    cell: str,
    gi: Array,
    h: Array,
    weights: Weights,
    reset_before: bool = False,
    adjust: Adjust | None = None,
) -> Gates:
    """The gates of every leading index, from gi [..., G*H] and the state that entered, h [..., H].

    `adjust(row, gate)` may replace a gate as soon as it is known, so that a changed reset gate reaches the
    candidate.
    """
    adjust = adjust or (lambda _row, gate: gate)
    if weights.U is None:
        a_z, a_n = np.split(gi, 2, axis=-1)
        n = np.where(a_n >= 0, a_n + gi.dtype.type(0.5), sigmoid(a_n))
        return adjust(0, sigmoid(a_z)), adjust(1, n)
    if cell == "gru":
        return _gru_gates(gi, h, weights, reset_before, adjust)
    a = state_part(h, weights)
    a += gi
    if cell == "lstm":
        i, f, g, o = np.split(a, 4, axis=-1)
        return adjust(0, sigmoid(i)), adjust(1, sigmoid(f)), adjust(2, np.tanh(g)), adjust(3, sigmoid(o))
    return (adjust(0, np.tanh(a) if cell == "rnn" else np.maximum(a, 0)),)


def _gru_gates(gi: Array, h: Array, weights: Weights, reset_before: bool, adjust: Adjust) -> Gates:
    """r, z and n; arrays are overwritten in place, because a whole sequence is large."""
    assert weights.U is not None
    size = h.shape[-1]
    rz, n = slice(2 * size), slice(2 * size, None)
    gh = _product(h, weights.U[rz] if reset_before else weights.U)
    gh += weights.b_h[rz] if reset_before else weights.b_h
    gates_rz = gh[..., rz]
    gates_rz += gi[..., rz]
    _sigmoid_in_place(gates_rz)
    r, z = adjust(0, gates_rz[..., :size]), adjust(1, gates_rz[..., size:])
    if reset_before:
        candidate = _product(r * h, weights.U[n])
        candidate += weights.b_h[n]
    else:
        candidate = gh[..., n]
        candidate *= r
    candidate += gi[..., n]
    return r, z, adjust(2, np.tanh(candidate, out=candidate))


def update(cell: str, gates: Gates, state: State) -> State:
    """The new state from the gates and the state that entered: (h,) or, for the LSTM, (h, c)."""
    if cell == "lstm":
        i, f, g, o = gates
        c = f * state[1] + i * g
        return o * np.tanh(c), c
    if cell in ("gru", "mingru"):
        z, n = gates[-2:]
        return ((1 - z) * n + z * state[0],)
    return gates
