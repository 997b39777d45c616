"""A music model as its user has it, without torch: how surprising a piece is to it, frame by frame or event by event.

composer = Composer.load("chorales")
composer.nats(roll)                     # [T], of a roll [T, 88]
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError, check_shape
from congru.runtime.answer import Arrays
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.tasks.loading import SHARE, Number, check_config, fitting, load_model
from congru.tasks.music.data import RollPiece, with_past
from congru.tasks.music.frames import (
    Floats,
    NoteSteps,
    Past,
    frame_inputs,
    head_indices,
    key_nats,
    logits_of,
    note_nats,
    note_steps,
)
from congru.tasks.music.pieces import KEYS, Roll

_GATES = {"gru": {"reset": 0, "keep": 1}, "lstm": {"input": 0, "forget": 1}, "mingru": {"keep": 0}}
_PASSAGE = 512  # frames whose notes are scored in one go


@dataclass(frozen=True)
class Composer:
    """The networks of a music model and its configuration (`task_config`)."""

    networks: Mapping[str, Network]
    config: Mapping[str, Any]
    cell: str = "gru"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Composer:
        """A model folder or run folder of this task.

        Raises:
            ModelFolderError: a folder that cannot be loaded, of another task, or that answers otherwise than in training.
        """
        return cls.of(load_model(path, "music", reply))

    @classmethod
    @fitting(
        unit=("frames", "events"),
        grid=Number(1, 1000, whole=True),
        bar=Number(0.1, 100),
        tempo=Number(1, 1000),
        validation=SHARE,
    )
    def of(cls, model: Model) -> Composer:
        """The composer of a loaded model."""
        composer = cls(model.networks, model.task_config, model.cell)
        if composer.reads_frames:
            check_config(model, frame=("notes", "keys"), recall=bool, beat=Number(0, 1000, whole=True))
        return composer

    @property
    def main(self) -> Network:
        """The network that goes from frame to frame, or from event to event."""
        return self.networks["main"]

    @property
    def reads_frames(self) -> bool:
        """Whether it is a model of frames; else of events."""
        return bool(self.config["unit"] == "frames")

    @property
    def grid(self) -> int:
        """Steps of time in a quarter note."""
        return int(self.config["grid"])

    def read(self, roll: Roll) -> RollPiece:
        """A roll with the past of each of its frames, as this model reads it."""
        self.need_frames()
        check_shape("roll", roll, "[T, 88]", (None, KEYS), "pass one row per frame, one column per key")
        return with_past(np.ascontiguousarray(roll, np.uint8), bool(self.config["recall"]))

    def inputs(self, past: Past, begin: int = 0) -> dict[str, Floats]:
        """Inputs [1, T, F] of the main network for frames from `begin` on."""
        features = frame_inputs(past, begin, int(self.config["beat"]), bool(self.config["recall"]))
        return {name: value[None] for name, value in features.items()}

    def states(self, piece: RollPiece) -> Floats:
        """The state [T, H] before every frame; of independent keys the logits [T, 88]."""
        out, _ = self.main.run(self.inputs(piece.past))
        return np.asarray(out[0], np.float32)

    def nats(self, roll: Roll) -> NDArray[np.float64]:
        """-log p(frame t | frames before) [T] of a roll [T, 88]."""
        if len(roll) == 0:
            return np.zeros(0)
        piece = self.read(roll)
        states = self.states(piece)
        if self.config["frame"] == "keys":
            return key_nats(states, piece.roll)
        nats = np.zeros(len(roll))
        for begin in range(0, len(roll), _PASSAGE):
            part = slice(begin, begin + _PASSAGE)
            steps = note_steps(piece.roll[part], piece.past.at(part), bool(self.config["recall"]))
            logits = self.note_logits(states[part][steps.frame], steps.features, steps.last, steps.anchor)
            np.add.at(nats, begin + steps.frame, note_nats(logits, steps.target))
        return nats

    def note_logits(
        self, states: Floats, features: Floats, last: NDArray[Any], anchor: NDArray[Any]
    ) -> Floats:
        """Logits [N, 89] of the next note or the end of a frame."""
        heads, _ = self.networks["notes"].run({"state": states, "named": features})
        return logits_of(heads, head_indices(last, anchor))

    def event_nats(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        """-log p of every event after the first, [N - 1]."""
        if self.reads_frames:
            raise SettingsError("the model is one of frames, expected one of events: pass a roll to nats()")
        logits, _ = self.main.run(tokens[None, :-1])
        return note_nats(logits[0], tokens[1:])

    def need_frames(self) -> None:
        """Refuse a model of events."""
        if not self.reads_frames:
            raise SettingsError(
                "the model is one of events, expected one of frames: train with --unit frames"
            )

    def gates(self, inputs: Any) -> Iterator[tuple[str, NDArray[np.float64]]]:
        """Each gate [T, H] by name and layer, for inputs of the main network; none where the cell has no gates."""
        _, _, gates = self.main.trace(inputs)
        names = _GATES.get(self.cell, {})
        for rows in gates.values():
            for layer in range(rows.shape[0]):
                for name, number in names.items():
                    title = name if rows.shape[0] == 1 else f"{name} {layer + 1}"
                    yield title, rows[layer, 0, 0, :, number].astype(np.float64)


def reply(model: Model, inputs: Arrays) -> Arrays:
    """The nats of the stored roll or events: what every score and every drawn note is made of."""
    composer = Composer.of(model)
    if composer.reads_frames:
        return {"nats": composer.nats(inputs["roll"])}
    return {"nats": composer.event_nats(inputs["events"])}


__all__ = ["Composer", "NoteSteps", "reply"]
