"""The C core on torch tensors, with the derivatives of any other torch function.

First gradients come from the core; those beyond, and forward-mode ones, from the same equations in torch operations
(:mod:`congru.kernels.composite`). Tensors keep their layout: where x lies time first in memory, so do y and the gates.
Under autocast the core computes in float32. Threads follow ``torch.set_num_threads``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from congru.kernels import composite, native_rules
from congru.kernels.call import State, Weights
from congru.kernels.native import CODES
from congru.kernels.native_ops import EXTRA, GATES

native_rules.register()


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
    recompute: bool = False,
) -> tuple[Tensor, State, Tensor | None]:
    """Run ``x [B, T, I]`` through one layer in one direction; see :func:`congru.ops.sequence`.

    `recompute`: keep the states alone for the backward, and compute the gates again there.
    """
    given = [x, *_pair(state), *weights, *_pair(h_reset)]
    compiling = torch.compiler.is_compiling()
    transformed = not compiling and torch._C._are_functorch_transforms_active()
    if torch.is_autocast_enabled("cpu"):
        given = [None if part is None else part.to(torch.float32) for part in given]
    if not compiling and native_rules.forward_mode():
        x, h0, c0, *weights_, h_begin, c_begin = given
        with torch.autocast("cpu", enabled=False):
            return composite.sequence(
                cell, x, _state(h0, c0), tuple(weights_), lengths=lengths, reset=reset, h_reset=_state(h_begin, c_begin),
                reverse=reverse, reset_before=reset_before, return_gates=return_gates,
            )  # fmt: skip
    # Under torch.func a tensor does not say what an outer transform wants of it.
    wanted = transformed or any(part is not None and part.requires_grad for part in given)
    gradient = torch.is_grad_enabled() and wanted
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


def _state(h: Tensor | None, c: Tensor | None) -> State | None:
    return None if h is None else (h,) if c is None else (h, c)


def _pair(parts: State | None) -> tuple[Tensor | None, Tensor | None]:
    first, second = (*(parts or ()), None, None)[:2]
    return first, second
