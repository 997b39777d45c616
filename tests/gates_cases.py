"""Random layers and traces for the tests of the gates: float64 unless asked, all biases and starts
non-zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import congru
from cases import make_case
from congru.gates import Stack, Trace
from congru.gates.inspect import inspect
from congru.gates.readout import Readout

# Cell and reset form, as pytest parameters.
FORMS = [("gru", False), ("gru", True), ("lstm", False), ("rnn", False), ("mingru", False)]
KEEPING = [("gru", False), ("gru", True), ("mingru", False)]


def random_stack(
    cell: str,
    reset_before: bool = False,
    *,
    I: int = 3,
    H: int = 5,
    layers: int = 1,
    ways: int = 1,
    seed: int = 0,
) -> Stack:
    """A stack with normal weights, small enough that no gate saturates."""
    weights = []
    for layer in range(layers):
        row = []
        for way in range(ways):
            size = I if layer == 0 else H * ways
            case = make_case(cell, seed=seed + 10 * layer + way, B=1, T=1, I=size, H=H)
            row.append(tuple(0.5 * part for part in case.weights))
        weights.append(row)
    return Stack(cell, weights, reset_before)


def random_trace(
    cell: str,
    reset_before: bool = False,
    *,
    B: int = 2,
    T: int = 6,
    I: int = 3,
    H: int = 5,
    layers: int = 1,
    ways: int = 1,
    seed: int = 0,
    readout: str | None = "steps",
    outputs: int = 4,
    zoneout: float = 0.0,
    norm: bool = False,
    **options: Any,
) -> Trace:
    """A trace of a random stack from a random start, with a random linear read-out."""
    random = np.random.default_rng(seed)
    stack = random_stack(cell, reset_before, I=I, H=H, layers=layers, ways=ways, seed=seed)
    stack = stack._replace(zoneout=zoneout)
    if norm:
        stack = _normed(stack, random)
    parts = 2 if cell == "lstm" else 1
    h0 = tuple(random.normal(size=(layers * ways, B, H)) * 0.5 for _ in range(parts))
    trace = inspect(stack, random.normal(size=(B, T, I)), h0=h0, **options)
    if readout is None:
        return trace
    weight, bias = random.normal(size=(outputs, ways * H)), random.normal(size=outputs)
    return with_readout(trace, Readout("head", readout, weight, bias, tuple("abcd"[:outputs])))


def _normed(stack: Stack, random: np.random.Generator) -> Stack:
    """The stack with layer norm, its gains around 1."""
    weights = []
    for row in stack.weights:
        rows, H = row[0][1].shape
        sizes = (rows, rows, *((H, H) if stack.cell == "lstm" else ()))
        weights.append(
            [
                (*way, *(random.uniform(0.5, 1.5, size) - (k == 3) for k, size in enumerate(sizes)))
                for way in row
            ]
        )
    return stack._replace(weights=weights, layer_norm=True)


def with_readout(trace: Trace, readout: Readout) -> Trace:
    """The same trace with that read-out."""
    y = np.concatenate([way.y for way in trace.layers[-1]], axis=2)
    output = readout.apply(y, trace.lengths)
    return Trace(trace.layers, trace.tokens, trace.title, trace.layer_names, output, readout)


def known_keep(keep: list[float], T: int = 40, dtype: Any = np.float64) -> Trace:
    """A GRU built by hand whose unit i keeps exactly keep[i] at every step, whatever it reads."""
    size = len(keep)
    W, U = np.zeros((3 * size, 1), dtype), np.zeros((3 * size, size), dtype)
    W[2 * size :] = 1
    b_i = np.zeros(3 * size, dtype)
    b_i[size : 2 * size] = np.log(np.array(keep) / (1 - np.array(keep)))
    x = np.random.default_rng(0).normal(size=(1, T, 1)).astype(dtype)
    return congru.inspect(Stack("gru", [[(W, U, b_i, None)]]), x)
