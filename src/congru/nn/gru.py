"""The gated recurrent unit as torch modules; z is the share of the old state that is kept.

    r  = sigmoid(W_r x + b_ir + U_r h + b_hr)
    z  = sigmoid(W_z x + b_iz + U_z h + b_hz)
    n  = tanh   (W_n x + b_in + r * (U_n h + b_hn))
    h' = (1 - z) * n + z * h

`reset_before=True` is the other form (Cho et al. 2014), n = tanh(W_n x + b_in + U_n (r * h) + b_hn).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from congru.nn.cell import RecurrentCell
from congru.nn.recurrent import RecurrentLayer
from congru.reference.option_equations import gain_names


class GRU(RecurrentLayer):
    """torch.nn.GRU with what stands behind `dtype`, `lengths`, `reset`, gates r, z, n. Calls: `RecurrentLayer.forward`.

    - `input_size`, `hidden_size`: I and H.
    - `num_layers`: L, each reading the output of the one below.
    - `bias`: whether there are biases.
    - `batch_first`: input and output are [B, T, ..] in place of [T, B, ..].
    - `dropout`: rate between layers while training.
    - `bidirectional`: a second direction in every layer, D = 2.
    - `device`, `dtype`: of the parameters; None = torch's defaults.
    - `reset_before`: the other form of the unit, n = tanh(W_n x + b_in + U_n (r * h) + b_hn).
    - `learn_h0`: the initial state h0 [L*D, H] where none is passed, and after every reset, is learned.
    - `return_gates`: every call returns the gates.
    - `recompute`: training keeps the states alone and computes the gates again in the backward: less memory, more time.
    - `layer_norm`: True (gains gain_ih, gain_hh) or "dreamer" (gain_ih): `congru.reference.option_equations`.
    - `num_heads`: recurrent weights block-diagonal, weight_hh [G*H, H/num_heads].
    - `zoneout`: rate at which units keep their old state in training; in evaluation, the share of it that is kept.
    - `recurrent_dropout`, `input_dropout`: rates of masks drawn once for all steps: `congru.nn.masks`.
    - `backend`: "auto", or a name that `congru.ops` knows.

    Raises `SettingsError` for a wrong argument.

    >>> import torch
    >>> layer = GRU(3, 4, num_layers=2, batch_first=True)
    >>> y, h, gates = layer(torch.zeros(2, 6, 3), lengths=torch.tensor([6, 0]), return_gates=True)
    >>> tuple(y.shape), tuple(h.shape), tuple(gates.shape)
    ((2, 6, 4), (2, 2, 4), (2, 1, 2, 6, 3, 4))
    """

    cell = "gru"
    form: ClassVar[dict[str, Any]] = {"reset_before": False, "layer_norm": False, "num_heads": 1}

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
        reset_before: bool = False,
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
        gain_names("gru", layer_norm, reset_before)
        self.reset_before = reset_before


class GRUCell(RecurrentCell):
    """torch.nn.GRUCell with what stands behind `dtype`. Calls: `RecurrentCell.forward`.

    - `input_size`, `hidden_size`: I and H.
    - `bias`: whether there are biases.
    - `device`, `dtype`: of the parameters; None = torch's defaults.
    - `reset_before`: the other form of the unit, n = tanh(W_n x + b_in + U_n (r * h) + b_hn).
    - `layer_norm`: True (gains gain_ih, gain_hh) or "dreamer" (gain_ih): `congru.reference.option_equations`.
    - `num_heads`: recurrent weights block-diagonal, weight_hh [G*H, H/num_heads].
    - `backend`: "auto", or a name that `congru.ops` knows.

    Raises `SettingsError` for a wrong argument.

    >>> import torch
    >>> tuple(GRUCell(3, 4)(torch.zeros(5, 3)).shape)
    (5, 4)
    """

    cell = "gru"
    form: ClassVar[dict[str, Any]] = {"reset_before": False, "layer_norm": False, "num_heads": 1}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset_before: bool = False,
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
        gain_names("gru", layer_norm, reset_before)
        self.reset_before = reset_before
