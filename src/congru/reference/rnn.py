"""The plain recurrent network (Elman 1990), as torch.nn.RNN with tanh.

    n  = tanh(W x + b_i + U h + b_h)                     candidate
    h' = n                                               new state

weights = (W [H, I], U [H, H], b_i [H], b_h [H]); a bias may be None = zeros. state = (h [B, H],).
gates [B, T, 1, H] are n. Wrong shapes, dtypes or lengths raise `congru.errors.CongruError`.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from congru.reference import sequence
from congru.reference.activations import tanh
from congru.reference.arguments import Array, Cell, Gradients, HReset, State, Weights, blocks

CELL = Cell("rnn", gates=("n",), states=("h",), weights=("W", "U", "b_i", "b_h"))


def step(x: npt.ArrayLike, state: Any, weights: Any) -> tuple[State, Array]:
    """Return the new state (h',) and the gates [B, 1, H] of one step on x [B, I].

    >>> import numpy as np
    >>> (h,), gates = step(np.ones((1, 1)), None, (np.ones((1, 1)), np.ones((1, 1)), None, None))
    >>> h.round(3).tolist()
    [[0.762]]
    """
    x, (h,), weights = sequence.check_step(CELL, x, state, weights)
    (W,), (U,), (b_i,), (b_h,) = blocks(CELL, weights)
    n = tanh(x @ W.T + b_i + h @ U.T + b_h)
    h_new = n
    return (h_new,), n[:, None]


def step_backward(
    dstate: State, x: Array, state: State, weights: Weights, gates: Array
) -> tuple[Array, State, Weights]:
    """Return (dx, (dh,), dweights) of one step; da_n is the gradient of the argument of tanh."""
    (dh_new,), (h,), n = dstate, state, gates[:, 0]
    (W,), (U,), _, _ = blocks(CELL, weights)
    da_n = dh_new * (1 - n * n)
    dx = da_n @ W
    dh = da_n @ U
    return dx, (dh,), (da_n.T @ x, da_n.T @ h, da_n.sum(axis=0), da_n.sum(axis=0))


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
    """Return y [B, T, H], the final state (h,) and gates [B, T, 1, H] for x [B, T, I].

    lengths [B] (int), reset [B, T] (bool), h_reset [H] and reverse: see `congru.reference.sequence`.

    >>> import numpy as np
    >>> y, (h,), gates = forward(np.zeros((2, 5, 3)), None, (np.ones((4, 3)), np.ones((4, 4)), None, None))
    >>> y.shape, h.shape, gates.shape
    ((2, 5, 4), (2, 4), (2, 5, 1, 4))
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
