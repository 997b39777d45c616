"""The cost of a triangular-chain conditional random field in torch (Jeong & Lee 2008); decision.py decides with it.

s(i, y) = logits[i] + Σ_t (e[t, y_t] + coupling[i, y_t]) + start[y_1] + Σ_{t>1} transitions[y_{t-1}, y_t]
cost = log Σ_i Σ_y exp s(i, y) - s(gold)

One intent i and the tags y of the sentence; with one intent it is a linear chain (Lafferty et al. 2001).
Legend: B sentences, T words, K tags, N intents.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_NEVER = -1e4  # score of a move that is not allowed
_SMALLEST = 1e-30  # of a sum of exponentials, the largest of which is 1


class Field(NamedTuple):
    """The weights: transitions [K, K], start [K], coupling [N, K]; `allowed` [K + 1, K] masks, row K for the first tag."""

    transitions: Tensor
    start: Tensor
    coupling: Tensor
    allowed: Tensor


def joint_nats(
    emissions: Tensor, logits: Tensor, tags: Tensor, intents: Tensor, lengths: Tensor, field: Field
) -> Tensor:
    """-log p(intent, tags) [B] for emissions [B, T, K], logits [B, N], tags [B, T], intents [B], lengths [B] of at least 1."""
    scores, logits = emissions.float(), logits.float()
    moves = field.transitions.masked_fill(~field.allowed[:-1], _NEVER)
    first = field.start.masked_fill(~field.allowed[-1], _NEVER)
    steps = torch.arange(scores.shape[1], device=lengths.device) < lengths[:, None]
    emitted = scores + field.coupling[intents][:, None]
    gold = emitted.gather(2, tags[:, :, None])[:, :, 0].masked_fill(~steps, 0.0).sum(1)
    moved = moves[tags[:, :-1], tags[:, 1:]].masked_fill(~steps[:, 1:], 0.0).sum(1)
    path = logits.gather(1, intents[:, None])[:, 0] + first[tags[:, 0]] + gold + moved
    partitions = _log_partitions(scores, lengths, moves, first, field.coupling)
    return torch.logsumexp(logits + partitions, dim=1) - path


def _log_partitions(
    scores: Tensor, lengths: Tensor, moves: Tensor, first: Tensor, coupling: Tensor
) -> Tensor:
    """log Σ_y exp of the tags' part of s(i, y), [B, N]."""
    forward = (first + scores[:, 0])[:, None] + coupling  # [B, N, K]
    peak = moves.max().detach()
    weights = (moves - peak).exp()
    for t in range(1, scores.shape[1]):
        inside = (t < lengths)[:, None, None]
        highest = forward.max(dim=2, keepdim=True).values.detach()
        before = (forward - highest).exp().flatten(0, 1)
        entering = (before @ weights).reshape(forward.shape)  # sum over the tags before, as one product
        entering = entering.clamp(min=_SMALLEST).log() + (highest + peak) + scores[:, t, None] + coupling
        forward = torch.where(inside, entering, forward)
    return torch.logsumexp(forward, dim=2)
