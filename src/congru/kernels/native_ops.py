"""The C core as two torch operators on the CPU.

``congru::forward`` returns y, the final state, the gates and what else the backward needs; ``congru::backward`` all first
gradients in one call. Their derivatives are in :mod:`congru.kernels.native_rules`. Each has a fake kernel, so that it can be
traced by shape alone. With `time_first`, results [B, T, ...] lie time first in memory.

    forward(cell, reverse, time_first, keep, *INPUTS, *MASKS) -> y, h, c, gates, extra, norms
    backward(cell, reverse, time_first, wanted, *GRAD_OUTPUTS, *INPUTS, *MASKS, *SAVED) -> a gradient for each of INPUTS

Names and shapes are those of core/congru.h; what is not given is None, a result that is not wanted is empty. A layer norm
is told by its gains: g_i and g_h, with g_c for the LSTM; g_i alone is "dreamer".
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.library import Library

from congru.kernels.binding import DTYPES, TRACED, extension
from congru.kernels.cells import CELLS
from congru.kernels.native_equations import CELL_OF, composite_call, first_gradients

# The differentiable inputs, in the order of the gradients; those without a gradient; what a backward reads of its forward;
# what arrives at the results of the forward.
INPUTS = ("x", "h0", "c0", "W", "U", "b_i", "b_h", "g_i", "g_h", "g_c", "b_c", "h_reset", "c_reset")
MASKS = ("lengths", "reset", "h_mask", "zoneout", "zoneout_c")
SAVED = ("y", "gates", "extra", "norms")
GRAD_OUTPUTS = ("dy", "dh", "dc", "dgates")
ARGUMENTS = INPUTS + MASKS
NUM_SETTINGS = 4  # what stands before the tensors
# What a forward keeps, as bits of `keep`; and whether it reads W and U as bfloat16, which has no gradient.
GATES, EXTRA, NORMS, BFLOAT16 = 1, 2, 4, 8

# Without the checks and wrappers of torch.library.custom_op, which cost more than a step of the core.
_LIBRARY = Library("congru", "FRAGMENT")  # type: ignore[no-untyped-call]
_TRACED = frozenset(TRACED.values())
_DTYPES = {getattr(torch, name): code for name, code in DTYPES.items()}
_RESULTS = ("y", "h", "c", "gates", "extra", "norms")
_GRADIENTS = tuple(f"d{name}" for name in INPUTS)
_X, _U, _G_I, _G_H = (INPUTS.index(name) for name in ("x", "U", "g_i", "g_h"))
_LENGTHS, _ZONEOUT, _ZONEOUT_C = (ARGUMENTS.index(name) for name in ("lengths", "zoneout", "zoneout_c"))
# Those [B, T, ...] with the names of their strides.
_STRIDED = {
    name: (f"{name}_batch", f"{name}_time") for name in ("x", "y", "gates", "zoneout", "dy", "dgates", "dx")
}
_AS_ANOTHER = ("extra", "zoneout_c")  # which lie as y and zoneout do


def _rows_of(x: Tensor, time_first: bool, *sizes: int | torch.SymInt) -> Tensor:
    """An empty ``[B, T, *sizes]``, laid out time first in memory if so asked."""
    B, T = x.shape[:2]
    if not time_first:
        return x.new_empty(B, T, *sizes)
    row = math.prod(sizes)
    inner = [math.prod(sizes[k + 1 :]) for k in range(len(sizes))]
    # Not a transposed view: autograd would refuse to let a caller change it in place.
    return x.new_empty_strided((B, T, *sizes), (row, B * row, *inner))


def _results(
    cell: int, time_first: bool, keep: int, arguments: tuple[Tensor | None, ...]
) -> tuple[Tensor, ...]:
    """Room for the results of a forward; those not wanted are empty."""
    x, U = arguments[_X], arguments[_U]
    assert x is not None
    assert U is not None
    H, name = U.shape[1], CELL_OF[cell][0]
    h = x.new_empty(x.shape[0], H)
    # norm(a) of so many gates, and a scale for each; "dreamer" has one norm of three.
    norms = 3 * H + 1 if arguments[_G_H] is None else (9 if name == "lstm" else 6) * (H + 1)
    return (
        _rows_of(x, time_first, H),
        h,
        torch.empty_like(h) if name == "lstm" else x.new_empty(0),
        _rows_of(x, time_first, len(CELLS[name].gates), H) if keep & GATES else x.new_empty(0),
        _rows_of(x, time_first, H) if keep & EXTRA else x.new_empty(0),
        x.new_empty(*x.shape[:2], norms) if keep & NORMS else x.new_empty(0),
    )


def _call(
    cell: int, reverse: bool, arguments: tuple[Tensor | None, ...], keeping: list[Tensor]
) -> dict[str, int]:
    """The fields of a call: settings, sizes, and the tensors of ARGUMENTS."""
    x, U = arguments[_X], arguments[_U]
    assert x is not None
    assert U is not None
    (B, T, I), H = x.shape, U.shape[1]
    call = {
        "cell": cell,
        "dtype": _DTYPES[x.dtype],
        "reverse": int(reverse),
        "threads": torch.get_num_threads(),
    }
    call["B"], call["T"], call["I"], call["H"] = B, T, I, H
    lengths, zoneout, zoneout_c = arguments[_LENGTHS], arguments[_ZONEOUT], arguments[_ZONEOUT_C]
    if lengths is not None or zoneout_c is not None:
        own = list(arguments)
        own[_LENGTHS] = None if lengths is None else lengths.to(torch.int64)
        if zoneout is not None and zoneout_c is not None:
            own[_ZONEOUT], own[_ZONEOUT_C] = _alike(zoneout, zoneout_c)
        arguments = tuple(own)
    _add(call, keeping, ARGUMENTS, arguments)
    return call


def _add(
    call: dict[str, int], keeping: list[Tensor], names: Iterable[str], tensors: Iterable[Tensor | None]
) -> None:
    """Add addresses of contiguous tensors to a call; of those ``[B, T, ...]`` also the strides.

    Every tensor, or the copy made of it on the way, is put into `keeping`, to live as long as the call.
    """
    for name, tensor in zip(names, tensors):
        if tensor is None or tensor.numel() == 0:
            continue
        if name in _STRIDED:
            tensor = _with_rows(tensor)
            (batch, time), (call[batch], call[time], *_) = _STRIDED[name], tensor.stride()
        elif name not in _AS_ANOTHER:
            tensor = tensor.contiguous()
        if tensor.data_ptr() % tensor.element_size():  # a view of bytes, off the beginning of its numbers
            tensor = tensor.clone()
        keeping.append(tensor)
        call[name] = tensor.data_ptr()


def _with_rows(tensor: Tensor) -> Tensor:
    """The tensor, or a copy whose trailing axes are contiguous; what was expanded over B and T stays so."""
    if tensor.is_contiguous():
        return tensor
    B, T, *sizes = tensor.shape
    if tensor.stride(0) == 0 and tensor.stride(1) == 0:
        return tensor[:1, :1].contiguous().expand(B, T, *sizes)
    return tensor if tensor[0, 0].is_contiguous() else tensor.contiguous()


def _alike(tensor: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors [B, T, H] with contiguous rows and the same strides."""
    first, second = _with_rows(tensor), _with_rows(other)
    return (first, second) if first.stride() == second.stride() else (first.contiguous(), second.contiguous())


def run_forward(
    cell: int, reverse: bool, time_first: bool, keep: int, *arguments: Tensor | None
) -> tuple[Tensor, ...]:
    """The kernel of ``congru::forward``; `arguments` are the tensors of ARGUMENTS."""
    results = _results(cell, time_first, keep, arguments)
    if cell in _TRACED:
        with torch.no_grad():
            y, final, gates = composite_call(cell, reverse, arguments, bool(keep & GATES))
        for room, part in zip(results, (y, final[0], None, gates)):
            if part is not None:
                room.copy_(part)
        return results
    if keep & NORMS and arguments[_LENGTHS] is not None:
        results[-1].zero_()  # of padding the core writes no norms
    keeping: list[Tensor] = []
    call = _call(cell, reverse, arguments, keeping)
    call["weight_dtype"] = int(keep & BFLOAT16 > 0)
    _add(call, keeping, _RESULTS, results)
    extension().forward(**call)
    return results


def _fake_forward(
    cell: int, reverse: bool, time_first: bool, keep: int, *arguments: Tensor | None
) -> tuple[Tensor, ...]:
    return _results(cell, time_first, keep, arguments)


def _room(wanted: list[bool], time_first: bool, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor, ...]:
    """Room for the gradients, in the order of INPUTS; those not wanted are empty."""
    x, room = inputs[_X], []
    assert x is not None
    for part, want in zip(inputs, wanted):
        if not want:
            room.append(x.new_empty(0))
        elif part is x:
            room.append(_rows_of(x, time_first, x.shape[2]))
        else:
            assert part is not None
            room.append(x.new_empty(part.shape))
    return tuple(room)


def _complete(
    cell: int,
    reverse: bool,
    time_first: bool,
    arguments: tuple[Tensor | None, ...],
    saved: tuple[Tensor | None, ...],
) -> tuple[Tensor, ...]:
    """SAVED as the core reads it; what it cannot compute again itself (norms, c, n of an RNN with zoneout) by a forward."""
    y, gates, extra, norms = saved
    assert y is not None
    assert gates is not None
    assert extra is not None
    assert norms is not None
    name, normed = CELL_OF[cell][0], arguments[_G_I] is not None
    if (
        (normed and not norms.numel())
        or (name == "lstm" and not extra.numel())
        or (name == "rnn" and arguments[_ZONEOUT] is not None and not gates.numel())
    ):
        everything = GATES | (EXTRA if name == "lstm" else 0) | (NORMS if normed else 0)
        y, _, _, gates, extra, norms = run_forward(cell, reverse, time_first, everything, *arguments)
    y = _with_rows(y)
    if extra.numel() and extra.stride() != y.stride():  # hooks on saved tensors may have laid them out anew
        extra = torch.empty_strided(y.shape, y.stride(), dtype=y.dtype).copy_(extra)
    return y, gates, extra, norms


def run_backward(
    cell: int, reverse: bool, time_first: bool, wanted: list[bool], *tensors: Tensor | None
) -> tuple[Tensor, ...]:
    """The kernel of ``congru::backward``; `tensors` are those of GRAD_OUTPUTS, ARGUMENTS and SAVED."""
    grad_outputs, arguments = tensors[: len(GRAD_OUTPUTS)], tensors[len(GRAD_OUTPUTS) : -len(SAVED)]
    room = _room(wanted, time_first, arguments[: len(INPUTS)])
    if cell in _TRACED:
        gradients = iter(first_gradients(cell, reverse, wanted, (*grad_outputs, *arguments)))
        return tuple(part.copy_(next(gradients)) if want else part for part, want in zip(room, wanted))
    saved = _complete(cell, reverse, time_first, arguments, tensors[-len(SAVED) :])
    keeping: list[Tensor] = []
    call = _call(cell, reverse, arguments, keeping)
    _add(call, keeping, SAVED, saved)
    _add(call, keeping, GRAD_OUTPUTS, grad_outputs)
    _add(call, keeping, _GRADIENTS, room)
    extension().backward(**call)
    return room


def _fake_backward(
    cell: int, reverse: bool, time_first: bool, wanted: list[bool], *tensors: Tensor | None
) -> tuple[Tensor, ...]:
    return _room(wanted, time_first, tensors[len(GRAD_OUTPUTS) :][: len(INPUTS)])


def _schema(name: str, setting: str, tensors: tuple[str, ...], num_results: int) -> str:
    """The declaration of an operator."""
    needed = ("x", "W", "U", *SAVED)
    declared = ", ".join(f"Tensor{'' if tensor in needed else '?'} {tensor}" for tensor in tensors)
    results = ", ".join(["Tensor"] * num_results)
    return f"{name}(int cell, bool reverse, bool time_first, {setting}, {declared}) -> ({results})"


for _name, _declared, _kernel, _fake in (
    ("forward", _schema("forward", "int keep", ARGUMENTS, len(_RESULTS)), run_forward, _fake_forward),
    (
        "backward",
        _schema("backward", "bool[] wanted", GRAD_OUTPUTS + ARGUMENTS + SAVED, len(INPUTS)),
        run_backward,
        _fake_backward,
    ),
):
    _LIBRARY.define(_declared, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    _LIBRARY.impl(_name, _kernel, "CPU")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"congru::{_name}", _fake, lib=_LIBRARY)
