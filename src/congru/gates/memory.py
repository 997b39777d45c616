"""On which past steps a prediction stands: exact shares, and how far to trust them.

    h_T = (product of all keeps) h_0 + sum_k a_k n_k,   a_k = (1 - keep_k) * product of the later keeps

For a linear read-out L = sum_t u_t . h_t + bias one backward scan gives every share (REAT, Du et al. 2019,
arXiv 1903.11245):

    B_k = u_k + keep_{k+1} B_{k+1}     C_k = (written at k) . B_k
    sum_k C_k + (keep_1 B_1) . h_0 + bias = L

C_k means "written at step k"; n_k already holds older context, read through U and the reset gate. How much
of the truth this carry path is, says the trust share of `congru.gates.sensitivity`, printed beside it.
Exact for the top layer only. An LSTM's cell sum is exact for its cell state c, before output gate and tanh.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from congru.errors import CongruError
from congru.gates.form import KEEP, TITLES
from congru.gates.jacobian import steps_of
from congru.gates.layer import Layer, Run
from congru.gates.record import Record
from congru.gates.sensitivity import (
    by_memory,
    carry,
    cell_cotangent,
    held_state,
    joined_trust,
    last_read,
    mean_trust,
    sensitivity,
    state_cotangent,
    trust_sentence,
    trust_share,
)
from congru.gates.target import find_target, need_readout, pooling_weights
from congru.gates.weights import Array
from congru.report.cell import card, colored_steps


@dataclass(frozen=True)
class Memory:
    """Shares of one prediction, in input order: sum(contributions) + start + bias + residual = output.

    contributions [T]; `directions` [D, T] the same apart; `start` what h_0 (and every later new start)
    gives; `trust` [T] the trust share of each step (NaN where nothing depends on it), `share` their mean
    over the steps before the one asked about, weighted by |contribution|; `note` says what the numbers are
    exact for.
    """

    target: str
    at: int
    tokens: tuple[str, ...]
    contributions: Array
    directions: Array = field(repr=False)
    start: float
    bias: float
    output: float
    residual: float
    trust: Array = field(repr=False)
    share: float
    note: str

    def top(self, count: int = 5) -> list[tuple[int, str, float]]:
        """The steps with the largest |contribution|: (step, token, contribution)."""
        order = np.argsort(-np.abs(self.contributions), kind="stable")[:count]
        return [(int(step), self.tokens[step], float(self.contributions[step])) for step in order]

    def __str__(self) -> str:
        lines = [
            f"{self.target!r} at step {self.at}: {self.output:+.4f} = {self.contributions.sum():+.4f} written"
            f" {self.start:+.4f} from the start {self.bias:+.4f} bias (residual {self.residual:.1e})",
            f"trust share {self.share:.2f}: {trust_sentence(self.share)}",
        ]
        lines += [f"  step {step:>4} {token!r:<12} {value:+.4f}" for step, token, value in self.top()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        lines = str(self).split("\n")[:2]
        return card(f"What {self.target!r} stands on", lines, colored_steps(self.tokens, self.contributions))


class Shares(NamedTuple):
    """Shares of every output at once: contributions [T, O], start, bias and output [O]."""

    contributions: Array
    start: Array
    bias: Array
    output: Array


def attribute(
    record: Record, target: Any = None, at: int | None = None, row: int = 0, on: str | None = None
) -> Memory:
    """The shares of one output of one row; see `Trace.memory`."""
    on = on or ("cell" if record.cell == "lstm" else "state")
    of_cell = on == "cell" and isinstance(target, (list, np.ndarray))  # u . c itself, not u . h seen from c
    check_attribution(record, on, of_cell)
    asked = find_target(record, target, at, row)
    layers = record.layers[-1]
    num_steps = len(asked.cotangent)
    parts, trusts = np.zeros((len(layers), num_steps)), np.zeros((len(layers), num_steps))
    start, value, own = 0.0, asked.value, []
    for way, (layer, u) in enumerate(zip(layers, np.split(asked.cotangent, len(layers), axis=1))):
        run, steps = _wide(layer.run(row)), steps_of(layer, row)
        u = u[run.steps]
        of_memory = u
        if on == "cell" and not of_cell:
            held = held_state(layer.form, u, run.is_first)
            of_memory = cell_cotangent(layer.form, held * _shown(layer, row, run), run.is_first)
            start += _start_of_state(layer, row, run, held)
        B = carry(run, of_memory)
        parts[way, run.steps] = (run.written * B).sum(axis=1)
        start += float(_start_per_unit(run, B).sum())
        d = by_memory(steps, sensitivity(steps, state_cotangent(layer, u, of_cell)))
        trusts[way] = trust_share(B, d, run.steps, num_steps)
        own.append(last_read(u, run.steps))
        if of_cell:
            value += float((u * (run.memory - layer.y[row, run.steps])).sum())
    contributions = parts.sum(axis=0)
    return Memory(
        target=asked.name,
        at=asked.at,
        tokens=record.tokens[row],
        contributions=contributions,
        directions=parts,
        start=start,
        bias=asked.bias,
        output=value,
        residual=value - float(contributions.sum() + start + asked.bias),
        trust=joined_trust(trusts, parts),
        share=mean_trust(trusts, parts, own),
        note=_note(record, on),
    )


def attribute_all(record: Record, at: int | None = None, row: int = 0) -> Shares:
    """The shares of every output of the read-out at once: one scan of [T, H] and one matrix product per direction."""
    if record.cell == "lstm":
        raise CongruError(
            "memories is asked of an LSTM, expected a GRU or a minGRU: what its state shows of its cell differs from step "
            "to step; ask for one output at a time with memory()"
        )
    check_attribution(record, "state")
    readout = need_readout(record)
    asked = find_target(record, 0, at, row)
    layers = record.layers[-1]
    num_steps, length = len(asked.cotangent), int(record.lengths[row])
    weights = pooling_weights(readout.kind, len(layers), num_steps, length, asked.at)
    contributions = np.zeros((num_steps, len(readout.weight)))
    start, output = np.zeros(len(readout.weight)), readout.bias.astype(np.float64)
    for layer, weight, how_much in zip(layers, np.split(readout.weight, len(layers), axis=1), weights):
        run = _wide(layer.run(row))
        W = weight.astype(np.float64)
        P = carry(run, np.broadcast_to(how_much[run.steps][:, None], run.keep.shape))
        contributions[run.steps] += (run.written * P) @ W.T
        start += W @ _start_per_unit(run, P)
        output = output + W @ (how_much[run.steps] @ run.memory)
    return Shares(contributions, start, readout.bias.astype(np.float64), output)


def check_attribution(record: Record, on: str, of_cell: bool = False) -> None:
    """Raise CongruError where the cell has no exact shares, or not of what is asked."""
    if on not in ("state", "cell"):
        raise CongruError(f"on is {on!r}, expected 'state' or 'cell': the LSTM's cell has shares of its own")
    if record.cell not in KEEP:
        raise CongruError(
            f"memory is asked of a {TITLES[record.cell]}, expected a cell with a keep gate: all of h is "
            "written anew at every step, so there are no shares to read off; use gradient_flow() or clamp()"
        )
    if record.cell == "lstm" and on == "state":
        raise CongruError(
            "memory is asked of an LSTM's state, expected on='cell': its output gate and tanh stand "
            "between the cell, whose sum is exact, and the state; on='cell' reads the output through "
            "both, held as they were"
        )
    if record.cell == "lstm" and record.top.form.layer_norm and not of_cell:
        raise CongruError(
            "memory is asked of an output of an LSTM with layer norm, expected target=u [D*H] with on='cell': the norm "
            "mixes the units between cell and state, so no output has exact shares; those of u . c are exact"
        )
    if record.cell != "lstm" and on == "cell":
        raise CongruError(
            f"on is 'cell', expected 'state' for a {TITLES[record.cell]}: only the LSTM has a cell state"
        )


def _wide(run: Run) -> Run:
    return run._replace(
        keep=run.keep.astype(np.float64),
        written=run.written.astype(np.float64),
        memory=run.memory.astype(np.float64),
    )


def _shown(layer: Layer, row: int, run: Run) -> Array:
    """o tanh(c~) / c~: the factor by which an LSTM shows its cell, before zoneout, [N, H]."""
    i, f, g, o = (gate[row, run.steps].astype(np.float64) for gate in layer.recovered.gates)
    c = f * layer.recovered.state_prev[1][row, run.steps] + i * g
    small = np.abs(c) < 1e-6
    safe = np.where(small, 1.0, c)
    shown: Array = o * np.where(small, 1.0, np.tanh(safe) / safe)
    return shown


def _start_of_state(layer: Layer, row: int, run: Run, held: Array) -> float:
    """What zoneout keeps of the state h that the run (and every new start) began with: p v . h, and less of its cell.

    The start of the cell, `_start_per_unit`, reads the keep share with zoneout's part of the shown cell in it.
    """
    p = layer.form.zoneout
    if not p or len(held) == 0:
        return 0.0
    begins = run.is_first.copy()
    begins[0] = True
    h, c = (part[row, run.steps].astype(np.float64) for part in layer.recovered.state_prev)
    shown = held * _shown(layer, row, run)
    return float(p * ((held * h - shown * c)[begins]).sum())


def _start_per_unit(run: Run, B: Array) -> Array:
    """What each unit's start gives, [H]: keep_1 B_1 h_0, and the same at every later new start."""
    if len(B) == 0:
        return np.zeros(run.keep.shape[1])
    starts = np.where(run.is_first[:, None], run.restart, 0.0)
    if not run.is_first[0]:
        starts[0] = run.start
    result: Array = (run.keep * B * starts).sum(axis=0)
    return result


def _note(record: Record, on: str) -> str:
    layers = record.shape[0]
    note = "written at step k, not caused by it: the candidate already holds older context"
    if layers > 1:
        note += f"; exact for the top of {layers} layers, whose input has seen every step below"
    if on == "cell":
        note += "; exact for the cell state, the output gate and tanh held as they were"
    return note
