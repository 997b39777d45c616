"""Weights of the grams by logistic regression on the log-count ratios of naive Bayes (Wang & Manning 2012, their NBSVM).

    score_c(text) = b_c + sum of u_g,c w_g,c over the distinct grams g of the text,   w as in naive_bayes.py
    u, b = argmin  sum over texts of -log softmax(score)[label]  +  |u|^2 / 2

Naive Bayes is u = 1 for every gram. Legend: N texts, G grams, K classes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from congru.tasks.sentiment.naive_bayes import Counted, Floats, Ints

_ITERATIONS, _HISTORY = 20, 8  # of L-BFGS


def reweight(
    counted: Counted, labels: Ints, weights: Floats, rows: NDArray[np.bool_] | None = None
) -> tuple[Floats, Floats]:
    """u w [G, K] and b [K], both without their mean over the classes; `rows` [N] of the texts that are read, None for all.

    A gram that stands in none of these texts weighs nothing.
    """
    rows = np.ones(len(labels), bool) if rows is None else rows
    grams = torch.from_numpy(counted.grams[rows[counted.owners]])
    ends = np.cumsum(np.diff(counted.starts)[rows])
    begins = torch.from_numpy(np.concatenate([[0], ends[:-1]]))
    target, ratios = torch.from_numpy(labels[rows]), torch.from_numpy(weights)
    u = torch.zeros(ratios.shape, requires_grad=True)
    b = torch.zeros(ratios.shape[1], requires_grad=True)
    search = torch.optim.LBFGS([u, b], max_iter=_ITERATIONS, history_size=_HISTORY)

    def cost() -> float:
        search.zero_grad()
        scores = F.embedding_bag(grams, u * ratios, begins, mode="sum") + b
        nats = F.cross_entropy(scores, target) + u.square().sum() / (2 * len(target))
        nats.backward()  # type: ignore[no-untyped-call]
        return float(nats.detach())

    search.step(cost)  # type: ignore[no-untyped-call]
    new, bias = (u * ratios).detach(), b.detach()
    return (new - new.mean(1, keepdim=True)).numpy(), (bias - bias.mean()).numpy()
