"""What every reference function accepts: float64 conversion, written shapes, the checks behind the messages.

A cell is described by its `Cell` tuple. Weights are a tuple in the order of `Cell.weights` (a bias may be
None = zeros), a state is a tuple in the order of `Cell.states`. A weight matrix has H rows per gate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError, ShapeError, check_shape

Array: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
State: TypeAlias = tuple[Array, ...]
Weights: TypeAlias = tuple[Array | None, ...]
HReset: TypeAlias = npt.ArrayLike | tuple[npt.ArrayLike | None, ...] | None

# One step of a cell: (x [B, I], state, weights) -> (new state, gates [B, G, H]).
Step: TypeAlias = Callable[[Array, State, Weights], tuple[State, Array]]
# Its derivative: (dstate, x, state, weights, gates) -> (dx, dstate_prev, dweights).
StepBackward: TypeAlias = Callable[[State, Array, State, Weights, Array], tuple[Array, State, Weights]]


class Cell(NamedTuple):
    """Names of a cell's parts: gates in row order, parts of the state, weights."""

    name: str
    gates: tuple[str, ...]
    states: tuple[str, ...]
    weights: tuple[str, ...]


class Gradients(NamedTuple):
    """What `backward` returns; dweights has None where a bias was None, and dh_reset where h_reset was."""

    dx: Array
    dstate: State
    dweights: Weights
    dh_reset: Array | State | None


def as_float64(name: str, array: Any) -> Array:
    """Return `array` as float64; real and integer arrays are accepted, NaN passes through.

    >>> as_float64("x", ["a"])
    Traceback (most recent call last):
    congru.errors.ShapeError: x has dtype <U1, expected real numbers: use numpy.asarray(x, float)
    """
    numbers = np.asarray(array)
    if numbers.dtype.kind not in "fiu":
        raise ShapeError(
            f"{name} has dtype {numbers.dtype}, expected real numbers: use numpy.asarray({name}, float)"
        )
    return numbers.astype(np.float64, copy=False)


def check_weights(
    cell: Cell, weights: Sequence[Any], num_inputs: int | None = None
) -> tuple[Weights, int, int]:
    """Return the weights in float64 with I and H; raise ShapeError where they do not fit each other."""
    if len(weights) != len(cell.weights):
        raise ShapeError(
            f"weights has {len(weights)} parts, expected {len(cell.weights)} for {cell.name}: "
            f"pass ({', '.join(cell.weights)})"
        )
    num_rows = len(cell.gates)
    checked: list[Array | None] = []
    num_hidden = 0
    for name, weight in zip(cell.weights, weights):
        if weight is None and name.startswith("b_"):
            checked.append(None)
            continue
        part = as_float64(name, weight)
        if name == "W":
            rows_fix = f"{cell.name} has {num_rows} blocks of H rows"
            check_shape(
                "W", part, f"[{num_rows}H, I]", (None, num_inputs), f"{rows_fix} and I columns, as x has"
            )
            num_hidden, num_inputs = part.shape[0] // num_rows, part.shape[1]
            if part.shape[0] % num_rows:
                raise ShapeError(f"W has {part.shape[0]} rows, expected a multiple of {num_rows}: {rows_fix}")
        elif name == "U":
            sizes = (num_rows * num_hidden, num_hidden)
            check_shape(
                "U", part, f"[{num_rows}H, H]", sizes, "H is the number of rows of W over the number of gates"
            )
        else:
            check_shape(name, part, f"[{num_rows}H]", (num_rows * num_hidden,), "pass None for no bias")
        checked.append(part)
    assert num_inputs is not None
    return tuple(checked), num_inputs, num_hidden


def blocks(cell: Cell, weights: Weights) -> list[list[Array]]:
    """Return each weight cut into its blocks of H rows, one per gate, with zeros for a bias that is None."""
    num_rows = len(cell.gates)
    assert weights[0] is not None
    none = np.zeros(len(weights[0]))
    return [np.split(none if part is None else part, num_rows) for part in weights]


def check_state(
    cell: Cell, state: Sequence[Any] | None, num_batch: int, num_hidden: int, name: str = "state"
) -> State:
    """Return the state in float64, zeros for None; raise ShapeError, calling it `name`, if it is wrong."""
    if state is None:
        return tuple(np.zeros((num_batch, num_hidden)) for _ in cell.states)
    if len(state) != len(cell.states) or isinstance(state, np.ndarray):
        raise ShapeError(
            f"{name} has {len(state)} parts, expected a tuple of {len(cell.states)} for {cell.name}: "
            f"pass ({', '.join(cell.states)},) or None for zeros"
        )
    checked = tuple(as_float64(of, part) for of, part in zip(cell.states, state))
    for of, part in zip(cell.states, checked):
        check_shape(of, part, "[B, H]", (num_batch, num_hidden), f"pass {name}=None for zeros")
    return checked


def check_h_reset(cell: Cell, h_reset: HReset, num_hidden: int) -> State:
    """Return what replaces each part of the state [H] at a reset: h_reset, zeros where it is not given."""
    parts = h_reset if isinstance(h_reset, tuple) else (h_reset,)
    if len(parts) > len(cell.states):
        raise ShapeError(
            f"h_reset has {len(parts)} parts, expected at most {len(cell.states)} for {cell.name}: "
            f"pass an array [H], or a tuple with one array for each of {', '.join(cell.states)}"
        )
    parts = parts + (None,) * (len(cell.states) - len(parts))
    checked = tuple(np.zeros(num_hidden) if part is None else as_float64("h_reset", part) for part in parts)
    for part in checked:
        check_shape("h_reset", part, "[H]", (num_hidden,), "one learned start, shared by the batch")
    return checked


def check_lengths(lengths: npt.ArrayLike | None, num_batch: int, num_steps: int) -> npt.NDArray[np.int64]:
    """Return the lengths [B] as integers, T for None; raise where one is not in 0..T."""
    if lengths is None:
        return np.full(num_batch, num_steps, dtype=np.int64)
    counts = np.asarray(lengths)
    if counts.dtype.kind not in "iu":
        raise ShapeError(
            f"lengths has dtype {counts.dtype}, expected integers: pass the number of valid steps per row"
        )
    check_shape("lengths", counts, "[B]", (num_batch,), "pass one length per row of x")
    for row, length in enumerate(counts):
        if not 0 <= length <= num_steps:
            raise CongruError(
                f"lengths[{row}] is {length}, expected 0 to T = {num_steps}: pass the number of valid steps"
            )
    return counts.astype(np.int64)


def check_reset(reset: npt.ArrayLike | None, num_batch: int, num_steps: int) -> Bools:
    """Return the reset flags [B, T], False for None; raise ShapeError unless they are such booleans."""
    if reset is None:
        return np.zeros((num_batch, num_steps), dtype=np.bool_)
    flags = np.asarray(reset)
    if flags.dtype.kind != "b":
        raise ShapeError(f"reset has dtype {flags.dtype}, expected bool: True where a new sequence begins")
    check_shape("reset", flags, "[B, T]", (num_batch, num_steps), "pass one flag per row and step of x")
    return flags
