"""The reference in the form of a backend: NumPy arrays in, float64 inside, the dtype of x out."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.kernels.call import Call
from congru.reference import gru, lstm, mingru, options, rnn

Array: TypeAlias = npt.NDArray[Any]
State: TypeAlias = tuple[Array, ...]
Weights: TypeAlias = tuple[Array | None, ...]

_CELLS: dict[str, Any] = {"gru": gru, "lstm": lstm, "rnn": rnn, "mingru": mingru}


OPTIONS = ("layer_norm=True", "layer_norm='dreamer'", "zoneout", "recurrent_mask")


def supports(call: Call) -> str | None:
    """NumPy arrays, every cell but the relu RNN."""
    if call.library != "numpy":
        return "it computes with NumPy arrays and has no gradients for torch"
    if call.cell not in _CELLS:
        return f"it has no {call.cell}"
    return None


def sequence(
    cell: str,
    x: Array,
    state: State | None,
    weights: Weights,
    *,
    lengths: Array | None = None,
    reset: Array | None = None,
    h_reset: State | None = None,
    reverse: bool = False,
    reset_before: bool = False,
    return_gates: bool = False,
    **given: Any,
) -> tuple[Array, State, Array | None]:
    """Run x [B, T, I] through one layer in one direction; see `congru.ops.sequence`."""
    form: dict[str, Any] = {"reset_before": reset_before} if cell == "gru" else {}
    form |= {"lengths": lengths, "reset": reset, "h_reset": h_reset, "reverse": reverse}
    if given:
        y, final, gates = options.forward(cell, x, state, weights, **form, **given)
    else:
        y, final, gates = _CELLS[cell].forward(x, state, weights, **form)
    dtype = x.dtype
    return y.astype(dtype), _cast(final, dtype), gates.astype(dtype) if return_gates else None


def step(cell: str, x: Array, state: State | None, weights: Weights, *, reset_before: bool = False) -> State:
    """One step on x [B, I]; see `congru.ops.step`."""
    form = {"reset_before": reset_before} if cell == "gru" else {}
    new, _ = _CELLS[cell].step(x, state, weights, **form)
    return _cast(new, x.dtype)


def _cast(state: State, dtype: np.dtype[Any]) -> State:
    return tuple(part.astype(dtype) for part in state)
