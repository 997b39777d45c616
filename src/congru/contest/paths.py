"""By which path a trained network learns over a lag, and whether its exact memory lies where the truth was planted.

**Flow.** |d_k| and |B_k| against the lag (`congru.gates.flow`), each relative to |d| at the step that is asked, as the
median over sequences: d is the gradient by every path, B what came along the keep gates.

**Planted share.** With C_k the exact share of the answer that was written at step k (`congru.gates.memory`) and P the
planted steps of a sequence, added up over all sequences and answers:

    plain      sum_{k in P} |C_k| / sum_k |C_k|
    centred    the same with C_k less its mean over the sequences in which k is not planted
    entered    the same with E_k = d_k . (h_k - F(h_{k-1}, neutral input)) in place of C_k

C_k also counts what the network writes whatever it reads: the drift to its resting state, and the refreshing of a
memory that leaks. `centred` takes away what is the same for all sequences. Neither sees through a candidate that
recomputes the past: `trust` says how much of the true gradient the carry path is. E_k asks another question: what the
input of step k changed in the state, F being one step of the cell, times the true gradient d_k, every path included;
to first order, as d_k is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from congru import ops
from congru.contest.problem import Batch, Problem
from congru.gates.form import KEEP
from congru.gates.inspect import inspect
from congru.gates.jacobian import steps_of
from congru.gates.sensitivity import sensitivity
from congru.nn import Network

if TYPE_CHECKING:
    from congru.gates.trace import Trace

Floats = npt.NDArray[np.float64]


class Path(NamedTuple):
    """Relative gradient [N] at the lags 0 .. N - 1, and its carry path; None for a cell without a keep gate."""

    gradient: Floats
    carry: Floats | None


class Planted(NamedTuple):
    """Shares of |C| and |E| on the planted steps, the mean trust share, and the largest residual of the identity."""

    plain: float
    centred: float
    entered: float
    trust: float
    residual: float


def flow(network: Network, problem: Problem, batch: Batch) -> Path:
    """The median flow from the first step asked, over the sequences of a batch, through the top layer."""
    trace, weight = _seen(network, batch)
    at = problem.asked.start
    gradients, carries = [], []
    for row in range(len(batch.x)):
        cotangent = problem.cotangent(weight, batch.target[row, 0].item())
        flow_of_row = trace.gradient_flow(cotangent, at, row=row)
        gradients.append(flow_of_row.gradient / flow_of_row.gradient[0])
        if flow_of_row.carry is not None:
            carries.append(flow_of_row.carry / flow_of_row.gradient[0])
    return Path(np.median(gradients, axis=0), np.median(carries, axis=0) if carries else None)


def planted_share(network: Network, problem: Problem, batch: Batch) -> Planted | None:
    """How much of the exact memory of the top layer lies on the planted steps.

    None for a plain RNN, which keeps nothing, for an LSTM, whose state hides its cell behind a tanh, and for more
    than one layer, where the top one reads what the others remember.
    """
    trace, weight = _seen(network, batch)
    if trace.cell not in KEEP or trace.cell == "lstm" or len(trace.layers) > 1:
        return None
    asked = range(*problem.asked.indices(batch.x.shape[1]))
    memories, changes = [], []
    for row in range(len(batch.x)):
        cotangents = [problem.cotangent(weight, target) for target in batch.target[row].tolist()]
        memories.append([trace.memory(cotangent, at, row=row) for cotangent, at in zip(cotangents, asked)])
        changes.append(
            [entered(trace, row, cotangent, at, problem.neutral) for cotangent, at in zip(cotangents, asked)]
        )
    C = np.array([[memory.contributions for memory in answers] for answers in memories])
    planted = np.zeros((len(C), C.shape[2]), bool)
    np.put_along_axis(planted, batch.planted, True, axis=1)
    shares = [memory.share for answers in memories for memory in answers]
    residuals = [abs(memory.residual) for answers in memories for memory in answers]
    return Planted(
        plain=share_on(C, planted),
        centred=share_on(centred(C, planted), planted),
        entered=share_on(np.array(changes), planted),
        trust=float(np.mean(shares)),
        residual=max(residuals),
    )


def entered(trace: Trace, row: int, cotangent: Floats, at: int, neutral: Floats) -> Floats:
    """E_k [T] of u . h_at, with u = `cotangent` [H]: d_k . (h_k - F(h_{k-1}, neutral)), `neutral` [I]; one layer only."""
    layer = trace.top
    steps = steps_of(layer, row)
    W, U, b_i, b_h = layer.weights.wide()[:4]
    weights = (W, b_i) if trace.cell == "mingru" else (W, U, b_i, b_h)
    x = np.broadcast_to(neutral, (len(steps.h), len(neutral)))
    (without,) = ops.step(trace.cell, x, (steps.h,), weights, reset_before=layer.form.reset_before)
    u = np.zeros_like(steps.h)
    u[at] = cotangent
    change: Floats = (sensitivity(steps, u) * (layer.y[row] - without)).sum(axis=1)
    return change


def share_on(C: Floats, planted: npt.NDArray[np.bool_]) -> float:
    """The share of |C| [N, S, T] that lies on the planted steps [N, T].

    >>> share_on(np.array([[[3.0, -1.0, 0.0]]]), np.array([[True, False, False]]))
    0.75
    """
    size = np.abs(C).sum(axis=1)
    return float(size[planted].sum() / size.sum())


def centred(C: Floats, planted: npt.NDArray[np.bool_]) -> Floats:
    """C [N, S, T] less, at every step and answer, its mean over the sequences in which that step is not planted.

    >>> centred(np.array([[[1.0, 5.0]], [[1.0, 1.0]]]), np.array([[False, True], [False, False]])).tolist()
    [[[0.0, 4.0]], [[0.0, 0.0]]]
    """
    others = ~planted[:, None, :]
    result: Floats = C - (C * others).sum(axis=0) / np.maximum(others.sum(axis=0), 1)
    return result


def _seen(network: Network, batch: Batch) -> tuple[Trace, Floats]:
    """The trace of a network's layer on a batch, and the weight [O, H] of its read-out."""
    weight = network.get_parameter("answer.weight").detach().double().numpy()
    return inspect(network, batch.x), weight
