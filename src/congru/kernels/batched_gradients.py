"""Gradients of many cotangents at once: ``torch.autograd.grad(is_grads_batched=True)`` and what is built on it.

`torch.autograd.functional.jacobian(vectorize=True)` and gradcheck's `check_batched_grad` are. They hand a backward tensors of
torch's older vmap, which have no storage to point at and few batching rules. Here such a backward becomes one under
``torch.func.vmap``, whose rules our functions have.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Backward = Callable[..., tuple[Any, ...]]

_is_batched = torch._C._functorch.is_legacy_batchedtensor


def takes_batched_gradients(backward: Backward) -> Backward:
    """The backward (ctx, *grads) -> gradients of an autograd.Function, also for the batched `grads` described above."""

    @functools.wraps(backward)
    def checked(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        if not torch.compiler.is_compiling():
            for grad in grads:
                if grad is not None and _is_batched(grad):
                    return _as_vmap(checked, ctx, grads)
        return backward(ctx, *grads)

    return checked


def _as_vmap(backward: Backward, ctx: Any, grads: tuple[Tensor | None, ...]) -> tuple[Any, ...]:
    """Call `backward` under torch.func.vmap over the innermost batch axis of `grads`."""
    level = torch._C._vmapmode_increment_nesting() - 1
    torch._C._vmapmode_decrement_nesting()
    batched = [k for k, grad in enumerate(grads) if grad is not None and _is_batched(grad)]
    # An axis of another level stays as it is: size 1 stands for it, as for what has no such axis.
    rows = [
        torch._remove_batch_dim(grad, level, 1, 0) for grad in grads if grad is not None and _is_batched(grad)
    ]
    size = max(len(part) for part in rows)
    rows = [part if len(part) == size else part.expand(size, *part.shape[1:]) for part in rows]
    places: list[int] = []
    padded: list[Any] = []

    def gradients(*parts: Tensor) -> tuple[Tensor, ...]:
        whole = list(grads)
        for k, part in zip(batched, parts):
            whole[k] = part
        results = backward(ctx, *whole)
        places[:] = [k for k, result in enumerate(results) if result is not None]
        padded.extend([None] * (len(results) - len(padded)))
        return tuple(results[k] for k in places)

    results = torch.func.vmap(gradients)(*rows)
    for k, result in zip(places, results):
        padded[k] = torch._add_batch_dim(result, 0, level)
    return tuple(padded)
