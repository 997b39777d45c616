"""The cells over time with their options: layer norm, heads, zoneout, recurrent dropout.

The equations of a step stand in `congru.reference.option_equations`. Here: what a call must look like, heads as the
dense matrix they stand for, and zoneout around any cell,

    h' = d * h + (1 - d) * h~          and so for c          (Krueger et al. 2016, arXiv 1606.01305)

Zoneout's rows d ride beside x, so that the loop over time, `congru.reference.sequence`, hands them to their step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from congru.errors import SettingsError, ShapeError, check_shape
from congru.reference import sequence
from congru.reference.arguments import Array, Cell, Gradients, HReset, State, Weights, as_float64
from congru.reference.option_equations import BACKWARD, CELLS, FORWARD, PLAIN, Form, Named, gain_names, named


def check_heads(num_heads: int, num_hidden: int) -> None:
    """Raise `SettingsError` unless num_heads is a whole number that divides H."""
    whole = isinstance(num_heads, int) and not isinstance(num_heads, bool)
    if not whole or num_heads < 1 or num_hidden % num_heads:
        raise SettingsError(
            f"num_heads is {num_heads!r}, expected a divisor of H = {num_hidden}: each head has H / num_heads units"
        )


def dense(U: Array, num_gates: int, num_heads: int) -> Array:
    """Block-diagonal recurrent weights [G*H, H/num_heads] as the matrix [G*H, H] they stand for.

    >>> dense(np.ones((4, 2)), 1, 2).tolist()
    [[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
    """
    size = U.shape[1]
    whole = np.zeros((num_gates, num_heads, size, num_heads, size))
    for head in range(num_heads):
        whole[:, head, :, head] = U.reshape(num_gates, num_heads, size, size)[:, head]
    return whole.reshape(len(U), num_heads * size)


def diagonal_blocks(U: Array, num_gates: int, num_heads: int) -> Array:
    """The blocks [G*H, H/num_heads] of a matrix [G*H, H]; what stands outside them is dropped."""
    size = U.shape[1] // num_heads
    blocks = U.reshape(num_gates, num_heads, size, num_heads, size)
    return np.stack([blocks[:, head, :, head] for head in range(num_heads)], axis=1).reshape(len(U), size)


def step(
    x: Array, state: State, weights: Weights, *, form: Form, recurrent_mask: Array | None = None
) -> tuple[State, Array]:
    """Return the new state and the gates [B, G, H] of one step.

    x [B, I + k*H] is the input with zoneout's row for each part of the state beside it (k = 0: no zoneout).
    """
    w = named(form, weights)
    x, zones = _split_zones(x, w)
    seen = state[0] if recurrent_mask is None else recurrent_mask * state[0]
    new, gates = FORWARD[form.cell](x, seen, state, w, form)
    if zones:
        new = tuple(d * old + (1 - d) * part for d, old, part in zip(zones, state, new))
    return new, np.stack(gates, axis=1)


def step_backward(
    dstate: State,
    x: Array,
    state: State,
    weights: Weights,
    gates: Array,
    *,
    form: Form,
    recurrent_mask: Array | None = None,
) -> tuple[Array, State, Weights]:
    """Return (dx, dstate_prev, dweights) of one step; zoneout itself has no gradient, 0 in dx."""
    w = named(form, weights)
    whole, (x, zones) = x, _split_zones(x, w)
    seen = state[0] if recurrent_mask is None else recurrent_mask * state[0]
    dkept = tuple(d * part for d, part in zip(zones, dstate)) or tuple(np.zeros_like(part) for part in state)
    dnew = tuple((1 - d) * part for d, part in zip(zones, dstate)) or dstate
    dw = {name: None if part is None else np.zeros_like(part) for name, part in w.items()}
    dx, dseen, dold = BACKWARD[form.cell](dnew, x, seen, state, w, dw, np.moveaxis(gates, 1, 0), form)
    dold = tuple(a + b for a, b in zip(dold, dkept))
    dh = dold[0] + (dseen if recurrent_mask is None else recurrent_mask * dseen)
    dx = np.concatenate([dx, np.zeros((len(x), whole.shape[1] - x.shape[1]))], axis=1)
    return dx, (dh, *dold[1:]), tuple(dw.values())


def forward(
    cell: str,
    x: npt.ArrayLike,
    state: Any,
    weights: Sequence[Any],
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: HReset = None,
    reverse: bool = False,
    reset_before: bool = False,
    layer_norm: bool | str = False,
    num_heads: int = 1,
    zoneout: npt.ArrayLike | tuple[npt.ArrayLike, ...] | None = None,
    recurrent_mask: npt.ArrayLike | None = None,
) -> tuple[Array, State, Array]:
    """Return y [B, T, H], the final state and gates [B, T, G, H] of "gru", "lstm" or "rnn" with options.

    zoneout [B, T, H] (for the LSTM a pair, for h and c), recurrent_mask [B, H]; all else as in the cell's own
    `forward`. Raises `CongruError` for a wrong argument.

    >>> weights = np.ones((6, 3)), np.ones((6, 2)), None, None, np.ones(6), np.ones(6)
    >>> y, (h,), gates = forward("gru", np.ones((1, 4, 3)), None, weights, layer_norm=True)
    >>> y.round(3).tolist()
    [[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]]
    """
    form = Form(cell, reset_before, layer_norm, num_heads)
    plan, mask = _plan(
        form, x, state, weights, lengths, reset, h_reset, reverse, _parts(zoneout), recurrent_mask
    )
    return sequence.run(CELLS[cell], partial(step, form=form, recurrent_mask=mask), plan)[:3]


def backward(
    cell: str,
    dy: npt.ArrayLike,
    dstate: Any,
    x: npt.ArrayLike,
    state: Any,
    weights: Sequence[Any],
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: HReset = None,
    reverse: bool = False,
    reset_before: bool = False,
    layer_norm: bool | str = False,
    num_heads: int = 1,
    zoneout: npt.ArrayLike | tuple[npt.ArrayLike, ...] | None = None,
    recurrent_mask: npt.ArrayLike | None = None,
) -> Gradients:
    """Return the gradients of sum(dy * y) + sum(dstate * final state) by every input and weight.

    The arguments are those of `forward`, which is run again; the masks have no gradient.
    """
    form = Form(cell, reset_before, layer_norm, num_heads)
    plan, mask = _plan(
        form, x, state, weights, lengths, reset, h_reset, reverse, _parts(zoneout), recurrent_mask
    )
    grads = sequence.run_backward(
        CELLS[cell],
        partial(step, form=form, recurrent_mask=mask),
        partial(step_backward, form=form, recurrent_mask=mask),
        dy,
        dstate,
        plan,
        h_reset,
    )
    dW, dU, *rest = grads.dweights
    assert dW is not None
    assert dU is not None
    dU = diagonal_blocks(dU, len(CELLS[cell].gates), num_heads)
    return grads._replace(dx=grads.dx[:, :, : dW.shape[1]], dweights=(dW, dU, *rest))


def _parts(zoneout: Any) -> tuple[Any, ...]:
    return () if zoneout is None else zoneout if isinstance(zoneout, tuple) else (zoneout,)


def _split_zones(x: Array, w: Named) -> tuple[Array, tuple[Array, ...]]:
    """x [B, I] and the rows of zoneout [B, H] beside it."""
    W, U = w["W"], w["U"]
    assert W is not None
    assert U is not None
    (I, H) = W.shape[1], U.shape[1]
    return x[:, :I], tuple(x[:, k : k + H] for k in range(I, x.shape[1], H))


def _plan(
    form: Form,
    x: npt.ArrayLike,
    state: Any,
    weights: Sequence[Any],
    lengths: npt.ArrayLike | None,
    reset: npt.ArrayLike | None,
    h_reset: HReset,
    reverse: bool,
    zones: tuple[Any, ...],
    recurrent_mask: npt.ArrayLike | None,
) -> tuple[sequence.Plan, Array | None]:
    """Check the arguments and lay out the steps: U dense, zoneout beside x; and recurrent_mask."""
    cell = _check_cell(form.cell)
    more = gain_names(form.cell, form.layer_norm, form.reset_before, form.num_heads)
    names = (*PLAIN, *more)
    if len(weights) != len(names):
        raise ShapeError(
            f"weights has {len(weights)} parts, expected {len(names)} for {form.cell}: pass ({', '.join(names)})"
        )
    U, num_gates = as_float64("U", weights[1]), len(cell.gates)
    num_hidden = len(U) // num_gates
    check_heads(form.num_heads, num_hidden)
    sizes = (num_gates * num_hidden, num_hidden // form.num_heads)
    check_shape("U", U, f"[{num_gates}H, H/num_heads]", sizes, "one block of columns for each head")
    plain = (weights[0], dense(U, num_gates, form.num_heads), *weights[2:4])
    plan = sequence.plan(cell, x, state, plain, lengths, reset, h_reset, reverse)
    gains: list[Array | None] = []
    for name, part in zip(more, weights[4:]):
        if part is None and name == "b_c":
            gains.append(None)
            continue
        axes, rows = (
            ("[H]", num_hidden) if name.endswith("_c") else (f"[{num_gates}H]", num_gates * num_hidden)
        )
        gain = as_float64(name, part)
        check_shape(name, gain, axes, (rows,), "pass ones for the norm alone")
        gains.append(gain)
    B, T, _ = plan.x.shape
    if zones and len(zones) != len(cell.states):
        raise ShapeError(
            f"zoneout has {len(zones)} parts, expected {len(cell.states)} for {form.cell}: "
            f"pass one for each of {', '.join(cell.states)}"
        )
    beside = [as_float64("zoneout", part) for part in zones]
    for part in beside:
        check_shape("zoneout", part, "[B, T, H]", (B, T, num_hidden), "one share to keep for each new state")
    mask = None if recurrent_mask is None else as_float64("recurrent_mask", recurrent_mask)
    if mask is not None:
        check_shape("recurrent_mask", mask, "[B, H]", (B, num_hidden), "one row for all steps")
    whole = np.concatenate(
        [plan.x, *(np.where(plan.valid[:, :, None], part, 0.0) for part in beside)], axis=2
    )
    return plan._replace(x=whole, weights=(*plan.weights, *gains)), mask


def _check_cell(cell: str) -> Cell:
    if cell not in CELLS:
        raise SettingsError(
            f"cell is {cell!r}, expected one of {', '.join(CELLS)}: the others have no options"
        )
    return CELLS[cell]
