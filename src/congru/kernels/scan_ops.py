"""The scan of :mod:`congru.kernels.scan` as two torch operators, for traced graphs: T stays free there.

    mingru(gi, h, h_reset, valid, is_first) -> states
    mingru_backward(dstates, gi, h, h_reset, valid, is_first, states) -> dgi, dh, dh_reset

On any device and in any dtype; derivatives of the second are those of its torch operations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.library import Library

from congru.kernels.scan import gradients, states_in_pieces


def _fake_states(
    gi: Tensor, h: Tensor, h_reset: Tensor, valid: Tensor | None, is_first: Tensor | None
) -> Tensor:
    return gi.new_empty(gi.shape[0], gi.shape[1], h.shape[1])


def _fake_gradients(dstates: Tensor, gi: Tensor, h: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(gi), torch.empty_like(h), h.new_empty(h.shape[1])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.save_for_backward(*inputs, *(() if isinstance(output, tuple) else (output,)))


def _backward(ctx: Any, dstates: Tensor) -> tuple[Tensor | None, ...]:
    return (*torch.ops.congru.mingru_backward(dstates, *ctx.saved_tensors), None, None)


def _backward_of_backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    dstates, gi, h, h_reset, valid, is_first, states = ctx.saved_tensors

    def first(dstates: Tensor, gi: Tensor, h: Tensor, h_reset: Tensor, states: Tensor) -> tuple[Tensor, ...]:
        return gradients(dstates, gi, h, h_reset, valid, is_first, states)

    *second, of_states = torch.func.vjp(first, dstates, gi, h, h_reset, states)[1](grads)
    return (*second, None, None, of_states)


_LIBRARY = Library("congru", "FRAGMENT")  # type: ignore[no-untyped-call]
_FLAGS = "Tensor? valid, Tensor? is_first"
for _declared, _kernel, _fake, _derivative in (
    (
        f"mingru(Tensor gi, Tensor h, Tensor h_reset, {_FLAGS}) -> Tensor",
        states_in_pieces,
        _fake_states,
        _backward,
    ),
    (
        f"mingru_backward(Tensor dstates, Tensor gi, Tensor h, Tensor h_reset, {_FLAGS}, Tensor states)"
        " -> (Tensor, Tensor, Tensor)",
        gradients,
        _fake_gradients,
        _backward_of_backward,
    ),
):
    _name = _declared.partition("(")[0]
    _LIBRARY.define(_declared, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    _LIBRARY.impl(_name, _kernel, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"congru::{_name}", _fake, lib=_LIBRARY)
    torch.library.register_autograd(f"congru::{_name}", _derivative, setup_context=_keep, lib=_LIBRARY)
