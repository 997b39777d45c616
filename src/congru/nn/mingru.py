"""The minimal GRU (Feng et al. 2024, arXiv 2410.01201) in torch; z is the share of the old state kept.

    z  = sigmoid(W_z x + b_z)         the paper's z is 1 - z here
    n  = g(W_n x + b_n)               g(a) = a + 0.5 where a >= 0, else sigmoid(a)
    h' = (1 - z) * n + z * h

Its gates do not see the state, so a sequence is one parallel scan; the cell is one step; both agree.
"""

from __future__ import annotations

from congru.nn.cell import RecurrentCell
from congru.nn.recurrent import RecurrentLayer


class MinGRU(RecurrentLayer):
    """The arguments of `RecurrentLayer`; parameters weight_ih_l0 [2H, I] and bias_ih_l0 [2H], rows z, n.

    >>> import torch
    >>> y, h = MinGRU(3, 4, batch_first=True)(torch.zeros(2, 6, 3))
    >>> tuple(y.shape), tuple(h.shape)
    ((2, 6, 4), (1, 2, 4))
    """

    cell = "mingru"
    stems = ("weight_ih", "bias_ih")


class MinGRUCell(RecurrentCell):
    """One step of `MinGRU`; see `RecurrentCell`.

    >>> import torch
    >>> tuple(MinGRUCell(3, 4)(torch.zeros(5, 3)).shape)
    (5, 4)
    """

    cell = "mingru"
    stems = ("weight_ih", "bias_ih")
