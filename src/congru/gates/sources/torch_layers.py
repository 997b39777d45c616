"""torch.nn.GRU, LSTM, RNN and congru.nn's layers, recognised by their parameter names; their output is all
that is needed.

Nothing is imported from `congru.nn`: whatever has `weight_ih_l0` and says which cell it is, is read. The
layer runs once without gradients; dropout between its layers is off during that run, and its mode is put
back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from congru.errors import CongruError, check_shape, require
from congru.gates.layer import Layer
from congru.gates.sources.stack import Stack, check_steps, trace_stack

_MODES = {"GRU": "gru", "LSTM": "lstm", "RNN_TANH": "rnn", "RNN_RELU": "rnn_relu"}

_OPTIONS = ("reset_before", "layer_norm", "num_heads", "zoneout")


def is_recurrent(module: Any) -> bool:
    """Whether this is a recurrent layer of torch.nn or congru.nn (or one with their names)."""
    return hasattr(module, "weight_ih_l0") and (hasattr(module, "mode") or hasattr(module, "cell"))


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
    """The layer's weights as arrays; raises CongruError for a form the equations here do not cover."""
    if getattr(module, "proj_size", 0):
        raise CongruError(
            f"{name} has proj_size {module.proj_size}, expected 0: a projected LSTM is not covered"
        )
    cell = getattr(module, "cell", None) or _MODES[module.mode]
    stems = getattr(module, "stems", ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    suffixes = ("", "_reverse") if module.bidirectional else ("",)
    weights = [
        [
            tuple(to_numpy(getattr(module, f"{stem}_l{depth}{suffix}", None)) for stem in stems)
            for suffix in suffixes
        ]
        for depth in range(module.num_layers)
    ]
    h_reset = None
    if getattr(module, "learn_h0", False):
        h_reset = tuple(to_numpy(getattr(module, part)) for part in ("h0", "c0") if hasattr(module, part))
    options = {option: getattr(module, option) for option in _OPTIONS if hasattr(module, option)}
    return Stack(cell, weights, name=name, h_reset=h_reset, **options)


def trace_module(
    module: Any, x: Any, *, h0: Any = None, lengths: Any = None, reset: Any = None, name: str = ""
) -> tuple[tuple[Layer, ...], ...]:
    """Run a bare recurrent layer on x (as the layer takes it: batch_first or not, packed or padded) and
    trace it.
    """
    torch = require("torch", "train")
    name = name or type(module).__name__.lower()
    weight = module.weight_ih_l0
    if is_packed(x):
        if lengths is not None or reset is not None:
            raise CongruError(
                "lengths or reset is given with a PackedSequence, expected None: it has its own lengths"
            )
        steps = x.data
    else:
        x = torch.as_tensor(np.asarray(x) if not isinstance(x, torch.Tensor) else x)
        x = x.to(weight.device, weight.dtype)
        batch_first = x if module.batch_first or x.dim() == 2 else x.transpose(0, 1)
        steps = check_steps(batch_first, module.input_size)
    check_shape(
        "x", steps[..., :1, :], "[..., I]", (*steps.shape[:-2], 1, module.input_size), "check the features"
    )
    stack_of(module, name)  # a form that is not covered is refused before it runs
    hx = _hidden(module, h0, x)
    with as_in_use(module):
        output = _call(module, x, hx, lengths, reset)
    return trace_call(module, x, hx, output, lengths=lengths, reset=reset, name=name)


def trace_call(
    module: Any, x: Any, hx: Any, output: Any, *, lengths: Any = None, reset: Any = None, name: str
) -> tuple[tuple[Layer, ...], ...]:
    """Trace a call that has been made: module(x, hx) -> output; x and output as the module takes and gives
    them.
    """
    stack = stack_of(module, name)
    state = None if hx is None else tuple(hx) if isinstance(hx, (tuple, list)) else (hx,)
    y = output[0]
    if is_packed(x):
        pad = require("torch.nn.utils.rnn", "train").pad_packed_sequence
        (x, lengths), (y, _) = pad(x, batch_first=True), pad(y, batch_first=True)
    elif x.dim() == 2:
        x, y = x[None], y[None]
        state = None if state is None else tuple(part[:, None] if part.dim() == 2 else part for part in state)
        reset = None if reset is None else to_numpy(reset).reshape(1, -1)
        lengths = None if lengths is None else to_numpy(lengths).reshape(1)
    elif not module.batch_first:
        x, y = x.transpose(0, 1), y.transpose(0, 1)
    return trace_stack(
        stack,
        to_numpy(x),
        state=None if state is None else tuple(map(to_numpy, state)),
        y=to_numpy(y),
        lengths=None if lengths is None else to_numpy(lengths),
        reset=None if reset is None else to_numpy(reset),
    )


def _hidden(module: Any, h0: Any, x: Any) -> Any:
    """h0 as tensors like the weights: one, or a pair for an LSTM."""
    if h0 is None:
        return None
    torch = require("torch", "train")
    weight = module.weight_ih_l0
    parts = h0 if isinstance(h0, (tuple, list)) else (h0,)
    tensors = tuple(torch.as_tensor(part).to(weight.device, weight.dtype) for part in parts)
    return tensors if len(tensors) > 1 else tensors[0]


def _call(module: Any, x: Any, hx: Any, lengths: Any, reset: Any) -> Any:
    """module(x, hx), with lengths and resets where given: congru.nn takes them, torch.nn takes lengths by
    packing.
    """
    torch = require("torch", "train")
    if lengths is None and reset is None:
        return module(x, hx)
    if hasattr(module, "cell"):
        as_tensor = {"lengths": lengths, "reset": reset}
        given = {key: torch.as_tensor(value) for key, value in as_tensor.items() if value is not None}
        return module(x, hx, **given)
    if reset is not None:
        raise CongruError(
            f"reset is given for torch.nn.{type(module).__name__}, expected None: only congru.nn's layers "
            "restart within a row; load its weights into one"
        )
    rnn = require("torch.nn.utils.rnn", "train")
    lengths = torch.as_tensor(lengths)
    if int(lengths.min()) < 1:
        raise CongruError(
            f"lengths holds {int(lengths.min())}, expected at least 1 for "
            f"torch.nn.{type(module).__name__}: leave such rows out, or use congru.nn"
        )
    num_steps = x.shape[1 if module.batch_first else 0]
    packed = rnn.pack_padded_sequence(x, lengths, batch_first=module.batch_first, enforce_sorted=False)
    y, final = module(packed, hx)
    y, _ = rnn.pad_packed_sequence(y, batch_first=module.batch_first, total_length=num_steps)
    return y, final
