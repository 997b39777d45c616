"""GRU and LSTM on the kernels of this folder: what torch does around a launch, and the gradient.

Before it gi = P(W x) + b_i for all steps and directions in one product, which autograd differentiates by itself (so dW, dx and
the gradients of b_i and the input's norm are one product or sum each); after the backward's launch dU, one product of what the
kernel left in memory. Where the gradient itself is to be differentiated, :mod:`congru.kernels.composite` computes it.

D calls of one layer in D directions are one launch. Shapes: `congru.kernels.triton.blocks`. Sums over blocks of rows are
made here in a fixed order: the same call gives the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from congru.kernels import composite
from congru.kernels.batched_gradients import takes_batched_gradients
from congru.kernels.call import Sequence
from congru.kernels.cells import CELLS, State
from congru.kernels.composite_norm import project
from congru.kernels.options import Options
from congru.kernels.triton.gru import gru_backward, gru_forward
from congru.kernels.triton.lstm import lstm_backward, lstm_forward
from congru.kernels.triton.plan import ROWS, Plan, plan, processors
from congru.kernels.triton.programs import (
    ROOMS,
    SUMS,
    Form,
    Gradients,
    GradOutputs,
    Inputs,
    Masks,
    Results,
    Shared,
)
from congru.kernels.triton.second import gradients_by_composite

LayerResults = tuple[Tensor, State, Tensor | None]


class Settings(NamedTuple):
    """What a launch is compiled for, and what it computes and keeps."""

    cell: str
    reverse: tuple[bool, ...]  # of each direction: (False,), (True,) or (False, True)
    reset_before: bool
    layer_norm: bool | str
    num_heads: int
    return_gates: bool
    products: torch.dtype
    dtype: torch.dtype  # of y and the state
    gradient: bool
    device: str


# The differentiable tensors in the order of `_Recurrence.apply`, those without a gradient, and which of them each launch takes.
INPUTS = Inputs._fields
MASKS = Masks._fields
NORMS = (False, True, "dreamer")  # in the order of NORM


def launch(calls: tuple[Sequence, ...]) -> list[LayerResults]:
    """Run the calls of one layer, one for each direction, in one launch; see :func:`congru.ops.sequence`.

    They differ in `reverse`, x, weights and states alone, and the first is not in reverse if there are two.
    """
    call = calls[0]
    cell, options = call.cell, call.options
    dtype, device = call.weights[0].dtype, call.x.device.type  # type: ignore[union-attr]
    products = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else dtype
    parts = [_parts(call) for call in calls]
    # gi and what has a time axis get D behind it, all else before.
    gi = torch.stack([own[0] for own in parts], 2) if len(parts) > 1 else parts[0][0].unsqueeze(2)
    tensors = [gi, *(_stacked(group) for group in zip(*(own[1:] for own in parts)))]
    settings = Settings(
        cell=cell,
        reverse=tuple(own.reverse for own in calls),
        reset_before=call.reset_before,
        layer_norm=options.layer_norm,
        num_heads=options.num_heads,
        return_gates=call.return_gates,
        products=products,
        dtype=dtype,
        gradient=torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in tensors),
        device=device,
    )
    masks = (call.lengths, None, call.reset, *_masks(tuple(own.options for own in calls)))
    if torch.compiler.is_compiling():
        _, reverse, before, norm, *others = settings
        arguments = (cell, list(reverse), before, NORMS.index(norm), *others, *tensors, *masks)
        y, h, c, gates, *_ = torch.ops.congru.triton_forward(*arguments)  # of congru.kernels.triton.traced
    else:
        y, h, c, gates = _Recurrence.apply(settings, *tensors, *masks)  # type: ignore[no-untyped-call]
    results: list[LayerResults] = []
    for d in range(len(calls)):
        final = (h[d], c[d]) if cell == "lstm" else (h[d],)
        results.append((y[:, :, d], final, gates[:, :, d] if call.return_gates else None))
    return results


def _stacked(parts: tuple[Tensor | None, ...], axis: int = 0) -> Tensor | None:
    """The tensors of the directions as one, or None."""
    whole = [part for part in parts if part is not None]
    return torch.stack(whole, axis) if whole else None


def _masks(options: tuple[Options, ...]) -> tuple[Tensor | None, ...]:
    """h_mask [D, B, H], and zoneout and zoneout_c [B, T, D, H], or None."""
    mask = _stacked(tuple(own.recurrent_mask for own in options))
    shares = [_stacked(parts, 2) for parts in zip(*(own.zoneout or () for own in options))]
    return mask, *shares, *(None,) * (2 - len(shares))


def _parts(call: Sequence) -> tuple[Any, ...]:
    """The tensors of INPUTS of one direction, without the axis D."""
    cell, x, weights, options = call.cell, call.x, call.weights, call.options
    if call.lengths is not None:
        # Padding may hold NaN, which must not reach a gradient as 0 * NaN.
        valid = torch.arange(x.shape[1], device=x.device) < call.lengths.unsqueeze(1)
        x = torch.where(valid.unsqueeze(2), x, 0.0)
    W, U, b_i, b_h, *gains = weights
    assert W is not None
    G = len(CELLS[cell].gates)
    bias, gain = b_h, None
    if options.layer_norm == "dreamer":
        gi, bias, gain = project(x, W, b_h, None, G), b_i, gains[0]
    else:
        parts = G * options.num_heads
        gi = project(x, W, b_i, gains[0] if gains else None, parts)
        gain = gains[1] if gains else None
    state = composite.zeros(cell, x, weights) if call.state is None else call.state
    begin = call.h_reset if call.reset is not None and call.h_reset is not None else ()
    (h0, c0), (h_reset, c_reset) = (*state, None)[:2], (*begin, None, None)[:2]
    g_c, b_c = gains[2:] if len(gains) > 2 else (None, None)
    return gi, h0, c0, U, bias, gain, g_c, b_c, h_reset, c_reset


class _Recurrence(torch.autograd.Function):
    """(settings, *INPUTS, *MASKS) -> y [B, T, D, H], h and c [D, B, H], gates [B, T, D, G, H]; what there is not is empty."""

    @staticmethod
    def forward(ctx: Any, settings: Settings, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        results = run_forward(settings, dict(zip(INPUTS + MASKS, tensors)))
        ctx.settings = settings
        ctx.set_materialize_grads(False)
        if settings.gradient:
            kept = (results["gates"], results["c_states"], results["kept"])
            ctx.save_for_backward(*tensors, results["rows"], results["y"], *kept)
        c, gates = results["c_last"], results["gates"]
        y, h, empty = results["y"], results["h_last"], results["y"].new_empty(0)
        return y, h, empty if c is None else c, gates if settings.return_gates else empty

    @staticmethod
    @takes_batched_gradients
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        settings = ctx.settings
        *tensors, rows, y, gates, c_states, kept = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1 : 1 + len(INPUTS)]
        named = dict(zip(INPUTS + MASKS, tensors))
        if torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
            computed = gradients_by_composite(settings, named, wanted, grads)
        else:
            named |= {"rows": rows, "y": y, "gates": gates, "c_states": c_states, "kept": kept}
            computed = run_backward(settings, named, grads)
        gradients = (
            computed[name].to(named[name].dtype) if want else None for name, want in zip(INPUTS, wanted)
        )
        return None, *gradients, *(None,) * len(MASKS)


Named = dict[str, Any]


def _contiguous(named: Named) -> Named:
    return {name: None if part is None else part.contiguous() for name, part in named.items()}


def run_forward(settings: Settings, named: Named, launch: Any = None) -> Named:
    """The results of a launch by name: y, h_last, c_last, and gates, c_states, kept and the order of rows or None."""
    named = _contiguous(named)
    if named["lengths"] is not None:
        named["rows"] = torch.argsort(named["lengths"], descending=True)
    gi = named["gi"]
    (B, T, D, _), (_, _, H) = gi.shape, named["h0"].shape
    G, lstm = len(CELLS[settings.cell].gates), settings.cell == "lstm"
    # Steps beyond the end of a row are never visited: they stay what they are here.
    room = gi.new_zeros if named["lengths"] is not None else gi.new_empty
    like: Named = {"dtype": settings.dtype}
    keeps = settings.gradient
    y, h_last = room(B, T, D, H, **like), torch.empty_like(named["h0"], **like)
    gates = room(B, T, D, G, H, **like) if keeps or settings.return_gates else None
    raw = G if settings.layer_norm else int(not settings.reset_before and not lstm)
    kept = room(B, T, D, raw, H, **like) if keeps and raw else None
    results: Named = {"y": y, "h_last": h_last, "gates": gates, "kept": kept}
    results["c_states"] = room(B, T, D, H, **like) if keeps and lstm else None
    results["c_last"] = torch.empty_like(h_last) if lstm else None
    taken = {name: named[name] for name in INPUTS + MASKS}
    taken["U"] = taken["U"].to(settings.products)
    kernel = lstm_forward if lstm else gru_forward
    (launch or run)(kernel, settings, taken | results, (Inputs, Masks, Results))
    return results | {"rows": named["rows"]}


def run_backward(
    settings: Settings, named: Named, grads: tuple[Tensor | None, ...], launch: Any = None
) -> Named:
    """The gradient of each of INPUTS by name."""
    named = _contiguous(named)
    gi, y, U = named["gi"], named["y"], named["U"]
    (B, T, D, _), H = gi.shape, y.shape[3]
    G, lstm = len(CELLS[settings.cell].gates), settings.cell == "lstm"
    blocks = -(-B // ROWS)
    room = gi.new_zeros if named["lengths"] is not None else gi.new_empty
    dy, dh, dc, dgates = grads
    dgi = room(B, T, D, G, H)
    one_gradient = settings.layer_norm == "dreamer" or (
        not settings.layer_norm and (lstm or settings.reset_before)
    )
    sides = 2 if settings.reset_before else 1
    like: Named = {"dtype": torch.float32}
    taken: Named = {name: named[name] for name in (*INPUTS[1:], *MASKS, "y", "gates", "c_states", "kept")}
    taken |= {
        "U": U.to(settings.products),
        "dy": torch.zeros_like(y) if dy is None else dy.contiguous(),
        "dh_last": torch.zeros_like(named["h0"]) if dh is None else dh.contiguous(),
        "dc_last": torch.zeros_like(named["h0"]) if dc is None else dc.contiguous(),
        "dgates": None if dgates is None or not settings.return_gates else dgates.contiguous(),
        "dgi": dgi,
        "du": None if one_gradient else room(B, T, D, G, H, dtype=settings.products),
        "entered": room(B, T, D, sides, H, dtype=settings.products),
        "dh0": y.new_empty(D, B, H),
        "dc0": y.new_empty(D, B, H),
        **{name: gi.new_empty(blocks, D, G, H, **like) for name in ("db", "dg")},
        **{name: gi.new_empty(blocks, D, H, **like) for name in ("dg_c", "db_c", "dh_reset", "dc_reset")},
    }
    kernel = lstm_backward if lstm else gru_backward
    (launch or run)(kernel, settings, taken, (Inputs, Masks, Results, GradOutputs, Gradients))
    du = dgi.to(settings.products) if one_gradient else taken["du"]
    db = dgi.sum((0, 1), dtype=torch.float32) if lstm else taken["db"].sum(0)
    return {
        "gi": dgi.view(gi.shape),
        "h0": taken["dh0"],
        "c0": taken["dc0"],
        "U": _outer(du, taken["entered"], settings.num_heads).reshape(U.shape),
        "b": db.view(D, G * H),
        "g": taken["dg"].sum(0).view(D, G * H),
        **{name: taken["d" + name].sum(0) for name in ("g_c", "b_c", "h_reset", "c_reset")},
    }


def _outer(du: Tensor, entered: Tensor, num_heads: int) -> Tensor:
    """dU [D, G, heads, units, units]: the sum over rows and steps of what reaches U h times what U was multiplied with."""
    B, T, D, G, H = du.shape
    steps, units = B * T, H // num_heads
    left = du.view(steps, D, G, num_heads, units).permute(1, 3, 2, 4, 0)
    right = entered.view(steps, D, -1, num_heads, units).permute(1, 3, 2, 0, 4)
    parts = [(left, right[:, :, 0])]
    if right.shape[2] == 2:  # reset before: U_n saw r * h
        parts = [(left[:, :, :2], right[:, :, 0]), (left[:, :, 2:], right[:, :, 1])]
    products = [
        torch.matmul(a.reshape(D, num_heads, -1, steps), b).view(D, num_heads, -1, units, units)
        for a, b in parts
    ]
    return torch.cat(products, 2).transpose(1, 2)


def run(kernel: Any, settings: Settings, tensors: Named, kinds: tuple[Any, ...]) -> None:
    """Launch a kernel on the tensors of its arguments `kinds`: blocks of rows by directions, heads and shares of units."""
    B, T, D, H = tensors["y"].shape
    form, layout = form_of(settings, D, H, backward=kinds[-1] is Gradients)
    tensors = {name: part.view(torch.uint8) if is_bool(part) else part for name, part in tensors.items()}
    arguments = [kind(*(tensors.get(name) for name in kind._fields)) for kind in kinds]
    blocks, programs = -(-B // ROWS), D * settings.num_heads * layout.split
    shared = Shared(None, None, None)
    if layout.exchanged:
        shared = _shared(tensors["y"], settings, blocks, layout)
    # Programs that wait for each other must all run at the same time.
    at_once = max(1, processors(tensors["y"].device.type) // programs) if layout.split > 1 else blocks
    for first in range(0, blocks, at_once):
        kernel[min(at_once, blocks - first), programs](
            *arguments,
            shared,
            B,
            T,
            first,
            int(settings.reverse[0]),
            form,
            num_warps=layout.num_warps,
            launch_cooperative_grid=layout.split > 1,
        )


def form_of(settings: Settings, D: int, H: int, backward: bool) -> tuple[Form, Plan]:
    """What a kernel is compiled for, and how a launch is divided."""
    heads, products = settings.num_heads, settings.products
    layout = plan(settings.cell, H // heads, products.itemsize, backward, D * heads, settings.device)
    form = Form(
        D=D,
        H=H,
        HEADS=heads,
        N=H // heads,
        SPLIT=layout.split,
        EXCHANGED=layout.exchanged,
        RESIDENT=layout.resident,
        BACKWARD=backward,
        BEFORE=settings.reset_before,
        NORM=NORMS.index(settings.layer_norm),
        PRECISION=precision(products),
        ROWS=ROWS,
        UNITS=layout.units,
        DEPTH=layout.depth,
    )
    return form, layout


def _shared(y: Tensor, settings: Settings, blocks: int, layout: Plan) -> Shared:
    """What the programs of a group share, anew for every call: its counters start at 0."""
    (B, _, D, H), groups = y.shape, blocks * y.shape[2] * settings.num_heads
    room = y.new_empty(ROOMS.value, 2, D, B, H, dtype=settings.products)
    if layout.split == 1:
        return Shared(room, None, None)
    sums = y.new_empty(groups, SUMS.value, layout.split, ROWS, dtype=torch.float32)
    return Shared(room, sums, y.new_zeros(groups, dtype=torch.int32))


def is_bool(part: Any) -> bool:
    """Whether this is a tensor of flags, which a kernel reads as bytes."""
    return isinstance(part, Tensor) and part.dtype == torch.bool


def precision(products: torch.dtype) -> str:
    """How float32 operands are multiplied: as torch's own products are."""
    import triton

    if triton.knobs.runtime.interpret:
        return "interpreted"
    exact = products != torch.float32 or torch.get_float32_matmul_precision() == "highest"
    return "ieee" if exact else "tf32"
