"""How the core's two operators differentiate and vectorise.

- The gradient of ``congru::forward`` is ``congru::backward``.
- The gradient of ``congru::backward`` (double backward, Hessian-vector products) is that of the same equations in torch
  operations: with g(x, .., dy, ..) the first gradients as :mod:`congru.kernels.composite` computes them and v what
  arrives at them, it returns d(g v). Every further derivative follows from there, and every forward-mode one.
- Under vmap, rows of a mapped batch are rows of one larger batch, as long as no weight is mapped and no gradient of a weight is
  wanted apart for every row; else the rows run one after the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from congru.kernels import composite
from congru.kernels.native import CODES
from congru.kernels.native_ops import run_backward, run_forward

_CELL_OF = {code: cell for cell, code in CODES.items()}
# Places in the argument lists of both operators.
_FORWARD_INPUTS = slice(4, 13)  # x, h0, c0, W, U, b_i, b_h, h_reset, c_reset
_ROWS = 3  # of those nine, x, h0 and c0 have a batch axis; the others are weights


def forward_mode() -> bool:
    """Whether forward-mode differentiation is going on, at any depth of transforms."""
    return bool(forward_ad._current_level >= 0)


def _setup_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    y, _, _, gates, extra = output
    ctx.settings = inputs[:3]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(extra)
    ctx.save_for_backward(*inputs[4:], y, gates, extra)


def _backward_of_forward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    cell, reverse, time_first = ctx.settings
    saved = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[_FORWARD_INPUTS])
    if all(grad is None for grad in grads):
        return (None,) * 15
    if not torch.compiler.is_compiling() and forward_mode():
        first = iter(_first_gradients(cell, reverse, wanted, (*grads[:4], *saved[:11])))
        kept = [next(first) if want else None for want in wanted]
    else:
        found = _backward(cell, reverse, time_first, wanted, *grads[:4], *saved)
        kept = [part if want else None for part, want in zip(found, wanted)]
    return (None,) * 4 + tuple(kept) + (None, None)


def _setup_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.settings = inputs[0], inputs[1], inputs[3]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[4:19])


def _first_gradients(
    cell: int, reverse: bool, wanted: list[bool], given: tuple[Tensor | None, ...]
) -> tuple[Tensor, ...]:
    """The wanted first gradients by torch operations; `given` is dy, dh, dc, dgates, the nine inputs, lengths, reset."""
    name, reset_before = _CELL_OF[cell]
    arriving, inputs, (lengths, reset) = given[:4], given[4:13], given[13:]
    places = [place for place, want in enumerate(wanted) if want]
    lstm = name == "lstm"

    def results(*targets: Tensor) -> tuple[Tensor, ...]:
        """What a gradient arrives at, from the inputs of which a gradient is wanted."""
        x, h0, c0, W, U, b_i, b_h, h_reset, c_reset = _replaced(inputs, places, targets)
        zeros = x.new_zeros(x.shape[0], U.shape[1])
        state = (zeros if h0 is None else h0, zeros if c0 is None else c0)[: 1 + lstm]
        begin = None if h_reset is None else (h_reset, zeros[0] if c_reset is None else c_reset)[: 1 + lstm]
        y, final, gates = composite.sequence(
            name, x, state, (W, U, b_i, b_h), lengths=lengths, reset=reset, h_reset=begin, reverse=reverse,
            reset_before=reset_before, return_gates=arriving[3] is not None,
        )  # fmt: skip
        found = (y, final[0], final[1] if lstm else None, gates)
        return tuple(part for part, grad in zip(found, arriving) if part is not None and grad is not None)

    with torch.autocast("cpu", enabled=False):  # the core computed in the dtype of its inputs
        pull = torch.func.vjp(results, *[inputs[place] for place in places])[1]
        first: tuple[Tensor, ...] = pull(tuple(grad for grad in arriving if grad is not None))
    return first


def _backward_of_backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    cell, reverse, wanted = ctx.settings
    saved = ctx.saved_tensors
    places = [place for place in range(13) if ctx.needs_input_grad[4 + place]]

    def first(*targets: Tensor) -> tuple[Tensor, ...]:
        return _first_gradients(cell, reverse, wanted, tuple(_replaced(saved, places, targets)))

    with torch.autocast("cpu", enabled=False):
        found, pull = torch.func.vjp(first, *[saved[place] for place in places])  # type: ignore[misc]
        arriving = [grad for grad, want in zip(grads, wanted) if want]
        second = pull(tuple(torch.zeros_like(a) if b is None else b for a, b in zip(found, arriving)))
    return tuple(_replaced((None,) * 22, [4 + place for place in places], second))


def _replaced(parts: tuple[Any, ...], places: list[int], by: tuple[Tensor, ...]) -> list[Any]:
    """The parts with those at `places` replaced."""
    whole = list(parts)
    for place, part in zip(places, by):
        whole[place] = part
    return whole


def _unmapped(arguments: tuple[Any, ...], in_dims: tuple[Any, ...], row: int) -> list[Any]:
    """The arguments of one row of a mapped batch."""
    return [a.select(d, row) if isinstance(d, int) else a for a, d in zip(arguments, in_dims)]


def _joined(argument: Any, in_dim: int | None, num_rows: int) -> Any:
    """A mapped batch joined with the batch axis: [N, B, ...] -> [N * B, ...]."""
    if argument is None:
        return None
    moved = argument.expand(num_rows, *argument.shape) if in_dim is None else argument.movedim(in_dim, 0)
    return moved.reshape(num_rows * moved.shape[1], *moved.shape[2:])


def _split(result: Tensor, num_rows: int) -> Tensor:
    """[N * B, ...] -> [N, B, ...]; what is empty because it was not wanted stays so, N times."""
    if result.dim() == 1:
        return result.expand(num_rows, *result.shape)
    return result.reshape(num_rows, result.shape[0] // num_rows, *result.shape[1:])


def _one_by_one(
    op: Any, num_rows: int, in_dims: tuple[Any, ...], arguments: tuple[Any, ...]
) -> tuple[Any, Any]:
    rows = [op(*_unmapped(arguments, in_dims, row)) for row in range(num_rows)]
    results = tuple(torch.stack(parts) for parts in zip(*rows))
    return results, (0,) * len(results)


class Recorded(torch.autograd.Function):
    """``congru::forward`` in eager calls that want a gradient: what the operator does, in a third of its time."""

    backward = staticmethod(_backward_of_forward)

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, ...]:
        results = run_forward(*arguments)
        _setup_forward(ctx, arguments, results)
        return results


class Forward(torch.autograd.Function):
    """``congru::forward`` under the transforms of torch.func: the same gradient, and vmap."""

    generate_vmap_rule = False
    setup_context = staticmethod(_setup_forward)
    backward = staticmethod(_backward_of_forward)

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = torch.ops.congru.forward(*arguments)
        return results

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        n = info.batch_size
        if any(d is not None for d in in_dims[4 + _ROWS : 13]):
            return _one_by_one(Forward.apply, n, in_dims, arguments)
        with_rows = {4, 5, 6, 13, 14}
        whole = [_joined(a, in_dims[k], n) if k in with_rows else a for k, a in enumerate(arguments)]
        results = tuple(_split(part, n) for part in Forward.apply(*whole))  # type: ignore[no-untyped-call]
        return results, (0,) * len(results)


class Backward(torch.autograd.Function):
    """``congru::backward`` under the transforms of torch.func."""

    generate_vmap_rule = False
    setup_context = staticmethod(_setup_backward)
    backward = staticmethod(_backward_of_backward)

    @staticmethod
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = torch.ops.congru.backward(*arguments)
        return results

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, Any]:
        n, wanted = info.batch_size, arguments[3]
        if any(d is not None for d in in_dims[8 + _ROWS : 17]) or any(wanted[_ROWS:]):
            return _one_by_one(Backward.apply, n, in_dims, arguments)
        with_rows = {4, 5, 6, 7, 8, 9, 10, 17, 18, 19}
        whole = [_joined(a, in_dims[k], n) if k in with_rows else a for k, a in enumerate(arguments)]
        for k in (20, 21):  # gates and extra have a batch axis unless they were not kept
            if arguments[k].dim() - (in_dims[k] is not None) > 1:
                whole[k] = _joined(arguments[k], in_dims[k], n)
            elif in_dims[k] is not None:
                whole[k] = arguments[k].select(in_dims[k], 0)
        results = tuple(_split(part, n) for part in Backward.apply(*whole))  # type: ignore[no-untyped-call]
        return results, (0,) * len(results)


def forward(gradient: bool, *arguments: Any) -> tuple[Tensor, ...]:
    """Call ``congru::forward`` as the moment demands; `gradient` says whether one is wanted."""
    results: tuple[Tensor, ...]
    if torch.compiler.is_compiling():  # a graph is traced, which Forward's rules would break
        results = torch.ops.congru.forward(*arguments)
    elif torch._C._are_functorch_transforms_active():
        results = Forward.apply(*arguments)  # type: ignore[no-untyped-call]
    elif not _plain(arguments):
        results = torch.ops.congru.forward(*arguments)
    elif gradient:
        results = Recorded.apply(*arguments)  # type: ignore[no-untyped-call]
    else:
        results = run_forward(*arguments)
    return results


def _backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Call ``congru::backward`` as the moment demands."""
    results: tuple[Tensor, ...]
    if torch.compiler.is_compiling():
        results = torch.ops.congru.backward(*arguments)
    elif torch._C._are_functorch_transforms_active():
        results = Backward.apply(*arguments)  # type: ignore[no-untyped-call]
    elif torch.is_grad_enabled() or not _plain(arguments):
        results = torch.ops.congru.backward(*arguments)
    else:
        results = run_backward(*arguments)
    return results


def _plain(arguments: tuple[Any, ...]) -> bool:
    """Whether all are ordinary tensors and no mode or trace sees the calls on them.

    Then a call may go round torch's dispatcher, which costs more than a step of the core.
    """
    if torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state() is not None:
        return False
    for part in arguments[4:]:
        if part is not None and type(part) is not Tensor and type(part) is not torch.nn.Parameter:
            return False
    return True


def register() -> None:
    """Attach the gradients of this file to the operators."""
    torch.library.register_autograd("congru::forward", _backward_of_forward, setup_context=_setup_forward)
    torch.library.register_autograd("congru::backward", _backward_of_backward, setup_context=_setup_backward)
