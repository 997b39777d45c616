"""What a model with a linear read-out says after every step, with the exact share of each step in it.

share_k = w . parts_k        w: the row of the read-out, parts: `congru.gates.parts`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from congru.errors import CongruError
from congru.gates.form import KEEP
from congru.gates.memory import attribute
from congru.gates.parts import has_parts, parts_of_steps, states_of_steps
from congru.gates.reading import Choice, Prediction
from congru.gates.record import Record
from congru.gates.target import pooling_weights, top_states
from congru.gates.weights import Array

MOST_CHOICES = 5
SHARED = 3  # of them carry their shares
Lost = Callable[[Sequence[Sequence[int]]], Sequence[Array] | None]
MOST_STEPS = 240  # the last steps that have a prediction each


def probable(
    record: Record,
    names: Sequence[str] = (),
    actual: Sequence[str] = (),
    *,
    quote: bool = False,
    temperature: float = 1.0,
    lost: Lost | None = None,
) -> list[Prediction]:
    """The most probable outputs after every step: the softmax of the outputs, with shares where they are a linear read-out.

    names: of the outputs, default those of the read-out; actual: what followed each step; quote: whether names are marked
    as text. A read-out of both directions has one prediction, of the whole row. lost: what stands in place of the shares where
    there is no linear read-out, for the outputs [..] of each prediction (`congru.gates.deletion`).
    """
    readout, outputs = record.readout, outputs_of_steps(record)
    labels = list(names) or [label_of(record, k) for k in range(outputs.shape[1])]
    length = len(outputs)
    first = max(0, length - MOST_STEPS)
    p = [softmax(outputs[t] / temperature) for t in range(length)]
    after = [_at(actual, _step_of(record, t, length)) for t in range(length)]
    orders = [_order(p[t], labels, after[t]) if t >= first else [] for t in range(length)]
    shared = [
        [k for rank, k in enumerate(order) if rank < SHARED or labels[k] == after[t]]
        for t, order in enumerate(orders)
    ]
    shares: Sequence[Sequence[Array | None]] | None = None
    if readout is not None:
        shares = _linear_shares(record, shared)
    elif lost is not None and (bits := lost(shared)) is not None:
        shares = [list(own) for own in bits]
    predictions = []
    for t in range(first, length):
        own = {} if shares is None else dict(zip(shared[t], shares[t]))
        choices = tuple(
            Choice(f"“{labels[k]}”" if quote else labels[k], percent(p[t][k]), float(p[t][k]), own.get(k))
            for k in orders[t]
        )
        actually = f"“{after[t]}”" if quote and after[t] else after[t]
        predictions.append(Prediction(_step_of(record, t, length), choices, actually))
    return predictions


def _step_of(record: Record, t: int, length: int) -> int:
    """The step after which prediction t of so many is made; one alone is of the whole row."""
    return int(record.lengths[0]) - 1 if length == 1 else t


def _at(names: Sequence[str], step: int) -> str:
    return names[step] if step < len(names) else ""


def _linear_shares(record: Record, shared: Sequence[Sequence[int]]) -> list[list[Array | None]]:
    """The exact shares of some outputs after each step, where they are a linear read-out of the states."""
    readout = record.readout
    assert readout is not None
    if not has_parts(record):
        return [[_shares_of_all(record, k) for k in own] for own in shared]
    weight = readout.weight.astype(np.float64)
    reads = zip(shared, parts_of_steps(record, 0, readout.kind))
    return [[read @ weight[k] for k in own] for own, read in reads]


def outputs_of_steps(record: Record) -> Array:
    """The outputs after each step [T, O] in float64; of both directions, of the whole row, [1, O]."""
    if record.readout is None:
        return _as_steps(record)
    readout = record.readout
    if record.shape[1] > 1:
        y, length = top_states(record, 0), int(record.lengths[0])
        reads = pooling_weights(readout.kind, 2, len(y), length, length - 1)
        pooled = np.concatenate([read @ half for read, half in zip(reads, np.split(y, 2, axis=1))])
        states = pooled[None]
    else:
        states = states_of_steps(record, 0, readout.kind)
    result: Array = states @ readout.weight.T.astype(np.float64) + readout.bias
    return result


def label_of(record: Record, output: int) -> str:
    """The name of an output."""
    return f"output {output}" if record.readout is None else record.readout.label(output)


def _as_steps(record: Record) -> Array:
    """The model's own output of the first row, [T, O] or [1, O], where no read-out of the states gives it."""
    if record.output is None:
        raise CongruError("the record has no output, expected one: inspect a whole model")
    own = np.asarray(record.output[0], np.float64)
    return own[: record.lengths[0]] if own.ndim == 2 else own.reshape(1, -1)


def softmax(outputs: Array) -> Array:
    """exp(o) / sum exp(o) along the last axis."""
    raised = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    result: Array = raised / raised.sum(axis=-1, keepdims=True)
    return result


def percent(share: float) -> str:
    """A probability as one reads it.

    >>> percent(0.4213), percent(0.004), percent(0.00001)
    ('42 %', '0.4 %', '< 0.1 %')
    """
    if share >= 0.0995:
        return f"{100 * share:.0f} %"
    return f"{100 * share:.1f} %" if share >= 0.0005 else "< 0.1 %"


def _order(p: Array, labels: Sequence[str], after: str) -> list[int]:
    """The outputs to show, likeliest first, what really came among them."""
    order = [int(k) for k in np.argsort(-p, kind="stable")[:MOST_CHOICES]]
    if after and after in labels and labels.index(after) not in order:
        order[-1] = labels.index(after)
    return order


def _shares_of_all(record: Record, output: int) -> Array | None:
    """The shares of an output of both directions, or of a cell whose parts need a scan of their own."""
    if (
        record.readout is None
        or record.cell not in KEEP
        or (record.cell == "lstm" and record.top.form.layer_norm)
    ):
        return None
    if record.shape[1] == 1:
        return None
    return attribute(record, output).contributions
