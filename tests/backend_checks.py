"""The same call by the reference and by a torch backend: y, state, gates and every gradient must agree."""

from __future__ import annotations

import numpy as np
import torch

from congru import ops
from congru.kernels.cells import CELLS
from congru.reference import gru, lstm, mingru, rnn
from tolerances import assert_close

REFERENCE = {"gru": gru, "lstm": lstm, "rnn": rnn, "mingru": mingru}


def extra(reset_before):
    return {"reset_before": True} if reset_before else {}


def leaf(array):
    """The array as a tensor that wants a gradient; flags, integers and None stay what they are."""
    if isinstance(array, tuple):
        return tuple(map(leaf, array))
    if not isinstance(array, np.ndarray):
        return array
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


def check(cell, reset_before, case, backend, return_gates=True):
    """The same call and the same loss by the reference and by a torch backend."""
    form = extra(reset_before)
    expected = REFERENCE[cell].forward(case.x, case.state, case.weights, **case.options, **form)
    grads = REFERENCE[cell].backward(
        case.dy, case.dstate, case.x, case.state, case.weights, **case.options, **form
    )
    x, state, weights = leaf(case.x), leaf(case.state), leaf(case.weights)
    options = {name: leaf(value) for name, value in case.options.items()}
    actual = ops.sequence(
        cell, x, state, weights, **options, **form, return_gates=return_gates, backend=backend
    )
    for what, a, b in zip(("y", "state", "gates"), actual, expected):
        if a is None and not return_gates:
            continue
        a = torch.stack(a) if what == "state" else a
        assert_close("composite, float64", a.detach(), np.asarray(b), what)
    loss = (actual[0] * torch.tensor(case.dy)).sum()
    loss = loss + sum((a * torch.tensor(b)).sum() for a, b in zip(actual[1], case.dstate))
    loss.backward()
    pairs = [("x", x, grads.dx)]
    pairs += list(zip(CELLS[cell].states, state, grads.dstate))
    pairs += list(zip(CELLS[cell].weights, weights, grads.dweights))
    if options.get("h_reset") is not None:
        start, dstart = options["h_reset"], grads.dh_reset
        start, dstart = (start, dstart) if isinstance(start, tuple) else ((start,), (dstart,))
        pairs += [("h_reset", *pair) for pair in zip(start, dstart)]
    for what, tensor, expected_grad in pairs:
        if tensor is None:
            continue
        grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        assert_close("composite gradients, float64", grad, expected_grad, f"d{what}")
