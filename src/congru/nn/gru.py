"""The gated recurrent unit as torch modules; z is the share of the old state that is kept.

    r  = sigmoid(W_r x + b_ir + U_r h + b_hr)
    z  = sigmoid(W_z x + b_iz + U_z h + b_hz)
    n  = tanh   (W_n x + b_in + r * (U_n h + b_hn))
    h' = (1 - z) * n + z * h

`reset_before=True` is the other form (Cho et al. 2014), n = tanh(W_n x + b_in + U_n (r * h) + b_hn).
"""

from __future__ import annotations

from typing import Any, ClassVar

from congru.nn.cell import RecurrentCell
from congru.nn.recurrent import RecurrentLayer
from congru.reference.option_equations import gain_names


class GRU(RecurrentLayer):
    """torch.nn.GRU with `reset_before`, `lengths`, `reset`, gates r, z, n, learned h0; see `RecurrentLayer`.

    >>> import torch
    >>> layer = GRU(3, 4, num_layers=2, batch_first=True)
    >>> y, h, gates = layer(torch.zeros(2, 6, 3), lengths=torch.tensor([6, 0]), return_gates=True)
    >>> tuple(y.shape), tuple(h.shape), tuple(gates.shape)
    ((2, 6, 4), (2, 2, 4), (2, 1, 2, 6, 3, 4))
    """

    cell = "gru"
    form: ClassVar[dict[str, Any]] = {"reset_before": False, "layer_norm": False, "num_heads": 1}

    def __init__(self, *arguments: Any, reset_before: bool = False, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        gain_names("gru", self.layer_norm, reset_before)
        self.reset_before = reset_before


class GRUCell(RecurrentCell):
    """torch.nn.GRUCell with `reset_before`; see `RecurrentCell`.

    >>> import torch
    >>> tuple(GRUCell(3, 4)(torch.zeros(5, 3)).shape)
    (5, 4)
    """

    cell = "gru"
    form: ClassVar[dict[str, Any]] = {"reset_before": False, "layer_norm": False, "num_heads": 1}

    def __init__(self, *arguments: Any, reset_before: bool = False, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        gain_names("gru", self.layer_norm, reset_before)
        self.reset_before = reset_before
