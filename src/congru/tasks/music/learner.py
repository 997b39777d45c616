"""The training problem of music: passages side by side, the loss of every frame's notes, or of every event.

loss = - sum over frames of log p(frame | frames before)        see congru.tasks.music.frames for p(frame)
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from congru.runtime import network as runtime
from congru.runtime.answer import Answer
from congru.tasks.music.baselines import frame_baselines
from congru.tasks.music.composer import Composer
from congru.tasks.music.composition import Wishes, compose
from congru.tasks.music.data import (
    FRAME_METRIC,
    MusicData,
    RollPiece,
    describe,
    make_rolls,
    prepare,
    rows_of,
    shifted,
    with_past,
)
from congru.tasks.music.event_learner import EventLearner
from congru.tasks.music.frames import REACH, WINDOW, frame_inputs, note_steps
from congru.tasks.music.midi import write_midi
from congru.tasks.music.network import frame_networks
from congru.tasks.music.pieces import KEYS, frame_name, from_roll
from congru.tasks.music.settings import Settings
from congru.train.base import Probe, Sample, TaskLearner
from congru.train.networks import Networks

Batch = dict[str, Any]
Rows = NDArray[np.int64]

_ANSWER_FRAMES, _PROBE_FRAMES, _SAMPLE_FRAMES, _PRIMER_FRAMES = 32, 128, 48, 8


def make_learner(source: str, /, *, settings: Settings) -> FrameLearner | EventLearner:
    """Read a file or folder of MIDI, ABC or rolls."""
    data = prepare(str(source), settings)
    return EventLearner(data, settings) if settings.unit == "events" else FrameLearner(data, settings)


class FrameLearner(TaskLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is a passage: a piece's number, where it begins, a shift."""

    task = "music"
    metric = FRAME_METRIC
    evaluation_batch = 8
    uses = "Continuing and harmonising music in the manner of its training pieces, and measuring how surprising a piece is."
    limits = (
        "It knows the pieces it was trained on, in their keys, on their grid of time; a key that stays down is one note,"
        " so repeated notes are joined. It does not know where a piece should end."
    )
    commands = ("congru run MODEL --bars 8 --out tune.mid", "congru eval MODEL DATA", "congru inspect MODEL")

    def __init__(self, data: MusicData, settings: Settings) -> None:
        super().__init__(settings)
        self.data = data
        self.train, self.validation = (
            make_rolls(data.parts[name], data.grid, data.source.path, settings.recall)
            for name in ("train", "valid")
        )
        self.baselines = frame_baselines(
            [piece.roll for piece in self.train], [piece.roll for piece in self.validation]
        )
        self._lengths = np.array([len(piece) for piece in self.train], np.int64)

    @cached_property
    def steps_per_epoch(self) -> int:
        """As many steps as passages cover the training frames, rounded."""
        passages = np.maximum(1, -(-self._lengths // self.settings.chunk)).sum()
        return max(1, round(int(passages) / self.settings.batch_size))

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """The network over frames, and that of a frame's notes."""
        return frame_networks(self.settings, cell, hidden_size)

    def rows(self, epoch: int) -> Rows:
        """Passages in random order."""
        count = self.steps_per_epoch * self.settings.batch_size
        return rows_of(
            self._lengths, count, self.settings.chunk, self.generator(epoch), self.settings.transpose
        )

    def batch(self, rows: Rows) -> Batch:
        """See `collate`."""
        chunk = self.settings.chunk
        passages = [
            (shifted(self.train[number], shift), begin, chunk) for number, begin, shift in rows.tolist()
        ]
        return self.collate(passages)

    def collate(self, passages: Sequence[tuple[RollPiece, int, int]]) -> Batch:
        """Inputs [B, T, F] by name, lengths [B], and the frames to be predicted: keys [B, T, K], or note steps [N].

        A passage is a piece, where it begins, and how many frames it has at most.
        """
        pieces = [(piece, begin, min(len(piece), begin + most)) for piece, begin, most in passages]
        lengths = np.array([end - begin for _, begin, end in pieces])
        steps, settings = int(lengths.max()), self.settings
        inputs: dict[str, Any] = {}
        rolls = np.zeros((len(pieces), steps, KEYS), np.uint8)
        notes = []
        for k, (piece, begin, end) in enumerate(pieces):
            past, roll = piece.past.at(slice(begin, end)), piece.roll[begin:end]
            rolls[k, : len(roll)] = roll
            for name, value in frame_inputs(past, begin, settings.beat, settings.recall).items():
                whole = inputs.setdefault(name, np.zeros((len(pieces), steps, value.shape[1]), np.float32))
                whole[k, : len(value)] = value
            if settings.frame == "notes":
                own = note_steps(roll, past, settings.recall)
                notes.append(own._replace(frame=own.frame + k * steps))
        batch = {"inputs": inputs, "lengths": lengths, "roll": rolls, "frames": int(lengths.sum())}
        if settings.frame == "notes":
            names = ("frame", "features", "last", "anchor", "target")
            joined = {name: np.concatenate([getattr(own, name) for own in notes]) for name in names}
            batch["notes"] = joined
        return batch

    def loss(self, networks: Networks, batch: Batch, carry: Any) -> tuple[Tensor, Any, Any]:
        """Summed nats of the passages' frames, and how many frames there are."""
        return self.nats(networks, batch), batch["frames"], None

    def nats(self, networks: Networks, batch: Batch) -> Tensor:
        """Summed nats of all frames of a batch."""
        out, _ = networks["main"](batch["inputs"], lengths=batch["lengths"])
        if self.settings.frame == "keys":
            real = torch.arange(out.shape[1], device=out.device) < batch["lengths"][:, None]
            return F.binary_cross_entropy_with_logits(
                out[real].float(), batch["roll"][real].float(), reduction="sum"
            )
        notes = batch["notes"]
        heads, _ = networks["notes"]({"state": out.flatten(0, 1)[notes["frame"]], "named": notes["features"]})
        return F.cross_entropy(
            joined_heads(heads, notes["last"], notes["anchor"]), notes["target"], reduction="sum"
        )

    def validation_rows(self) -> Rows:
        """The validation pieces, short ones first."""
        return np.argsort([len(piece) for piece in self.validation], kind="stable")

    def evaluate(self, networks: Networks, rows: Rows) -> tuple[float, int]:
        """Summed nats of some pieces, and their frames."""
        pieces = [(self.validation[row], 0, len(self.validation[row])) for row in rows.tolist()]
        batch = self.collate(pieces)
        return float(self.nats(networks, self.tensors(batch, networks))), batch["frames"]

    def metrics(self, parts: Sequence[tuple[float, int]]) -> dict[str, float]:
        """Nats per frame, over all frames."""
        return {FRAME_METRIC: sum(nats for nats, _ in parts) / sum(frames for _, frames in parts)}

    def probe(self) -> Probe:
        """The first frames of the longest validation piece."""
        piece = max(self.validation, key=len)
        batch = self.collate([(piece, 0, _PROBE_FRAMES)])
        return Probe({name: torch.from_numpy(value) for name, value in batch["inputs"].items()})

    def task_config(self, parts: Sequence[Any]) -> dict[str, Any]:
        """What a frame is, and how the pieces were measured and split."""
        pieces = self.data.parts["train"]
        return {
            "unit": "frames",
            "frame": self.settings.frame,
            "recall": self.settings.recall,
            "beat": self.settings.beat,
            "grid": self.data.grid,
            "bar": statistics.mode(piece.bar for piece in pieces),
            "tempo": statistics.median(piece.tempo for piece in pieces),
            "validation": self.settings.validation,
        }

    def composer(self, networks: Networks) -> Composer:
        """What a user loads, from the weights as they are now."""
        declared = self.networks(self.settings.cell, self.settings.hidden_size)
        loaded = {
            name: runtime.Network(
                entry,
                {key: value.detach().cpu().numpy() for key, value in networks[name].state_dict().items()},
            )
            for name, entry in declared.items()
        }
        return Composer(loaded, self.task_config(()), self.settings.cell)

    def sample(self, networks: Networks) -> Sample:
        """Frames that the model goes on with after the first of a validation piece."""
        composer, first = self.composer(networks), self.validation[0].roll[:_PRIMER_FRAMES]
        roll = compose(composer, _SAMPLE_FRAMES, Wishes(), self.settings.seed, first)
        piece = from_roll(roll, self.data.grid, tempo=float(composer.config["tempo"]))
        words = " | ".join(frame_name(frame) for frame in roll)
        return Sample(words, {"sample.mid": write_midi(piece)})

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """Nats [T] of the first frames of a validation piece."""
        roll = self.validation[0].roll[:_ANSWER_FRAMES]
        return Answer({"roll": roll}, {"nats": self.torch_nats(networks, roll)})

    def torch_nats(self, networks: Networks, roll: NDArray[np.uint8]) -> NDArray[np.float64]:
        """-log p of every frame [T] of a roll, from torch: one frame after the other is left out of the sum."""
        piece = with_past(roll, self.settings.recall)
        totals = []
        for frames in range(1, len(roll) + 1):
            batch = self.collate([(piece, 0, frames)])
            totals.append(float(self.nats(networks, self.tensors(batch, networks))))
        return np.diff([0.0, *totals])

    def describe(self) -> dict[str, Any]:
        """What was read, and how it is split."""
        counts = {}
        for name, pieces in (("train", self.train), ("validation", self.validation)):
            counts[name] = f"{len(pieces)} pieces, {sum(map(len, pieces)):,} frames"
        if self.data.parts["test"]:
            counts["test"] = f"{len(self.data.parts['test'])} pieces, not looked at"
        return describe(self.data, counts, f"1/{self.data.grid} of a quarter note")


def joined_heads(heads: Mapping[str, Tensor], last: Tensor, anchor: Tensor) -> Tensor:
    """Logits [N, K + 1] of the three heads: `congru.tasks.music.frames.logits_of` in torch."""
    keys = torch.arange(KEYS, device=last.device)
    above, near = keys - last[:, None] - 1, keys - anchor[:, None] + REACH
    notes = heads["pitch"][:, :KEYS]
    notes = notes + heads["above"].gather(1, above.clamp(0, KEYS - 1)) * (last >= 0)[:, None]
    notes = notes + heads["near"].gather(1, near.clamp(0, WINDOW - 1)) * ((near >= 0) & (near < WINDOW))
    notes = notes.float().masked_fill(above < 0, -1e9)
    return torch.cat([notes, heads["pitch"][:, KEYS:].float()], 1)
