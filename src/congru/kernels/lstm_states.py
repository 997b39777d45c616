"""c of an LSTM after every step, from its gates: what a call of any backend does not return, and with gradients.

c_t = f_t c_{t-1} + i_t g_t        with zoneout: d_t c_{t-1} + (1 - d_t) (f_t c_{t-1} + i_t g_t)
"""

from __future__ import annotations

import torch
from torch import Tensor

from congru.kernels.cells import State
from congru.kernels.composite import make_flags


def cell_states(
    gates: Tensor,
    state: State | None,
    h_reset: State | None,
    *,
    lengths: Tensor | None,
    reset: Tensor | None,
    reverse: bool,
    zoneout: State | None,
) -> Tensor:
    """c [B, T, H] from the gates i, f, g, o [B, T, 4, H] of a call; the other arguments are those of the call.

    0 where padding. The gradient goes on to the gates and to the states that c starts from.
    """
    i, f, g, _ = gates.unbind(2)
    keep, write = f, i * g
    if zoneout is not None:
        d = zoneout[1]
        keep, write = d + (1 - d) * f, (1 - d) * write
    flags = make_flags(gates, lengths, reset, reverse)
    before: Tensor = gates.new_zeros(gates.shape[0], gates.shape[3]) if state is None else state[1]
    begin = gates.new_zeros(gates.shape[3]) if h_reset is None else h_reset[1]
    keeps, writes = keep.unbind(1), write.unbind(1)
    states = []
    for t in reversed(range(len(keeps))) if reverse else range(len(keeps)):
        if flags.is_first is not None:
            before = torch.where(flags.is_first[t], begin, before)
        c = torch.addcmul(writes[t], keeps[t], before)
        # Padding has no gates: there the state stays.
        before = c if flags.valid is None else torch.where(flags.valid[t], c, before)
        states.append(before)
    if reverse:
        states.reverse()
    if not states:
        return torch.zeros_like(f)
    c_states = torch.stack(states, 1)
    return c_states if flags.valid is None else torch.where(flags.valid.transpose(0, 1), c_states, 0.0)
