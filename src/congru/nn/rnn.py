"""The plain recurrent network as torch modules.

h' = tanh(W x + b_i + U h + b_h), or relu
"""

from __future__ import annotations

from typing import Any, ClassVar

from congru.errors import SettingsError
from congru.nn.cell import RecurrentCell
from congru.nn.recurrent import RecurrentLayer

_CELLS = {"tanh": "rnn", "relu": "rnn_relu"}


class RNN(RecurrentLayer):
    """torch.nn.RNN with `lengths`, `reset`, a learned h0 and its candidate as gate n; see `RecurrentLayer`.

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
        *arguments: Any,
        **keywords: Any,
    ) -> None:
        self.cell = _cell_of(nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, *arguments, **keywords)
        self.nonlinearity = nonlinearity


class RNNCell(RecurrentCell):
    """torch.nn.RNNCell; see `RecurrentCell`.

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
        *arguments: Any,
        **keywords: Any,
    ) -> None:
        self.cell = _cell_of(nonlinearity)
        super().__init__(input_size, hidden_size, bias, *arguments, **keywords)
        self.nonlinearity = nonlinearity


def _cell_of(nonlinearity: str) -> str:
    if nonlinearity not in _CELLS:
        raise SettingsError(f"nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu': pass one of these")
    return _CELLS[nonlinearity]
