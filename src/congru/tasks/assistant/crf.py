"""The cost of a linear-chain conditional random field in torch (Lafferty et al. 2001); decoding is in the runtime.

s(y) = start[y_1] + Σ_t e[t, y_t] + Σ_{t>1} transitions[y_{t-1}, y_t]
cost = log Σ_y exp s(y) - s(gold)
"""

from __future__ import annotations

import torch
from torch import Tensor


def crf_nats(
    emissions: Tensor, tags: Tensor, lengths: Tensor, transitions: Tensor, start: Tensor, allowed: Tensor
) -> Tensor:
    """-log p(tags) [B] for emissions [B, T, K], tags [B, T], lengths [B] of at least 1; `allowed` [K + 1, K] masks.

    Row K of `allowed` is for the first tag. Raises nothing: shapes are the learner's.
    """
    scores = emissions.float()
    moves = transitions.masked_fill(~allowed[:-1], -1e4)
    first = start.masked_fill(~allowed[-1], -1e4)
    forward = first + scores[:, 0]
    path = first[tags[:, 0]] + scores[:, 0].gather(1, tags[:, :1])[:, 0]
    for t in range(1, scores.shape[1]):
        inside = t < lengths
        entering = torch.logsumexp(forward[:, :, None] + moves, dim=1) + scores[:, t]
        forward = torch.where(inside[:, None], entering, forward)
        step = moves[tags[:, t - 1], tags[:, t]] + scores[:, t].gather(1, tags[:, t : t + 1])[:, 0]
        path = path + torch.where(inside, step, torch.zeros_like(step))
    return torch.logsumexp(forward, dim=1) - path
