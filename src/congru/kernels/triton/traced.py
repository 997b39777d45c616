"""The launches of `congru.kernels.triton.launch` as two torch operators, for graphs of torch.compile and torch.export.

    triton_forward(*SETTINGS, *INPUTS, *MASKS) -> y, h, c, gates, c_states, kept, rows
    triton_backward(*SETTINGS, wanted, *GRAD_OUTPUTS, *INPUTS, *MASKS, *SAVED) -> a gradient for each of INPUTS

What there is not is None, and as a result empty. A traced graph has no second derivatives.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.library import Library

from congru.kernels.triton.launch import (
    INPUTS,
    MASKS,
    NORMS,
    Named,
    Settings,
    run,
    run_backward,
    run_forward,
)

SAVED = ("y", "gates", "c_states", "kept")
GRAD_OUTPUTS = ("dy", "dh", "dc", "dgates")
RESULTS = ("y", "h_last", "c_last", "gates", "c_states", "kept", "rows")
_SETTINGS = (
    "str cell, bool[] reverse, bool reset_before, int norm, int num_heads, bool return_gates, "
    "ScalarType products, ScalarType dtype, bool gradient, str device"
)
_NUM_SETTINGS = len(Settings._fields)


def _settings(values: tuple[Any, ...]) -> Settings:
    cell, reverse, before, norm, *others = values
    return Settings(cell, tuple(reverse), before, NORMS[norm], *others)


def _nothing(*_: Any) -> None:
    """In place of a kernel where tensors are shapes alone."""


def _forward(launch: Any, *arguments: Any) -> tuple[Tensor, ...]:
    settings, tensors = _settings(arguments[:_NUM_SETTINGS]), arguments[_NUM_SETTINGS:]
    named = dict(zip(INPUTS + MASKS, tensors))
    results = run_forward(settings, named, launch)
    empty = named["gi"].new_empty
    return tuple(empty(0) if results[name] is None else results[name] for name in RESULTS)


def _backward(launch: Any, *arguments: Any) -> tuple[Tensor, ...]:
    settings, wanted = _settings(arguments[:_NUM_SETTINGS]), arguments[_NUM_SETTINGS]
    tensors = arguments[_NUM_SETTINGS + 1 :]
    grads, inputs = tensors[: len(GRAD_OUTPUTS)], tensors[len(GRAD_OUTPUTS) :]
    named: Named = dict(zip((*INPUTS, *MASKS, *SAVED), inputs))
    for name in SAVED[1:]:
        named[name] = None if named[name].numel() == 0 else named[name]
    computed = run_backward(settings, named, grads, launch)
    return tuple(
        computed[name].to(named[name].dtype) if want else named["y"].new_empty(0)
        for name, want in zip(INPUTS, wanted)
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    y, _, _, *saved, rows = output
    ctx.settings, tensors = inputs[:_NUM_SETTINGS], list(inputs[_NUM_SETTINGS:])
    if tensors[len(INPUTS)] is not None:  # lengths
        tensors[len(INPUTS) + MASKS.index("rows")] = rows
    ctx.save_for_backward(*tensors, y, *saved)


def _derivative(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    wanted = list(ctx.needs_input_grad[_NUM_SETTINGS : _NUM_SETTINGS + len(INPUTS)])
    operator = torch.ops.congru.triton_backward
    computed = operator(*ctx.settings, wanted, *grads[: len(GRAD_OUTPUTS)], *ctx.saved_tensors)
    gradients = (part if want else None for part, want in zip(computed, wanted))
    return (*(None,) * _NUM_SETTINGS, *gradients, *(None,) * len(MASKS))


def _tensors(names: tuple[str, ...]) -> str:
    return ", ".join(f"Tensor? {name}" for name in names)


_LIBRARY = Library("congru", "FRAGMENT")  # type: ignore[no-untyped-call]
for _name, _declared, _kernel, _count in (
    ("triton_forward", _tensors(INPUTS + MASKS), _forward, len(RESULTS)),
    (
        "triton_backward",
        f"bool[] wanted, {_tensors((*GRAD_OUTPUTS, *INPUTS, *MASKS, *SAVED))}",
        _backward,
        len(INPUTS),
    ),
):
    _returned = ", ".join(["Tensor"] * _count)
    _LIBRARY.define(  # type: ignore[no-untyped-call]
        f"{_name}({_SETTINGS}, {_declared}) -> ({_returned})", tags=(torch.Tag.pt2_compliant_tag,)
    )
    _real, _fake = (lambda *a, f=_kernel, k=k: f(k, *a) for k in (run, _nothing))
    _LIBRARY.impl(_name, _real, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"congru::{_name}", _fake, lib=_LIBRARY)
torch.library.register_autograd("congru::triton_forward", _derivative, setup_context=_keep, lib=_LIBRARY)
