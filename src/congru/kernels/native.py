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
from congru.kernels.call import CELLS, Array, Call, State, Weights, is_tensor
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
    recompute: bool = False,
    weight_dtype: str | None = None,
    **given: Any,
) -> tuple[Array, State, Array | None]:
    """Run ``x [B, T, I]`` through one layer in one direction; see :func:`congru.ops.sequence`."""
    if weight_dtype and not str(x.dtype).endswith("float32"):
        weights, weight_dtype = rounded(cell, weights), None
    arguments = (cell, x, state, weights, lengths, reset, h_reset, reverse, reset_before, return_gates)
    if not is_tensor(x):
        return _numpy_sequence(*arguments, weight_dtype, **given)
    from congru.kernels import native_torch  # torch is loaded only where a tensor came in

    return native_torch.sequence(*arguments, recompute, weight_dtype, **given)


def step(cell: str, x: Array, state: State | None, weights: Weights, *, reset_before: bool = False) -> State:
    """One step ``x [B, I]``; see :func:`congru.ops.step`. The weights are packed in every call: see `congru.kernels.packed`."""
    return sequence(cell, x[:, None], state, weights, reset_before=reset_before)[1]


def _contiguous(array: Array | None, dtype: Any) -> Any:
    return None if array is None else np.ascontiguousarray(array, dtype)


def _addresses(**arrays: Array | None) -> dict[str, int]:
    return {name: array.ctypes.data for name, array in arrays.items() if array is not None}


def _numpy_sequence(
    cell: str,
    x: Array,
    state: State | None,
    weights: Weights,
    lengths: Array | None,
    reset: Array | None,
    h_reset: State | None,
    reverse: bool,
    reset_before: bool,
    return_gates: bool,
    weight_dtype: str | None,
    layer_norm: bool | str = False,
    zoneout: State | None = None,
    recurrent_mask: Array | None = None,
) -> tuple[Array, State, Array | None]:
    dtype, size = x.dtype, x.dtype.itemsize
    if x.strides[2] != size or x.strides[0] % size or x.strides[1] % size or not x.flags.aligned:
        x = np.ascontiguousarray(x)
    G = len(CELLS[cell].gates)
    W, U, b_i, b_h, *gains = (_contiguous(part, dtype) for part in weights)
    (B, T, I), H = x.shape, U.shape[1]
    start = [_contiguous(part, dtype) for part in state or ()] + [None, None]
    begin = [_contiguous(part, dtype) for part in h_reset or ()] + [None, None]
    y = np.empty((B, T, H), dtype)
    final = tuple(np.empty((B, H), dtype) for _ in CELLS[cell].states)
    gates = np.empty((B, T, G, H), dtype) if return_gates else None
    counts = _contiguous(lengths, np.int64)
    flags = _contiguous(reset, np.bool_)
    zones = [_contiguous(part, dtype) for part in zoneout or ()]
    mask = _contiguous(recurrent_mask, dtype)
    extension().forward(
        cell=CODES[cell, reset_before],
        dtype=DTYPES[str(dtype)],
        weight_dtype=WEIGHT_DTYPES[weight_dtype],
        reverse=int(reverse),
        **dict(zip("BTIH", (B, T, I, H))),
        x_batch=x.strides[0] // size,
        x_time=x.strides[1] // size,
        y_batch=T * H,
        y_time=H,
        gates_batch=T * G * H,
        gates_time=G * H,
        zoneout_batch=T * H,
        zoneout_time=H,
        **_addresses(x=x, W=W, U=U, b_i=b_i, b_h=b_h, h0=start[0], c0=start[1], lengths=counts, reset=flags),
        **_addresses(h_mask=mask, **dict(zip(("zoneout", "zoneout_c"), zones))),
        **_addresses(**dict(zip(gain_names(cell, layer_norm, reset_before), gains))),
        **_addresses(h_reset=begin[0], c_reset=begin[1], y=y, h=final[0], gates=gates),
        **(_addresses(c=final[1]) if len(final) == 2 else {}),
    )
    return y, final, gates
