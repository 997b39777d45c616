"""Twins of the pools over time, and their running forms that answer at every step."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from congru.nn.twins.twin import Run, Twin, padding_of, twin, uniform
from congru.runtime.nodes import Spec, pooling


def _after(states: Tensor, before: Tensor, lengths: Tensor | None) -> Tensor:
    """The state [B, F] after each row's last step, of the states [B, T, F] after every step."""
    if states.shape[1] == 0:
        return before
    if lengths is None:
        return states[:, -1]
    index = (lengths.to(torch.int64) - 1).clamp(min=0)
    picked = states.gather(1, index[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)
    return torch.where((lengths == 0)[:, None], before, picked)


@twin(pooling.Last)
class LastTwin(Twin):
    """The last valid step; zeros where there is none."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return _after(x, x.new_zeros(x.shape[0], x.shape[2]), run.lengths)


class _Running(Twin):
    """A pool that may answer at every step."""

    def __init__(self, node: Any, *x: Spec) -> None:
        super().__init__(node, *x)
        self.running = bool(node.running)

    def before(self, run: Run, part: str, x: Tensor, size: int, start: float = 0.0) -> Tensor:
        """A part of the state [B, F]."""
        return run.before(f"{self.node_name}.{part}", x.new_full((1, x.shape[0], size), start))[0]

    def keep(self, run: Run, part: str, states: Tensor, before: Tensor) -> None:
        """Note a part of the state after the run."""
        run.after[f"{self.node_name}.{part}"] = _after(states, before, run.lengths)[None]


@twin(pooling.Mean)
class MeanTwin(_Running):
    """The mean over the valid steps, or over those so far."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        if not self.running:
            if run.lengths is None:
                return x.sum(1) / max(x.shape[1], 1)
            valid = x.masked_fill(padding_of(x, run.lengths)[:, :, None], 0.0)
            return valid.sum(1) / run.lengths.clamp(min=1)[:, None]
        self.refuse_reset(run)
        total, count = self.before(run, "sum", x, x.shape[2]), self.before(run, "count", x, 1)
        sums = total[:, None] + x.cumsum(1)
        counts = count[:, None] + torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)[:, None]
        self.keep(run, "sum", sums, total)
        self.keep(run, "count", counts, count)
        return sums / counts


@twin(pooling.Max)
class MaxTwin(_Running):
    """The maximum over the valid steps, or over those so far."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        if not self.running:
            if x.shape[1] == 0:
                return x.new_zeros(x.shape[0], x.shape[2])
            if run.lengths is None:
                return x.amax(1)
            largest = x.masked_fill(padding_of(x, run.lengths)[:, :, None], float(pooling.LOWEST)).amax(1)
            return largest.masked_fill((run.lengths == 0)[:, None], 0.0)
        self.refuse_reset(run)
        before = self.before(run, "max", x, x.shape[2], float(pooling.LOWEST))
        y = torch.cat([before[:, None], x], 1).cummax(1).values[:, 1:]
        self.keep(run, "max", y, before)
        return y


@twin(pooling.AttentionPool)
class AttentionPoolTwin(_Running):
    """s_t = v . tanh(A y_t + a); w = softmax(s); running: over the steps so far, all steps of a row at once, [T, T]."""

    def __init__(self, node: pooling.AttentionPool, *x: Spec) -> None:
        super().__init__(node, *x)
        features, size = x[0].features, node.size
        self.weight, self.bias = uniform(size, features, fan_in=features), uniform(size, fan_in=features)
        self.query = uniform(size, fan_in=size)

    def forward(self, run: Run, y: Tensor) -> Tensor:
        s = torch.tanh(F.linear(y, self.weight, self.bias)) @ self.query
        if self.running:
            return self._so_far(run, y, s)
        if y.shape[1] == 0:
            return y.new_zeros(y.shape[0], y.shape[2])
        if run.lengths is not None:
            s = s.masked_fill(padding_of(y, run.lengths), float("-inf"))
            s = s.masked_fill((run.lengths == 0)[:, None], 0.0)
        w = s.softmax(1)
        if run.lengths is not None:
            w = w.masked_fill(padding_of(y, run.lengths), 0.0)
        if run.pictures is not None:
            run.pictures[self.node_name] = w
        return torch.einsum("bt,btf->bf", w, y)

    def _so_far(self, run: Run, y: Tensor, s: Tensor) -> Tensor:
        self.refuse_reset(run)
        largest = self.before(run, "largest", y, 1, float(pooling.LOWEST))
        total, weighted = self.before(run, "total", y, 1), self.before(run, "sum", y, y.shape[2])
        steps = y.shape[1]
        scores = s[:, None, :].expand(-1, steps, -1)
        later = torch.ones(steps, steps, dtype=torch.bool, device=y.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
        highest = torch.cat([largest[:, None], s[:, :, None]], 1).cummax(1).values[:, 1:]
        w = (scores - highest).exp()
        fade = (largest[:, None] - highest).exp()
        totals = total[:, None] * fade + w.sum(-1, keepdim=True)
        sums = weighted[:, None] * fade + w @ y
        for part, states, before in (
            ("largest", highest, largest),
            ("total", totals, total),
            ("sum", sums, weighted),
        ):
            self.keep(run, part, states, before)
        return sums / totals
