"""minGRU over a whole sequence at once: a parallel scan in log space (Feng et al. 2024, arXiv 2410.01201).

    h_t = z_t h_{t-1} + (1 - z_t) n_t                                 0 < z_t < 1, n_t > 0

Time is cut into about sqrt(T) pieces of about sqrt(T) steps. The pieces run side by side, each from zero:

    log_sum_t   = log(exp(log z_t + log_sum_{t-1}) + exp(log (1 - z_t) + log n_t))
    log_decay_t = log z_t + log_decay_{t-1}

and then the state goes from piece to piece, h_t = exp(log_sum_t) + exp(log_decay_t) h_entering, so it may
be zero or negative. Unlike in one cumulated sum over all steps, nothing large is subtracted from another
large number: the result is as exact at T = 1000 as at T = 10. The derivative is the same scan from the end,
of signed numbers:

    dh_t = dy_t + z_{t+1} dh_{t+1}      da_z = dh_t (h_{t-1} - n) z (1 - z)      da_n = dh_t (1 - z) g'(a_n)

Only gi and the states are kept for it. It is made of torch operations, so it can be differentiated again. In a traced
graph both are operators of their own, ``congru::mingru`` and ``congru::mingru_backward``: T stays free there.
Legend: pieces are [P, S, B, H], P pieces of S steps; flags are [T, B, 1] as in `congru.kernels.composite`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from congru.kernels.batched_gradients import takes_batched_gradients


def candidate(a: Tensor) -> Tensor:
    """g(a) = a + 0.5 where a >= 0, else sigmoid(a): positive and continuous."""
    return torch.where(a >= 0, a + 0.5, torch.sigmoid(a))


def mingru_states(
    gi: Tensor, h: Tensor, valid: Tensor | None, is_first: Tensor | None, h_reset: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    """Return the states [T, B, H], at padding the one before it, and the final state [B, H].

    `gi` [T, B, 2H] is W x + b_i; `valid` is False where padding, `is_first` True where the state that enters is
    `h_reset` [H]; None = nowhere.
    """
    run: Callable[..., Tensor] = _States.apply
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        run = torch.ops.congru.mingru  # the loop over pieces would hold T fast
    elif forward_ad._current_level >= 0:
        run = _step_by_step  # forward mode differentiates torch operations, not the function with a backward of its own
    if not reverse:
        states: Tensor = run(gi, h, h_reset, valid, is_first)
        # The caller may change y in place; the backward reads the states.
        return states.clone(), states[-1].clone()
    flags = [None if flag is None else flag.flip(0) for flag in (valid, is_first)]
    states = run(gi.flip(0), h, h_reset, *flags)
    return states.flip(0), states[-1].clone()


def _step_by_step(
    gi: Tensor, h: Tensor, h_reset: Tensor, valid: Tensor | None, is_first: Tensor | None
) -> Tensor:
    """The states, see :class:`_States`, by the equation itself: every derivative of it is finite."""
    a_z, a_n = gi.chunk(2, -1)
    z, n = torch.sigmoid(a_z), candidate(a_n)
    states = []
    for t in range(len(gi)):
        before = h if is_first is None else torch.where(is_first[t], h_reset, h)
        new = z[t] * before + (1 - z[t]) * n[t]
        h = new if valid is None else torch.where(valid[t], new, h)
        states.append(h)
    return torch.stack(states)


class _States(torch.autograd.Function):
    """(gi [T, B, 2H], h [B, H], h_reset [H], valid, is_first) -> the state after every step, [T, B, H]."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        gi: Tensor, h: Tensor, h_reset: Tensor, valid: Tensor | None, is_first: Tensor | None
    ) -> Tensor:
        return states_in_pieces(gi, h, h_reset, valid, is_first)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    @takes_batched_gradients
    def backward(ctx: Any, dstates: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # once: a checkpoint computes them again in every call
        dgi, dh, dh_reset = gradients(dstates, *saved)
        return dgi, dh, None if saved[4] is None else dh_reset, None, None


def states_in_pieces(
    gi: Tensor, h: Tensor, h_reset: Tensor, valid: Tensor | None, is_first: Tensor | None
) -> Tensor:
    """The states [T, B, H] after every step; arguments as of :class:`_States`."""
    size = _piece_size(gi)
    nothing = gi.new_full((), -math.inf)
    a_z, a_n = _pieces(gi, size).chunk(2, -1)
    padding = None if valid is None else ~_pieces(valid, size)
    begins = None if is_first is None else _pieces(is_first, size)
    written, decay = [], []
    log_sum = log_decay = log_left = nothing  # log_left: how much of h_reset is left
    for k in range(size):
        log_z = F.logsigmoid(a_z[:, k])
        log_write = F.logsigmoid(-a_z[:, k]) + _log_candidate(a_n[:, k])
        if padding is not None:  # keeps everything, writes nothing
            log_z = torch.where(padding[:, k], 0.0, log_z)
            log_write = torch.where(padding[:, k], nothing, log_write)
        log_kept = log_z + log_sum
        log_decay = log_z + log_decay if k else log_z
        if begins is not None:  # chosen, not multiplied by 0: NaN stays in the sequence it came from
            log_kept = torch.where(begins[:, k], nothing, log_kept)
            log_decay = torch.where(begins[:, k], nothing, log_decay)
        log_sum = torch.logaddexp(log_kept, log_write)
        written.append(torch.exp(log_sum))
        decay.append(torch.exp(log_decay))
        if begins is not None:
            log_left = torch.where(begins[:, k], log_z, log_z + log_left)
            written[k] = written[k] + torch.exp(log_left) * h_reset
    cut = None if begins is None else begins.cumsum(1).bool()  # a sequence has begun in this piece
    h_prev = []
    for piece, (last_written, last_decay) in enumerate(zip(written[-1], decay[-1])):
        h_prev.append(h)
        h = _joined(last_written, last_decay, h, None if cut is None else cut[piece, -1])
    enters = torch.stack(h_prev)
    states = [
        _joined(a, b, enters, None if cut is None else cut[:, k])
        for k, (a, b) in enumerate(zip(written, decay))
    ]
    return torch.stack(states, 1).flatten(0, 1)[: len(gi)]


def gradients(
    dstates: Tensor,
    gi: Tensor,
    h: Tensor,
    h_reset: Tensor,
    valid: Tensor | None,
    is_first: Tensor | None,
    states: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """What `dstates` gives to gi, h and h_reset."""
    size = _piece_size(gi)
    a_z, a_n = _pieces(gi, size).chunk(2, -1)
    z = torch.sigmoid(a_z)
    writes = None if valid is None else _pieces(valid, size)
    begins = None if is_first is None else _pieces(is_first, size)
    keep = z if writes is None else torch.where(writes, z, 1.0)
    dh, dh_first = _scan_back(keep, _pieces(dstates, size), begins)
    before = _pieces(torch.cat([h.unsqueeze(0), states[:-1]]), size)
    before = before if begins is None else torch.where(begins, h_reset, before)
    n = candidate(a_n)
    dwrite = dh * (1 - z)
    da_z = dwrite * z * (before - n)
    da_n = dwrite * torch.where(a_n >= 0, 1.0, n * (1 - n))
    dgi = torch.cat([da_z, da_n], -1)
    dgi = dgi if writes is None else torch.where(writes, dgi, 0.0)
    dh_reset = (
        torch.zeros_like(h_reset) if begins is None else torch.where(begins, dh * z, 0.0).sum((0, 1, 2))
    )
    return dgi.flatten(0, 1)[: len(gi)], dh_first, dh_reset


def _scan_back(keep: Tensor, dy: Tensor, begins: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return dh_t = dy_t + keep_{t+1} dh_{t+1} in pieces [P, S, B, H], and that of the first state.

    Nothing goes back over the first step of a sequence, NaN neither.
    """

    def through(piece: Any, k: int, grad_output: Tensor) -> Tensor:
        """What reaches the state that enters step k."""
        kept = keep[piece, k] * grad_output
        return kept if begins is None else torch.where(begins[piece, k], 0.0, kept)

    every, size = slice(None), dy.shape[1]
    inside = [dy[:, -1]]
    share = [torch.ones_like(dy[:, -1])]  # of the dh that enters the piece from the right, less its keep
    cut = [None if begins is None else torch.zeros_like(begins[:, -1])]  # nothing of it arrives
    for k in reversed(range(size - 1)):
        inside.append(dy[:, k] + through(every, k + 1, inside[-1]))
        share.append(through(every, k + 1, share[-1]))
        cut.append(None if begins is None else cut[-1] | begins[:, k + 1])  # type: ignore[operator]
    from_right = [torch.zeros_like(dy[0, 0])]
    for piece in reversed(range(len(dy))):
        is_cut = cut[-1]
        at_first = _joined(
            inside[-1][piece], share[-1][piece], from_right[-1], None if is_cut is None else is_cut[piece]
        )
        from_right.append(through(piece, 0, at_first))
    enters = torch.stack(from_right[-2::-1])
    parts = zip(reversed(inside), reversed(share), reversed(cut))
    return torch.stack([_joined(a, b, enters, is_cut) for a, b, is_cut in parts], 1), from_right[-1]


def _joined(inside: Tensor, share: Tensor, enters: Tensor, is_cut: Tensor | None) -> Tensor:
    """What a piece makes of zero, with its share of what enters; nothing enters where it is cut, NaN neither."""
    whole = inside + share * enters
    return whole if is_cut is None else torch.where(is_cut, inside, whole)


def _log_candidate(a: Tensor) -> Tensor:
    return torch.where(a >= 0, torch.log(a.clamp(min=0) + 0.5), F.logsigmoid(a))


def _piece_size(steps: Tensor) -> int:
    return math.isqrt(len(steps) - 1) + 1


def _pieces(steps: Tensor, size: int) -> Tensor:
    """Cut [T, ...] into pieces [P, S, ...] of `size` steps, the last one filled up with zeros."""
    missing = -len(steps) % size
    if missing:
        steps = torch.cat([steps, steps.new_zeros(missing, *steps.shape[1:])])
    return steps.reshape(len(steps) // size, size, *steps.shape[1:])
