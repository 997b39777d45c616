"""What several chapters of the report speak of, computed once: the predictions, the shares of the last one, timescales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from congru.gates.context import Context
from congru.gates.flow import Flow, flow_of
from congru.gates.form import KEEP
from congru.gates.memory import Memory, attribute
from congru.gates.predictions import probable
from congru.gates.reading import Choice, Prediction, Reading
from congru.gates.record import Record
from congru.gates.summary import timescales_with_data
from congru.gates.target import top_states
from congru.gates.timescales import Timescales


@dataclass(frozen=True)
class Findings:
    """The reading; what is predicted after each step; the shares, the gradient and the timescales of the top layer.

    memory and scales are None where the cell keeps nothing by a gate; `words` and `flow_words` say what is explained where
    it is no output of the model.
    """

    reading: Reading
    predictions: Sequence[Prediction]
    memory: Memory | None
    flow: Flow
    scales: Timescales | None
    words: str = ""
    flow_words: str = ""

    @property
    def choice(self) -> Choice | None:
        """The likeliest of the last prediction."""
        return self.predictions[-1].choices[0] if self.predictions else None


def findings_of(record: Record, context: Context) -> Findings:
    """All of it for one row of a record."""
    row = context.row
    reading = context.reading or Reading(None, record.tokens[row])
    target, words = asked(record, context)
    flow = flow_of(record, target, row=row)
    memory, scales, memory_words = None, None, words
    if record.cell in KEEP:
        scales = timescales_with_data(record, series=context.series)
        name = "the length of the last state, |h|" if words else ""
        if record.cell == "lstm" and (words or record.top.form.layer_norm):
            target, memory_words = _cell_itself(record, row)
            name = "the length of the last cell state, |c|"
        memory = attribute(record, target, row=row)
        memory = replace(memory, target=name) if name else memory
    return Findings(reading, _predictions(record, context), memory, flow, scales, memory_words, words)


def _predictions(record: Record, context: Context) -> Sequence[Prediction]:
    reading = context.reading
    if reading is not None and reading.predict is not None:
        return reading.predict(record)
    if reading is None or context.row or record.output is None:
        return ()
    num_outputs = record.output.shape[-1]
    if num_outputs < 2 or len(reading.outputs) != num_outputs:  # no classes, or no names for them
        return ()
    return probable(record, reading.outputs, reading.actual, quote=reading.flow)


def asked(record: Record, context: Context) -> tuple[Any, str]:
    """The target that memory map and gradient flow explain, and a sentence where it is not an output of the model.

    Without a linear read-out the last state itself is explained: u = h_T / |h_T|, so that u . h_T = |h_T|.
    """
    if record.readout is not None:
        return context.target, ""
    last = top_states(record, context.row)[record.lengths[context.row] - 1]
    words = (
        "No linear read-out was found between these states and the model's output, so this explains the "
        "last state itself: its length |h|. It is exact for the state, not for what later layers make of it."
    )
    return last / max(float(np.linalg.norm(last)), 1e-12), words


def _cell_itself(record: Record, row: int) -> tuple[Any, str]:
    """The last cell state as the target: what an LSTM has exact shares of, whatever reads it."""
    last = np.concatenate([way.memory[row, way.order(row)[-1]] for way in record.layers[-1]]).astype(
        np.float64
    )
    why = (
        "Layer norm mixes the units between cell and state, so an output has no exact shares here"
        if record.top.form.layer_norm
        else "No linear read-out was found between these states and the model's output"
    )
    words = f"{why}: this explains the last cell state itself, its length |c|."
    return last / max(float(np.linalg.norm(last)), 1e-12), words
