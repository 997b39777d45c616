"""The four cells in NumPy float32, one step at a time: what a session runs where the native core is absent.

The equations are those of `congru.reference` (which computes in float64 and explains them); a test holds the
two equal. Arrays are time-major here: x [T, B, I], state [B, H]. Weights lie transposed and contiguous, and
both products are taken per step, so a row of the output never depends on how many steps were asked for: any
chunking gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
State = tuple[Array, ...]
_HALF = np.float32(0.5)
_BLOCK = 128  # steps whose inputs are computed at once: a long run takes no more memory than this


class Cell(Protocol):
    """One direction of one layer."""

    gate_rows: int

    def inputs(self, x: Array) -> Array:
        """What the input adds to the gates of every step, [T, B, G*H]."""

    def step(self, a: Array, state: State) -> tuple[State, State]:
        """From the state before to (state after, gates); `a` [B, G*H] is this step's part of `inputs` and is
        overwritten.
        """


def sigmoid_(a: Array) -> Array:
    """sigmoid(a) in place, as (tanh(a/2) + 1)/2: finite and right for every a."""
    a *= _HALF
    np.tanh(a, out=a)
    a *= _HALF
    a += _HALF
    return a


def _zeros_unless(bias: Array | None, size: int) -> Array:
    return np.zeros(size, np.float32) if bias is None else bias


class GRU:
    """r, z = sigmoid(..); n = tanh(W_n x + b_in + r * (U_n h + b_hn)), or U_n (r * h) + b_hn with
    `reset_before`.
    """

    gate_rows = 3

    def __init__(self, W: Array, U: Array, b_i: Array | None, b_h: Array | None, reset_before: bool) -> None:
        size = U.shape[1]
        self.size, self.reset_before = size, reset_before
        self.W, self.U = np.ascontiguousarray(W.T), np.ascontiguousarray(U.T)
        self.U_rz, self.U_n = np.ascontiguousarray(U[: 2 * size].T), np.ascontiguousarray(U[2 * size :].T)
        self.b_i = _zeros_unless(b_i, 3 * size).copy()
        b_h = _zeros_unless(b_h, 3 * size)
        self.b_n = b_h[2 * size :].copy()
        self.b_i[: 2 * size] += b_h[: 2 * size]
        if reset_before:
            self.b_i[2 * size :] += self.b_n

    def inputs(self, x: Array) -> Array:
        a: Array = np.matmul(x, self.W)
        a += self.b_i
        return a

    def step(self, a: Array, state: State) -> tuple[State, State]:
        (h,) = state
        size = self.size
        rz = a[:, : 2 * size]
        r, z = rz[:, :size], rz[:, size:]
        if self.reset_before:
            rz += np.matmul(h, self.U_rz)
            sigmoid_(rz)
            n = np.matmul(r * h, self.U_n)
        else:
            u = np.matmul(h, self.U)
            rz += u[:, : 2 * size]
            sigmoid_(rz)
            n = u[:, 2 * size :]
            n += self.b_n
            n *= r
        n += a[:, 2 * size :]
        np.tanh(n, out=n)
        h = h - n
        h *= z
        h += n
        return (h,), (r, z, n)


class LSTM:
    """i, f, o = sigmoid(..), g = tanh(..); c' = f * c + i * g; h' = o * tanh(c')."""

    gate_rows = 4

    def __init__(self, W: Array, U: Array, b_i: Array | None, b_h: Array | None) -> None:
        self.size = size = U.shape[1]
        self.W, self.U = np.ascontiguousarray(W.T), np.ascontiguousarray(U.T)
        self.b = _zeros_unless(b_i, 4 * size) + _zeros_unless(b_h, 4 * size)

    def inputs(self, x: Array) -> Array:
        a: Array = np.matmul(x, self.W)
        a += self.b
        return a

    def step(self, a: Array, state: State) -> tuple[State, State]:
        h, c = state
        size = self.size
        a += np.matmul(h, self.U)
        i_f, g, o = a[:, : 2 * size], a[:, 2 * size : 3 * size], a[:, 3 * size :]
        sigmoid_(i_f)
        np.tanh(g, out=g)
        sigmoid_(o)
        i, f = i_f[:, :size], i_f[:, size:]
        c = f * c
        c += i * g
        h = np.tanh(c)
        h *= o
        return (h, c), (i, f, g, o)


class RNN:
    """h' = tanh(W x + b_i + U h + b_h)."""

    gate_rows = 1

    def __init__(self, W: Array, U: Array, b_i: Array | None, b_h: Array | None) -> None:
        self.W, self.U = np.ascontiguousarray(W.T), np.ascontiguousarray(U.T)
        self.b = _zeros_unless(b_i, U.shape[1]) + _zeros_unless(b_h, U.shape[1])

    def inputs(self, x: Array) -> Array:
        a: Array = np.matmul(x, self.W)
        a += self.b
        return a

    def step(self, a: Array, state: State) -> tuple[State, State]:
        h = np.matmul(state[0], self.U)
        h += a
        np.tanh(h, out=h)
        return (h,), (h,)


class MinGRU:
    """z = sigmoid(W_z x + b_z); n = g(W_n x + b_n), g(a) = a + 0.5 if a >= 0 else sigmoid(a); h' = (1 - z) n
    + z h.
    """

    gate_rows = 2

    def __init__(
        self, size: int, product: Callable[[Array], Array], sigmoid: Callable[[Array], Array]
    ) -> None:
        """`product`: W x + b_i of x [T, B, I] (:func:`congru.runtime.dense.dense`)."""
        self.size, self.product, self.sigmoid = size, product, sigmoid

    def inputs(self, x: Array) -> Array:
        a = self.product(x)
        gates, n = self.sigmoid(a), a[..., self.size :]
        gates[..., self.size :] = np.where(n >= 0, n + _HALF, gates[..., self.size :])
        return gates

    def step(self, a: Array, state: State) -> tuple[State, State]:
        z, n = a[:, : self.size], a[:, self.size :]
        h = state[0] - n
        h *= z
        h += n
        return (h,), (z, n)


def run_cell(
    cell: Cell,
    x: Array,
    state: State,
    lengths: NDArray[np.int64] | None = None,
    reverse: bool = False,
    gates: Array | None = None,
) -> tuple[Array, State]:
    """Run one direction of one layer over x [T, B, I] from `state` ([B, H] each): y [T, B, H] and the state
    after.

    Steps t >= lengths[b] are padding: y and gates are 0 there and the state stays. `gates` [T, B, G, H] is
    filled where given.
    """
    y = np.empty((x.shape[0], *state[0].shape), np.float32)
    order = range(len(x) - 1, -1, -1) if reverse else range(len(x))
    for block in (order[start : start + _BLOCK] for start in range(0, len(order), _BLOCK)):
        first = min(block)
        a = cell.inputs(x[first : first + len(block)])
        for t in block:
            after, rows = cell.step(a[t - first], state)
            if lengths is None:
                y[t] = after[0]
            else:
                valid = (t < lengths)[:, None]
                y[t] = np.where(valid, after[0], 0)
                after = tuple(np.where(valid, new, old) for new, old in zip(after, state))
                rows = tuple(np.where(valid, row, np.float32(0)) for row in rows)
            if gates is not None:
                for index, row in enumerate(rows):
                    gates[t, :, index] = row
            state = after
    return y, state
