"""One layer in one direction after it has run: what went in, what came out, and every gate between.

All arrays are in input order, [B, T, ...]. Analyses of one row read it as a `Run`: its valid steps only, in
the order in which the layer processed them, so that padding, resets and the reverse direction need no
further care.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError
from congru.gates.equations import (
    State,
    gates_of,
    input_part,
    kept_share,
    rounding_size,
    update,
    written_part,
)
from congru.gates.form import CANDIDATE, GATES, KEEP, TITLES, Form, as_form
from congru.gates.recover import Recovered, recover, starts_of
from congru.gates.weights import Array, Weights, as_weights
from congru.reference.arguments import Bools


class Run(NamedTuple):
    """One row as the layer processed it: N valid steps, first processed first.

    steps [N] are their numbers in the input; memory_k = keep_k * memory_{k-1} + written_k, where memory is h
    (GRU, minGRU) or c (LSTM); `is_first` [N] marks steps that began from `restart` [H] instead of the step
    before.
    """

    steps: npt.NDArray[np.int64]
    keep: Array
    written: Array
    memory: Array
    start: Array
    restart: Array
    is_first: Bools


@dataclass(frozen=True)
class Layer:
    """A recurrent layer in one direction and what it did with x [B, T, I]; y [B, T, H] is what it returned.

    `start` and `restart` hold one array per part of the state: [B, H] at the beginning, [H] after a reset. `precision` is what
    the layer itself computed in, "float32", "bfloat16" say; the arrays here are at least float32.
    """

    name: str
    form: Form
    weights: Weights
    x: Array
    y: Array
    recovered: Recovered
    start: State
    restart: State
    reverse: bool = False
    precision: str = "float32"

    @property
    def cell(self) -> str:
        """gru, lstm, rnn, rnn_relu or mingru."""
        return self.form.cell

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.y.shape[2])

    @property
    def title(self) -> str:
        """Name, cell and options, for captions: `encoder layer 2 backward (GRU)`, `GRU layer 2`."""
        return (
            self.spoken if self.spoken.startswith(self.form.title) else f"{self.spoken} ({self.form.title})"
        )

    @property
    def spoken(self) -> str:
        """The name in sentences: a layer that is only called rnn is called by its cell."""
        return f"{self.form.title}{self.name[3:]}" if f"{self.name} ".startswith("rnn ") else self.name

    def gate(self, letter: str) -> Array:
        """The gate of that row letter (r, z, n; i, f, g, o), [B, T, H]."""
        return self.recovered.gates[GATES[self.cell].index(letter)]

    @cached_property
    def keep(self) -> Array:
        """The share of the old memory that stays, [B, T, H]: z, or the LSTM's forget gate; zoneout keeps more, p + (1 - p) z."""
        if self.cell not in KEEP:
            raise CongruError(
                f"keep is asked of a {TITLES[self.cell]}, expected a cell with a keep gate: h' = n, "
                "nothing is kept by a gate; read candidate and state"
            )
        return kept_share(self.form, self.gate(KEEP[self.cell]))

    @property
    def written(self) -> Array:
        """What a step adds to the memory, [B, T, H]: (1 - keep) n, or i g of an LSTM (with zoneout (1 - p) i g)."""
        return written_part(self.form, self.recovered.gates)

    @property
    def reset(self) -> Array:
        """The share of the old state the candidate may read, [B, T, H]; only the GRU has it."""
        if self.cell != "gru":
            raise CongruError(
                f"reset is asked of a {TITLES[self.cell]}, expected a GRU: it has the gates "
                f"{', '.join(GATES[self.cell])}"
            )
        return self.gate("r")

    @property
    def candidate(self) -> Array:
        """What is offered for writing, [B, T, H]: n, or the LSTM's g."""
        return self.gate(CANDIDATE[self.cell])

    @cached_property
    def memory(self) -> Array:
        """What the keep gate keeps, [B, T, H]: the state h, or the LSTM's cell state c."""
        if self.cell == "lstm":
            return update(self.form, self.recovered.gates, self.recovered.state_prev, self.weights)[1]
        return self.y

    @cached_property
    def residual(self) -> float:
        """How far the equations are from what the layer returned: a relative backward error, in float64.

            max over steps and units of  |h_t - F(x_t, h_{t-1})| / max(1, |m_t|, |W||x_t| + |U||h_{t-1}| + |b|)

        m is the memory, h or c. Every step starts from the state the layer itself returned, so errors do not
        add up over T. The divisor is the size of what a gate's argument sums up (`rounding_size`, which says what
        layer norm does to it): no arithmetic of relative precision eps can promise less than about eps of it,
        whatever the size of weights and inputs. So 1e-6, eight times float32's eps, says: these equations, with
        its weights to one part in a million.
        """
        valid = self.recovered.valid
        if not valid.any():
            return 0.0
        wide, x = self.weights.wide(), self.x.astype(np.float64)
        state_prev = tuple(part.astype(np.float64) for part in self.recovered.state_prev)
        gates = gates_of(self.form, input_part(self.form, x, wide), state_prev[0], wide)
        after = update(self.form, gates, state_prev, wide)
        scale = np.maximum(1.0, rounding_size(self.form, x, state_prev, wide, gates))
        scale = np.maximum(scale, np.abs(after[-1]))
        return float((np.abs(self.y - after[0]) / scale)[valid].max())

    def order(self, row: int) -> npt.NDArray[np.int64]:
        """The valid steps of a row in the order the layer processed them."""
        steps = np.flatnonzero(self.recovered.valid[row])
        return steps[::-1] if self.reverse else steps

    def run(self, row: int) -> Run:
        """The row's memory in the order it was made; needs a cell with a keep gate."""
        steps = self.order(row)
        part = 1 if self.cell == "lstm" else 0
        return Run(
            steps,
            self.keep[row, steps],
            self.written[row, steps],
            self.memory[row, steps],
            self.start[part][row],
            self.restart[part],
            self.recovered.is_first[row, steps],
        )


def make_layer(
    name: str,
    cell: str | Form,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    weights: Any,
    state: Any = None,
    *,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    h_reset: Any = None,
    reverse: bool = False,
    reset_before: bool = False,
    precision: str = "",
) -> Layer:
    """Recover the gates of a layer that turned x into y and keep them with their weights; see `recover`.

    `precision`: what it computed in, where y does not tell (bfloat16 arrives as float32).
    """
    form = as_form(cell, reset_before)
    precision = precision or str(np.asarray(y).dtype)
    recovered = recover(
        form, x, y, weights, state, lengths=lengths, reset=reset, h_reset=h_reset, reverse=reverse
    )
    dtype = recovered.gates[0].dtype
    x, y = np.asarray(x, dtype), np.asarray(y, dtype)
    if not recovered.valid.all():
        x, y = (np.where(recovered.valid[:, :, None], part, 0) for part in (x, y))
    starts, restarts = starts_of(form.cell, state, h_reset, (y.shape[0], y.shape[2]), dtype)
    return Layer(
        name, form, as_weights(form, weights, dtype), x, y, recovered, starts, restarts, reverse, precision
    )
