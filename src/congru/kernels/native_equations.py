"""What the core's two operators compute, in torch operations: for derivatives that the core has not, and cells it has not."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from congru.kernels import composite
from congru.kernels.binding import CODES, TRACED
from congru.kernels.call import Sequence
from congru.kernels.options import Options

Tensors: TypeAlias = list[Tensor | None] | tuple[Tensor | None, ...]

CELL_OF = {code: cell for cell, code in {**CODES, **TRACED}.items()}
NUM_GRAD_OUTPUTS = 4


def composite_call(
    cell: int, reverse: bool, arguments: Tensors, return_gates: bool
) -> tuple[Tensor, tuple[Tensor, ...], Tensor | None]:
    """The forward by torch operations; `arguments` are the tensors of ARGUMENTS. Returns y, the final state, the gates."""
    name, reset_before = CELL_OF[cell]
    x, h0, c0, W, U, b_i, b_h, g_i, g_h, g_c, b_c, h_reset, c_reset, *masks = arguments
    lengths, reset, h_mask, *zoneout = masks
    assert x is not None
    assert U is not None
    parts = 2 if name == "lstm" else 1
    gains = () if g_i is None else (g_i,) if g_h is None else (g_i, g_h, g_c, b_c)[: 2 * parts]
    zeros = x.new_zeros(x.shape[0], U.shape[1])
    shares = tuple(d for d in zoneout if d is not None)
    begin = None if h_reset is None else (h_reset, x.new_zeros(U.shape[1]) if c_reset is None else c_reset)
    layer_norm = "dreamer" if len(gains) == 1 else g_i is not None
    call = Sequence(
        cell=name,
        x=x,
        state=(zeros if h0 is None else h0, zeros if c0 is None else c0)[:parts],
        weights=(W, U, b_i, b_h, *gains),
        lengths=lengths,
        reset=reset,
        h_reset=None if begin is None else begin[:parts],
        reverse=reverse,
        reset_before=reset_before,
        return_gates=return_gates,
        options=Options(layer_norm, zoneout=shares or None, recurrent_mask=h_mask),
    )
    return composite.sequence(call)


def first_gradients(cell: int, reverse: bool, wanted: list[bool], read: Tensors) -> tuple[Tensor, ...]:
    """The wanted first gradients by torch operations; `read` are the tensors of GRAD_OUTPUTS and of ARGUMENTS."""
    grad_outputs, arguments = read[:NUM_GRAD_OUTPUTS], read[NUM_GRAD_OUTPUTS:]
    indices = [index for index, want in enumerate(wanted) if want]

    def results(*targets: Tensor) -> tuple[Tensor, ...]:
        """What a gradient arrives at, from the inputs of which a gradient is wanted."""
        read = replaced(arguments, indices, targets)
        y, final, gates = composite_call(cell, reverse, read, grad_outputs[3] is not None)
        outputs = (y, final[0], final[1] if len(final) == 2 else None, gates)
        return tuple(
            part for part, grad in zip(outputs, grad_outputs) if part is not None and grad is not None
        )

    with torch.autocast("cpu", enabled=False):  # the core computed in the dtype of its inputs
        vjp = torch.func.vjp(results, *[arguments[index] for index in indices])[1]
        first: tuple[Tensor, ...] = vjp(tuple(grad for grad in grad_outputs if grad is not None))
    return first


def replaced(parts: tuple[Any, ...] | list[Any], indices: list[int], by: tuple[Tensor, ...]) -> list[Any]:
    """The parts with those at `indices` replaced."""
    whole = list(parts)
    for index, part in zip(indices, by):
        whole[index] = part
    return whole
