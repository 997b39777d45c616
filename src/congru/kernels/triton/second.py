"""The gradient of a launch as a differentiable function: the same equations in torch operations, head by head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from congru.kernels import composite
from congru.kernels.call import Sequence
from congru.kernels.cells import CELLS
from congru.kernels.options import Options

Named = dict[str, Any]


def gradients_by_composite(
    settings: Any, named: Named, wanted: tuple[bool, ...], grads: tuple[Tensor | None, ...]
) -> Named:
    """The wanted gradients of the inputs of a launch by name, from those of its results y, h, c and gates."""
    names = [name for name, want in zip(named, wanted) if want]
    with torch.enable_grad(), torch.autocast(named["gi"].device.type, enabled=False):
        results = _results(settings, named)
        pairs = [
            (part, grad)
            for part, grad in zip(results, grads)
            if part is not None and grad is not None and part.shape == grad.shape
        ]
        outputs, grad_outputs = zip(*pairs)
        computed = torch.autograd.grad(
            outputs,
            [named[name] for name in names],
            grad_outputs,
            create_graph=torch.is_grad_enabled(),
            materialize_grads=True,
        )
    return dict(zip(names, computed))


def _results(settings: Any, named: Named) -> tuple[Tensor | None, ...]:
    """y [B, T, D, H], h and c [D, B, H] and gates [B, T, D, G, H] by torch operations."""
    y: list[Tensor] = []
    finals: list[list[Tensor]] = []
    gates: list[Tensor] = []
    for d in range(len(settings.reverse)):
        heads = [_one(settings, named, d, head) for head in range(settings.num_heads)]
        y.append(torch.cat([own[0] for own in heads], -1))
        finals.append([torch.cat(parts, -1) for parts in zip(*(own[1] for own in heads))])
        if settings.return_gates:
            gates.append(torch.cat([own[2] for own in heads if own[2] is not None], -1))
    h, c = (*(torch.stack(parts) for parts in zip(*finals)), None)[:2]
    return torch.stack(y, 2), h, c, torch.stack(gates, 2) if gates else None


def _one(settings: Any, named: Named, d: int, head: int) -> tuple[Tensor, tuple[Tensor, ...], Tensor | None]:
    """One direction and head."""
    cell, heads = settings.cell, settings.num_heads
    G, H = len(CELLS[cell].gates), named["h0"].shape[2]
    units, N = slice(head * (H // heads), (head + 1) * (H // heads)), H // heads

    def of_units(name: str) -> Tensor | None:
        """Units of [D, .., H]."""
        part: Tensor | None = named[name]
        return None if part is None else part[d][..., units]

    def of_gates(name: str) -> Tensor | None:
        """Rows of [D, G*H, ..]."""
        part = named[name]
        if part is None:
            return None
        rows: Tensor = part[d].view(G, H, *part.shape[2:])[:, units]
        return rows.reshape(G * N, *part.shape[2:])

    gi = named["gi"][:, :, d]
    B, T, _ = gi.shape
    gi = gi.view(B, T, G, H)[..., units].reshape(B, T, G * N)
    U, bias, gain = of_gates("U"), of_gates("b"), of_gates("g")
    weights: tuple[Tensor | None, ...] = (None, U, None, bias, None, gain, of_units("g_c"), of_units("b_c"))
    if settings.layer_norm == "dreamer":
        weights = None, U, bias, None, gain
    elif not settings.layer_norm:
        weights = weights[:4]
    elif cell == "gru":
        weights = weights[:6]
    shares = [named[name] for name in ("zoneout", "zoneout_c") if named[name] is not None]
    zoneout = tuple(part[:, :, d][..., units] for part in shares) or None
    options = Options(settings.layer_norm, zoneout=zoneout, recurrent_mask=of_units("h_mask"))
    reverse = settings.reverse[d]
    flags = composite.make_flags(gi, named["lengths"], named["reset"], reverse)
    state = tuple(part for part in (of_units("h0"), of_units("c0")) if part is not None)
    begin = tuple(
        torch.zeros_like(start[0]) if part is None else part
        for part, start in zip((of_units("h_reset"), of_units("c_reset")), state)
    )
    call = Sequence(
        cell=cell,
        x=gi,
        state=state,
        weights=weights,
        reverse=reverse,
        reset_before=settings.reset_before,
        return_gates=settings.return_gates,
        options=options,
    )
    return composite.from_input_part(call, gi.transpose(0, 1), state, flags, begin)
