"""What torch's FLOP counter counts for the operators of the core: the matrix products, as for torch's own operators.

A product of a step with W or U is 2 G H I or 2 G H H operations for each row. A forward has both; a backward has them again for
the gradients of the weights, and for those of x and h where they are wanted.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula

from congru.kernels.native_ops import GRAD_OUTPUTS, INPUTS, NUM_SETTINGS

_PLACES = tuple(NUM_SETTINGS + INPUTS.index(name) for name in ("x", "h0", "W", "U"))
_WANTED = NUM_SETTINGS - 1


def _forward(*shapes: Any, out_shape: Any = None, **keywords: Any) -> int:
    (B, T, I), _, (rows, _), (_, H) = (shapes[index] for index in _PLACES)
    return int(2 * B * T * rows * (I + H))


def _backward(*shapes: Any, out_shape: Any = None, **keywords: Any) -> int:
    (B, T, I), _, (rows, _), (_, H) = (shapes[len(GRAD_OUTPUTS) + index] for index in _PLACES)
    dx, dh0, dW, dU = (shapes[_WANTED][index - NUM_SETTINGS] for index in _PLACES)
    steps_back = T if dh0 else T - 1  # to the state before the first step only where that is wanted
    return int(2 * B * rows * (T * I * (dx + dW) + H * (T * dU + steps_back)))


def register() -> None:
    """Tell torch.utils.flop_counter."""
    register_flop_formula(torch.ops.congru.forward)(_forward)
    register_flop_formula(torch.ops.congru.backward)(_backward)
