"""PyTorch's own recurrent kernels for the plain case: no lengths, no resets, no other form.

They return no gates. A gate depends on x_t and h_{t-1} alone, so two matrix products over all steps recover
them from x and y, and autograd sees them as it would in a loop.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from congru.kernels.call import Call, Sequence
from congru.kernels.composite import State, Weights, gate_equations, input_part, zeros
from congru.kernels.tracing import constant_when_traced

_SEQUENCE: dict[str, Callable[..., Any]] = {
    "gru": torch.gru,
    "lstm": torch.lstm,
    "rnn": torch.rnn_tanh,
    "rnn_relu": torch.rnn_relu,
}
_STEP: dict[str, Callable[..., Any]] = {
    "gru": torch.gru_cell,
    "lstm": torch.lstm_cell,
    "rnn": torch.rnn_tanh_cell,
    "rnn_relu": torch.rnn_relu_cell,
}


def supports(call: Call) -> str | None:
    """The cells of torch.nn in their plain form."""
    if call.library != "torch":
        return "it computes with torch tensors only"
    if call.cell not in _SEQUENCE:
        return f"PyTorch has no {call.cell}"
    if call.reset_before:
        return "PyTorch has no reset_before form"
    if call.lengths or call.reset:
        return "PyTorch's kernels know neither lengths nor reset flags"
    if call.recompute:
        return "PyTorch's kernels keep the gates for the backward"
    if call.steps == 0 or call.batch == 0:
        return "PyTorch's kernels refuse empty input"
    if call.cell == "lstm" and call.device == "cpu" and torch.is_autocast_enabled("cpu"):
        products = torch.get_autocast_dtype("cpu")
        if not _runs_lstm(call.dtype, products):
            return f"PyTorch has no LSTM in {str(products).removeprefix('torch.')} on this processor"
    return None


@constant_when_traced
def _runs_lstm(dtype: str, products: torch.dtype) -> bool:
    """Whether PyTorch's LSTM runs on this processor for tensors of `dtype` under autocast to `products`.

    oneDNN has the kernel in bfloat16 from AVX-512 on and in float16 for fewer processors, and PyTorch finds out in the call.
    """
    return _tried(dtype, products)


@functools.cache
def _tried(dtype: str, products: torch.dtype) -> bool:
    """One step of one unit, with its gradient; in a thread of its own, where none of the caller's modes is on."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_one_step, getattr(torch, dtype), products).result()


def _one_step(dtype: torch.dtype, products: torch.dtype) -> bool:
    x, *weights = (
        torch.ones(sizes, dtype=dtype, device="cpu", requires_grad=True)
        for sizes in ((1, 1, 1), (4, 1), (4, 1), (4,), (4,))
    )
    h = x.detach()
    try:
        with torch.autocast("cpu", products):
            y, *_ = _layer("lstm", x, (h, h), tuple(weights), False)
        y.sum().backward()  # type: ignore[no-untyped-call]
    except (
        RuntimeError
    ):  # "could not create a primitive descriptor for the LSTM forward propagation primitive"
        return False
    return True


def sequence(call: Sequence) -> tuple[Tensor, State, Tensor | None]:
    """Run a call, see `congru.ops.sequence`."""
    cell, x, state, reverse = call.cell, call.x, call.state, call.reverse
    weights = _both_biases(call.weights)
    state = zeros(cell, x, weights) if state is None else state
    steps = x.transpose(0, 1)
    steps = steps.flip(0) if reverse else steps
    y, final = _layer(cell, steps, tuple(part.unsqueeze(0) for part in state), weights, False)
    gates = None
    if call.return_gates:
        h_prev = torch.cat([state[0].unsqueeze(0), y[:-1]])
        rows = gate_equations(cell, weights)(input_part(cell, steps, weights), h_prev)
        gates = torch.stack(rows, 2)
        gates = (gates.flip(0) if reverse else gates).transpose(0, 1)
    y = y.flip(0) if reverse else y
    return y.transpose(0, 1), tuple(part.squeeze(0) for part in final), gates


def step(cell: str, x: Tensor, state: State | None, weights: Weights, *, reset_before: bool = False) -> State:
    """One step on x [B, I]; see `congru.ops.step`."""
    weights = _both_biases(weights)
    state = zeros(cell, x, weights) if state is None else state
    new = _STEP[cell](x, state if cell == "lstm" else state[0], *weights)
    return new if cell == "lstm" else (new,)


def _layer(cell: str, x: Tensor, state: State, weights: Weights, batch_first: bool) -> tuple[Tensor, State]:
    """One layer of torch.nn in one direction, without dropout."""
    has_biases = weights[2] is not None
    flat = weights if has_biases else weights[:2]
    start = state if cell == "lstm" else state[0]
    # cuDNN differentiates only what it ran as training. Without dropout the results are the same.
    train = torch.is_grad_enabled() and any(
        part is not None and part.requires_grad for part in (x, *state, *flat)
    )
    with _without_advice(x):  # num_layers, dropout, train, bidirectional
        y, *final = _SEQUENCE[cell](x, start, flat, has_biases, 1, 0.0, train, False, batch_first)
    return y, tuple(final)


def _without_advice(x: Tensor) -> AbstractContextManager[Any]:
    """Without cuDNN's warning, in every call, to flatten the parameters: our weights lie apart, and it joins them by itself."""
    if torch.compiler.is_compiling() or not _on_cuda(x):
        return nullcontext()
    return warnings_off("RNN module weights are not part of single contiguous chunk of memory")


def _on_cuda(x: Tensor) -> bool:
    return x.is_cuda


@contextmanager
def warnings_off(message: str) -> Iterator[None]:
    """No warnings that begin with `message` in the block."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=message)
        yield


def _both_biases(weights: Weights) -> Weights:
    """PyTorch takes both biases or none: a single missing one becomes zeros."""
    W, U, b_i, b_h = weights
    if b_i is None and b_h is not None:
        return W, U, torch.zeros_like(b_h), b_h
    if b_h is None and b_i is not None:
        return W, U, b_i, torch.zeros_like(b_i)
    return weights
