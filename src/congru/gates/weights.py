"""The weights of one layer in one direction as the analyses read them: checked, and recurrent weights dense.

Heads store their recurrent weights as blocks [G*H, H/num_heads]; here they are the matrix [G*H, H] that the blocks
stand for (`congru.reference.options.dense`), so that no analysis needs to know of heads.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.errors import ShapeError, check_shape
from congru.gates.form import GATES, Form, as_form
from congru.reference.options import check_heads, dense

Array: TypeAlias = npt.NDArray[np.floating[Any]]


NOTHING: Array = np.zeros(0, np.float32)


class Weights(NamedTuple):
    """W [G*H, I], U [G*H, H] (None for minGRU), b_i and b_h [G*H] (zeros where the layer has no bias).

    g_i and g_h [G*H], g_c and b_c [H] are the gains and the bias of layer norm, of size 0 where the form has none.
    """

    W: Array
    U: Array | None
    b_i: Array
    b_h: Array
    g_i: Array = NOTHING
    g_h: Array = NOTHING
    g_c: Array = NOTHING
    b_c: Array = NOTHING

    def wide(self) -> Weights:
        """The same in float64."""
        return Weights(*(None if part is None else part.astype(np.float64) for part in self))  # type: ignore[arg-type]


def hidden_size(cell: str, W: Array) -> int:
    """H: the rows of W over the number of gates."""
    return int(W.shape[0]) // len(GATES[cell])


def as_weights(cell: str | Form, weights: Any, dtype: npt.DTypeLike) -> Weights:
    """Return the weight tuple of a form in `dtype`, its shapes checked against each other.

    weights: (W, U, b_i, b_h), for minGRU (W, b_i), with layer norm its gains behind them in the order of
    `congru.reference.option_equations`; or `Weights`, which are converted only. A bias may be None.

    >>> as_weights("gru", (np.ones((6, 1)), np.ones((6, 3)), None, None), float)
    Traceback (most recent call last):
    congru.errors.ShapeError: U has shape (6, 3), expected [3H, H] = (6, 2): H is the rows of W over the gates
    """
    form = as_form(cell)
    if isinstance(weights, Weights):
        return Weights(*(None if part is None else part.astype(dtype) for part in weights))  # type: ignore[arg-type]
    names = ("W", "b_i") if form.cell == "mingru" else ("W", "U", "b_i", "b_h", *form.gains)
    parts = [None if part is None else np.asarray(part, dtype) for part in weights]
    if len(parts) != len(names) or parts[0] is None or parts[0].ndim != 2:
        raise ShapeError(
            f"weights has {len(parts)} parts, expected {len(names)} for {form.cell}: pass ({', '.join(names)})"
        )
    by_name = dict(zip(names, parts))
    W = parts[0]
    num_gates, rows = len(form.gates), W.shape[0]
    num_hidden = rows // num_gates
    if rows % num_gates or rows == 0:
        raise ShapeError(
            f"W has {rows} rows, expected a multiple of {num_gates}: {form.cell} has {num_gates} blocks"
        )
    U = None if form.cell == "mingru" else _recurrent(form, by_name["U"], num_gates, num_hidden)
    for name in ("b_i", "b_h"):
        bias = by_name.get(name)
        if bias is None:
            by_name[name] = np.zeros(rows, dtype)
        else:
            check_shape(name, bias, f"[{num_gates}H]", (rows,), "pass None for no bias")
    for name in form.gains:
        gain = by_name[name]
        if gain is None and name != "b_c":
            raise ShapeError(f"{name} is None, expected the gain of layer norm: pass ones for the norm alone")
        axes, size = ("[H]", num_hidden) if name.endswith("_c") else (f"[{num_gates}H]", rows)
        by_name[name] = gain = np.zeros(size, dtype) if gain is None else gain
        check_shape(name, gain, axes, (size,), "pass ones for the norm alone")
    return Weights(**{**by_name, "W": W, "U": U})  # type: ignore[arg-type]


def _recurrent(form: Form, U: Array | None, num_gates: int, num_hidden: int) -> Array:
    """U [G*H, H], checked, the blocks of heads put into their places."""
    if U is None:
        raise ShapeError("U is None, expected [G*H, H]: pass the recurrent weights")
    check_heads(form.num_heads, num_hidden)
    sizes = (num_gates * num_hidden, num_hidden // form.num_heads)
    axes = "H" if form.num_heads == 1 else "H/num_heads"
    check_shape("U", U, f"[{num_gates}H, {axes}]", sizes, "H is the rows of W over the gates")
    return (
        U if form.num_heads == 1 else dense(U.astype(np.float64), num_gates, form.num_heads).astype(U.dtype)
    )
