"""Every backend that computes options, against the reference in float64: y, state, gates and every gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend_checks import leaf
from congru import ops
from congru.errors import BackendError, CongruError
from congru.kernels import native
from congru.reference import options as reference
from option_cases import AROUND, OPTION_CALLS, call_id, make_option_case
from tolerances import assert_close, seeds

SIZES = [
    {"B": 1, "T": 3, "I": 5, "H": 6},
    {"B": 2, "T": 0, "I": 3, "H": 6},
    {"B": 2, "T": 63, "I": 1, "H": 6},
    {"B": 9, "T": 4, "I": 17, "H": 36},
]


def check(cell, case, backend):
    """The same call and the same loss by the reference and by a torch backend."""
    expected = reference.forward(cell, case.x, case.state, case.weights, **case.options)
    grads = reference.backward(cell, case.dy, case.dstate, case.x, case.state, case.weights, **case.options)
    given = {name: leaf(value) for name, value in case.options.items()}
    start = given.get("h_reset")
    for name in ("zoneout", "recurrent_mask"):
        if name in given:
            parts = given[name] if isinstance(given[name], tuple) else (given[name],)
            given[name] = tuple(part.detach() for part in parts) if name == "zoneout" else parts[0].detach()
    x, state, weights = leaf(case.x), leaf(case.state), leaf(case.weights)
    y, final, gates = ops.sequence(cell, x, state, weights, **given, return_gates=True, backend=backend)
    for what, a, b in zip(("y", "state", "gates"), (y, torch.stack(final), gates), expected):
        assert_close("options, backend, float64", a.detach(), np.asarray(b), what)
    loss = (y * torch.tensor(case.dy)).sum()
    loss = loss + sum((a * torch.tensor(b)).sum() for a, b in zip(final, case.dstate))
    loss = loss + gates.square().sum() * 0.0
    loss.backward()
    leaves, found = [x, *state, *weights], [grads.dx, *grads.dstate, *grads.dweights]
    if start is not None:
        dstart = grads.dh_reset
        leaves += start if isinstance(start, tuple) else (start,)
        found += dstart if isinstance(dstart, tuple) else (dstart,)
    for what, (tensor, expected_grad) in enumerate(zip(leaves, found, strict=True)):
        grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        assert_close("options, backend gradients, float64", grad, expected_grad, f"gradient {what}")


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize(("cell", "before", "norm", "around"), OPTION_CALLS, ids=call_id)
def test_composite(cell, before, norm, around, seed):
    check(cell, make_option_case(cell, before, norm, seed, **around), "composite")


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize(
    ("cell", "before", "norm"), [("gru", True, True), ("lstm", False, True), ("gru", False, "dreamer")]
)
def test_composite_at_every_size(cell, before, norm, sizes):
    check(cell, make_option_case(cell, before, norm, **sizes, zoneout=True, mask=True), "composite")
