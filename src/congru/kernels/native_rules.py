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

from congru.kernels.batched_gradients import takes_batched_gradients
from congru.kernels.native_equations import first_gradients, replaced
from congru.kernels.native_ops import (
    ARGUMENTS,
    GRAD_OUTPUTS,
    INPUTS,
    MASKS,
    NUM_SETTINGS,
    SAVED,
    run_backward,
    run_forward,
)

# Places in the argument lists of both operators.
_FORWARD_INPUTS = slice(NUM_SETTINGS, NUM_SETTINGS + len(INPUTS))
_BACKWARD_READS = slice(NUM_SETTINGS, NUM_SETTINGS + len(GRAD_OUTPUTS + ARGUMENTS))
_NUM_FORWARD, _NUM_BACKWARD = (
    NUM_SETTINGS + len(ARGUMENTS),
    NUM_SETTINGS + len(GRAD_OUTPUTS + ARGUMENTS + SAVED),
)
_SETTINGS = ("cell", "reverse", "time_first", "keep or wanted")
# What has a batch axis; the other inputs are weights.
_WITH_ROWS = {"x", "h0", "c0", *MASKS, *GRAD_OUTPUTS, *SAVED}
_WEIGHTS = {k for k, name in enumerate(INPUTS) if name not in _WITH_ROWS}
_ORDINARY = {type(None), Tensor, torch.nn.Parameter}


def forward_mode() -> bool:
    """Whether forward-mode differentiation is going on, at any depth of transforms."""
    return bool(forward_ad._current_level >= 0)


def _setup_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    y, _, _, gates, extra, norms = output
    ctx.settings = inputs[:3]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(extra, norms)
    ctx.save_for_backward(*inputs[NUM_SETTINGS:], y, gates, extra, norms)


def _keep_changeable(ctx: Any, arguments: tuple[Any, ...], results: tuple[Tensor, ...]) -> None:
    """`_setup_forward` for results that the caller may change in place, as torch.nn's allow."""
    y, _, _, gates, extra, norms = results
    ctx.settings, ctx.keep = arguments[:3], arguments[3]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(extra, norms)
    ctx.changes = [(_counter(part), part._version) for part in (y, gates)]
    ctx.save_for_backward(*arguments[NUM_SETTINGS:], y.data, gates.data, extra, norms)


def _counter(tensor: Tensor) -> Tensor:
    """An empty tensor whose `_version` goes on counting the changes of this one, without keeping its memory."""
    counter = tensor.detach()
    counter.data = tensor.new_empty(0)
    return counter


def _unchanged(ctx: Any) -> tuple[Tensor | None, ...]:
    """The saved tensors; where the caller has changed y or the gates in place, the forward runs again: the same bits."""
    saved: tuple[Tensor | None, ...] = ctx.saved_tensors
    changes = getattr(ctx, "changes", ())
    if all(counter._version == version for counter, version in changes):
        return saved
    arguments = saved[: len(ARGUMENTS)]
    with torch.no_grad():
        y, _, _, gates, extra, norms = run_forward(*ctx.settings, ctx.keep, *arguments)
    return (*arguments, y, gates, extra, norms)


@takes_batched_gradients
def _backward_of_forward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    cell, reverse, time_first = ctx.settings
    saved = _unchanged(ctx)
    wanted = list(ctx.needs_input_grad[_FORWARD_INPUTS])
    grad_outputs = grads[: len(GRAD_OUTPUTS)]
    if all(grad is None for grad in grad_outputs):
        return (None,) * _NUM_FORWARD
    if not torch.compiler.is_compiling() and forward_mode():
        first = iter(first_gradients(cell, reverse, wanted, (*grad_outputs, *saved[: len(ARGUMENTS)])))
        gradients = [next(first) if want else None for want in wanted]
    else:
        computed = _backward(cell, reverse, time_first, wanted, *grad_outputs, *saved)
        gradients = [part if want else None for part, want in zip(computed, wanted)]
    return (None,) * NUM_SETTINGS + tuple(gradients) + (None,) * len(MASKS)


def _setup_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.settings = inputs[0], inputs[1], inputs[3]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[_BACKWARD_READS])


@takes_batched_gradients
def _backward_of_backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    cell, reverse, wanted = ctx.settings
    saved = ctx.saved_tensors
    num_differentiable = len(GRAD_OUTPUTS + INPUTS)
    indices = [k for k in range(num_differentiable) if ctx.needs_input_grad[NUM_SETTINGS + k]]

    def first(*targets: Tensor) -> tuple[Tensor, ...]:
        return first_gradients(cell, reverse, wanted, replaced(saved, indices, targets))

    with torch.autocast("cpu", enabled=False):
        gradients, vjp = torch.func.vjp(first, *[saved[index] for index in indices])  # type: ignore[misc]
        grad_outputs = [grad for grad, want in zip(grads, wanted) if want]
        second = vjp(tuple(torch.zeros_like(a) if b is None else b for a, b in zip(gradients, grad_outputs)))
    return tuple(replaced((None,) * _NUM_BACKWARD, [NUM_SETTINGS + index for index in indices], second))


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
        _keep_changeable(ctx, arguments, results)
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
        n, names = info.batch_size, (*_SETTINGS, *ARGUMENTS)
        if any(isinstance(d, int) and name not in _WITH_ROWS for d, name in zip(in_dims, names)):
            return _one_by_one(Forward.apply, n, in_dims, arguments)
        whole = [
            _joined(a, d, n) if name in _WITH_ROWS else a for a, d, name in zip(arguments, in_dims, names)
        ]
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
        n, wanted, names = info.batch_size, arguments[3], (*_SETTINGS, *GRAD_OUTPUTS, *ARGUMENTS, *SAVED)
        mapped = {name for d, name in zip(in_dims, names) if isinstance(d, int)}
        if mapped - _WITH_ROWS or any(wanted[index] for index in _WEIGHTS):
            return _one_by_one(Backward.apply, n, in_dims, arguments)
        whole = list(arguments)
        for k, (part, d, name) in enumerate(zip(arguments, in_dims, names)):
            if name in SAVED and part.dim() - (d is not None) == 1:  # not kept, so empty
                whole[k] = part if d is None else part.select(d, 0)
            elif name in _WITH_ROWS:
                whole[k] = _joined(part, d, n)
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
    """Whether all are ordinary tensors and no mode, trace or profile sees the calls on them.

    Then a call may go round torch's dispatcher, which costs more than a step of the core.
    """
    if torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state() is not None:
        return False
    if torch._C._autograd._profiler_enabled():  # a profile shows the operators by name
        return False
    return _ORDINARY.issuperset(map(type, arguments[NUM_SETTINGS:]))


def register() -> None:
    """Attach the gradients of this file to the operators."""
    torch.library.register_autograd("congru::forward", _backward_of_forward, setup_context=_setup_forward)
    torch.library.register_autograd("congru::backward", _backward_of_backward, setup_context=_setup_backward)
