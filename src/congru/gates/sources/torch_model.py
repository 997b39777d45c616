"""A whole torch model: runs it once, notes what went into and came out of each recurrent layer, finds the
read-out.

Only the arrays that cross the layer's border are taken, by hooks that live for that one call; the gates are
recovered from them afterwards, as for a bare layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from congru.errors import CongruError, require
from congru.gates.layer import Layer
from congru.gates.sources.torch_layers import as_in_use, is_packed, is_recurrent, to_numpy, trace_call
from congru.gates.weights import Array


class Call(NamedTuple):
    """One call of a recurrent layer inside the model."""

    name: str
    module: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any


class Seen(NamedTuple):
    """What one run of a model showed: its recurrent layers in the order of their calls, output, Linear
    layers.
    """

    layers: dict[str, tuple[tuple[Layer, ...], ...]]
    output: Array | None
    linears: dict[str, tuple[Array, Array | None]]


def trace_model(model: Any, x: Any, *, lengths: Any = None, reset: Any = None) -> Seen:
    """Run model(x) in evaluation mode and trace its recurrent layers by name.

    x is what the model takes: a tensor or array, a tuple of arguments or a dict of keywords; lengths and
    reset are passed on as keywords where given.
    """
    torch = require("torch", "train")
    modules = {name or "layer": part for name, part in model.named_modules() if is_recurrent(part)}
    if not modules:
        kinds = sorted({type(part).__name__ for part in model.modules()} - {type(model).__name__})
        raise CongruError(
            f"{type(model).__name__} has no recurrent layer, expected a GRU, LSTM, RNN or MinGRU in it: "
            f"it holds {', '.join(kinds) or 'nothing'}; for a cell called in a loop pass its states to "
            "congru.gates.recover"
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
    return Seen(_trace_calls(calls, sorted(modules)), _first_array(output), _linears(model))


def _given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A layer's arguments by name."""
    return dict(zip(("input", "hx"), args)) | kwargs


def _look(name: str) -> Any:
    """Refuse an input without rows or steps before the layer does so in its own words."""

    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = _given(args, kwargs)["input"]
        if not is_packed(x) and 0 in x.shape:
            raise CongruError(
                f"the input of {name} has shape {tuple(x.shape)}, expected at least one row and one step "
                "(T >= 1): there is nothing to see"
            )

    return hook


def _note(calls: list[Call], name: str) -> Any:
    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        calls.append(Call(name, module, args, kwargs, output))

    return hook


def _arguments(torch: Any, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(x, dict):
        return (), {key: torch.as_tensor(value) for key, value in x.items()}
    if isinstance(x, tuple) and not is_packed(x):
        return tuple(torch.as_tensor(value) if isinstance(value, np.ndarray) else value for value in x), {}
    return (x if is_packed(x) else torch.as_tensor(x),), {}


def _trace_calls(calls: list[Call], names: list[str]) -> dict[str, tuple[tuple[Layer, ...], ...]]:
    counts = {name: sum(call.name == name for call in calls) for name in names}
    for name, count in counts.items():
        if count > 1:
            raise CongruError(
                f"{name} runs {count} times in one pass of the model, expected once: inspect that layer "
                "alone with the whole sequence as its x"
            )
    if not calls:
        raise CongruError(f"none of {', '.join(names)} ran, expected at least one: pass an x that reaches it")
    traced = {}
    for call in calls:
        given = _given(call.args, call.kwargs)
        traced[call.name] = trace_call(
            call.module,
            given["input"],
            given.get("hx"),
            call.output,
            lengths=given.get("lengths"),
            reset=given.get("reset"),
            name=call.name,
        )
    return traced


def _first_array(output: Any) -> Array | None:
    """The first floating tensor in what the model returned."""
    if isinstance(output, (tuple, list)):
        found = (_first_array(part) for part in output)
        return next((part for part in found if part is not None), None)
    if hasattr(output, "is_floating_point") and output.is_floating_point():
        array: Array = to_numpy(output)
        return array
    return None


def _linears(model: Any) -> dict[str, tuple[Array, Array | None]]:
    """Every module with a weight [O, F] and perhaps a bias [O] that could be a linear read-out."""
    found = {}
    for name, part in model.named_modules():
        weight, bias = getattr(part, "weight", None), getattr(part, "bias", None)
        if weight is not None and type(part).__name__ != "Embedding" and weight.dim() == 2:
            found[name] = (to_numpy(weight), None if bias is None else to_numpy(bias))
    return found
