"""The cost of a linear-chain conditional random field in torch (Lafferty et al. 2001); decoding is in the runtime.

s(y) = start[y_1] + Σ_t e[t, y_t] + Σ_{t>1} transitions[y_{t-1}, y_t]
cost = log Σ_y exp s(y) - s(gold)
"""

from __future__ import annotations

import torch
from torch import Tensor

_NEVER = -1e4  # score of a move that is not allowed
_SMALLEST = 1e-30  # of a sum of exponentials, the largest of which is 1


def crf_nats(
    emissions: Tensor, tags: Tensor, lengths: Tensor, transitions: Tensor, start: Tensor, allowed: Tensor
) -> Tensor:
    """-log p(tags) [B] for emissions [B, T, K], tags [B, T], lengths [B] of at least 1; `allowed` [K + 1, K] masks.

    Row K of `allowed` is for the first tag. Raises nothing: shapes are the learner's.
    """
    scores = emissions.float()
    moves = transitions.masked_fill(~allowed[:-1], _NEVER)
    first = start.masked_fill(~allowed[-1], _NEVER)
    forward = first + scores[:, 0]
    path = first[tags[:, 0]] + scores[:, 0].gather(1, tags[:, :1])[:, 0]
    peak = moves.max().detach()
    weights = (moves - peak).exp()
    for t in range(1, scores.shape[1]):
        inside = t < lengths
        highest = forward.max(dim=1, keepdim=True).values.detach()
        entering = (forward - highest).exp() @ weights  # sum over the tags before, as one product
        entering = entering.clamp(min=_SMALLEST).log() + (highest + peak) + scores[:, t]
        forward = torch.where(inside[:, None], entering, forward)
    steps = moves[tags[:, :-1], tags[:, 1:]] + scores[:, 1:].gather(2, tags[:, 1:, None])[:, :, 0]
    counted = torch.arange(1, scores.shape[1], device=lengths.device) < lengths[:, None]
    return torch.logsumexp(forward, dim=1) - path - steps.masked_fill(~counted, 0.0).sum(1)
