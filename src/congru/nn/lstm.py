"""The long short-term memory as torch modules; its state is the pair (h, c).

i, f, o = sigmoid(W x + b_i + U h + b_h)
g       = tanh(W_g x + b_ig + U_g h + b_hg)
c'      = f * c + i * g
h'      = o * tanh(c')
"""

from __future__ import annotations

from typing import Any, ClassVar

from congru.errors import SettingsError
from congru.nn.cell import RecurrentCell
from congru.nn.recurrent import RecurrentLayer


class LSTM(RecurrentLayer):
    """torch.nn.LSTM, without `proj_size`, with `lengths`, `reset`, gates i, f, g, o and learned h0, c0.

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
        *arguments: Any,
        **keywords: Any,
    ) -> None:
        if proj_size != 0:
            raise SettingsError(
                f"proj_size is {proj_size!r}, expected 0: put a torch.nn.Linear behind the LSTM"
            )
        sizes = (input_size, hidden_size, num_layers)
        super().__init__(*sizes, bias, batch_first, dropout, bidirectional, *arguments, **keywords)
        self.proj_size = proj_size


class LSTMCell(RecurrentCell):
    """torch.nn.LSTMCell; see `RecurrentCell`.

    >>> import torch
    >>> h, c = LSTMCell(3, 4)(torch.zeros(5, 3))
    >>> tuple(h.shape), tuple(c.shape)
    ((5, 4), (5, 4))
    """

    cell = "lstm"
    form: ClassVar[dict[str, Any]] = {"layer_norm": False, "num_heads": 1}
