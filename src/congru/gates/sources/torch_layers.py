"""The recurrent layers and cells of torch.nn and congru.nn, recognised by their parameter names; their output
is all that is needed.

Nothing is imported from `congru.nn`: whatever has `weight_ih_l0` (a layer) or `weight_ih` (a cell) and says
which cell it is, is read. It runs once without gradients; dropout between its layers is off during that run,
and its mode is put back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from congru.errors import CongruError, require
from congru.gates.sources.stack import Stack

_CELLS = {"GRUCell": "gru", "LSTMCell": "lstm", "RNNCell": "rnn"}
_MODES = {"GRU": "gru", "LSTM": "lstm", "RNN_TANH": "rnn", "RNN_RELU": "rnn_relu"}

_OPTIONS = ("reset_before", "layer_norm", "num_heads", "zoneout")


def is_recurrent(module: Any) -> bool:
    """Whether this is a recurrent layer of torch.nn or congru.nn (or one with their names)."""
    return hasattr(module, "weight_ih_l0") and (hasattr(module, "mode") or hasattr(module, "cell"))


def is_cell(module: Any) -> bool:
    """Whether this is a cell of torch.nn or congru.nn, which makes one step a call."""
    return hasattr(module, "weight_ih") and (hasattr(module, "cell") or _torch_cell(module) is not None)


def _torch_cell(module: Any) -> str | None:
    """The cell that a cell of torch.nn computes, by the names of its classes."""
    name = next((_CELLS[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in _CELLS), None)
    return "rnn_relu" if name == "rnn" and getattr(module, "nonlinearity", "tanh") == "relu" else name


def is_packed(x: Any) -> bool:
    """Whether x is a torch PackedSequence."""
    return hasattr(x, "batch_sizes") and hasattr(x, "data")


def to_numpy(tensor: Any) -> Any:
    """A tensor as an array (bfloat16 and half as float32); None stays None, lists become arrays."""
    if tensor is None:
        return None
    torch = require("torch", "train")
    if not isinstance(tensor, torch.Tensor):
        return np.asarray(tensor)
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()


@contextmanager
def as_in_use(module: Any) -> Iterator[None]:
    """Evaluation mode without gradients, then every submodule's own mode again."""
    torch = require("torch", "train")
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def stack_of(module: Any, name: str) -> Stack:
    """The weights of a layer or a cell as arrays; raises CongruError for a form the equations here do not cover."""
    if getattr(module, "proj_size", 0):
        raise CongruError(
            f"{name} has proj_size {module.proj_size}, expected 0: a projected LSTM is not covered"
        )
    stems = getattr(module, "stems", ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    if is_cell(module):
        cell, ends = getattr(module, "cell", None) or _torch_cell(module), [[""]]
    else:
        cell = getattr(module, "cell", None) or _MODES[module.mode]
        suffixes = ("", "_reverse") if module.bidirectional else ("",)
        ends = [[f"_l{depth}{suffix}" for suffix in suffixes] for depth in range(module.num_layers)]
    weights = [
        [tuple(to_numpy(getattr(module, f"{stem}{end}", None)) for stem in stems) for end in row]
        for row in ends
    ]
    h_reset = None
    if getattr(module, "learn_h0", False):
        h_reset = tuple(to_numpy(getattr(module, part)) for part in ("h0", "c0") if hasattr(module, part))
    options = {option: getattr(module, option) for option in _OPTIONS if hasattr(module, option)}
    return Stack(str(cell), weights, name=name, h_reset=h_reset, **options)
