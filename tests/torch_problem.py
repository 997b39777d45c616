"""One call of a layer in torch as a function of its differentiable inputs, for the tests of the core's derivatives."""

from __future__ import annotations

import itertools

import torch
from torch.autograd import forward_ad

from backend_checks import extra, leaf
from cases import make_case
from congru import ops
from option_cases import make_option_case
from tolerances import assert_close

BACKENDS = ("native", "composite")
# Transforms of torch.func, nested: (function, direction) -> function.
NESTINGS_EVERYWHERE = {
    "grad": lambda f, v: torch.func.grad(f),
    "grad of grad": lambda f, v: torch.func.grad(lambda x: (torch.func.grad(f)(x) * v).sum()),
    "jvp": lambda f, v: lambda x: torch.func.jvp(f, (x,), (v,))[1],
    "jvp of grad": lambda f, v: lambda x: torch.func.jvp(torch.func.grad(f), (x,), (v,))[1],
    "grad of jvp": lambda f, v: torch.func.grad(lambda x: torch.func.jvp(f, (x,), (v,))[1]),
}


class Problem:
    """A call with lengths, resets and every differentiable input, as functions of those inputs."""

    def __init__(self, cell, case, dtype=torch.float64):
        options = dict(case.options)
        start = options.pop("h_reset", ())
        groups = (case.x,), case.state, case.weights, start if isinstance(start, tuple) else (start,)
        self.inputs = [leaf(part).detach().to(dtype).requires_grad_() for group in groups for part in group]
        self.sizes = [len(group) for group in groups]
        self.options = {name: _constant(value, dtype) for name, value in options.items()}
        self.cell = cell

    def call(self, backend, *inputs, **options):
        """y, the final state and the gates, flat."""
        rest = iter(inputs)
        (x,), state, weights, start = (tuple(itertools.islice(rest, size)) for size in self.sizes)
        settings = {"h_reset": start or None, "return_gates": True, **self.options, **options}
        y, final, gates = ops.sequence(self.cell, x, state, weights, **settings, backend=backend)
        return (y, *final, gates)

    def loss(self, backend, *inputs):
        return sum((part.sin() * part).sum() for part in self.call(backend, *inputs))

    def both(self, function):
        """The same function with either backend."""
        return [function(lambda *inputs, b=backend: self.loss(b, *inputs)) for backend in BACKENDS]

    def agree_on_every_input(self, nesting):
        """The nested transform of the loss as a function of one input, for each in turn, is the same with either backend."""
        values, directions = self.values(), self.directions()
        for index in range(len(values)):

            def of_one(loss, index=index):
                def function(part):
                    return loss(*values[:index], part, *values[index + 1 :])

                return (nesting(function, directions[index])(values[index]),)

            agree("native, second derivatives", *self.both(of_one))

    def tangents(self):
        """Forward mode of all results at once, with either backend."""
        by_backend = []
        for backend in BACKENDS:
            with forward_ad.dual_level():
                pairs = zip(self.values(), self.directions())
                results = self.call(backend, *(forward_ad.make_dual(*pair) for pair in pairs))
                by_backend.append([forward_ad.unpack_dual(part).tangent for part in results])
        return by_backend

    def directions(self):
        generator = torch.Generator().manual_seed(1)
        return tuple(torch.randn(part.shape, generator=generator).to(part) for part in self.inputs)

    def values(self):
        return tuple(part.detach() for part in self.inputs)


def plain_problem(cell, reset_before, dtype=torch.float64, **sizes):
    case = make_case(cell, ragged=True, resets=True, h_reset=True, **sizes)
    return Problem(cell, case._replace(options=case.options | extra(reset_before)), dtype)


def option_problem(cell, reset_before, layer_norm, **around):
    """With shares of zoneout between 0 and 1, as in evaluation: 0 and 1 alone would hide what is lost of a gate."""
    case = make_option_case(cell, reset_before, layer_norm, **around)
    if "zoneout" in case.options:
        shares = tuple(0.1 + 0.7 * d for d in case.options["zoneout"])
        case = case._replace(options={**case.options, "zoneout": shares})
    return Problem(cell, case)


def agree(row, actual, expected):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected):
        assert_close(row, a.detach(), b.detach())


def _constant(value, dtype):
    """An option as `ops.sequence` takes it in torch; without a gradient."""
    if isinstance(value, tuple):
        return tuple(_constant(part, dtype) for part in value)
    value = leaf(value)
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        value = value.detach().to(dtype)
    return value
