"""Triton kernels as a backend for CUDA: GRU in both forms, LSTM and minGRU, with what cuDNN has not.

One launch runs a whole sequence: lengths, resets, reverse, layer norm, zoneout, recurrent masks, heads and gates in it; two
directions of a layer are one launch (`sequences`). One step without gradients has a kernel of its own. On CPU tensors the
kernels run in Triton's interpreter alone (TRITON_INTERPRET=1, set before triton is imported): slow, for tests.

No card has run these kernels yet, so "auto" passes them over: see `declines` and docs/gpu.md. What they keep where is in
their files.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from congru.kernels import composite
from congru.kernels.call import Call, Sequence
from congru.kernels.cells import State, Weights
from congru.kernels.tracing import constant_when_traced
from congru.kernels.triton.plan import MOST_UNITS, interpreted

OPTIONS = ("layer_norm=True", "layer_norm='dreamer'", "zoneout", "recurrent_mask")
RUNS_HEADS = True  # in one launch, where other backends run head by head
DTYPES = ("float32", "bfloat16", "float16")

Results = tuple[Tensor, State, Tensor | None]


def supports(call: Call) -> str | None:
    """CUDA tensors (CPU ones in the interpreter) of 32 or 16 bits; heads whose recurrent weights stay in one program."""
    if call.library != "torch":
        return "it computes with torch tensors only"
    compiling = torch.compiler.is_compiling()
    if not compiling and torch._C._get_tracing_state() is not None:
        return "torch.jit.trace does not see into its kernels"
    if call.device != "cuda" and not (call.device == "cpu" and interpreted()):
        return f"it computes on CUDA, not on {call.device}"
    if not _installed():
        return "triton is not installed, run pip install 'congru[triton]'"
    if call.cell not in ("gru", "lstm", "mingru"):
        return f"it has no {call.cell}"
    if call.dtype not in DTYPES:
        return f"it computes in float32, bfloat16 and float16, not {call.dtype}"
    if compiling:
        return _untraceable(call)
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return "torch.func and forward-mode derivatives do not see into its kernels"
    return _too_large(call)


def _untraceable(call: Call) -> str | None:
    """Why a graph of torch.compile or torch.export cannot hold it, or None."""
    if call.cell == "mingru":
        return "a traced graph does not see into its kernel of the mingru"
    if call.recompute:
        return "a traced graph computes nothing again as it is told to"
    _register()
    return _too_large(call)


@constant_when_traced
def _register() -> bool:
    """Its operators are there: torch's compiler cannot follow an import on first use."""
    importlib.import_module("congru.kernels.triton.traced")
    return True


def _too_large(call: Call) -> str | None:
    """Why a head has more units than the kernels take, or None; a plain step without gradients takes any number."""
    if call.cell == "mingru" or (call.steps is None and not call.gradient and not call.options):
        return None
    units = call.hidden_size // call.num_heads
    return f"it takes {MOST_UNITS} units of a head at most, not {units}" if units > MOST_UNITS else None


def declines(call: Call) -> str | None:
    """Why "auto" passes it over although it can run this call: what was never run on a card is nobody's default."""
    return "no card has run it yet, so it runs only where backend='triton' asks for it"


@constant_when_traced
def _installed() -> bool:
    return _has_triton()


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def sequence(call: Sequence) -> Results:
    """Run a call, see :func:`congru.ops.sequence`; `recompute` keeps the arguments alone for the backward."""
    return sequences((call,))[0]


def sequences(calls: tuple[Sequence, ...]) -> list[Results]:
    """Run the calls of one layer, one for each direction, in one launch; their lengths, resets and options are the same."""
    call = calls[0]
    if call.x.shape[0] == 0 or call.x.shape[1] == 0:
        return [_without_steps(own) for own in calls]
    if call.recompute:
        return _recomputed(calls)
    if call.cell == "mingru":
        from congru.kernels.triton import mingru

        return [mingru.sequence(own) for own in calls]
    from congru.kernels.triton import launch

    return launch.launch(calls)


def step(cell: str, x: Tensor, state: State | None, weights: Weights, *, reset_before: bool = False) -> State:
    """One step on x [B, I]; see :func:`congru.ops.step`."""
    arrays = (x, *(state or ()), *weights)
    gradient = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in arrays)
    if gradient or cell == "mingru" or len(x) == 0 or torch.compiler.is_compiling():
        return sequence(Sequence(cell, x.unsqueeze(1), state, weights, reset_before=reset_before))[1]
    from congru.kernels.triton import one_step

    return one_step.step(cell, x, state, weights, reset_before=reset_before)


def _without_steps(call: Sequence) -> Results:
    """A call without rows or steps, which needs no kernel."""
    if call.options.num_heads == 1:
        return composite.sequence(call)
    from congru.kernels import heads

    return heads.sequence(composite.sequence, call)


def _recomputed(calls: tuple[Sequence, ...]) -> list[Results]:
    """The calls with `recompute`: the backward runs the forward again."""

    def again(arguments: list[tuple[Any, ...]]) -> list[Results]:
        names = ("x", "state", "weights", "h_reset")
        return sequences(
            tuple(
                own._replace(**dict(zip(names, parts)), recompute=False)
                for own, parts in zip(calls, arguments)
            )
        )

    arguments = [(own.x, own.state, own.weights, own.h_reset) for own in calls]
    results: list[Results] = checkpoint(again, arguments, use_reentrant=False, preserve_rng_state=False)
    return results
