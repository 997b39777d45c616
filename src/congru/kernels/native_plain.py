"""The C core on torch tensors in plain calls: no gradient, no option, the arrays in torch.nn's own layout.

    sequence: x [T, B, I] (`batch_first`: [B, T, I]) from a state [1, B, H] -> y [T, B, H] and the state [1, B, H]
    step:     x [B, I] from a state [B, H] -> the state [B, H]

A step of the core takes a few microseconds; the views, dictionaries and operators that other calls need would take ten times
as long. Here C checks every tensor and runs (core/python_tensors.c). What does not fit is answered with None: it goes through
`congru.ops.sequence`, which runs it another way or says what is wrong. Nothing is kept from call to call: the weights are read
where they lie, so it does not matter who has changed them, and how. Measurements: results/few_steps.json.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from congru.kernels import binding, native_torch
from congru.kernels.binding import CODES
from congru.kernels.cells import State, Weights

_TIME_FIRST, _BATCH_FIRST, _ONE_STEP = range(3)  # layouts


def _nothing(*arguments: Any) -> None:
    """Stands for the core where there is none."""


def _load() -> Any:
    """The function of the core, told what a tensor is."""
    if not binding.is_available():
        return _nothing
    core = binding.extension()
    native_torch.join_team()
    core.set_tensors(Tensor.__dlpack_c_exchange_api__, Tensor, torch.nn.Parameter)
    return core.plain


_RUN = _load()


def sequence(
    cell: str,
    x: Tensor,
    state: State | None,
    weights: Weights,
    reset_before: bool,
    reverse: bool,
    batch_first: bool,
) -> tuple[Tensor, State] | None:
    """y and the final state, or None where this is not a plain call."""
    code = CODES.get((cell, reset_before))
    if code is None or _is_watched() or (cell == "lstm" and torch.is_autocast_enabled("cpu")):
        return None  # for the LSTM autocast may mean another backend
    layout = _BATCH_FIRST if batch_first else _TIME_FIRST
    results: tuple[Tensor, State] | None = _RUN(
        code, reverse, layout, torch.is_grad_enabled(), torch.get_num_threads(), x, state, weights
    )
    return results


def step(cell: str, x: Tensor, state: State | None, weights: Weights) -> State | None:
    """The new state, or None where this is not a plain call."""
    code = CODES.get((cell, False))
    if code is None or _is_watched():
        return None
    results = _RUN(
        code, False, _ONE_STEP, torch.is_grad_enabled(), torch.get_num_threads(), x, state, weights
    )
    return None if results is None else results[1]


def _is_watched() -> bool:
    """Whether a mode, a transform, a trace or a profile wants to see the operations on tensors."""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._get_tracing_state() is not None
        or forward_ad._current_level >= 0
        or torch._C._autograd._profiler_enabled()
    )
