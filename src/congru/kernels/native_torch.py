"""The C core on torch tensors, with the derivatives of any other torch function.

First gradients come from the core; those beyond, and forward-mode ones, from the same equations in torch operations
(:mod:`congru.kernels.composite`). Tensors keep their layout: where x lies time first in memory, so do y and the gates.
Under autocast the core computes in float32, float64 in float64. Threads follow ``torch.set_num_threads``.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from congru.kernels import flops, native_rules, onnx_nodes
from congru.kernels.binding import CODES, TRACED, extension
from congru.kernels.call import Sequence
from congru.kernels.cells import State
from congru.kernels.native_equations import composite_call
from congru.kernels.native_ops import BFLOAT16, EXTRA, GATES, NORMS
from congru.kernels.rounding import rounded

native_rules.register()
flops.register()

_TEAM = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads", "omp_in_parallel")


def join_team() -> bool:
    """Let the core run on the threads of torch's OpenMP; False where torch has none, or it cannot be found.

    Those threads spin for a while after each operation of torch: threads of our own would share their cores with them.
    """
    folder = Path(torch.__file__).parent / "lib"
    libraries = [path for name in ("gomp", "iomp", "omp") for path in folder.glob(f"lib{name}*.so*")]
    if len(libraries) != 1:
        return False
    library = ctypes.CDLL(str(libraries[0]))  # the one torch has loaded: the same file is loaded once
    if not all(hasattr(library, name) for name in _TEAM):
        return False
    addresses = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _TEAM]
    extension().set_team(*addresses)
    return True


join_team()


def sequence(call: Sequence) -> tuple[Tensor, State, Tensor | None]:
    """Run a call, see :func:`congru.ops.sequence`.

    `recompute`: keep the states alone for the backward, and compute the gates again there.
    """
    cell, x, state, weights, lengths, reset, h_reset, reverse, reset_before = call[:9]
    return_gates, recompute, options = call.return_gates, call.recompute, call.options
    layer_norm, zoneout, weight_dtype = options.layer_norm, options.zoneout, options.weight_dtype
    if weight_dtype and not torch.compiler.is_compiling() and native_rules.forward_mode():
        weights = rounded(cell, weights)
    gains = (*weights[4:], *_NO_GAINS[len(weights) - 4 :])
    inputs: list[Any] = [x, *_pair(state), *weights[:4], *gains, *_pair(h_reset)]
    masks: list[Any] = [lengths, reset, options.recurrent_mask, *_pair(zoneout)]
    compiling = torch.compiler.is_compiling()
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.float64 if weights[0].dtype == torch.float64 else torch.float32  # type: ignore[union-attr]
        inputs = [None if part is None else part.to(dtype) for part in inputs]
        masks[2:] = [None if part is None else part.to(dtype) for part in masks[2:]]
    code = CODES.get((cell, reset_before), TRACED.get((cell, reset_before), -1))
    cell = "rnn" if cell == "rnn_relu" else cell  # it keeps what the tanh RNN keeps
    if not compiling and native_rules.forward_mode():
        with torch.autocast("cpu", enabled=False):
            return composite_call(code, reverse, (*inputs, *masks), return_gates)
    gradient = torch.is_grad_enabled() and (
        any(part is not None and part.requires_grad for part in inputs)
        # Of a mapped tensor vmap does not tell whether a transform around it wants a gradient.
        or (not compiling and torch._C._are_functorch_transforms_active())
    )
    keep = 0
    # What torch.jit.trace or an export to ONNX records is the same with and without gradients: its backward runs the forward.
    tracing = not compiling and torch._C._get_tracing_state() is not None
    traced = (compiling or tracing) and (onnx_nodes.exporting() or tracing)
    if (gradient and not traced) or return_gates:
        gates_apart = cell != "rnn" or zoneout is not None
        wanted = gradient and not traced
        keep = _keep(cell, reset_before, bool(layer_norm), gates_apart, wanted, recompute, return_gates)
    keep |= BFLOAT16 * (weight_dtype is not None)
    time_first = not compiling and x.stride(0) < x.stride(1)
    y, h, c, gates, _, _ = native_rules.forward(gradient, code, reverse, time_first, keep, *inputs, *masks)
    final = (h, c) if cell == "lstm" else (h,)
    if not return_gates:
        return y, final, None
    return y, final, gates if keep & GATES else y.unsqueeze(2)  # a plain RNN's gate is its output


def _keep(
    cell: str,
    reset_before: bool,
    normed: bool,
    gates_apart: bool,
    gradient: bool,
    recompute: bool,
    return_gates: bool,
) -> int:
    """What a forward has to keep, as bits; `gates_apart` unless y holds the gates, as a plain RNN's does."""
    norm_or_zone = normed or (cell == "rnn" and gates_apart)
    if not gradient or (recompute and norm_or_zone):  # their backward runs the forward again
        return GATES if return_gates and gates_apart else 0
    gates = GATES if gates_apart and (return_gates or not recompute) else 0
    after = cell == "gru" and not reset_before
    extra = EXTRA if cell == "lstm" or (after and gates and not normed) else 0
    return gates | extra | (NORMS if normed else 0)


# The gains of a call without layer norm.
_NO_GAINS = (None,) * 4


def _pair(parts: State | None) -> tuple[Tensor | None, Tensor | None]:
    first, second = (*(parts or ()), None, None)[:2]
    return first, second
