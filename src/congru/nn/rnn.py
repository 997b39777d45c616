"""The plain recurrent network as torch modules.

h' = tanh(W x + b_i + U h + b_h), or relu
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from congru.errors import SettingsError
from congru.nn.cell import RecurrentCell
from congru.nn.recurrent import RecurrentLayer

_CELLS = {"tanh": "rnn", "relu": "rnn_relu"}


class RNN(RecurrentLayer):
    """torch.nn.RNN with what stands behind `dtype`, `lengths`, `reset`, its candidate as gate n. Calls: `RecurrentLayer.forward`.

    - `input_size`, `hidden_size`: I and H.
    - `num_layers`: L, each reading the output of the one below.
    - `nonlinearity`: "tanh" or "relu".
    - `bias`: whether there are biases.
    - `batch_first`: input and output are [B, T, ..] in place of [T, B, ..].
    - `dropout`: rate between layers while training.
    - `bidirectional`: a second direction in every layer, D = 2.
    - `device`, `dtype`: of the parameters; None = torch's defaults.
    - `learn_h0`: the initial state h0 [L*D, H] where none is passed, and after every reset, is learned.
    - `return_gates`: every call returns the gates.
    - `recompute`: training keeps the states alone and computes the gates again in the backward: less memory, more time.
    - `layer_norm`: must be False; the plain RNN has none.
    - `num_heads`: recurrent weights block-diagonal, weight_hh [G*H, H/num_heads].
    - `zoneout`: rate at which units keep their old state in training; in evaluation, the share of it that is kept.
    - `recurrent_dropout`, `input_dropout`: rates of masks drawn once for all steps: `congru.nn.masks`.
    - `backend`: "auto", or a name that `congru.ops` knows.

    Raises `SettingsError` for a wrong argument.

    >>> import torch
    >>> y, h = RNN(3, 4, nonlinearity="relu", batch_first=True)(torch.zeros(2, 6, 3))
    >>> tuple(y.shape), tuple(h.shape)
    ((2, 6, 4), (1, 2, 4))
    """

    form: ClassVar[dict[str, Any]] = {"num_heads": 1}
    shown: ClassVar[dict[str, Any]] = {"nonlinearity": "tanh"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
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
        self.cell = _cell_of(nonlinearity)
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
        self.nonlinearity = nonlinearity


class RNNCell(RecurrentCell):
    """torch.nn.RNNCell with what stands behind `dtype`. Calls: `RecurrentCell.forward`.

    - `input_size`, `hidden_size`: I and H.
    - `bias`: whether there are biases.
    - `nonlinearity`: "tanh" or "relu".
    - `device`, `dtype`: of the parameters; None = torch's defaults.
    - `layer_norm`: must be False; the plain RNN has none.
    - `num_heads`: recurrent weights block-diagonal, weight_hh [G*H, H/num_heads].
    - `backend`: "auto", or a name that `congru.ops` knows.

    Raises `SettingsError` for a wrong argument.

    >>> import torch
    >>> tuple(RNNCell(3, 4)(torch.zeros(5, 3)).shape)
    (5, 4)
    """

    form: ClassVar[dict[str, Any]] = {"num_heads": 1}
    shown: ClassVar[dict[str, Any]] = {"nonlinearity": "tanh"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool | str = False,
        num_heads: int = 1,
        backend: str = "auto",
    ) -> None:
        self.cell = _cell_of(nonlinearity)
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
        self.nonlinearity = nonlinearity


def _cell_of(nonlinearity: str) -> str:
    if nonlinearity not in _CELLS:
        raise SettingsError(f"nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu': pass one of these")
    return _CELLS[nonlinearity]
