"""The C core (core/congru.h) as a backend: GRU in both reset forms, LSTM and tanh RNN on the CPU, float32 and float64.

NumPy arrays run here; torch tensors in :mod:`congru.kernels.native_torch`, which is imported only for them. Weights that are
packed once, and steps of about a microsecond, are in :mod:`congru.kernels.packed`. float32 results are the same bits for any
batch size, chunking and number of threads.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from congru.kernels.binding import CODES, DTYPES, TRACED, WEIGHT_DTYPES, aligned, extension, missing
from congru.kernels.call import Call, Sequence
from congru.kernels.cells import CELLS, Array, State, Weights, is_tensor
from congru.kernels.rounding import rounded
from congru.reference.option_equations import gain_names

# Under autocast another backend is faster in large calls, on processors that multiply bfloat16 faster than float32.
FASTER = {"gru": "bptt", "lstm": "aten"}
# Multiply-adds of a step from which it is. Measured with AVX-512 BF16 on two threads, where the gain is least (docs/LOG.md).
PAYS = {"gru": 1.2e7, "lstm": 1.7e7}
PAYS_IN_TILES = 2048  # LSTM: batch * hidden_size, measured on a Xeon with AMX
MIN_STEPS, MIN_BATCH = 4, 16

OPTIONS = ("layer_norm=True", "layer_norm='dreamer'", "zoneout", "recurrent_mask")


def supports(call: Call) -> str | None:
    """CPU, float32 or float64 (under autocast also what autocast computes in), every cell but minGRU and the relu RNN.

    The relu RNN is taken in traced graphs, where the loop of torch operations would hold T fast.
    """
    reason = missing()
    if reason is not None:
        return reason
    form = call.cell, call.reset_before
    if form not in CODES and not (form in TRACED and call.library == "torch" and _traced()):
        return f"it has no {call.cell}"
    if call.weight_dtype and any(option.startswith("layer_norm") for option in call.options):
        return "it has no bfloat16 weights with layer norm"
    if call.device != "cpu":
        return f"it computes on the CPU, not on {call.device}"
    if call.dtype not in DTYPES and not (call.library == "torch" and _autocast()):
        return f"it computes in float32 and float64, not {call.dtype}"
    return None


def declines(call: Call) -> str | None:
    """Why "auto" passes the core over although it can run this call: `FASTER` has products in bfloat16."""
    if call.library != "torch" or not _autocast() or call.cell not in FASTER:
        return None
    torch = sys.modules["torch"]
    if call.steps is None or call.steps < MIN_STEPS or torch.get_autocast_dtype("cpu") != torch.bfloat16:
        return None
    if call.batch < MIN_BATCH or not has_fast_bfloat16():
        return None
    num_weights = len(CELLS[call.cell].gates) * call.hidden_size * (call.input_size + call.hidden_size)
    pays = call.batch * num_weights >= PAYS[call.cell]
    if call.cell == "lstm" and torch.cpu._is_amx_tile_supported():
        pays = call.batch * call.hidden_size >= PAYS_IN_TILES
    if not pays:
        return None
    return f"autocast asks for products in bfloat16, which {FASTER[call.cell]!r} has faster at this size"


def has_fast_bfloat16() -> bool:
    """Whether torch multiplies matrices in bfloat16 faster than in float32 here: the processor has AMX or AVX-512 BF16, and torch
    is not held back from AVX-512 (ATEN_CPU_CAPABILITY).
    """
    torch = sys.modules["torch"]
    there = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return bool(there and torch.backends.cpu.get_cpu_capability() == "AVX512")


def _autocast() -> bool:
    return bool(sys.modules["torch"].is_autocast_enabled("cpu"))


def _traced() -> bool:
    torch = sys.modules["torch"]
    return bool(torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None)


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
    return None if array is None else aligned(array, dtype)


def _addresses(**arrays: Array | None) -> dict[str, int]:
    return {name: array.ctypes.data for name, array in arrays.items() if array is not None}


def _numpy_sequence(call: Sequence) -> tuple[Array, State, Array | None]:
    cell, x, options = call.cell, call.x, call.options
    dtype, size = x.dtype, x.dtype.itemsize
    if x.strides[2] != size or x.strides[0] % size or x.strides[1] % size or not x.flags.aligned:
        x = aligned(x, dtype)
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
