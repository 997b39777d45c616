"""How a piece is shown in the report about the gates: its notes on a roll, and the lowest note expected next.

A model that names the notes of a frame one after the other has no linear read-out: the shares of a note are in bits, how much
less likely it would be, had the frame not written. Independent keys and events have exact shares of their score.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from congru.gates.parts import has_parts, parts_of_steps, states_of_steps
from congru.gates.predictions import MOST_CHOICES, MOST_STEPS, percent, softmax
from congru.gates.reading import Choice, Prediction, Reading
from congru.gates.record import Record
from congru.runtime.answer import ANSWER
from congru.runtime.model import Model
from congru.runtime.tensors import parse_tensors
from congru.tasks.music.composer import Composer
from congru.tasks.music.data import RollPiece
from congru.tasks.music.events import event_name
from congru.tasks.music.frames import END, note_steps
from congru.tasks.music.performance import only_piece
from congru.tasks.music.pieces import LOWEST, frame_name, pitch_name, to_roll
from congru.tasks.music.use import inspect_inputs

_NAMES = {1: "quarter", 2: "eighth", 4: "sixteenth"}
_HIGH, _WIDE = 88, 9  # of the picture of a frame
NOTHING = "no note"


def inspect_reading(model: Model, source: str | None = None, *, limit: int = 400) -> Reading:
    """The frames of a piece as a roll, or its events; see `inspect_inputs` for `source` and what is raised."""
    composer = Composer.of(model)
    if not composer.reads_frames:
        x, labels = inspect_inputs(model, source, limit=limit)
        names = [event_name(token) for token in range(composer.main.output_size)]
        return Reading(x, labels, step="event", outputs=names, actual=labels[1:], predicts="The next event")
    piece = _piece_of(composer, model, source, limit)
    labels = ["start", *map(frame_name, piece.roll[:-1])]
    name = f"{_NAMES.get(composer.grid, f'1/{4 * composer.grid}')} note"
    return Reading(
        composer.inputs(piece.past),
        labels,
        step=name,
        pictures=_columns(piece),
        style=_STYLE,
        outputs=[pitch_name(LOWEST + key) for key in range(88)] if composer.config["frame"] == "keys" else (),
        predicts="The next lowest note"
        if composer.config["frame"] != "keys"
        else "The notes that sound next",
        of="bits" if composer.config["frame"] != "keys" else "the score",
        predict=_Expected(composer, piece).predict,
    )


def notes_after(model: Model, state: NDArray[np.float32], *, limit: int = 400) -> list[tuple[str, float]]:
    """Every note and how likely it is the lowest of the next frame, after the piece that is read without a source.

    state [H]: what the main network says at the end, as it was or changed; of a model that names the notes of a frame in a row.
    """
    composer = Composer.of(model)
    return _Expected(composer, _piece_of(composer, model, None, limit)).after_last(state)


def names_notes(model: Model) -> bool:
    """Whether a model names the notes of a frame one after the other."""
    composer = Composer.of(model)
    return composer.reads_frames and composer.config["frame"] == "notes"


def _piece_of(composer: Composer, model: Model, source: str | None, limit: int) -> RollPiece:
    """The frames of a file, or of the example that came with the model."""
    if source is None:
        roll = parse_tensors(model.files[ANSWER])["input.roll"]
    else:
        roll = to_roll(only_piece(Path(source)), composer.grid)
    return composer.read(roll[:limit])


class _Expected:
    """What the composer expects after every frame."""

    def __init__(self, composer: Composer, piece: RollPiece) -> None:
        self.composer, self.piece = composer, piece

    def after_last(self, state: NDArray[np.float32]) -> list[tuple[str, float]]:
        """Every note and how likely it is the lowest of the next frame, were `state` that of the composer after the last."""
        steps = note_steps(self.piece.roll, self.piece.past, bool(self.composer.config["recall"]))
        (at,) = np.flatnonzero(np.r_[True, np.diff(steps.frame) > 0])[-1:]
        parts = (part[at][None] for part in (steps.features, steps.last, steps.anchor))
        (p,) = softmax(np.asarray(self.composer.note_logits(state[None], *parts), np.float64))
        return [(_note(k), float(value)) for k, value in enumerate(p)]

    def predict(self, record: Record) -> Sequence[Prediction]:
        """The likeliest notes of the next frame."""
        if self.composer.config["frame"] == "keys":
            return self._keys(record)
        steps = note_steps(self.piece.roll, self.piece.past, bool(self.composer.config["recall"]))
        first = np.flatnonzero(np.r_[True, np.diff(steps.frame) > 0])
        states = self.composer.states(self.piece)
        logits = self.composer.note_logits(
            states, steps.features[first], steps.last[first], steps.anchor[first]
        )
        p = softmax(np.asarray(logits, np.float64))
        parts = parts_of_steps(record) if has_parts(record) else None
        predictions = []
        for at in range(len(p)):
            left = next(parts) if parts is not None else None
            if at < len(p) - MOST_STEPS:
                continue
            order = np.argsort(-p[at], kind="stable")[:MOST_CHOICES].tolist()
            shares = None
            if left is not None:
                without = (states[at] - left).astype(np.float32)
                one = [
                    np.repeat(part[first[at]][None], len(left), 0)
                    for part in (steps.features, steps.last, steps.anchor)
                ]
                q = softmax(np.asarray(self.composer.note_logits(without, *one), np.float64))
                shares = np.log2(p[at, order[0]]) - np.log2(np.maximum(q[:, order[0]], 1e-30))
            choices = tuple(
                Choice(_note(k), percent(p[at, k]), float(p[at, k]), shares if rank == 0 else None)
                for rank, k in enumerate(order)
            )
            predictions.append(Prediction(at, choices, _note(int(steps.target[first[at]]))))
        return predictions

    def _keys(self, record: Record) -> Sequence[Prediction]:
        """Of independent keys: the likeliest ones, each with exact shares."""
        assert record.readout is not None
        weight = record.readout.weight.astype(np.float64)
        p = 1 / (1 + np.exp(-(states_of_steps(record) @ weight.T + record.readout.bias)))
        parts = parts_of_steps(record) if has_parts(record) else None
        predictions = []
        for at, row in enumerate(p):
            left = next(parts) if parts is not None else None
            if at < len(p) - MOST_STEPS:
                continue
            order = np.argsort(-row, kind="stable")[:MOST_CHOICES].tolist()
            choices = tuple(
                Choice(
                    _note(k),
                    percent(row[k]),
                    float(row[k]),
                    None if left is None or rank else left @ weight[k],
                )
                for rank, k in enumerate(order)
            )
            predictions.append(Prediction(at, choices))
        return predictions


def _note(key: int) -> str:
    return NOTHING if key == END else pitch_name(LOWEST + key)


def _columns(piece: RollPiece) -> list[str]:
    """A picture of every frame before, so that all side by side are the roll; its notes stand in the title."""
    keys = np.flatnonzero(piece.roll.any(axis=0))
    low, high = (int(keys.min()) - 1, int(keys.max()) + 1) if len(keys) else (0, 12)
    step = _HIGH / (high - low + 1)
    return ["", *(_column(frame, low, high, step) for frame in piece.roll[:-1])]


def _column(frame: NDArray[np.uint8], low: int, high: int, step: float) -> str:
    bars = "".join(
        f'<rect y="{(high - int(key)) * step:.1f}" width="{_WIDE}" height="{step - 0.4:.1f}"/>'
        for key in np.flatnonzero(frame)
    )
    return f'<svg class="notes" viewBox="0 0 {_WIDE} {_HIGH}"><title>{frame_name(frame)}</title>{bars}</svg>'


_STYLE = (
    ".read.cards:has(.notes) { gap: .5rem 0; }"
    " .cards [data-k]:has(.notes) { border-width: 0 0 1px; border-radius: 0; padding: 0; }"
    f" .cards .notes {{ width: {_WIDE}px; height: {_HIGH}px; margin: 0; fill: currentColor; }}"
    " .cards [data-k]:has(.notes) b { display: none; }"
)
