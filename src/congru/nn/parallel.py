"""A plain GRU layer evaluated over all of its steps at once; the method is in `congru.kernels.newton`."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from congru import ops
from congru.errors import SettingsError, ShapeError, check_shape
from congru.kernels.newton import WINDOW, Limits, States, solve
from congru.nn.gru import GRU


class ParallelResult(NamedTuple):
    """What `run_in_parallel` returns: y and h as the layer does, and the proof.

    residual: the largest |h_t - f(h_{t-1}, x_t)| of the steps that were solved at once, f the unit. iterations: the most that
    any window of time took. sequential_steps: steps, of all layers and directions, that ran one after the other because the
    iterations did not converge there; 0 where all were solved at once.
    """

    y: Tensor
    h: Tensor
    residual: float
    iterations: int
    sequential_steps: int


def run_in_parallel(
    layer: GRU | torch.nn.GRU,
    input: Tensor,
    hx: Tensor | None = None,
    *,
    tolerance: float | None = None,
    max_iterations: int = 64,
    window: int = WINDOW,
) -> ParallelResult:
    """Run a plain GRU over time in parallel: exact states of the same weights, by quasi-Newton iterations.

    The states solve h_t = f(h_{t-1}, x_t) for all t. Each iteration evaluates f for every step in one product and solves

        h'_t = f(h_{t-1}, x_t) + D_t (h'_{t-1} - h_{t-1}),    D_t the diagonal of df/dh,

    by a scan (quasi-DEER: Gonzalez et al. 2024, arXiv 2407.19115, section 4), damped as `congru.kernels.newton` says, in
    windows of time. It is for many steps, few rows and a state that forgets: a network whose state grows apart from a small
    change converges in short windows only, and the rest runs step by step (`sequential_steps`). Gradients are those of the
    exact solution, solved alike; there are no second ones.

    - `layer`: `GRU` or torch.nn.GRU with any layers and directions, float32 or float64, without options.
    - `input`: [T, B, I], or [B, T, I] if the layer is `batch_first`; `hx`: [L*D, B, H], None = zeros. y and h are alike.
    - `tolerance`: the largest residual of a state; None = 64 times the dtype's spacing at 1, 7.6e-6 in float32.
    - `max_iterations`: of a window. `window`: the most steps of one.

    Raises `SettingsError` for a layer with options or in training with dropout, `ShapeError` for input that does not fit.

    >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
    <torch...
    >>> layer = torch.nn.GRU(3, 4)
    >>> x = torch.randn(200, 1, 3)
    >>> result = run_in_parallel(layer, x)
    >>> result.residual < 1e-5, result.sequential_steps
    (True, 0)
    >>> bool(torch.allclose(result.y, layer(x)[0], atol=1e-5))
    True
    """
    _check_layer(layer)
    _check_numbers(tolerance, max_iterations, window)
    x, start = _check_input(layer, input, hx)
    if tolerance is None:
        tolerance = 64 * torch.finfo(x.dtype).eps
    limits = Limits(float(tolerance), max_iterations, window)
    finals: list[Tensor] = []
    residual, iterations, sequential_steps = 0.0, 0, 0
    for index in range(layer.num_layers):
        outputs = []
        for suffix in ("", "_reverse")[: 2 if layer.bidirectional else 1]:
            weights = _weights(layer, f"l{index}{suffix}")
            steps = x.flip(0) if suffix else x
            y, proof = _one_direction(steps, start[len(finals)], weights, limits)
            finals.append(y[-1] if len(y) else start[len(finals)])
            outputs.append(y.flip(0) if suffix else y)
            residual, iterations = max(residual, proof[0]), max(iterations, proof[1])
            sequential_steps += proof[2]
        x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
    y = x.transpose(0, 1) if layer.batch_first else x
    return ParallelResult(y, torch.stack(finals), residual, iterations, sequential_steps)


def _one_direction(
    x: Tensor, h0: Tensor, weights: tuple[Tensor | None, ...], limits: Limits
) -> tuple[Tensor, tuple[float, int, int]]:
    """One layer in one direction on x [T, B, I]: y [T, B, H], and residual, iterations and sequential steps."""
    W, U, b_i, b_h = weights
    assert W is not None
    assert U is not None
    if not len(x) or not x.shape[1]:
        return x.new_zeros(len(x), x.shape[1], U.shape[1]), (0.0, 0, 0)
    gi = F.linear(x, W, b_i)
    with torch.no_grad():
        solution = solve(gi, h0, U, b_h, limits)
    done = len(solution.states)
    parts: list[Tensor] = []
    h = h0
    if done:
        y: Tensor = States.apply(gi[:done], h0, U, b_h, solution.states, limits)  # type: ignore[no-untyped-call]
        parts.append(y)
        h = y[-1]
    if done < len(x):
        rest, _, _ = ops.sequence("gru", x[done:].transpose(0, 1), (h,), weights)
        parts.append(rest.transpose(0, 1))
    return torch.cat(parts), (solution.residual, solution.iterations, len(x) - done)


def _weights(layer: Any, suffix: str) -> tuple[Tensor | None, ...]:
    """W, U, b_i and b_h of one layer and direction."""
    return tuple(
        getattr(layer, f"{stem}_{suffix}", None) for stem in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )


def _check_layer(layer: Any) -> None:
    """Raise `SettingsError` unless the layer is a plain GRU."""
    if not isinstance(layer, (GRU, torch.nn.GRU)):
        raise SettingsError(
            f"layer is {type(layer).__name__}, expected a congru.nn.GRU or torch.nn.GRU: the method is for the GRU"
        )
    names = ("reset_before", "layer_norm", "learn_h0", "zoneout", "recurrent_dropout", "input_dropout")
    for name in names:
        if getattr(layer, name, False):
            raise SettingsError(f"layer has {name}, expected a GRU without options: call the layer itself")
    if getattr(layer, "num_heads", 1) != 1:
        raise SettingsError(f"layer has {layer.num_heads} heads, expected 1: call the layer itself")
    if layer.training and layer.dropout:
        raise SettingsError(f"layer has dropout {layer.dropout} in training, expected 0: call layer.eval()")


def _check_numbers(tolerance: float | None, max_iterations: int, window: int) -> None:
    if tolerance is not None and not tolerance > 0:
        raise SettingsError(
            f"tolerance is {tolerance!r}, expected more than 0: pass None for the dtype's own"
        )
    for name, value in {"max_iterations": max_iterations, "window": window}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SettingsError(f"{name} is {value!r}, expected a whole number from 1: pass one")


def _check_input(layer: Any, input: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor]:
    """x [T, B, I] and the initial states [L*D, B, H]."""
    axes = "[B, T, I]" if layer.batch_first else "[T, B, I]"
    check_shape("input", input, axes, (None, None, layer.input_size), "add axes with x[:, None]")
    x = input.transpose(0, 1) if layer.batch_first else input
    dtype = layer.weight_ih_l0.dtype
    if x.dtype != dtype or dtype not in (torch.float32, torch.float64):
        raise ShapeError(
            f"input has dtype {x.dtype} and the weights {dtype}, expected float32 or float64 of both: convert them"
        )
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = (count, x.shape[1], layer.hidden_size)
    if hx is None:
        return x, x.new_zeros(sizes)
    check_shape("hx", hx, "[L*D, B, H]", sizes, "pass None for zeros")
    return x, hx
