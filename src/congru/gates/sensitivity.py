"""How an output depends on the state at every step: by every path, by the carry path alone, and how they compare.

d_k = u_k + J_{k+1}' d_{k+1}          the true gradient by the state after step k
B_k = u_k + keep_{k+1} B_{k+1}        its carry path: what the keep gates hand on
share_k = <B_k, d_k> / |d_k|^2        near 1: a clean conveyor; low: recomputed through the candidate
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from congru.gates.form import Form
from congru.gates.jacobian import Steps, cell_pull, pull_back
from congru.gates.layer import Layer, Run
from congru.gates.weights import Array
from congru.reference.arguments import Bools


def trust_sentence(share: float) -> str:
    """What a trust share means, in words."""
    if not np.isfinite(share):
        return "nothing older than the step itself contributes"
    if 0.7 <= share <= 1.3:
        return "the memory is mostly a clean conveyor, the shares can be read as they stand"
    if 0.3 <= share < 0.7:
        return "part of the memory is recomputed through the candidate, read the shares with care"
    if share > 1.3:
        return "the carry path overstates the truth: other paths work against it, check with clamp()"
    return (
        "the information is recomputed through the candidate, do not read the shares as causes; use clamp()"
    )


def carry(run: Run, cotangent: Array) -> Array:
    """B_k = u_k + keep_{k+1} B_{k+1}, [N, ...], from the cotangent u of the memory; nothing is carried over a new start."""
    B = np.array(cotangent, np.float64)
    for k in range(len(B) - 2, -1, -1):
        if not run.is_first[k + 1]:
            B[k] += run.keep[k + 1] * B[k + 1]
    return B


def sensitivity(s: Steps, cotangent: Array) -> Array:
    """d_k = u_k + J_{k+1}' d_{k+1}, [N, S]: the gradient of L by the state after step k, every path included."""
    d = np.array(cotangent, np.float64)
    for k in range(len(d) - 2, -1, -1):
        if not s.is_first[k + 1]:
            d[k] += pull_back(s, k + 1, d[k + 1])
    return d


def state_cotangent(layer: Layer, cotangent: Array, on_cell: bool = False) -> Array:
    """A cotangent of h (or of the cell) as one of the whole state, [N, S]."""
    if layer.cell != "lstm":
        return cotangent
    nothing = np.zeros_like(cotangent)
    return np.concatenate([nothing, cotangent] if on_cell else [cotangent, nothing], axis=1)


def by_memory(s: Steps, d: Array) -> Array:
    """A gradient by the state [N, S] as one by what the keep gate keeps, [N, H]: h, or the LSTM's c with its own h."""
    if s.form.cell != "lstm":
        return d
    d_h, d_c = np.split(d, 2, axis=1)
    return d_c + cell_pull(s, d_h)


def held_state(form: Form, cotangent: Array, is_first: Bools) -> Array:
    """The cotangent of an LSTM's state h with what zoneout keeps of it, v_k = u_k + p v_{k+1}, [N, H]."""
    v = np.array(cotangent, np.float64)
    if form.zoneout:
        for k in range(len(v) - 2, -1, -1):
            if not is_first[k + 1]:
                v[k] += form.zoneout * v[k + 1]
    return v


def cell_cotangent(form: Form, shown: Array, is_first: Bools) -> Array:
    """The cotangent of the cell whose `carry` is the whole carry path of an LSTM's state.

        q_k = s_k - p s_{k+1}       s_k: what `held_state` is by the cell of its own step

    Without zoneout q = s. With it h itself keeps a share p, so the path through an older h is in s_k already, and
    the cell's carry, which would count it again, loses it.
    """
    q = np.array(shown, np.float64)
    if form.zoneout:
        q[:-1] -= np.where(is_first[1:, None], 0.0, form.zoneout * shown[1:])
    return q


def trust_share(B: Array, d: Array, steps: npt.NDArray[np.int64], num_steps: int) -> Array:
    """share_k in input order, [T]; NaN where the sensitivity vanishes."""
    trust = np.full(num_steps, np.nan)
    size = (d * d).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (B * d).sum(axis=1) / size
    trust[steps] = np.where(size > 1e-24 * max(1e-300, float(size.max(initial=0.0))), share, np.nan)
    return trust


def last_read(cotangent: Array, steps: npt.NDArray[np.int64]) -> int:
    """The last processed step that the output reads, counted in the input; the very last where it reads none."""
    read = np.flatnonzero(np.abs(cotangent).sum(axis=1))
    return int(steps[read[-1] if len(read) else -1])


def joined_trust(trusts: Array, parts: Array) -> Array:
    """One trust share per step from all directions [D, T], weighted by what each contributes, [T]."""
    if len(trusts) == 1:
        result: Array = trusts[0]
        return result
    weight = np.where(np.isnan(trusts), 0.0, np.abs(parts))
    with np.errstate(invalid="ignore"):
        joined: Array = (np.nan_to_num(trusts) * weight).sum(axis=0) / weight.sum(axis=0)
    return joined


def mean_trust(trusts: Array, parts: Array, own: list[int]) -> float:
    """The trust share of the past as one number: the mean of [D, T] weighted by |contribution|.

    `own` [D] is the last step processed that the output reads; its share is 1 by definition and says
    nothing about memory, so it is left out. NaN where nothing older contributes.
    """
    weight = np.where(np.isnan(trusts), 0.0, np.abs(parts))
    weight[np.arange(len(own)), own] = 0.0
    if weight.sum() == 0:
        return float("nan")
    return float((np.nan_to_num(trusts) * weight).sum() / weight.sum())
