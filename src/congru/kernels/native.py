"""The C core (core/congru.h) as a backend: GRU in both reset forms, LSTM and tanh RNN on the CPU, float32 and float64.

NumPy arrays run here; torch tensors in :mod:`congru.kernels.native_torch`, which is imported only for them. Weights that are
packed once, and steps of about a microsecond, are in :mod:`congru.kernels.packed`. float32 results are the same bits for any
batch size, chunking and number of threads.

The environment variable ``CONGRU_ISA`` names the instruction set (``avx512``, ``avx2``, ``baseline``), for tests.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import Any

import numpy as np

from congru.errors import BackendError, SettingsError
from congru.kernels.call import CELLS, Array, Call, State, Weights, is_tensor
from congru.kernels.rounding import rounded
from congru.reference.option_equations import gain_names

# (cell, reset before) -> congru_cell in core/congru.h.
CODES = {("gru", False): 0, ("gru", True): 1, ("lstm", False): 2, ("rnn", False): 3}
OPTIONS = ("layer_norm=True", "layer_norm='dreamer'", "zoneout", "recurrent_mask")
DTYPES = {"float32": 0, "float64": 1}
WEIGHT_DTYPES = {None: 0, "bfloat16": 1}
# Where both are fewer, packing the weights costs more than it saves: steps, and rows of all steps, without a gradient and with
# one. Measured by bench/few_steps.py.
MIN_STEPS = {False: 4, True: 2}
MIN_ROWS = {False: 32, True: 16}
_FEW_STEPS = {
    gradient: f"packing the weights pays from {MIN_STEPS[gradient]} steps or {MIN_ROWS[gradient]} rows"
    for gradient in (False, True)
}


def _default_threads() -> int:
    """OMP_NUM_THREADS, as every numerical library reads it, else the cores this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) > 0 else len(os.sched_getaffinity(0))


def _load() -> tuple[ModuleType | None, str | None]:
    """The extension, or None and the reason, as one clause with its fix."""
    try:
        core = importlib.import_module("congru.kernels._core")
    except ModuleNotFoundError:
        return (
            None,
            "the C core is not built: run pip install . in a source tree, with a C compiler and CMake",
        )
    if core.isa() is None:
        known = ", ".join(core.isas())
        return None, f"CONGRU_ISA is {os.environ['CONGRU_ISA']!r}, expected one of {known}: unset it"
    core.set_threads(_default_threads())
    return core, None


# Once, and here: a compiled graph cannot trace an import.
_CORE, _REASON = _load()


def extension() -> ModuleType:
    """The extension module ``congru.kernels._core``; raises `BackendError` with the reason where it cannot be used."""
    if _CORE is None:
        raise BackendError(f"backend is 'native', expected one that can run here: {_REASON}")
    return _CORE


def is_available() -> bool:
    """Whether the core can be used here."""
    return _CORE is not None


def about() -> str:
    """What the core runs on here, or why it cannot be used and the fix, as one line."""
    if _CORE is None:
        return f"C core: not used, {_REASON}; saved models run on NumPy"
    return f"C core: {_CORE.isa()} (of {', '.join(_CORE.isas())}), {_CORE.get_threads()} threads"


def set_threads(threads: int) -> None:
    """Threads of later calls on NumPy arrays (torch tensors follow ``torch.set_num_threads``); `threads` >= 1."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise SettingsError(f"threads is {threads!r}, expected a whole number from 1: pass 1 for no helpers")
    extension().set_threads(threads)


def supports(call: Call) -> str | None:
    """CPU, float32 or float64 (under autocast also what autocast computes in), every cell but minGRU and the relu RNN."""
    if _CORE is None:
        return _REASON
    if (call.cell, call.reset_before) not in CODES:
        return f"it has no {call.cell}"
    if call.weight_dtype and any(option.startswith("layer_norm") for option in call.options):
        return "it has no bfloat16 weights with layer norm"
    if call.device != "cpu":
        return f"it computes on the CPU, not on {call.device}"
    if call.dtype not in DTYPES and not (call.library == "torch" and _autocast()):
        return f"it computes in float32 and float64, not {call.dtype}"
    return None


def yields(call: Call) -> str | None:
    """Why "auto" passes the core over although it can run this call."""
    if call.library == "numpy":
        return None
    if _is_short(call):
        return _FEW_STEPS[call.gradient]
    if _autocast():
        return "autocast asks for products in another dtype than float32"
    return None


def _is_short(call: Call) -> bool:
    """Whether the kernels of PyTorch can run this call, and win."""
    if call.steps is None:
        return True
    if call.steps >= MIN_STEPS[call.gradient]:
        return False
    beyond = call.lengths or call.reset or call.options or call.reset_before or call.recompute
    return not beyond and call.batch * call.steps < MIN_ROWS[call.gradient]


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
