"""What a question about a prediction is about: L = sum_t u_t . y_t + bias, a linear function of the top states.

y_t [D*H] joins both directions. u comes from the model's own linear read-out (an output by number or name),
or is given: a vector [D*H] on one step, or one per step [T, D*H].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from congru.errors import CongruError, ShapeError
from congru.gates.readout import KINDS, Readout
from congru.gates.record import Record
from congru.gates.weights import Array


class Target(NamedTuple):
    """u [T, D*H] float64 in input order, the constant, the value of L, a name, and the step asked about."""

    cotangent: Array
    bias: float
    value: float
    name: str
    at: int


def find_target(record: Record, target: Any, at: int | None, row: int) -> Target:
    """The target as one row's u; raises CongruError where it needs a read-out and there is no linear one."""
    y = top_states(record, record.check_row(row))
    length = int(record.lengths[row])
    if isinstance(target, (list, np.ndarray)):
        return _direction(np.asarray(target, np.float64), y, _step(at, length))
    readout = need_readout(record)
    index, step = find_output(record, target, at, row)
    weights = pooling_weights(readout.kind, record.shape[1], len(y), length, step)
    value = float(_outputs(readout, weights, y)[index])
    u = readout.weight[index].astype(np.float64)
    cotangent = np.concatenate(
        [weights[way][:, None] * part for way, part in enumerate(np.split(u, len(weights)))], axis=1
    )
    return Target(cotangent, float(readout.bias[index]), value, readout.label(index), step)


def find_output(record: Record, target: int | str | None, at: int | None, row: int) -> tuple[int, int]:
    """The number of the output meant (None: the largest) and the step it is read at."""
    readout = need_readout(record)
    if readout.kind != "steps" and at is not None:
        raise CongruError(
            f"at is {at}, expected None: this model's output is a read-out {KINDS[readout.kind]}, there "
            "is one per row"
        )
    y, length = top_states(record, row), int(record.lengths[row])
    step = _step(at, length)
    weights = pooling_weights(readout.kind, record.shape[1], len(y), length, step)
    return _index(readout, target, _outputs(readout, weights, y)), step


def need_readout(record: Record) -> Readout:
    """The trace's linear read-out, or CongruError that says what can be asked without one."""
    if record.readout is not None:
        return record.readout
    why = (
        "no output was seen"
        if record.output is None
        else "its output is no linear function of the top states"
    )
    raise CongruError(
        f"target needs a linear read-out of {record.title}, expected out = W y + b, but {why}: exact "
        "shares exist for the state itself; pass target=u [D*H], for example the gradient of your output "
        "by the state"
    )


def top_states(record: Record, row: int) -> Array:
    """The states of the top layer, both directions side by side, [T, D*H] in float64."""
    return np.concatenate([way.y[row] for way in record.layers[-1]], axis=1).astype(np.float64)


def pooling_weights(kind: str, ways: int, num_steps: int, length: int, step: int) -> list[Array]:
    """How much each step of each direction counts in a read-out, one [T] per direction."""
    one: Array = np.zeros(num_steps)
    if kind == "mean":
        one[:length] = 1 / length
    else:
        one[length - 1 if kind in ("last", "final") else step] = 1
    backward = one
    if kind == "final":
        backward = np.zeros(num_steps)
        backward[0] = 1
    return [one, backward][:ways]


def _outputs(readout: Readout, weights: list[Array], y: Array) -> Array:
    """All outputs of one row, in float64."""
    halves = np.split(y, len(weights), axis=1)
    pooled = np.concatenate([weight @ half for weight, half in zip(weights, halves)])
    result: Array = readout.weight.astype(np.float64) @ pooled + readout.bias
    return result


def _index(readout: Readout, target: Any, outputs: Array) -> int:
    """The number of the output meant; None means the largest."""
    count = len(readout.weight)
    if target is None:
        return int(outputs.argmax())
    if isinstance(target, str):
        if target not in readout.labels:
            shown = ", ".join(map(repr, readout.labels[:8])) or "none: this model's outputs have no names"
            raise CongruError(
                f"target is {target!r}, expected one of the outputs' names ({shown}): or pass its number"
            )
        return readout.labels.index(target)
    if not 0 <= int(target) < count:
        raise CongruError(f"target is {target}, expected 0 to {count - 1}: the read-out has {count} outputs")
    return int(target)


def _direction(u: Array, y: Array, step: int) -> Target:
    if u.shape == y.shape[1:]:
        cotangent = np.zeros_like(y)
        cotangent[step] = u
    elif u.shape == y.shape:
        cotangent = u
    else:
        raise ShapeError(
            f"target has shape {u.shape}, expected [D*H] = {y.shape[1:]} or [T, D*H] = {y.shape}: one "
            "weight per unit"
        )
    return Target(cotangent, 0.0, float((cotangent * y).sum()), "given direction", step)


def _step(at: int | None, length: int) -> int:
    step = length - 1 if at is None else at + length if at < 0 else at
    if not 0 <= step < length:
        raise CongruError(f"at is {at}, expected 0 to {length - 1}: the row has {length} steps")
    return step
