"""A GRU over all of its steps at once: quasi-Newton iterations on the states of a window of time.

The states of T steps are the solution of h_t = f(h_{t-1}, x_t), f the unit with reset after. From a guess h each iteration solves
the linearised equations with D_t, the diagonal of df/dh, by one scan over time:

    h'_t = f(h_{t-1}) + D_t (h'_{t-1} - h_{t-1})        (quasi-DEER: Gonzalez et al. 2024, arXiv 2407.19115, section 4;
                                                         Lim et al. 2024, arXiv 2309.12252, with the whole Jacobian)

so that f is evaluated for all steps in one product. It is damped, which moves no solution: D is held in [-1, 1], so that a
scan cannot grow, and becomes SMALLER times D whenever the residuals fall by less than a tenth, as they do where a trained network
couples its units strongly (results/parallel.json; D = 0 is fixed-point iteration); states are held in the box
|h| <= max(1, |h0|), which the unit never leaves; and a window in which the iterations do not converge gives only its leading
steps that did, and the next is half as long. After k iterations the first k steps are exact, whatever D is. The proof of
convergence is the residual max |h_t - f(h_{t-1})|.

The gradient dh_t = dy_t + J_{t+1}' dh_{t+1} is linear in dh and solved alike, with the whole J' on the right and its damped
diagonal in the scan. Where that does not converge, it goes step by step. Inside, arrays are time first: gi [T, B, 3H],
states [T, B, H].
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

WINDOW, LEAST_WINDOW = 1024, 64
SMALLER, ENOUGH = 0.7, 0.9  # the damping, and the ratio of residuals above which it grows


class Solution(NamedTuple):
    """The states [T', B, H] of the leading T' steps that converged, and how.

    residual: the largest |h_t - f(h_{t-1})|. iterations: the most of any window.
    """

    states: Tensor
    residual: float
    iterations: int


class Limits(NamedTuple):
    """When iterations end: within `tolerance`, or after `max_iterations` in a window of at most `window` steps."""

    tolerance: float
    max_iterations: int
    window: int = WINDOW


class _Damping:
    """The factor on D: smaller from the moment on when an iteration hardly helps."""

    def __init__(self) -> None:
        self.factor, self._last = 1.0, math.inf

    def after(self, errors: Tensor) -> float:
        """The factor for the next iteration, from what is left of this one."""
        size = float(errors.double().square().mean().sqrt())
        if size > ENOUGH * self._last:
            self.factor *= SMALLER
        self._last = size
        return self.factor


class _Step(NamedTuple):
    """The unit at every step: gates, m = U_n h + b_hn, the states that entered, those that follow, and the diagonal of df/dh."""

    r: Tensor
    z: Tensor
    n: Tensor
    m: Tensor
    h_prev: Tensor
    new: Tensor
    diagonal: Tensor


def linear_scan(a: Tensor, b: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t from zero, along the first axis, in log2 T rounds.

    >>> linear_scan(torch.full((3,), 2.0), torch.ones(3)).tolist()
    [1.0, 3.0, 7.0]
    """
    distance = 1
    while distance < len(b):
        b = torch.cat([b[:distance], b[distance:] + a[distance:] * b[:-distance]])
        a = torch.cat([a[:distance], a[distance:] * a[:-distance]])
        distance *= 2
    return b


def solve(gi: Tensor, h0: Tensor, U: Tensor, b_h: Tensor | None, limits: Limits) -> Solution:
    """The states of a GRU from gi [T, B, 3H] = W x + b_i, as many leading steps as converge; no gradients."""
    bound = h0.abs().amax().clamp(min=1.0)
    least = min(LEAST_WINDOW, limits.window)
    windows: list[Tensor] = []
    start, h, window, worst, most = 0, h0, limits.window, 0.0, 0
    while start < len(gi):
        part = gi[start : start + window]
        states, residuals, iterations = _window(part, h, U, b_h, bound, limits)
        accepted = int((residuals <= limits.tolerance).long().cumprod(0).sum())
        most = max(most, iterations)
        if accepted:
            windows.append(states[:accepted])
            worst = max(worst, float(residuals[:accepted].amax()))
            h, start = states[accepted - 1], start + accepted
        if accepted == len(part):
            grown = window if 2 * iterations > limits.max_iterations else 2 * window
            window = min(limits.window, grown)
        elif window > least:
            window //= 2
        else:
            break
    done = torch.cat(windows) if windows else gi.new_empty(0, *h0.shape)
    return Solution(done, worst, most)


def _window(
    gi: Tensor, h0: Tensor, U: Tensor, b_h: Tensor | None, bound: Tensor, limits: Limits
) -> tuple[Tensor, Tensor, int]:
    """The iterations in one window: the last states, the residual of each step, and how many it took."""
    states, damping = h0.expand(len(gi), *h0.shape), _Damping()
    for iteration in range(limits.max_iterations + 1):
        step = _evaluate(gi, h0, states, U, b_h)
        errors = states - step.new
        residuals = errors.abs().flatten(1).amax(1)
        if iteration == limits.max_iterations or float(residuals.amax()) <= limits.tolerance:
            break
        diagonal = damping.after(errors) * step.diagonal.clamp(-1.0, 1.0)
        constant = step.new - diagonal * step.h_prev
        constant[0] = step.new[0]  # what enters the first step is not a guess
        states = torch.minimum(torch.maximum(linear_scan(diagonal, constant), -bound), bound)
    return states, residuals, iteration


def _evaluate(gi: Tensor, h0: Tensor, states: Tensor, U: Tensor, b_h: Tensor | None) -> _Step:
    """The unit at every step, on the states of the step before."""
    H = U.shape[1]
    h_prev = torch.cat([h0.unsqueeze(0), states[:-1]])
    gh = F.linear(h_prev, U, b_h)
    r, z = torch.sigmoid(gi[..., : 2 * H] + gh[..., : 2 * H]).chunk(2, -1)
    m = gh[..., 2 * H :]
    n = torch.tanh(gi[..., 2 * H :] + r * m)
    d_r, d_z, d_n = (rows.diagonal() for rows in U.chunk(3))
    of_n = (1 - z) * (1 - n * n) * (r * d_n + m * r * (1 - r) * d_r)
    diagonal = z + (h_prev - n) * z * (1 - z) * d_z + of_n
    return _Step(r, z, n, m, h_prev, (1 - z) * n + z * h_prev, diagonal)


class States(torch.autograd.Function):
    """(gi, h0, U, b_h, states of `solve`, limits) -> the same states with the gradient of the exact solution."""

    @staticmethod
    def forward(
        ctx: Any, gi: Tensor, h0: Tensor, U: Tensor, b_h: Tensor | None, states: Tensor, limits: Limits
    ) -> Tensor:
        ctx.save_for_backward(gi, h0, U, b_h, states)
        ctx.limits = limits
        return states.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dstates: Tensor) -> tuple[Tensor | None, ...]:
        gi, h0, U, b_h, states = ctx.saved_tensors
        step = _evaluate(gi, h0, states, U, b_h)
        dh, dh0 = _gradient_of_states(step, U, dstates, ctx.limits)
        da, dm = _through_gates(step, dh)
        du = torch.cat([da[..., : 2 * U.shape[1]], dm], -1)
        dU = du.flatten(0, 1).t() @ step.h_prev.flatten(0, 1)
        return da, dh0, dU, None if b_h is None else du.sum((0, 1)), None, None


def _through_gates(step: _Step, dh: Tensor) -> tuple[Tensor, Tensor]:
    """From the gradient of the new states to those of gi and of m."""
    da_n = dh * (1 - step.z) * (1 - step.n * step.n)
    da_z = dh * (step.h_prev - step.n) * step.z * (1 - step.z)
    da_r = da_n * step.m * step.r * (1 - step.r)
    return torch.cat([da_r, da_z, da_n], -1), da_n * step.r


def _to_before(step: _Step, U: Tensor, dh: Tensor) -> Tensor:
    """J' dh: what the gradients of the new states give to the states that entered."""
    da, dm = _through_gates(step, dh)
    return dh * step.z + torch.cat([da[..., : 2 * U.shape[1]], dm], -1) @ U


def _gradient_of_states(step: _Step, U: Tensor, dstates: Tensor, limits: Limits) -> tuple[Tensor, Tensor]:
    """dh_t = dstates_t + J_{t+1}' dh_{t+1} of every step, window by window from the end, and that of h0."""
    arriving_at_end = torch.zeros_like(dstates[0])
    scale = limits.tolerance * max(float(dstates.abs().amax()), torch.finfo(dstates.dtype).tiny)
    windows: list[Tensor] = []
    end = len(dstates)
    while end:
        begin = max(0, end - limits.window)
        own = _Step(*(part[begin:end] for part in step))
        dy = dstates[begin:end].clone()
        dy[-1] += arriving_at_end
        dh = _window_of_gradient(own, U, dy, scale, limits.max_iterations)
        windows.append(dh)
        arriving_at_end = _to_before(_Step(*(part[:1] for part in own)), U, dh[:1])[0]
        end = begin
    return torch.cat(windows[::-1]), arriving_at_end


def _window_of_gradient(step: _Step, U: Tensor, dy: Tensor, tolerance: float, max_iterations: int) -> Tensor:
    """dh of a window by iterations; step by step where these do not converge."""
    whole, damping = step.diagonal.clamp(-1.0, 1.0), _Damping()
    dh, factor = torch.zeros_like(dy), 1.0
    wanted = dy
    for _ in range(max_iterations):
        # The scan runs from the end: a_t in it is what takes dh_{t+1} to t.
        diagonal = factor * whole
        rest = torch.cat([wanted[:-1] - diagonal[1:] * dh[1:], dy[-1:]])
        dh = linear_scan(torch.cat([torch.zeros_like(dy[:1]), diagonal[1:].flip(0)]), rest.flip(0)).flip(0)
        before = _to_before(step, U, dh)
        wanted = torch.cat([dy[:-1] + before[1:], dy[-1:]])
        errors = dh - wanted
        # Within the rounding of what is summed: relative to the gradients themselves once these are large.
        rounding = 4 * torch.finfo(dy.dtype).eps * float(dh.abs().amax())
        error = float(errors.abs().amax())
        if error <= max(tolerance, rounding):
            return dh
        if not math.isfinite(error):
            break
        factor = damping.after(errors)
    rows = [dy[-1]]
    for t in range(len(dy) - 1, 0, -1):
        rows.append(dy[t - 1] + _to_before(_Step(*(part[t] for part in step)), U, rows[-1]))
    return torch.stack(rows[::-1])
