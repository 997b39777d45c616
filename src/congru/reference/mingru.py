"""minGRU (Feng et al. 2024, arXiv 2410.01201), gates from x alone. `z` is the share kept, the paper's 1 - z.

    z  = sigmoid(W_z x + b_z)                            update gate, "keep"
    n  = g(W_n x + b_n)                                  candidate; g(a) = a + 0.5 if a >= 0 else sigmoid(a)
    h' = (1 - z) * n + z * h                             new state

Without h inside a gate, all steps can be computed at once. From z = exp(log_z), (1 - z) * n = exp(log_b):

    h[t] = exp(log_decay[t]) * h_start + exp(log_sum[t])
    log_decay[t] = sum of log_z over 0..t
    log_sum[t] = log of the sum over s <= t of exp(log_b[s] + sum of log_z over s+1..t)

`forward_scan` computes log_sum by combining neighbours, then pairs of neighbours and so on (log2 T rounds).
The candidate is positive, so it lives in logarithms; h_start stays outside, and may be negative.

weights = (W [2H, I], b_i [2H]), rows z, n; b_i may be None = zeros. state = (h [B, H],).
gates [B, T, 2, H] are z, n. Wrong shapes, dtypes or lengths raise `congru.errors.CongruError`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from congru.reference import sequence
from congru.reference.activations import g, log_g, log_sigmoid, sigmoid
from congru.reference.arguments import Array, Cell, Gradients, HReset, State, Weights, blocks

CELL = Cell("mingru", gates=("z", "n"), states=("h",), weights=("W", "b_i"))


def step(x: npt.ArrayLike, state: Any, weights: Any) -> tuple[State, Array]:
    """Return the new state (h',) and the gates [B, 2, H] of one step on x [B, I].

    >>> (h,), gates = step(np.ones((1, 1)), None, (np.ones((2, 1)), None))
    >>> gates.round(3).tolist(), h.round(3).tolist()
    ([[[0.731], [1.5]]], [[0.403]])
    """
    x, (h,), weights = sequence.check_step(CELL, x, state, weights)
    (W_z, W_n), (b_z, b_n) = blocks(CELL, weights)
    z = sigmoid(x @ W_z.T + b_z)
    n = g(x @ W_n.T + b_n)
    h_new = (1 - z) * n + z * h
    return (h_new,), np.stack([z, n], axis=1)


def step_backward(
    dstate: State, x: Array, state: State, weights: Weights, gates: Array
) -> tuple[Array, State, Weights]:
    """Return (dx, (dh,), dweights) of one step; da_z, da_n are the gradients of what sigmoid and g act on."""
    (dh_new,), (h,), (z, n) = dstate, state, np.moveaxis(gates, 1, 0)
    (W_z, W_n), _ = blocks(CELL, weights)
    dz = dh_new * (h - n)
    dn = dh_new * (1 - z)
    da_z = dz * z * (1 - z)
    da_n = dn * np.where(n >= 0.5, 1.0, n * (1 - n))
    dx = da_z @ W_z + da_n @ W_n
    dh = dh_new * z
    da = np.concatenate([da_z, da_n], axis=1)
    return dx, (dh,), (da.T @ x, da.sum(axis=0))


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
    """Return y [B, T, H], the final state (h,) and gates [B, T, 2, H] for x [B, T, I].

    lengths [B] (int), reset [B, T] (bool), h_reset [H] and reverse: see `congru.reference.sequence`.

    >>> y, (h,), gates = forward(np.zeros((2, 5, 3)), None, (np.ones((8, 3)), None))
    >>> y.shape, h.shape, gates.shape
    ((2, 5, 4), (2, 4), (2, 5, 2, 4))
    """
    plan = sequence.plan(CELL, x, state, weights, lengths, reset, h_reset, reverse)
    return sequence.run(CELL, step, plan)[:3]


def forward_scan(
    x: npt.ArrayLike,
    state: Any,
    weights: Any,
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: HReset = None,
    reverse: bool = False,
) -> tuple[Array, State, Array]:
    """Return what `forward` returns, from the same arguments, by a log-space scan over all steps at once."""
    p = sequence.plan(CELL, x, state, weights, lengths, reset, h_reset, reverse)
    (W_z, W_n), (b_z, b_n) = blocks(CELL, p.weights)
    a_z = p.x @ W_z.T + b_z
    a_n = p.x @ W_n.T + b_n
    gates = np.where(p.valid[:, :, None, None], np.stack([sigmoid(a_z), g(a_n)], axis=2), 0.0)
    # Padding keeps the state: z = 1 and nothing written.
    valid, is_first = (flags[:, p.order, None] for flags in (p.valid, p.is_first))
    log_z = np.where(valid, log_sigmoid(a_z)[:, p.order], 0.0)
    log_b = np.where(valid, (log_sigmoid(-a_z) + log_g(a_n))[:, p.order], -np.inf)
    log_sum = _log_scan(np.where(is_first, -np.inf, log_z), log_b)
    # The segment's start: the last step that is the first of a sequence, at or before t, or the state handed in.
    begins = np.maximum.accumulate(np.where(is_first, np.arange(len(p.order))[:, None], 0), axis=1)
    total = np.concatenate([np.zeros_like(log_z[:, :1]), np.cumsum(log_z, axis=1)], axis=1)
    log_decay = total[:, 1:] - np.take_along_axis(total, begins, axis=1)
    h_start = np.where(np.logical_or.accumulate(is_first, axis=1), p.start[0], p.state[0][:, None])
    h = np.exp(log_decay) * h_start + np.exp(log_sum)
    final = h[:, -1] if p.order else p.state[0]
    y = np.where(p.valid[:, :, None], h[:, p.order], 0.0)  # a reversed order is its own inverse
    return y, (final,), gates


def _log_scan(log_a: Array, log_b: Array) -> Array:
    """Return log s of s[t] = a[t] s[t-1] + b[t], s[-1] = 0, along axis 1, doubling the reach each round."""
    reach = 1
    while reach < log_a.shape[1]:
        earlier_a, earlier_b = log_a[:, :-reach], log_b[:, :-reach]
        later_a, later_b = log_a[:, reach:], log_b[:, reach:]
        with np.errstate(invalid="ignore"):  # NaN goes through without a warning, as in `forward`
            combined = np.logaddexp(later_a + earlier_b, later_b)
        log_b = np.concatenate([log_b[:, :reach], combined], axis=1)
        log_a = np.concatenate([log_a[:, :reach], later_a + earlier_a], axis=1)
        reach *= 2
    return log_b


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
