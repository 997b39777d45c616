"""The native core against the same equations in float64, forward and gradients: random cells, options, layouts, sizes, values.

Each case draws everything from its own seed, so that one that fails can be run again alone. In float64 the core must agree
with torch's operations; in float32 it may be off by some times what torch's own float32 operations are off: a norm of three
units, or a saturated recurrence, makes more of a rounding than a plain sum does, whoever computes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from congru import ops
from congru.kernels.cells import CELLS
from congru.reference.option_equations import gain_names
from faults.tally import Tally

FORMS = (
    *(("gru", False, False), ("gru", True, False), ("lstm", False, False), ("rnn", False, False)),
    *(("gru", False, True), ("gru", True, True), ("lstm", False, True), ("gru", False, "dreamer")),
)
FLOAT64 = 1e-9  # relative to the largest value; gradients through a norm of few units are the worst
TIMES, FLOOR = 64, 4e-6  # float32: times the error of torch's, plus what a plain sum may lose


def compare_all(times: int, seed: int = 0, longest: int = 17) -> Tally:
    """Run so many random calls of up to so many steps."""
    tally, threads = Tally("native against float64"), torch.get_num_threads()
    for number in range(seed, seed + times):
        with tally.case(f"seed {number}"):
            compare(number, longest)
    torch.set_num_threads(threads)
    return tally


def compare(seed: int, longest: int = 17) -> None:
    """One call in float64 and float32; AssertionError names the array that is off, and by how much."""
    random = np.random.default_rng(seed)
    call, tensors, loss = _draw(random, longest)
    torch.set_num_threads(int(random.integers(1, 3)))
    exact = _results(call, tensors, loss, torch.float64, "composite")
    native = _results(call, tensors, loss, torch.float64, "native")
    for name, value in exact.items():
        error = _error(native[name], value)
        assert error <= FLOAT64, f"{name} in float64 off by {error:.1e} of its largest value: {call}"
    native = _results(call, tensors, loss, torch.float32, "native")
    errors = {name: _error(native[name], value) for name, value in exact.items()}
    if max(errors.values()) <= FLOOR:
        return
    torch32 = _results(call, tensors, loss, torch.float32, "composite")
    for name, value in exact.items():
        own, bar = errors[name], TIMES * _error(torch32[name], value) + FLOOR
        assert own <= bar, f"{name} in float32 off by {own:.1e}, more than {bar:.1e}: {call}"


def _draw(random: np.random.Generator, longest: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The options of a call, its differentiable arrays, and what makes a number of its results."""
    cell, reset_before, layer_norm = FORMS[random.integers(len(FORMS))]
    B, T = int(random.integers(1, 6)), int(random.choice([T for T in (0, 1, 2, 3, 5, 9, 17) if longest >= T]))
    I, heads = int(random.choice([0, 1, 3, 8, 19])), int(random.choice([1, 1, 1, 2, 3]))
    if layer_norm == "dreamer":
        heads = 1
    H, G, parts = (
        heads * int(random.choice([1, 2, 3, 7, 16, 21])),
        len(CELLS[cell].gates),
        len(CELLS[cell].states),
    )
    scale = float(random.choice([0.05, 0.5, 0.5, 3.0]))

    def normal(*shape: int) -> Any:
        return scale * random.standard_normal(shape)

    def maybe(value: Any, share: float = 0.5) -> Any:
        return value if random.random() < share else None

    tensors: dict[str, Any] = {"x": normal(B, T, I), "W": normal(G * H, I), "U": normal(G * H, H // heads)}
    tensors |= {name: maybe(normal(G * H), 0.8) for name in ("b_i", "b_h")}
    for name in gain_names(cell, layer_norm, reset_before, heads):
        tensors[name] = normal(H if name.endswith("_c") else G * H)
    has_state = random.random() < 0.7
    tensors |= {f"state{k}": random.uniform(-1, 1, (B, H)) if has_state else None for k in range(parts)}
    start = random.random() < 0.5
    tensors |= {f"reset{k}": random.uniform(-1, 1, H) if start else None for k in range(parts)}
    lengths = maybe(random.integers(0, T + 1, B))
    call: dict[str, Any] = {
        **{"cell": cell, "reset_before": reset_before, "layer_norm": layer_norm, "num_heads": heads},
        "reverse": bool(random.random() < 0.4),
        "lengths": lengths,
        "reset": maybe(random.random((B, T)) < 0.3),
        "zoneout": [random.uniform(0, 1, (B, T, H)) for _ in range(parts)] if random.random() < 0.3 else None,
        "recurrent_mask": maybe(2.0 * (random.random((B, H)) < 0.5), 0.3),
        "recompute": bool(random.random() < 0.3),
        "layout": int(random.integers(4)),
    }
    loss = {"y": normal(B, T, H), "gates": maybe(normal(B, T, G, H), 0.3)}
    loss |= {f"final{k}": random.standard_normal((B, H)) for k in range(parts)}
    return call, tensors, loss


def _results(
    call: dict[str, Any], tensors: dict[str, Any], loss: dict[str, Any], dtype: torch.dtype, backend: str
) -> dict[str, Tensor]:
    """y, the final states, and the gradient of every array that was given."""

    def constant(value: Any) -> Any:
        return None if value is None else torch.from_numpy(np.asarray(value)).to(dtype)

    leaves = {
        name: None if value is None else torch.from_numpy(value).to(dtype).requires_grad_()
        for name, value in tensors.items()
    }
    own = dict(call)
    cell, layout = own.pop("cell"), own.pop("layout")
    x = leaves["x"]
    states = tuple(leaf for name, leaf in leaves.items() if name.startswith("state"))
    starts = tuple(leaf for name, leaf in leaves.items() if name.startswith("reset"))
    weights = tuple(leaf for name, leaf in leaves.items() if not name.startswith(("x", "state", "reset")))
    own |= {
        "zoneout": None if call["zoneout"] is None else tuple(map(constant, call["zoneout"])),
        "recurrent_mask": constant(call["recurrent_mask"]),
        "lengths": None if call["lengths"] is None else torch.from_numpy(call["lengths"]),
        "reset": None if call["reset"] is None else torch.from_numpy(call["reset"]),
        "h_reset": starts if starts and starts[0] is not None else None,
        "return_gates": loss["gates"] is not None,
    }
    assert x is not None
    y, final, gates = ops.sequence(
        cell,
        _laid_out(x, layout),
        states if states[0] is not None else None,
        weights,
        **own,
        backend=backend,
    )
    total = (y * constant(loss["y"])).sum()
    for k, part in enumerate(final):
        total = total + (part * constant(loss[f"final{k}"])).sum()
    if gates is not None:
        total = total + (gates * constant(loss["gates"])).sum()
    results = {"y": y.detach(), **{f"final{k}": part.detach() for k, part in enumerate(final)}}
    total.backward()
    for name, leaf in leaves.items():
        if leaf is not None:
            results[f"d{name}"] = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    return results


def _laid_out(x: Tensor, layout: int) -> Tensor:
    """The same values in other places of memory: as they are, time first, every second row of more, off the beginning."""
    if layout == 1:
        return x.transpose(0, 1).contiguous().transpose(0, 1)
    if layout == 2:
        return torch.stack([x, x], 1).flatten(0, 1)[::2]
    if layout == 3:
        return torch.cat([x.flatten()[:1] if x.numel() else x.new_zeros(1), x.flatten()])[1:].view(x.shape)
    return x


def _error(actual: Tensor, expected: Tensor) -> float:
    assert actual.shape == expected.shape
    if expected.numel() == 0:
        return 0.0
    assert torch.isfinite(actual).all(), "not finite"
    return float((actual.double() - expected).abs().max()) / max(1.0, float(expected.abs().max()))
