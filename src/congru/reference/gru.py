"""The gated recurrent unit (Cho et al. 2014, arXiv 1406.1078); `z` is the share of the old state kept.

    r  = sigmoid(W_r x + b_ir + U_r h + b_hr)            reset gate
    z  = sigmoid(W_z x + b_iz + U_z h + b_hz)            update gate, "keep"
    n  = tanh   (W_n x + b_in + r * (U_n h + b_hn))      candidate, reset after (PyTorch, cuDNN)
    n  = tanh   (W_n x + b_in + U_n (r * h) + b_hn)      candidate, reset before (Chung et al. 2014)
    h' = (1 - z) * n + z * h                             new state

weights = (W [3H, I], U [3H, H], b_i [3H], b_h [3H]), rows r, z, n; a bias may be None = zeros.
state = (h [B, H],). gates [B, T, 3, H] are r, z, n. Wrong shapes, dtypes or lengths raise
`congru.errors.CongruError`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from congru.reference import sequence
from congru.reference.activations import clipped
from congru.reference.arguments import Array, Cell, Gradients, HReset, State, Weights, blocks

CELL = Cell("gru", gates=("r", "z", "n"), states=("h",), weights=("W", "U", "b_i", "b_h"))


def step(
    x: npt.ArrayLike, state: Any, weights: Any, *, reset_before: bool = False, clip: float | None = None
) -> tuple[State, Array]:
    """Return the new state (h',) and the gates [B, 3, H] of one step on x [B, I].

    `clip` holds the arguments of sigmoid and tanh in [-clip, clip], as ONNX's attribute does.

    >>> (h,), gates = step(np.ones((1, 1)), None, (np.ones((3, 1)), np.ones((3, 1)), None, None))
    >>> gates.round(3).tolist(), h.round(3).tolist()
    ([[[0.731], [0.731], [0.762]]], [[0.205]])
    """
    x, (h,), weights = sequence.check_step(CELL, x, state, weights)
    (W_r, W_z, W_n), (U_r, U_z, U_n), (b_ir, b_iz, b_in), (b_hr, b_hz, b_hn) = blocks(CELL, weights)
    sigmoid, tanh = clipped(clip)
    r = sigmoid(x @ W_r.T + b_ir + h @ U_r.T + b_hr)
    z = sigmoid(x @ W_z.T + b_iz + h @ U_z.T + b_hz)
    if reset_before:
        n = tanh(x @ W_n.T + b_in + (r * h) @ U_n.T + b_hn)
    else:
        n = tanh(x @ W_n.T + b_in + r * (h @ U_n.T + b_hn))
    h_new = (1 - z) * n + z * h
    return (h_new,), np.stack([r, z, n], axis=1)


def step_backward(
    dstate: State, x: Array, state: State, weights: Weights, gates: Array, *, reset_before: bool = False
) -> tuple[Array, State, Weights]:
    """Return (dx, (dh,), dweights) of one step, given the gradient of its new state and its gates.

    da_r, da_z, da_n are the gradients of the arguments of sigmoid, sigmoid and tanh.
    """
    (dh_new,), (h,), (r, z, n) = dstate, state, np.moveaxis(gates, 1, 0)
    (W_r, W_z, W_n), (U_r, U_z, U_n), _, (_, _, b_hn) = blocks(CELL, weights)
    dz = dh_new * (h - n)
    dn = dh_new * (1 - z)
    da_n = dn * (1 - n * n)
    dr = (da_n @ U_n) * h if reset_before else da_n * (h @ U_n.T + b_hn)
    da_r = dr * r * (1 - r)
    da_z = dz * z * (1 - z)
    dx = da_r @ W_r + da_z @ W_z + da_n @ W_n
    db_i = np.concatenate([da_r, da_z, da_n], axis=1)
    dW = db_i.T @ x
    if reset_before:
        dh = dh_new * z + da_r @ U_r + da_z @ U_z + (da_n @ U_n) * r
        db_h = db_i
        dU = np.concatenate([da_r.T @ h, da_z.T @ h, da_n.T @ (r * h)])
    else:
        dh = dh_new * z + da_r @ U_r + da_z @ U_z + (da_n * r) @ U_n
        db_h = np.concatenate([da_r, da_z, da_n * r], axis=1)
        dU = db_h.T @ h
    return dx, (dh,), (dW, dU, db_i.sum(axis=0), db_h.sum(axis=0))


def forward(
    x: npt.ArrayLike,
    state: Any,
    weights: Any,
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: HReset = None,
    reverse: bool = False,
    reset_before: bool = False,
    clip: float | None = None,
) -> tuple[Array, State, Array]:
    """Return y [B, T, H], the final state (h,) and gates [B, T, 3, H] for x [B, T, I].

    lengths [B] (int), reset [B, T] (bool), h_reset [H] and reverse: see `congru.reference.sequence`.

    >>> y, (h,), gates = forward(np.zeros((2, 5, 3)), None, (np.ones((12, 3)), np.ones((12, 4)), None, None))
    >>> y.shape, h.shape, gates.shape
    ((2, 5, 4), (2, 4), (2, 5, 3, 4))
    """
    plan = sequence.plan(CELL, x, state, weights, lengths, reset, h_reset, reverse)
    return sequence.run(CELL, partial(step, reset_before=reset_before, clip=clip), plan)[:3]


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
    reset_before: bool = False,
) -> Gradients:
    """Return the gradients of sum(dy * y) + sum(dstate * final state) by every input and weight.

    dy [B, T, H]; dstate as the state, None = zeros; the other arguments are those of `forward`, which is run
    again. dh_reset has the form of h_reset, None without it.
    """
    plan = sequence.plan(CELL, x, state, weights, lengths, reset, h_reset, reverse)
    return sequence.run_backward(
        CELL,
        partial(step, reset_before=reset_before),
        partial(step_backward, reset_before=reset_before),
        dy,
        dstate,
        plan,
        h_reset,
    )
