"""The reference in the form of a backend: NumPy arrays in, float64 inside, the dtype of x out."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.kernels.call import Call, Sequence
from congru.reference import options
from congru.reference.stack import CELLS

Array: TypeAlias = npt.NDArray[Any]
State: TypeAlias = tuple[Array, ...]
Weights: TypeAlias = tuple[Array | None, ...]

OPTIONS = ("layer_norm=True", "layer_norm='dreamer'", "zoneout", "recurrent_mask")


def supports(call: Call) -> str | None:
    """NumPy arrays, every cell but the relu RNN."""
    if call.library != "numpy":
        return "it computes with NumPy arrays and has no gradients for torch"
    if call.cell not in CELLS:
        return f"it has no {call.cell}"
    return None


def sequence(call: Sequence) -> tuple[Array, State, Array | None]:
    """Run a call, see `congru.ops.sequence`."""
    x, state, weights = call.x, call.state, call.weights
    form: dict[str, Any] = {"reset_before": call.reset_before} if call.cell == "gru" else {}
    form |= {"lengths": call.lengths, "reset": call.reset, "h_reset": call.h_reset, "reverse": call.reverse}
    if call.options.changed():
        y, final, gates = options.forward(call.cell, x, state, weights, **form, **call.options.changed())
    else:
        y, final, gates = CELLS[call.cell].forward(x, state, weights, **form)
    dtype = x.dtype
    return y.astype(dtype), _cast(final, dtype), gates.astype(dtype) if call.return_gates else None


def step(cell: str, x: Array, state: State | None, weights: Weights, *, reset_before: bool = False) -> State:
    """One step on x [B, I]; see `congru.ops.step`."""
    form = {"reset_before": reset_before} if cell == "gru" else {}
    new, _ = CELLS[cell].step(x, state, weights, **form)
    return _cast(new, x.dtype)


def _cast(state: State, dtype: np.dtype[Any]) -> State:
    return tuple(part.astype(dtype) for part in state)
