"""What each member of a network says by itself, to be trained on its own cost; see :mod:`congru.tasks.members`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def outputs_of_members(linear: nn.Module, members: int) -> Iterator[list[Tensor]]:
    """While it lasts, every call of a linear layer over S members' features adds S W_s x_s + b, [S, .., K], to the list.

    Their mean over S is the layer's own output.
    """
    outputs: list[Tensor] = []

    def note(module: nn.Module, inputs: tuple[object, ...], out: Tensor) -> None:
        if members == 1:
            outputs.append(out[None])
            return
        x = inputs[-1]
        assert isinstance(x, Tensor)
        weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
        parts = zip(x.chunk(members, -1), weight.chunk(members, -1))
        outputs.append(torch.stack([nn.functional.linear(part, members * own, bias) for part, own in parts]))

    hook = linear.register_forward_hook(note)
    try:
        yield outputs
    finally:
        hook.remove()
