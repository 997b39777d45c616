"""Layer norm of the cells in torch operations; the equations are in `congru.reference.option_equations`."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from congru.reference.layer_norm import EPSILON
from congru.reference.option_equations import DREAMER_EPSILON, UPDATE_BIAS


def normalise(a: Tensor, num_parts: int, eps: float = EPSILON) -> Tensor:
    """norm(a) of each of the equal parts of a [..., N]."""
    parts = a.reshape(*a.shape[:-1], num_parts, a.shape[-1] // num_parts)
    return F.layer_norm(parts, parts.shape[-1:], eps=eps).flatten(-2)


def project(v: Tensor, M: Tensor, bias: Tensor | None, gain: Tensor | None, num_gates: int) -> Tensor:
    """M v + b; with a gain, g * norm(M v) + b gate by gate."""
    if gain is None:
        return F.linear(v, M, bias)
    a = gain * normalise(F.linear(v, M), num_gates)
    return a if bias is None else a + bias


def dreamer(
    U: Tensor, gain: Tensor, bias: Tensor | None
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """The gates of "dreamer" from gi = W x + b_h and h."""

    def gates(gi: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a = gain * normalise(gi + F.linear(h, U), 1, DREAMER_EPSILON)
        a_r, a_z, a_n = (a if bias is None else a + bias).chunk(3, -1)
        r = torch.sigmoid(a_r)
        return r, torch.sigmoid(a_z + UPDATE_BIAS), torch.tanh(r * a_n)

    return gates
