"""Chrono initialisation (Tallec & Ollivier 2018, arXiv 1804.11188, section 3): gates that start with long memories.

A unit that keeps the share s(b) of its memory forgets in about 1 / (1 - s(b)) = 1 + exp(b) steps, so memories
spread evenly over 1 .. longest need

    u ~ U(1, longest - 1)
    GRU, minGRU    b_z = log u                  z is the share kept; 1 - z, what is written, is tied to it
    LSTM           b_f = log u,   b_i = -log u  the input gate starts as the complement of the forget gate

b is the whole bias of the gate: where a cell has two, bias_ih holds it and bias_hh is 0 there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from congru.errors import SettingsError
from congru.kernels.cells import CELLS
from congru.nn.module import RecurrentModule

# Cell -> row of a gate -> the sign of log u in its bias.
SIGNS = {"gru": {"z": 1.0}, "mingru": {"z": 1.0}, "lstm": {"f": 1.0, "i": -1.0}}


def chrono_init(
    module: RecurrentModule, longest: int, *, generator: torch.Generator | None = None
) -> RecurrentModule:
    """Set the gate biases of a layer or cell for memories of up to `longest` steps, in place; return the module.

    `longest` is the paper's T_max, at least 3: the longest lag expected. Every layer and direction draws its own
    u [H] from `generator` (default: torch's). All other parameters stay. Raises `SettingsError` for a plain RNN,
    which has no gate, for a module without biases, and for a smaller `longest`.

    >>> from congru.nn import GRU
    >>> layer = chrono_init(GRU(1, 4), longest=100)
    >>> keep = layer.bias_ih_l0[4:8].exp()
    >>> bool(((keep >= 1) & (keep <= 99)).all()), layer.bias_hh_l0[4:8].tolist()
    (True, [0.0, 0.0, 0.0, 0.0])
    """
    if module.cell not in SIGNS:
        raise SettingsError(
            f"module is a {module.cell}, expected one of {', '.join(sorted(SIGNS))}: a plain RNN has no gate to set"
        )
    if not module.bias:
        raise SettingsError("module has bias=False, expected biases: build it with bias=True")
    if not isinstance(longest, int) or isinstance(longest, bool) or longest < 3:
        raise SettingsError(
            f"longest is {longest!r}, expected a whole number of 3 or more: pass the longest lag in steps"
        )
    with torch.no_grad():
        for name, bias in module.named_parameters():
            if name.startswith("bias_ih"):
                hidden = module.hidden_size
                u = torch.rand(hidden, generator=generator) * (longest - 2) + 1
                for gate, sign in SIGNS[module.cell].items():
                    _row(module, bias, gate).copy_(sign * u.log())
            elif name.startswith("bias_hh"):
                for gate in SIGNS[module.cell]:
                    _row(module, bias, gate).zero_()
    return module


def _row(module: RecurrentModule, bias: Tensor, gate: str) -> Tensor:
    """The H entries of one gate in a bias [G*H], as a view."""
    row = CELLS[module.cell].gates.index(gate)
    return bias[row * module.hidden_size : (row + 1) * module.hidden_size]
