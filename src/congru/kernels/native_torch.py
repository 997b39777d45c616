"""The C core on torch tensors, with the derivatives of any other torch function.

First gradients come from the core; those beyond, and forward-mode ones, from the same equations in torch operations
(:mod:`congru.kernels.composite`). Tensors keep their layout: where x lies time first in memory, so do y and the gates.
Under autocast the core computes in float32. Threads follow ``torch.set_num_threads``.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from congru.kernels import composite, native_rules
from congru.kernels.call import State, Weights
from congru.kernels.native import CODES, extension
from congru.kernels.native_ops import EXTRA, GATES

native_rules.register()

_TEAM = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads", "omp_in_parallel")


def join_team() -> bool:
    """Let the core run on the threads of torch's OpenMP; False where torch has none, or it cannot be found.

    Those threads spin for a while after each operation of torch: threads of our own would share their cores with them.
    """
    folder = Path(torch.__file__).parent / "lib"
    found = [path for name in ("gomp", "iomp", "omp") for path in folder.glob(f"lib{name}*.so*")]
    if len(found) != 1:
        return False
    library = ctypes.CDLL(str(found[0]))  # the one torch has loaded: the same file is loaded once
    if not all(hasattr(library, name) for name in _TEAM):
        return False
    addresses = [ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _TEAM]
    extension().set_team(*addresses)
    return True


join_team()


def sequence(
    cell: str,
    x: Tensor,
    state: State | None,
    weights: Weights,
    lengths: Tensor | None,
    reset: Tensor | None,
    h_reset: State | None,
    reverse: bool,
    reset_before: bool,
    return_gates: bool,
    recompute: bool,
) -> tuple[Tensor, State, Tensor | None]:
    """Run ``x [B, T, I]`` through one layer in one direction; see :func:`congru.ops.sequence`.

    `recompute`: keep the states alone for the backward, and compute the gates again there.
    """
    given: list[Any] = [x, *_pair(state), *weights, *_pair(h_reset)]
    compiling = torch.compiler.is_compiling()
    if torch.is_autocast_enabled("cpu"):
        given = [None if part is None else part.to(torch.float32) for part in given]
    if not compiling and native_rules.forward_mode():
        with torch.autocast("cpu", enabled=False):
            return composite.sequence(
                cell, given[0], _state(given[1:3]), tuple(given[3:7]), lengths=lengths, reset=reset,
                h_reset=_state(given[7:]), reverse=reverse, reset_before=reset_before, return_gates=return_gates,
            )  # fmt: skip
    gradient = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in given)
    keep = GATES * ((gradient and not recompute) or return_gates)
    keep |= EXTRA * (gradient and (cell == "lstm" or (cell == "gru" and not reset_before and keep > 0)))
    time_first = not compiling and x.stride(0) < x.stride(1)
    y, h, c, gates, _ = native_rules.forward(
        gradient, CODES[cell, reset_before], reverse, time_first, keep if cell != "rnn" else 0, *given, lengths, reset
    )  # fmt: skip
    final = (h, c) if cell == "lstm" else (h,)
    if not return_gates:
        return y, final, None
    return y, final, y.unsqueeze(2) if cell == "rnn" else gates


def _state(pair: list[Tensor | None]) -> State | None:
    """What `_pair` took apart."""
    return tuple(part for part in pair if part is not None) or None


def _pair(parts: State | None) -> tuple[Tensor | None, Tensor | None]:
    first, second = (*(parts or ()), None, None)[:2]
    return first, second
