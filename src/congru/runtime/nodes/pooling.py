"""Pooling over time: one vector per sequence, or, `running`, one at every step from what came so far.

Steps that `lengths` names as padding count for nothing; a sequence without steps gives zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from congru.runtime.cells import Array
from congru.runtime.dense import dense
from congru.runtime.nodes.node import Compute, Node, Shapes, Spec, Weights, flag, whole
from congru.runtime.run import Lengths, Run
from congru.runtime.softmax import softmax

LOWEST = np.finfo(np.float32).min  # the running maximum of nothing


class _Pooling(Node):
    def infer(self, *x: Spec) -> Spec:
        """[B, F], running [T, B, F]."""
        value = self.need_sequence(x[0])
        return value if getattr(self, "running", False) else value._replace(axes="row")

    def stream_problem(self, *x: Spec) -> str | None:
        """It waits for the end unless it is running."""
        return None if getattr(self, "running", False) else "needs the whole sequence: set running to true"


def _valid(x: Array, lengths: Lengths) -> Any:
    """[T, B]: not padding."""
    return np.arange(len(x))[:, None] < (len(x) if lengths is None else lengths)


def _sum(x: Array) -> Array:
    """The sum over the steps, one after the other: `sum` takes a row alone in another order than many."""
    total: Array = np.add.accumulate(x, axis=0)[-1] if len(x) else np.zeros(x.shape[1:], x.dtype)
    return total


def _after(states: Array, before: Array, lengths: Lengths) -> Array:
    """The state [B, F] after each sequence's last step, of the states [T, B, F] after every step."""
    if lengths is None:
        last: Array = states[-1] if len(states) else before
        return last
    picked = states[np.maximum(lengths - 1, 0), np.arange(states.shape[1])] if len(states) else before
    return np.where((lengths > 0)[:, None], picked, before)


@dataclass(frozen=True, kw_only=True)
class Last(_Pooling, type="last"):
    """The last valid step. In a stream that is the step itself."""

    def stream_problem(self, *x: Spec) -> str | None:
        """It answers at every step."""
        return None

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """The last valid step."""
        return lambda run, value: _after(value, np.zeros(value.shape[1:], np.float32), run.lengths)


@dataclass(frozen=True, kw_only=True)
class Mean(_Pooling, type="mean"):
    """The mean over the valid steps."""

    running: bool = flag(False)

    def state(self, *x: Spec) -> dict[str, tuple[int, int]]:
        """sum [1, B, F] and count [1, B, 1] of a running mean."""
        return {"sum": (1, x[0].features), "count": (1, 1)} if self.running else {}

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """The sum, step by step, over the count."""
        return self._run_on if self.running else _mean

    def _run_on(self, run: Run, x: Array) -> Array:
        names = f"{self.name}.sum", f"{self.name}.count"
        total, count = (run.state[name] for name in names)
        sums = np.cumsum(np.concatenate([total, x]), axis=0, dtype=np.float32)[1:]
        counts = count + np.arange(1, len(x) + 1, dtype=np.float32)[:, None, None]
        for name, states, before in zip(names, (sums, counts), (total, count)):
            run.after[name] = _after(states, before[0], run.lengths)[None]
        y: Array = sums / counts
        return y


def _mean(run: Run, x: Array) -> Array:
    lengths = np.full(x.shape[1], len(x)) if run.lengths is None else run.lengths
    total = _sum(np.where(_valid(x, lengths)[:, :, None], x, np.float32(0)))
    average: Array = (total / np.maximum(lengths, 1)[:, None]).astype(np.float32)
    return average


@dataclass(frozen=True, kw_only=True)
class Max(_Pooling, type="max"):
    """The maximum over the valid steps."""

    running: bool = flag(False)

    def state(self, *x: Spec) -> dict[str, tuple[int, int]]:
        """max [1, B, F] of a running maximum."""
        return {"max": (1, x[0].features)} if self.running else {}

    def initial(self, weights: Weights) -> dict[str, Array]:
        """Nothing yet."""
        return {"max": np.full((1, 1), LOWEST, np.float32)} if self.running else {}

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """The maximum, step by step."""
        return self._run_on if self.running else _max

    def _run_on(self, run: Run, x: Array) -> Array:
        name = f"{self.name}.max"
        y: Array = np.maximum.accumulate(np.concatenate([run.state[name], x]), axis=0)[1:]
        run.after[name] = _after(y, run.state[name][0], run.lengths)[None]
        return y


def _max(run: Run, x: Array) -> Array:
    if len(x) == 0:
        return np.zeros(x.shape[1:], np.float32)
    largest = np.where(_valid(x, run.lengths)[:, :, None], x, LOWEST).max(axis=0)
    return largest if run.lengths is None else np.where((run.lengths > 0)[:, None], largest, np.float32(0))


@dataclass(frozen=True, kw_only=True)
class AttentionPool(_Pooling, type="attention_pool"):
    """s_t = v . tanh(A y_t + a);  w = softmax_t(s);  out = sum_t w_t y_t (Yang et al. 2016, equations 5 to 7).

    Running: at step t over the steps up to t, as a running softmax.
    """

    size: int = whole()
    running: bool = flag(False)

    def weights(self, *x: Spec) -> Shapes:
        """weight [size, F], bias [size], query [size]."""
        return {"weight": (self.size, x[0].features), "bias": (self.size,), "query": (self.size,)}

    def state(self, *x: Spec) -> dict[str, tuple[int, int]]:
        """Largest score and sum of weights [1, B, 1], weighted sum [1, B, F] of a running pool."""
        return {"largest": (1, 1), "total": (1, 1), "sum": (1, x[0].features)} if self.running else {}

    def initial(self, weights: Weights) -> dict[str, Array]:
        """No score yet."""
        return {"largest": np.full((1, 1), LOWEST, np.float32)} if self.running else {}

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """The formula above; the weights [T, B] go to `run.pictures`."""
        product = dense(weights["weight"], weights["bias"], how.get("backend", "numpy"))
        query, weights_of = weights["query"], softmax(how.get("backend", "numpy"))

        def scores(y: Array) -> Array:
            result: Array = (np.tanh(product(y)) * query).sum(axis=-1)
            return result

        def pool(run: Run, y: Array) -> Array:
            if len(y) == 0:
                return np.zeros(y.shape[1:], np.float32)
            s = np.where(_valid(y, run.lengths), scores(y), np.float32(-np.inf))
            w = weights_of(s.T).T
            if run.pictures is not None:
                run.pictures[self.name] = w
            return _sum(w[:, :, None] * np.where(w[:, :, None] > 0, y, np.float32(0)))

        def pool_so_far(run: Run, y: Array) -> Array:
            names = [f"{self.name}.{part}" for part in ("largest", "total", "sum")]
            before = largest, total, weighted = tuple(run.state[name][0] for name in names)
            s = scores(y)[:, :, None]
            states: list[list[Array]] = [[], [], []]
            out = np.empty_like(y)
            for t in range(len(y)):
                higher = np.maximum(largest, s[t])
                fade, w = np.exp(largest - higher), np.exp(s[t] - higher)
                largest, total, weighted = higher, total * fade + w, weighted * fade + w * y[t]
                out[t] = weighted / total
                for history, value in zip(states, (largest, total, weighted)):
                    history.append(value)
            for name, history, value in zip(names, states, before):
                stacked = np.stack(history) if history else np.empty((0, *value.shape), np.float32)
                run.after[name] = _after(stacked, value, run.lengths)[None]
            return out

        return pool_so_far if self.running else pool
