"""A bare layer or cell of torch.nn or congru.nn, run once on an input as the layer takes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.errors import CongruError, check_shape, require
from congru.gates.layer import Layer
from congru.gates.sources.calls import join_calls, read_call
from congru.gates.sources.stack import check_steps
from congru.gates.sources.torch_layers import as_in_use, is_packed, stack_of


def trace_module(
    module: Any, x: Any, *, h0: Any = None, lengths: Any = None, reset: Any = None, name: str = ""
) -> tuple[tuple[Layer, ...], ...]:
    """Run a bare recurrent layer on x (as the layer takes it: batch_first or not, packed or padded) and trace it."""
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
    hx = _hidden(weight, h0)
    with as_in_use(module):
        output = _call(module, x, hx, lengths, reset)
    return read_call(name, module, x, hx, output, lengths=lengths, reset=reset).trace()


def trace_cell(module: Any, x: Any, *, h0: Any = None, name: str = "") -> tuple[tuple[Layer, ...], ...]:
    """Run a bare cell over the steps of x [B, T, I] (or [T, I], one sequence) and trace it as one layer.

    h0 [B, H], for an LSTM a pair, None = zeros.
    """
    torch = require("torch", "train")
    name, weight = name or type(module).__name__.lower(), module.weight_ih
    x = torch.as_tensor(np.asarray(x) if not isinstance(x, torch.Tensor) else x).to(
        weight.device, weight.dtype
    )
    x = check_steps(x, module.input_size)
    state = _hidden(weight, h0)
    calls = []
    with as_in_use(module):
        for t in range(x.shape[1]):
            new = module(x[:, t], state)
            calls.append(read_call(name, module, x[:, t], state, new))
            state = new
    return join_calls(calls).runs[name].trace()


def _hidden(weight: Any, h0: Any) -> Any:
    """h0 as tensors like the weight: one, or a pair for an LSTM."""
    if h0 is None:
        return None
    torch = require("torch", "train")
    parts = h0 if isinstance(h0, (tuple, list)) else (h0,)
    tensors = tuple(torch.as_tensor(part).to(weight.device, weight.dtype) for part in parts)
    return tensors if len(tensors) > 1 else tensors[0]


def _call(module: Any, x: Any, hx: Any, lengths: Any, reset: Any) -> Any:
    """module(x, hx), with lengths and resets where given: congru.nn takes them, torch.nn takes lengths by packing."""
    torch = require("torch", "train")
    if lengths is None and reset is None:
        return module(x, hx)
    if hasattr(module, "cell"):
        as_tensor = {"lengths": lengths, "reset": reset}
        keywords = {key: torch.as_tensor(value) for key, value in as_tensor.items() if value is not None}
        return module(x, hx, **keywords)
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
