"""The long short-term memory as torch modules; its state is the pair (h, c).

i, f, o = sigmoid(W x + b_i + U h + b_h)
g       = tanh(W_g x + b_ig + U_g h + b_hg)
c'      = f * c + i * g
h'      = o * tanh(c')
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from congru.errors import SettingsError
from congru.nn.cell import RecurrentCell
from congru.nn.recurrent import RecurrentLayer


class LSTM(RecurrentLayer):
    """torch.nn.LSTM with what stands behind `dtype`, `lengths`, `reset`, gates i, f, g, o. Calls: `RecurrentLayer.forward`.

    - `input_size`, `hidden_size`: I and H.
    - `num_layers`: L, each reading the output of the one below.
    - `bias`: whether there are biases.
    - `batch_first`: input and output are [B, T, ..] in place of [T, B, ..].
    - `dropout`: rate between layers while training.
    - `bidirectional`: a second direction in every layer, D = 2.
    - `proj_size`: must be 0; torch.nn has it at this place.
    - `device`, `dtype`: of the parameters; None = torch's defaults.
    - `learn_h0`: the initial states h0 and c0 [L*D, H] where none is passed, and after every reset, are learned.
    - `return_gates`: every call returns the gates.
    - `recompute`: training keeps the states alone and computes the gates again in the backward: less memory, more time.
    - `layer_norm`: True adds gain_ih, gain_hh, gain_c and bias_c: `congru.reference.option_equations`.
    - `num_heads`: recurrent weights block-diagonal, weight_hh [G*H, H/num_heads].
    - `zoneout`: rate at which units keep their old state in training; in evaluation, the share of it that is kept.
    - `recurrent_dropout`, `input_dropout`: rates of masks drawn once for all steps: `congru.nn.masks`.
    - `backend`: "auto", or a name that `congru.ops` knows.

    Raises `SettingsError` for a wrong argument.

    >>> import torch
    >>> y, (h, c) = LSTM(3, 4, batch_first=True)(torch.zeros(2, 6, 3), lengths=torch.tensor([6, 0]))
    >>> tuple(y.shape), tuple(h.shape), tuple(c.shape)
    ((2, 6, 4), (1, 2, 4), (1, 2, 4))
    """

    cell = "lstm"
    form: ClassVar[dict[str, Any]] = {"layer_norm": False, "num_heads": 1}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
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
        if proj_size != 0:
            raise SettingsError(
                f"proj_size is {proj_size!r}, expected 0: congru computes no projections, keep torch.nn.LSTM for this one"
            )
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
        self.proj_size = proj_size


class LSTMCell(RecurrentCell):
    """torch.nn.LSTMCell with what stands behind `dtype`. Calls: `RecurrentCell.forward`.

    - `input_size`, `hidden_size`: I and H.
    - `bias`: whether there are biases.
    - `device`, `dtype`: of the parameters; None = torch's defaults.
    - `layer_norm`: True adds gain_ih, gain_hh, gain_c and bias_c: `congru.reference.option_equations`.
    - `num_heads`: recurrent weights block-diagonal, weight_hh [G*H, H/num_heads].
    - `backend`: "auto", or a name that `congru.ops` knows.

    Raises `SettingsError` for a wrong argument.

    >>> import torch
    >>> h, c = LSTMCell(3, 4)(torch.zeros(5, 3))
    >>> tuple(h.shape), tuple(c.shape)
    ((5, 4), (5, 4))
    """

    cell = "lstm"
    form: ClassVar[dict[str, Any]] = {"layer_norm": False, "num_heads": 1}

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
