"""The long short-term memory (Hochreiter & Schmidhuber 1997; forget gate of Gers et al. 2000).

    i  = sigmoid(W_i x + b_ii + U_i h + b_hi)            input gate
    f  = sigmoid(W_f x + b_if + U_f h + b_hf)            forget gate, "keep"
    g  = tanh   (W_g x + b_ig + U_g h + b_hg)            candidate
    o  = sigmoid(W_o x + b_io + U_o h + b_ho)            output gate
    c' = f * c + i * g                                   new cell state
    h' = o * tanh(c')                                    new state

weights = (W [4H, I], U [4H, H], b_i [4H], b_h [4H]), rows i, f, g, o; a bias may be None = zeros.
state = (h [B, H], c [B, H]). gates [B, T, 4, H] are i, f, g, o. Wrong shapes, dtypes or lengths raise
`congru.errors.CongruError`. h_reset is an array [H] for h, and c restarts from zeros; or one for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from congru.reference import sequence
from congru.reference.activations import sigmoid, tanh
from congru.reference.arguments import Array, Cell, Gradients, HReset, State, Weights, blocks

CELL = Cell("lstm", gates=("i", "f", "g", "o"), states=("h", "c"), weights=("W", "U", "b_i", "b_h"))


def step(x: npt.ArrayLike, state: Any, weights: Any) -> tuple[State, Array]:
    """Return the new state (h', c') and the gates [B, 4, H] of one step on x [B, I].

    >>> (h, c), gates = step(np.ones((1, 1)), None, (np.ones((4, 1)), np.ones((4, 1)), None, None))
    >>> gates.round(3).tolist(), c.round(3).tolist(), h.round(3).tolist()
    ([[[0.731], [0.731], [0.762], [0.731]]], [[0.557]], [[0.37]])
    """
    x, (h, c), weights = sequence.check_step(CELL, x, state, weights)
    (W_i, W_f, W_g, W_o), (U_i, U_f, U_g, U_o), (b_ii, b_if, b_ig, b_io), (b_hi, b_hf, b_hg, b_ho) = blocks(
        CELL, weights
    )
    i = sigmoid(x @ W_i.T + b_ii + h @ U_i.T + b_hi)
    f = sigmoid(x @ W_f.T + b_if + h @ U_f.T + b_hf)
    g = tanh(x @ W_g.T + b_ig + h @ U_g.T + b_hg)
    o = sigmoid(x @ W_o.T + b_io + h @ U_o.T + b_ho)
    c_new = f * c + i * g
    h_new = o * tanh(c_new)
    return (h_new, c_new), np.stack([i, f, g, o], axis=1)


def step_backward(
    dstate: State, x: Array, state: State, weights: Weights, gates: Array
) -> tuple[Array, State, Weights]:
    """Return (dx, (dh, dc), dweights) of one step, given the gradient of its new state and its gates.

    da_i, da_f, da_g, da_o are the gradients of the arguments of the four squashing functions.
    """
    (dh_new, dc_new), (h, c), (i, f, g, o) = dstate, state, np.moveaxis(gates, 1, 0)
    W, U = weights[0], weights[1]
    assert W is not None
    assert U is not None
    tanh_c = tanh(f * c + i * g)
    do = dh_new * tanh_c
    dc_new = dc_new + dh_new * o * (1 - tanh_c * tanh_c)
    di = dc_new * g
    df = dc_new * c
    dg = dc_new * i
    dc = dc_new * f
    da_i = di * i * (1 - i)
    da_f = df * f * (1 - f)
    da_g = dg * (1 - g * g)
    da_o = do * o * (1 - o)
    da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
    dx = da @ W
    dh = da @ U
    return dx, (dh, dc), (da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0))


def forward(
    x: npt.ArrayLike,
    state: Any,
    weights: Any,
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: HReset = None,
    reverse: bool = False,
) -> tuple[Array, State, Array]:
    """Return y [B, T, H], the final state (h, c) and gates [B, T, 4, H] for x [B, T, I].

    lengths [B] (int), reset [B, T] (bool), h_reset and reverse: see `congru.reference.sequence`.

    >>> weights = np.ones((16, 3)), np.ones((16, 4)), None, None
    >>> y, (h, c), gates = forward(np.zeros((2, 5, 3)), None, weights)
    >>> y.shape, h.shape, c.shape, gates.shape
    ((2, 5, 4), (2, 4), (2, 4), (2, 5, 4, 4))
    """
    plan = sequence.plan(CELL, x, state, weights, lengths, reset, h_reset, reverse)
    return sequence.run(CELL, step, plan)[:3]


def backward(
    dy: npt.ArrayLike,
    dstate: Any,
    x: npt.ArrayLike,
    state: Any,
    weights: Any,
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: HReset = None,
    reverse: bool = False,
) -> Gradients:
    """Return the gradients of sum(dy * y) + sum(dstate * final state) by every input and weight.

    dy [B, T, H]; dstate as the state, None = zeros; the other arguments are those of `forward`, which is run
    again. dh_reset has the form of h_reset, None without it.
    """
    plan = sequence.plan(CELL, x, state, weights, lengths, reset, h_reset, reverse)
    return sequence.run_backward(CELL, step, step_backward, dy, dstate, plan, h_reset)
