"""The minimal GRU (Feng et al. 2024, arXiv 2410.01201) in torch; z is the share of the old state kept.

    z  = sigmoid(W_z x + b_z)         the paper's z is 1 - z here
    n  = g(W_n x + b_n)               g(a) = a + 0.5 where a >= 0, else sigmoid(a)
    h' = (1 - z) * n + z * h

Its gates do not see the state, so a sequence is one parallel scan; the cell is one step; both agree.
"""

from __future__ import annotations

import torch

from congru.nn.cell import RecurrentCell
from congru.nn.recurrent import RecurrentLayer


class MinGRU(RecurrentLayer):
    """Parameters weight_ih_l0 [2H, I] and bias_ih_l0 [2H], rows z, n. Calls: `RecurrentLayer.forward`.

    - `input_size`, `hidden_size`: I and H.
    - `num_layers`: L, each reading the output of the one below.
    - `bias`: whether there are biases.
    - `batch_first`: input and output are [B, T, ..] in place of [T, B, ..].
    - `dropout`: rate between layers while training.
    - `bidirectional`: a second direction in every layer, D = 2.
    - `device`, `dtype`: of the parameters; None = torch's defaults.
    - `learn_h0`: the initial state h0 [L*D, H] where none is passed, and after every reset, is learned.
    - `return_gates`: every call returns the gates.
    - `recompute`: training keeps the states alone and computes the gates again in the backward: less memory, more time.
    - `layer_norm`, `num_heads`: must be left out: there are no recurrent weights.
    - `zoneout`, `recurrent_dropout`: must be 0.0: there are no recurrent weights.
    - `input_dropout`: rate of a mask on x that is drawn once for all steps: `congru.nn.masks`.
    - `backend`: "auto", or a name that `congru.ops` knows.

    Raises `SettingsError` for a wrong argument.

    >>> import torch
    >>> y, h = MinGRU(3, 4, batch_first=True)(torch.zeros(2, 6, 3))
    >>> tuple(y.shape), tuple(h.shape)
    ((2, 6, 4), (1, 2, 4))
    """

    cell = "mingru"
    stems = ("weight_ih", "bias_ih")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        learn_h0: bool = False,
        return_gates: bool = False,
        recompute: bool = False,
        layer_norm: bool | str = False,
        num_heads: int = 1,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        input_dropout: float = 0.0,
        backend: str = "auto",
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device,
            dtype,
            learn_h0=learn_h0,
            return_gates=return_gates,
            recompute=recompute,
            layer_norm=layer_norm,
            num_heads=num_heads,
            zoneout=zoneout,
            recurrent_dropout=recurrent_dropout,
            input_dropout=input_dropout,
            backend=backend,
        )


class MinGRUCell(RecurrentCell):
    """One step of `MinGRU`. Calls: `RecurrentCell.forward`.

    - `input_size`, `hidden_size`: I and H.
    - `bias`: whether there are biases.
    - `device`, `dtype`: of the parameters; None = torch's defaults.
    - `layer_norm`, `num_heads`: must be left out: there are no recurrent weights.
    - `backend`: "auto", or a name that `congru.ops` knows.

    Raises `SettingsError` for a wrong argument.

    >>> import torch
    >>> tuple(MinGRUCell(3, 4)(torch.zeros(5, 3)).shape)
    (5, 4)
    """

    cell = "mingru"
    stems = ("weight_ih", "bias_ih")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool | str = False,
        num_heads: int = 1,
        backend: str = "auto",
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            bias,
            device,
            dtype,
            layer_norm=layer_norm,
            num_heads=num_heads,
            backend=backend,
        )
