"""A whole torch model: runs it once, notes what went into and came out of each recurrent layer, finds the read-out.

Only the arrays that cross the layer's border are taken, by hooks that live for that one call; the gates are
recovered from them afterwards, as for a bare layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from congru.errors import CongruError, require
from congru.gates.layer import Layer
from congru.gates.sources.calls import Call, Joined, is_continued, join_calls, read_call
from congru.gates.sources.torch_layers import as_in_use, is_cell, is_packed, is_recurrent, to_numpy
from congru.gates.weights import Array


class Seen(NamedTuple):
    """What one run of a model showed: its recurrent layers in the order of their first calls, how many calls each
    joins, the lines for layers whose calls do not connect, its output, and its Linear layers.

    `stacked` names the runs that read the same time as the last one: those that one record may hold.
    """

    layers: dict[str, tuple[tuple[Layer, ...], ...]]
    num_calls: dict[str, int]
    breaks: dict[str, str]
    stacked: tuple[str, ...]
    output: Array | None
    linears: dict[str, tuple[Array, Array | None]]


def trace_model(model: Any, x: Any, *, lengths: Any = None, reset: Any = None) -> Seen:
    """Run model(x) in evaluation mode and trace its recurrent layers by name.

    x is what the model takes: a tensor or array, a tuple of arguments or a dict of keywords; lengths and
    reset are passed on as keywords where given.
    """
    torch = require("torch", "train")
    modules = {
        name or "layer": part for name, part in model.named_modules() if is_recurrent(part) or is_cell(part)
    }
    if not modules:
        kinds = sorted({type(part).__name__ for part in model.modules()} - {type(model).__name__})
        raise CongruError(
            f"{type(model).__name__} has no recurrent layer, expected a GRU, LSTM, RNN or MinGRU in it: "
            f"it holds {', '.join(kinds) or 'nothing'}; for a cell of your own pass its states to congru.gates.recover"
        )
    options = {
        key: torch.as_tensor(value)
        for key, value in (("lengths", lengths), ("reset", reset))
        if value is not None
    }
    args, kwargs = _arguments(torch, x)
    calls: list[Call] = []
    handles = []
    for name, part in modules.items():
        handles.append(part.register_forward_pre_hook(_look(name), with_kwargs=True))
        handles.append(part.register_forward_hook(_note(calls, name), with_kwargs=True))
    try:
        with as_in_use(model):
            output = model(*args, **kwargs, **options)
    except (RuntimeError, TypeError, IndexError) as error:
        if isinstance(error, CongruError):
            raise
        line = " ".join(str(error).split())
        raise CongruError(
            f"{type(model).__name__} does not take this x ({line}), expected what its forward takes: "
            "pass a tensor, a tuple of arguments or a dict of keywords"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if not calls:
        raise CongruError(
            f"none of {', '.join(sorted(modules))} ran, expected at least one: pass an x that reaches it"
        )
    joined = join_calls(calls)
    layers = {name: run.trace() for name, run in joined.runs.items()}
    return Seen(layers, joined.num_calls, joined.breaks, _stacked(joined), _output(output), _linears(model))


def _stacked(joined: Joined) -> tuple[str, ...]:
    """The runs that read the same time as the last: as many calls, and neither begins where the other ended."""
    last = list(joined.runs)[-1]
    return tuple(
        name
        for name, run in joined.runs.items()
        if name == last
        or (
            name not in joined.breaks
            and joined.num_calls[name] == joined.num_calls[last]
            and not is_continued(run, joined.runs[last])
        )
    )


def _arguments_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A layer's arguments by name."""
    return dict(zip(("input", "hx"), args)) | kwargs


def _look(name: str) -> Any:
    """Refuse an input without rows or steps before the layer does so in its own words."""

    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = _arguments_of(args, kwargs)["input"]
        if not is_packed(x) and 0 in x.shape:
            raise CongruError(
                f"the input of {name} has shape {tuple(x.shape)}, expected at least one row and one step "
                "(T >= 1): there is nothing to see"
            )

    return hook


def _note(calls: list[Call], name: str) -> Any:
    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        named = _arguments_of(args, kwargs)
        calls.append(
            read_call(
                name, module, named["input"], named.get("hx"), output,
                lengths=named.get("lengths"), reset=named.get("reset"),
            )
        )  # fmt: skip

    return hook


def _arguments(torch: Any, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(x, dict):
        return (), {key: torch.as_tensor(value) for key, value in x.items()}
    if isinstance(x, tuple) and not is_packed(x):
        return tuple(torch.as_tensor(value) if isinstance(value, np.ndarray) else value for value in x), {}
    return (x if is_packed(x) else torch.as_tensor(x),), {}


def _output(output: Any) -> Array | None:
    """The first floating tensor in what the model returned; a list of one tensor a step [B, ...] as [B, T, ...]."""
    if isinstance(output, list) and len(output) > 1:
        steps = [_output(part) for part in output]
        first = steps[0]
        if first is not None and all(step is not None and step.shape == first.shape for step in steps):
            return np.stack(steps, axis=1)  # type: ignore[arg-type]
    if isinstance(output, (tuple, list)):
        arrays = (_output(part) for part in output)
        return next((array for array in arrays if array is not None), None)
    if hasattr(output, "is_floating_point") and output.is_floating_point():
        array: Array = to_numpy(output)
        return array
    return None


def _linears(model: Any) -> dict[str, tuple[Array, Array | None]]:
    """Every module with a weight [O, F] and perhaps a bias [O] that could be a linear read-out."""
    linears = {}
    for name, part in model.named_modules():
        weight, bias = getattr(part, "weight", None), getattr(part, "bias", None)
        if weight is not None and type(part).__name__ != "Embedding" and weight.dim() == 2:
            linears[name] = (to_numpy(weight), None if bias is None else to_numpy(bias))
    return linears
