"""The C core with layer norm, zoneout and a recurrent mask, on torch tensors.

One autograd function around `core/congru.h`: first gradients come from the core, a derivative of them from the same
equations in torch operations (:mod:`congru.kernels.composite`), and so does forward mode. Under torch.compile and
torch.func `congru.kernels.native.supports` hands such calls on.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from congru.kernels import composite
from congru.kernels.call import CELLS, State, Weights
from congru.kernels.native import CODES, extension
from congru.kernels.native_ops import EXTRA, GATES, _fields, _results, _rows_of, _sizes, _with_rows
from congru.kernels.native_rules import forward_mode
from congru.reference.option_equations import gain_names


class _Call(NamedTuple):
    """What is neither differentiated nor an array of numbers."""

    cell: str
    reverse: bool
    reset_before: bool
    return_gates: bool
    keep: bool
    lengths: Tensor | None
    reset: Tensor | None
    layer_norm: bool | str
    zoneout: State | None
    recurrent_mask: Tensor | None


# The differentiable arguments, in order, and what the core calls their gradients.
_WEIGHTS = ("W", "U", "b_i", "b_h", "g_i", "g_h", "g_c", "b_c")
_INPUTS = ("x", "h0", "c0", *_WEIGHTS, "h_reset", "c_reset")


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
    *,
    layer_norm: bool | str = False,
    zoneout: State | None = None,
    recurrent_mask: Tensor | None = None,
) -> tuple[Tensor, State, Tensor | None]:
    """Run ``x [B, T, I]`` through one layer in one direction; see :func:`congru.ops.sequence`."""
    if forward_mode():
        return composite.sequence(
            cell, x, state, weights, lengths=lengths, reset=reset, h_reset=h_reset, reverse=reverse,
            reset_before=reset_before, return_gates=return_gates, layer_norm=layer_norm, zoneout=zoneout,
            recurrent_mask=recurrent_mask,
        )  # fmt: skip
    weights = (*weights, *[None] * (len(_WEIGHTS) - len(weights)))
    given = [x, *_pair(state), *weights, *_pair(h_reset)]
    if torch.is_autocast_enabled("cpu"):
        given = [None if part is None else part.to(torch.float32) for part in given]
        recurrent_mask = None if recurrent_mask is None else recurrent_mask.to(torch.float32)
        zoneout = None if zoneout is None else tuple(part.to(torch.float32) for part in zoneout)
    gradient = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in given)
    call = _Call(
        cell,
        reverse,
        reset_before,
        return_gates,
        gradient,
        lengths,
        reset,
        layer_norm,
        zoneout,
        recurrent_mask,
    )
    y, h, c, gates = _Sequence.apply(call, *given)  # type: ignore[no-untyped-call]
    return y, ((h, c) if cell == "lstm" else (h,)), gates if return_gates else None


class _Sequence(torch.autograd.Function):
    """(call, the inputs of `_INPUTS`) -> y [B, T, H], h, c (empty without one), gates (empty where not asked for)."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *inputs: Tensor | None) -> tuple[Tensor, ...]:
        x, U, normed = inputs[0], inputs[4], bool(call.layer_norm)
        assert x is not None
        assert U is not None
        code = CODES[call.cell, call.reset_before]
        time_first = x.stride(0) < x.stride(1)
        gates_kept = call.return_gates or (call.keep and (call.cell != "rnn" or call.zoneout is not None))
        after = call.cell == "gru" and not call.reset_before
        extra_kept = call.keep and (call.cell == "lstm" or (after and not normed))
        keep = GATES * gates_kept | EXTRA * extra_kept
        y, h, c, gates, extra = _results(code, time_first, keep, x, U)
        norms = x.new_empty(*x.shape[:2], _norms_row(call, U.shape[1]) if call.keep and normed else 0)
        keeping: list[Tensor] = []
        extension().forward(
            **_sizes(code, call.reverse, x, U),
            **_fields(keeping, **dict(zip(_INPUTS, inputs))),
            **_mask_fields(keeping, call),
            **_fields(keeping, y=y, h=h, c=c, gates=gates, extra=extra, norms=norms),
        )
        ctx.call, ctx.time_first = call, time_first
        ctx.save_for_backward(*inputs, y, gates, extra, norms)
        ctx.set_materialize_grads(False)
        return y, h, c, gates if call.return_gates else x.new_empty(0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        call, wanted = ctx.call, ctx.needs_input_grad[1:]
        count = len(_INPUTS)
        inputs, (y, gates, extra, norms) = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        if all(grad is None for grad in grads):
            return (None,) * (1 + count)
        if torch.is_grad_enabled() or forward_mode():  # someone wants the derivative of this gradient
            return (None, *_gradient_of_composite(call, inputs, wanted, grads))
        dy, dh, dc, dgates = grads
        x, U = inputs[0], inputs[4]
        room = {
            name: _rows_of(x, ctx.time_first, x.shape[2])
            if name == "x"
            else torch.empty_like(part, memory_format=torch.contiguous_format)
            for name, part, want in zip(_INPUTS, inputs, wanted)
            if want
        }
        out = {"h0": "dh0", "c0": "dc0"}
        keeping: list[Tensor] = []
        extension().backward(
            **_sizes(CODES[call.cell, call.reset_before], call.reverse, x, U),
            **_fields(keeping, **dict(zip(_INPUTS, inputs))),
            **_mask_fields(keeping, call),
            **_fields(
                keeping, y=y, gates=gates, extra=extra, norms=norms, dy=dy, dh=dh, dc=dc, dgates=dgates
            ),
            **_fields(keeping, **{out.get(name, f"d{name}"): part for name, part in room.items()}),
        )
        return (None, *(room.get(name) for name in _INPUTS))


def _mask_fields(keeping: list[Tensor], call: _Call) -> dict[str, int]:
    """The fields of the arrays that have no gradient."""
    lengths = None if call.lengths is None else call.lengths.to(torch.int64)
    found = _fields(keeping, lengths=lengths, reset=call.reset, h_mask=call.recurrent_mask)
    if call.zoneout is not None and call.zoneout[0].numel():
        zones = [_with_rows(part) for part in call.zoneout]
        if zones[0].stride() != zones[-1].stride():
            zones = [part.contiguous() for part in zones]
        keeping += zones
        found |= {"zoneout_batch": zones[0].stride(0), "zoneout_time": zones[0].stride(1)}
        found |= dict(zip(("zoneout", "zoneout_c"), (part.data_ptr() for part in zones)))
    return found


def _norms_row(call: _Call, num_hidden: int) -> int:
    """Values that the core keeps of a row for the backward of its norms."""
    if call.layer_norm == "dreamer":
        return 3 * num_hidden + 1
    return (9 if call.cell == "lstm" else 6) * (num_hidden + 1)


def _gradient_of_composite(
    call: _Call, inputs: tuple[Tensor | None, ...], wanted: tuple[bool, ...], grads: tuple[Tensor | None, ...]
) -> list[Tensor | None]:
    """The same gradients as a differentiable function of the inputs and of what arrives."""
    x, h0, c0, *weights, h_reset, c_reset = (None if part is None else part.view_as(part) for part in inputs)
    assert x is not None
    num_gains = len(gain_names(call.cell, call.layer_norm, call.reset_before))
    parts, plain = len(CELLS[call.cell].states), tuple(weights[: 4 + num_gains])
    zeros = composite.zeros(call.cell, x, plain)
    state = tuple(zero if part is None else part for part, zero in zip((h0, c0), zeros))
    begin = tuple(zero[0] if part is None else part for part, zero in zip((h_reset, c_reset), zeros))
    y, final, gates = composite.sequence(
        call.cell, x, state, plain, lengths=call.lengths, reset=call.reset,
        h_reset=begin if h_reset is not None else None, reverse=call.reverse, reset_before=call.reset_before,
        return_gates=grads[3] is not None, layer_norm=call.layer_norm,
        zoneout=call.zoneout, recurrent_mask=call.recurrent_mask,
    )  # fmt: skip
    results = (y, final[0], final[1] if parts == 2 else None, gates)
    pairs = [(a, b) for a, b in zip(results, grads) if a is not None and b is not None and a.requires_grad]
    views = (x, h0, c0, *weights, h_reset, c_reset)
    targets = [part for part, want in zip(views, wanted) if want and part is not None]
    found = iter(
        torch.autograd.grad(
            [a for a, _ in pairs], targets, [b for _, b in pairs],
            create_graph=torch.is_grad_enabled(), allow_unused=True, materialize_grads=True,
        )
    )  # fmt: skip
    return [next(found) if want else None for want in wanted]


def _pair(parts: State | None) -> tuple[Tensor | None, Tensor | None]:
    first, second = (*(parts or ()), None, None)[:2]
    return first, second
