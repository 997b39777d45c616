"""The C core as two torch operators on the CPU.

``congru::forward`` returns y, the final state, the gates and what else the backward needs; ``congru::backward`` all first
gradients in one call. Their derivatives are in :mod:`congru.kernels.native_rules`. Each has a fake kernel, so that it can be
traced by shape alone. With `time_first`, results [B, T, ...] lie time first in memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.library import Library

from congru.kernels.call import CELLS
from congru.kernels.native import CODES, DTYPES, extension

# Without the checks and wrappers of torch.library.custom_op, which cost more than a step of the core.
_LIBRARY = Library("congru", "FRAGMENT")  # type: ignore[no-untyped-call]
_CELL_OF = {code: cell for cell, code in CODES.items()}
# What a forward keeps, as bits of `keep`.
GATES, EXTRA = 1, 2
# The differentiable inputs, in the order of both operators' arguments and of the gradients.
_INPUTS = ("x", "h0", "c0", "W", "U", "b_i", "b_h", "h_reset", "c_reset")
# Those [B, T, ...] with the names of their strides.
_STRIDED = {name: (f"{name}_batch", f"{name}_time") for name in ("x", "y", "gates", "dy", "dgates", "dx")}
_FORWARD = (
    "(int cell, bool reverse, bool time_first, int keep, Tensor x, Tensor? h0, Tensor? c0, Tensor W, Tensor U, Tensor? b_i, "
    "Tensor? b_h, Tensor? h_reset, Tensor? c_reset, Tensor? lengths, Tensor? reset) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)
_BACKWARD = (
    "(int cell, bool reverse, bool time_first, bool[] wanted, Tensor? dy, Tensor? dh, Tensor? dc, Tensor? dgates, Tensor x, "
    "Tensor? h0, Tensor? c0, Tensor W, Tensor U, Tensor? b_i, Tensor? b_h, Tensor? h_reset, Tensor? c_reset, "
    "Tensor? lengths, Tensor? reset, Tensor y, Tensor gates, Tensor extra) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def _rows_of(x: Tensor, time_first: bool, *sizes: int | torch.SymInt) -> Tensor:
    """An empty ``[B, T, *sizes]``, laid out time first in memory if so asked."""
    B, T = x.shape[:2]
    return x.new_empty(T, B, *sizes).transpose(0, 1) if time_first else x.new_empty(B, T, *sizes)


def _results(cell: int, time_first: bool, keep: int, x: Tensor, U: Tensor) -> tuple[Tensor, ...]:
    """Room for the five results of a forward: y, h, c, gates, extra; those not wanted are empty."""
    H, name = U.shape[1], _CELL_OF[cell][0]
    h = x.new_empty(x.shape[0], H)
    return (
        _rows_of(x, time_first, H),
        h,
        torch.empty_like(h) if name == "lstm" else x.new_empty(0),
        _rows_of(x, time_first, len(CELLS[name].gates), H) if keep & GATES else x.new_empty(0),
        _rows_of(x, time_first, H) if keep & EXTRA else x.new_empty(0),
    )


def _fields(keeping: list[Tensor], **tensors: Tensor | None) -> dict[str, int]:
    """Addresses of contiguous tensors; ``[B, T, ...]`` ones (x, y, gates, their gradients) also by strides.

    Copies made on the way are put into `keeping`, to live as long as the call.
    """
    found = {}
    for name, tensor in tensors.items():
        if tensor is None or tensor.numel() == 0:
            continue
        if name in _STRIDED:
            tensor = _with_rows(tensor)
            (batch, time), (found[batch], found[time], *_) = _STRIDED[name], tensor.stride()
        elif name != "extra":  # which lies as y does
            tensor = tensor.contiguous()
        keeping.append(tensor)
        found[name] = tensor.data_ptr()
    return found


def _with_rows(tensor: Tensor) -> Tensor:
    """The tensor, or a copy whose trailing axes are contiguous; what was expanded over B and T stays so."""
    if tensor.is_contiguous():
        return tensor
    B, T, *sizes = tensor.shape
    if tensor.stride(0) == 0 and tensor.stride(1) == 0:
        return tensor[:1, :1].contiguous().expand(B, T, *sizes)
    return tensor if tensor[0, 0].is_contiguous() else tensor.contiguous()


def _sizes(cell: int, reverse: bool, x: Tensor, U: Tensor) -> dict[str, int]:
    (B, T, I), H = x.shape, U.shape[1]
    flags = {"cell": cell, "dtype": DTYPES[str(x.dtype).removeprefix("torch.")], "reverse": int(reverse)}
    return {**flags, "threads": torch.get_num_threads(), "B": B, "T": T, "I": I, "H": H}


def run_forward(
    cell: int,
    reverse: bool,
    time_first: bool,
    keep: int,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    W: Tensor,
    U: Tensor,
    b_i: Tensor | None,
    b_h: Tensor | None,
    h_reset: Tensor | None,
    c_reset: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> tuple[Tensor, ...]:
    results = _results(cell, time_first, keep, x, U)
    y, h, c, gates, extra = results
    keeping: list[Tensor] = []
    extension().forward(
        **_sizes(cell, reverse, x, U),
        **_fields(keeping, x=x, h0=h0, c0=c0, W=W, U=U, b_i=b_i, b_h=b_h, h_reset=h_reset, c_reset=c_reset),
        **_fields(keeping, lengths=None if lengths is None else lengths.to(torch.int64), reset=reset),
        **_fields(keeping, y=y, h=h, c=c, gates=gates, extra=extra),
    )
    return results


def _fake_forward(
    cell: int,
    reverse: bool,
    time_first: bool,
    keep: int,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    W: Tensor,
    U: Tensor,
    *rest: Tensor | None,
) -> tuple[Tensor, ...]:
    return _results(cell, time_first, keep, x, U)


def _room(
    wanted: list[bool], time_first: bool, inputs: dict[str, Tensor | None], x: Tensor, U: Tensor
) -> list[Tensor]:
    """Room for the nine gradients, in the order of `_INPUTS`; those not wanted are empty."""
    H, room = U.shape[1], []
    shapes = {"h0": (x.shape[0], H), "c0": (x.shape[0], H), "h_reset": (H,), "c_reset": (H,)}
    for name, want in zip(_INPUTS, wanted):
        given = inputs[name]
        if not want:
            room.append(x.new_empty(0))
        elif name == "x":
            room.append(_rows_of(x, time_first, x.shape[2]))
        else:
            assert given is not None
            room.append(x.new_empty(shapes.get(name, given.shape)))
    return room


def run_backward(
    cell: int,
    reverse: bool,
    time_first: bool,
    wanted: list[bool],
    dy: Tensor | None,
    dh: Tensor | None,
    dc: Tensor | None,
    dgates: Tensor | None,
    x: Tensor,
    h0: Tensor | None,
    c0: Tensor | None,
    W: Tensor,
    U: Tensor,
    b_i: Tensor | None,
    b_h: Tensor | None,
    h_reset: Tensor | None,
    c_reset: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
    y: Tensor,
    gates: Tensor,
    extra: Tensor,
) -> tuple[Tensor, ...]:
    inputs = dict(zip(_INPUTS, (x, h0, c0, W, U, b_i, b_h, h_reset, c_reset)))
    room = _room(wanted, time_first, inputs, x, U)
    if extra.numel() and extra.stride() != y.stride():  # hooks on saved tensors may have laid them out anew
        extra = torch.empty_strided(y.shape, y.stride(), dtype=y.dtype).copy_(extra)
    out = {"h0": "dh0", "c0": "dc0"}
    keeping: list[Tensor] = []
    extension().backward(
        **_sizes(cell, reverse, x, U),
        **_fields(keeping, **inputs),
        **_fields(keeping, lengths=None if lengths is None else lengths.to(torch.int64), reset=reset),
        **_fields(keeping, y=y, gates=gates, extra=extra, dy=dy, dh=dh, dc=dc, dgates=dgates),
        **_fields(keeping, **{out.get(name, f"d{name}"): part for name, part in zip(_INPUTS, room)}),
    )
    return tuple(room)


def _fake_backward(
    cell: int,
    reverse: bool,
    time_first: bool,
    wanted: list[bool],
    dy: Tensor | None,
    dh: Tensor | None,
    dc: Tensor | None,
    dgates: Tensor | None,
    *rest: Tensor,
) -> tuple[Tensor, ...]:
    x, U = rest[0], rest[4]
    return tuple(_room(wanted, time_first, dict(zip(_INPUTS, rest)), x, U))


for _name, _schema, _kernel, _fake in (
    ("forward", _FORWARD, run_forward, _fake_forward),
    ("backward", _BACKWARD, run_backward, _fake_backward),
):
    _LIBRARY.define(_name + _schema, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    _LIBRARY.impl(_name, _kernel, "CPU")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"congru::{_name}", _fake, lib=_LIBRARY)
