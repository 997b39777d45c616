"""The C core (core/congru.h) as a backend: GRU in both reset forms, LSTM and tanh RNN on the CPU, float32 and float64.

NumPy arrays run here; torch tensors in :mod:`congru.kernels.native_torch`, which is imported only for them. Weights that are
packed once, and steps of about a microsecond, are in :mod:`congru.kernels.packed`. float32 results are the same bits for any
batch size, chunking and number of threads.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from congru.kernels.binding import CODES, DTYPES, WEIGHT_DTYPES, extension, missing
from congru.kernels.call import Call, Sequence
from congru.kernels.cells import CELLS, Array, State, Weights, is_tensor
from congru.kernels.rounding import rounded
from congru.reference.option_equations import gain_names

OPTIONS = ("layer_norm=True", "layer_norm='dreamer'", "zoneout", "recurrent_mask")


def supports(call: Call) -> str | None:
    """CPU, float32 or float64 (under autocast also what autocast computes in), every cell but minGRU and the relu RNN."""
    reason = missing()
    if reason is not None:
        return reason
    if (call.cell, call.reset_before) not in CODES:
        return f"it has no {call.cell}"
    if call.weight_dtype and any(option.startswith("layer_norm") for option in call.options):
        return "it has no bfloat16 weights with layer norm"
    if call.device != "cpu":
        return f"it computes on the CPU, not on {call.device}"
    if call.dtype not in DTYPES and not (call.library == "torch" and _autocast()):
        return f"it computes in float32 and float64, not {call.dtype}"
    return None


def declines(call: Call) -> str | None:
    """Why "auto" passes the core over although it can run this call."""
    if call.library == "torch" and _autocast():
        return "autocast asks for products in another dtype than float32"
    return None


def _autocast() -> bool:
    return bool(sys.modules["torch"].is_autocast_enabled("cpu"))


def sequence(call: Sequence) -> tuple[Array, State, Array | None]:
    """Run a call, see :func:`congru.ops.sequence`."""
    if call.options.weight_dtype and not str(call.x.dtype).endswith("float32"):
        weights = rounded(call.cell, call.weights)
        call = call._replace(weights=weights, options=call.options._replace(weight_dtype=None))
    if not is_tensor(call.x):
        return _numpy_sequence(call)
    from congru.kernels import native_torch  # torch is loaded only where a tensor came in

    return native_torch.sequence(call)


def step(cell: str, x: Array, state: State | None, weights: Weights, *, reset_before: bool = False) -> State:
    """One step ``x [B, I]``; see :func:`congru.ops.step`. The weights are packed in every call: see `congru.kernels.packed`."""
    return sequence(Sequence(cell, x[:, None], state, weights, reset_before=reset_before))[1]


def _contiguous(array: Array | None, dtype: Any) -> Any:
    return None if array is None else np.ascontiguousarray(array, dtype)


def _addresses(**arrays: Array | None) -> dict[str, int]:
    return {name: array.ctypes.data for name, array in arrays.items() if array is not None}


def _numpy_sequence(call: Sequence) -> tuple[Array, State, Array | None]:
    cell, x, options = call.cell, call.x, call.options
    dtype, size = x.dtype, x.dtype.itemsize
    if x.strides[2] != size or x.strides[0] % size or x.strides[1] % size or not x.flags.aligned:
        x = np.ascontiguousarray(x)
    G = len(CELLS[cell].gates)
    W, U, b_i, b_h, *gains = (_contiguous(part, dtype) for part in call.weights)
    (B, T, I), H = x.shape, U.shape[1]
    start = [_contiguous(part, dtype) for part in call.state or ()] + [None, None]
    begin = [_contiguous(part, dtype) for part in call.h_reset or ()] + [None, None]
    y = np.empty((B, T, H), dtype)
    final = tuple(np.empty((B, H), dtype) for _ in CELLS[cell].states)
    gates = np.empty((B, T, G, H), dtype) if call.return_gates else None
    lengths = _contiguous(call.lengths, np.int64)
    reset = _contiguous(call.reset, np.bool_)
    zoneout = [_contiguous(part, dtype) for part in options.zoneout or ()]
    mask = _contiguous(options.recurrent_mask, dtype)
    extension().forward(
        cell=CODES[cell, call.reset_before],
        dtype=DTYPES[str(dtype)],
        weight_dtype=WEIGHT_DTYPES[options.weight_dtype],
        reverse=int(call.reverse),
        **dict(zip("BTIH", (B, T, I, H))),
        x_batch=x.strides[0] // size,
        x_time=x.strides[1] // size,
        y_batch=T * H,
        y_time=H,
        gates_batch=T * G * H,
        gates_time=G * H,
        zoneout_batch=T * H,
        zoneout_time=H,
        **_addresses(x=x, W=W, U=U, b_i=b_i, b_h=b_h, h0=start[0], c0=start[1], lengths=lengths, reset=reset),
        **_addresses(h_mask=mask, **dict(zip(("zoneout", "zoneout_c"), zoneout))),
        **_addresses(**dict(zip(gain_names(cell, options.layer_norm, call.reset_before), gains))),
        **_addresses(h_reset=begin[0], c_reset=begin[1], y=y, h=final[0], gates=gates),
        **(_addresses(c=final[1]) if len(final) == 2 else {}),
    )
    return y, final, gates
