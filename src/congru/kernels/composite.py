"""The cells in torch operations: any device, any dtype, any number of derivatives.

    gi = W x + b_i            for all steps in one product, before the loop
    gh = U h + b_h            inside the loop
    GRU     r = s(gi_r + gh_r)   z = s(gi_z + gh_z)   n = tanh(gi_n + r * gh_n)   h' = (1 - z) n + z h
            reset before: n = tanh(gi_n + U_n (r * h) + b_hn)
    LSTM    i, f, o = s(gi + gh)   g = tanh(gi_g + gh_g)   c' = f c + i g   h' = o tanh(c')
    RNN     n = tanh(gi + gh), or relu   h' = n
    minGRU  z = s(gi_z)   n = g(gi_n)   h' = (1 - z) n + z h

The options (layer norm, zoneout, recurrent mask) are those of `congru.reference.option_equations`; norms are in
`congru.kernels.composite_norm`. minGRU has no gh: a whole sequence of it is one scan, in `congru.kernels.scan`.
Inside, arrays are time first, [T, B, ...], as torch.nn lays them out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from congru.kernels import scan_ops as scan_ops  # makes the operators that a traced scan calls
from congru.kernels.call import Call, Sequence
from congru.kernels.cells import CELLS
from congru.kernels.composite_norm import dreamer, normalise, project
from congru.kernels.scan import candidate, mingru_states

State: TypeAlias = tuple[Tensor, ...]
Weights: TypeAlias = tuple[Tensor | None, ...]
Gates: TypeAlias = tuple[Tensor, ...]

OPTIONS = ("layer_norm=True", "layer_norm='dreamer'", "zoneout", "recurrent_mask")


class Flags(NamedTuple):
    """Where a step is not an ordinary one, each [T, B, 1] or None; in reverse still in input order."""

    valid: Tensor | None  # False where padding: the state stays
    is_first: Tensor | None  # the state that enters is the start of a new sequence


def supports(call: Call) -> str | None:
    """Everything that is made of torch tensors."""
    if call.library != "torch":
        return "it computes with torch tensors only"
    if call.recompute and not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        return "torch.func cannot compute a forward again"
    return None


def sequence(call: Sequence) -> tuple[Tensor, State, Tensor | None]:
    """Run a call, see `congru.ops.sequence`; `recompute` keeps the arguments alone for the backward."""
    if call.recompute:
        return _recomputed(call)
    cell, x, state, weights, lengths, reset, h_reset, reverse = call[:8]
    layer_norm, return_gates = call.options.layer_norm, call.return_gates
    state = zeros(cell, x, weights) if state is None else state
    steps, flags = x.transpose(0, 1), make_flags(x, lengths, reset, reverse)
    if flags.valid is not None:
        # Padding may hold NaN, which must not reach a gradient as 0 * NaN.
        steps = torch.where(flags.valid, steps, 0.0)
    if steps.shape[0] == 0:
        nothing = _nothing((x, *state, *weights))
        y = state[0].new_zeros(x.shape[0], 0, state[0].shape[1]) + nothing
        state = tuple(part + nothing for part in state)
        return y, state, torch.stack([y] * len(CELLS[cell].gates), 2) if return_gates else None
    if h_reset is None:
        h_reset = tuple(part.new_zeros(part.shape[1]) for part in state)
    return from_input_part(call, input_part(cell, steps, weights, layer_norm), state, flags, h_reset)


def from_input_part(
    call: Sequence, gi: Tensor, state: State, flags: Flags, h_reset: State
) -> tuple[Tensor, State, Tensor | None]:
    """What `sequence` returns, from gi [T, B, G*H], T > 0; of the weights W and b_i are not read, but b_i for "dreamer"."""
    if call.cell == "mingru":
        y, h = mingru_states(gi, state[0], flags.valid, flags.is_first, h_reset[0], call.reverse)
        final: State = (h,)
        rows = list(mingru_gates(gi, state[0])) if call.return_gates else []
    else:
        cell_step = _cell_step(call)
        y, final, rows = _loop(cell_step, gi, state, flags, h_reset, call.reverse, call.return_gates)
    gates = torch.stack(rows, 2) if call.return_gates else None
    if flags.valid is not None:
        y = torch.where(flags.valid, y, 0.0)
        gates = None if gates is None else torch.where(flags.valid.unsqueeze(3), gates, 0.0)
    return y.transpose(0, 1), final, None if gates is None else gates.transpose(0, 1)


def _nothing(parts: tuple[Tensor | None, ...]) -> Tensor:
    """Zero, with a gradient of zeros to every argument."""
    zero: Tensor = sum(part.flatten()[:0].sum() for part in parts if part is not None)  # type: ignore[assignment]
    return zero


def _recomputed(call: Sequence) -> tuple[Tensor, State, Tensor | None]:
    """The call with `recompute`: the backward runs the forward again."""

    def again(x: Tensor, state: State | None, weights: Weights, h_reset: State | None) -> Any:
        return sequence(call._replace(x=x, state=state, weights=weights, h_reset=h_reset, recompute=False))

    results: tuple[Tensor, State, Tensor | None] = checkpoint(
        again, call.x, call.state, call.weights, call.h_reset, use_reentrant=False, preserve_rng_state=False
    )
    return results


def step(cell: str, x: Tensor, state: State | None, weights: Weights, *, reset_before: bool = False) -> State:
    """One step on x [B, I]; see `congru.ops.step`."""
    state = zeros(cell, x, weights) if state is None else state
    gates = gate_equations(cell, weights, reset_before)
    return update(cell, gates(input_part(cell, x, weights), state[0]), state)


def zeros(cell: str, x: Tensor, weights: Weights) -> State:
    """The default state: one [B, H] array of zeros per part, in the dtype of the weights (x may differ under autocast)."""
    W = weights[0]
    assert W is not None
    size = W.shape[0] // len(CELLS[cell].gates)
    return tuple(x.new_zeros(x.shape[0], size, dtype=W.dtype) for _ in CELLS[cell].states)


def make_flags(x: Tensor, lengths: Tensor | None, reset: Tensor | None, reverse: bool) -> Flags:
    """The flags of a call. In reverse the boundary at t lies between t and t-1, so t-1 is a first step."""
    valid = None
    if lengths is not None:
        valid = torch.arange(x.shape[1], device=x.device).unsqueeze(1) < lengths
        reset = None if reset is None else reset & valid.transpose(0, 1)
    if reset is not None and reverse:
        steps = torch.arange(x.shape[1], device=x.device)
        reset = reset.roll(-1, 1) & (steps < x.shape[1] - 1)
    is_first = None if reset is None else reset.transpose(0, 1).unsqueeze(2)
    return Flags(None if valid is None else valid.unsqueeze(2), is_first)


def input_part(cell: str, x: Tensor, weights: Weights, layer_norm: bool | str = False) -> Tensor:
    """gi = W x + b_i, for any leading axes; normalised if so asked. For "dreamer" W x + b_h, its norm comes later."""
    W, names = weights[0], CELLS[cell].weights
    assert W is not None
    if layer_norm == "dreamer":
        return F.linear(x, W, weights[names.index("b_h")])
    gain = weights[len(names)] if layer_norm else None
    return project(x, W, weights[names.index("b_i")], gain, len(CELLS[cell].gates))


def gate_equations(
    cell: str, weights: Weights, reset_before: bool = False, layer_norm: bool | str = False
) -> Callable[[Tensor, Tensor], Gates]:
    """The function (gi [..., G*H], h [..., H]) -> gates, each [..., H]."""
    if cell == "mingru":
        return mingru_gates
    _, U, b_i, b_h = weights[:4]
    assert U is not None
    if layer_norm == "dreamer":
        gain = weights[4]
        assert gain is not None
        return dreamer(U, gain, b_i)
    g_h = weights[5] if layer_norm else None

    def gru(gi: Tensor, h: Tensor) -> Gates:
        gh = project(h, U, b_h, g_h, 3)
        r, z = torch.sigmoid(gi[..., : 2 * size] + gh[..., : 2 * size]).chunk(2, -1)
        n = torch.tanh(gi[..., 2 * size :] + r * gh[..., 2 * size :])
        return r, z, n

    def gru_reset_before(gi: Tensor, h: Tensor) -> Gates:
        r, z = torch.sigmoid(gi[..., : 2 * size] + project(h, U_rz, b_rz, g_rz, 2)).chunk(2, -1)
        n = torch.tanh(gi[..., 2 * size :] + project(r * h, U_n, b_n, g_n, 1))
        return r, z, n

    def lstm(gi: Tensor, h: Tensor) -> Gates:
        i, f, g, o = (gi + project(h, U, b_h, g_h, 4)).chunk(4, -1)
        return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)

    def rnn(gi: Tensor, h: Tensor) -> Gates:
        return (torch.tanh(gi + F.linear(h, U, b_h)),)

    def rnn_relu(gi: Tensor, h: Tensor) -> Gates:
        return (torch.relu(gi + F.linear(h, U, b_h)),)

    size = U.shape[1]
    if cell == "gru" and reset_before:
        U_rz, U_n = U[: 2 * size], U[2 * size :]
        b_rz, b_n = (None, None) if b_h is None else (b_h[: 2 * size], b_h[2 * size :])
        g_rz, g_n = (None, None) if g_h is None else (g_h[: 2 * size], g_h[2 * size :])
        return gru_reset_before
    return {"gru": gru, "lstm": lstm, "rnn": rnn, "rnn_relu": rnn_relu}[cell]


def mingru_gates(gi: Tensor, h: Tensor) -> Gates:
    """z and n of a minGRU, which do not see the state h."""
    a_z, a_n = gi.chunk(2, -1)
    return torch.sigmoid(a_z), candidate(a_n)


def update(cell: str, gates: Gates, state: State, norm_of_c: Weights = ()) -> State:
    """The new state from the gates and the state that entered; `norm_of_c` is (g_c, b_c) or nothing."""
    if cell == "lstm":
        i, f, g, o = gates
        c = f * state[1] + i * g
        if not norm_of_c:
            return o * torch.tanh(c), c
        g_c, b_c = norm_of_c
        assert g_c is not None
        c_read = g_c * normalise(c, 1)
        return o * torch.tanh(c_read if b_c is None else c_read + b_c), c
    if cell in ("gru", "mingru"):
        z, n = gates[-2:]
        return ((1 - z) * n + z * state[0],)
    return gates


def _cell_step(call: Sequence) -> Callable[[int, Tensor, State], tuple[State, Gates]]:
    """The function (t, gi [B, G*H], h_prev) -> (new state, gates)."""
    cell, weights, zoneout = call.cell, call.weights, call.options.zoneout
    recurrent_mask = call.options.recurrent_mask
    gates_of = gate_equations(cell, weights, call.reset_before, call.options.layer_norm)
    norm_of_c = weights[6:] if cell == "lstm" else ()

    def cell_step(t: int, gi: Tensor, state: State) -> tuple[State, Gates]:
        gates = gates_of(gi, state[0] if recurrent_mask is None else recurrent_mask * state[0])
        new = update(cell, gates, state, norm_of_c)
        if zoneout is not None:
            kept = (part[:, t] for part in zoneout)
            new = tuple(d * old + (1 - d) * part for d, old, part in zip(kept, state, new))
        return new, gates

    return cell_step


def _loop(
    cell_step: Callable[[int, Tensor, State], tuple[State, Gates]],
    gi: Tensor,
    state: State,
    flags: Flags,
    h_reset: State,
    reverse: bool,
    return_gates: bool,
) -> tuple[Tensor, State, list[Tensor]]:
    """Step through time; returns y [T, B, H], the final state, and each gate [T, B, H] if asked for."""
    outputs: list[Tensor] = []
    history: list[Gates] = []
    inputs = gi.unbind(0)
    for t in reversed(range(len(inputs))) if reverse else range(len(inputs)):
        previous = state
        if flags.is_first is not None:
            previous = tuple(torch.where(flags.is_first[t], a, b) for a, b in zip(h_reset, state))
        new, gates = cell_step(t, inputs[t], previous)
        if flags.valid is not None:
            new = tuple(torch.where(flags.valid[t], a, b) for a, b in zip(new, state))
        state = new
        outputs.append(state[0])
        if return_gates:
            history.append(gates)
    if reverse:
        outputs.reverse()
        history.reverse()
    return torch.stack(outputs), state, [torch.stack(row) for row in zip(*history)]
