"""The training problem of events: passages of pieces side by side, the loss of the next event.

loss = - sum over events of log p(event | events before);    nats per note = that sum / notes
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

from congru.errors import DataError
from congru.runtime import network as runtime
from congru.runtime.answer import Answer
from congru.tasks.music.baselines import event_baselines
from congru.tasks.music.composer import Composer
from congru.tasks.music.composition import compose_events
from congru.tasks.music.data import EVENT_METRIC, MusicData, describe, make_events, rows_of
from congru.tasks.music.events import NUM_EVENTS, decode, event_name, transposed
from congru.tasks.music.frames import note_nats
from congru.tasks.music.midi import write_midi
from congru.tasks.music.network import event_networks
from congru.tasks.music.settings import Settings
from congru.train.base import Probe, Sample, TaskLearner
from congru.train.networks import Networks

Rows = NDArray[np.int64]
_ANSWER_EVENTS, _PROBE_EVENTS, _SAMPLE_STEPS = 64, 256, 96


class EventLearner(TaskLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is a passage: a piece's number, where it begins, a shift."""

    task = "music"
    metric = EVENT_METRIC
    evaluation_batch = 16
    uses = "Writing melodies and pieces in the manner of its training pieces, and measuring how surprising a piece is."
    limits = (
        "It knows the pieces it was trained on, in their keys; times are rounded to its grid, loudness to 8 classes, and voices"
        " are not told apart."
    )
    commands = ("congru run MODEL --bars 8 --out tune.mid", "congru eval MODEL DATA", "congru inspect MODEL")

    def __init__(self, data: MusicData, settings: Settings) -> None:
        super().__init__(settings)
        self.data = data
        self.train, self.validation = (
            make_events(data.parts[name], data.grid) for name in ("train", "valid")
        )
        self.num_notes = sum(events.num_notes for events in self.validation)
        if self.num_notes == 0:
            raise DataError(f"{data.source.path} has no note to validate on, expected some: add pieces")
        nats = event_baselines(
            [events.tokens for events in self.train],
            [events.tokens for events in self.validation],
            NUM_EVENTS,
        )
        self.baselines = {name: total / self.num_notes for name, total in nats.items()}
        self._lengths = np.array([len(events.tokens) - 1 for events in self.train], np.int64)

    @cached_property
    def steps_per_epoch(self) -> int:
        """As many steps as passages cover the training events, rounded."""
        passages = np.maximum(1, -(-self._lengths // self.settings.chunk)).sum()
        return max(1, round(int(passages) / self.settings.batch_size))

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One network from events to logits."""
        return event_networks(self.settings, cell, hidden_size, NUM_EVENTS)

    def rows(self, epoch: int) -> Rows:
        """Passages in random order."""
        count = self.steps_per_epoch * self.settings.batch_size
        return rows_of(
            self._lengths, count, self.settings.chunk, self.generator(epoch), self.settings.transpose
        )

    def batch(self, rows: Rows) -> dict[str, Any]:
        """See `collate`."""
        chunk = self.settings.chunk
        passages = (
            (self.train[number].tokens[begin : begin + chunk + 1], shift)
            for number, begin, shift in rows.tolist()
        )
        return collate([transposed(tokens, shift) for tokens, shift in passages])

    def loss(self, networks: Networks, batch: dict[str, Any], carry: Any) -> tuple[Tensor, Any, Any]:
        """Summed nats of the passages' events, and how many there are."""
        total = self.nats(networks, batch)
        return total, int(batch["lengths"].sum()), None

    def nats(self, networks: Networks, batch: dict[str, Any]) -> Tensor:
        """Summed nats of all events of a batch but the first of each row."""
        tokens = batch["tokens"]
        logits, _ = networks["main"](tokens[:, :-1], lengths=batch["lengths"])
        real = torch.arange(logits.shape[1], device=logits.device) < batch["lengths"][:, None]
        return F.cross_entropy(logits[real].float(), tokens[:, 1:][real], reduction="sum")

    def validation_rows(self) -> Rows:
        """The validation pieces, short ones first."""
        return np.argsort([len(events.tokens) for events in self.validation], kind="stable")

    def evaluate(self, networks: Networks, rows: Rows) -> tuple[float, int, int]:
        """Summed nats of some pieces, their notes and events."""
        pieces = [self.validation[row] for row in rows.tolist()]
        batch = collate([events.tokens for events in pieces])
        nats = float(self.nats(networks, self.tensors(batch, networks)))
        return nats, sum(events.num_notes for events in pieces), int(batch["lengths"].sum())

    def metrics(self, parts: Sequence[tuple[float, int, int]]) -> dict[str, float]:
        """Nats per note and per event, over all pieces."""
        nats, notes, events = (sum(column) for column in zip(*parts))
        return {EVENT_METRIC: nats / notes, "nats_per_event": nats / events}

    def probe(self) -> Probe:
        """The first events of the longest validation piece."""
        longest = max(self.validation, key=lambda events: len(events.tokens))
        return Probe(torch.from_numpy(longest.tokens[None, :_PROBE_EVENTS]))

    def task_config(self, parts: Sequence[Any]) -> dict[str, Any]:
        """What an event is, and how the pieces were measured and split."""
        pieces = self.data.parts["train"]
        return {
            "unit": "events",
            "grid": self.data.grid,
            "bar": statistics.mode(piece.bar for piece in pieces),
            "tempo": statistics.median(piece.tempo for piece in pieces),
            "validation": self.settings.validation,
        }

    def composer(self, networks: Networks) -> Composer:
        """What a user loads, from the weights as they are now."""
        entry = self.networks(self.settings.cell, self.settings.hidden_size)["main"]
        weights = {key: value.detach().cpu().numpy() for key, value in networks["main"].state_dict().items()}
        return Composer({"main": runtime.Network(entry, weights)}, self.task_config(()), self.settings.cell)

    def sample(self, networks: Networks) -> Sample:
        """A piece of its own from the start."""
        composer = self.composer(networks)
        tokens = compose_events(composer, _SAMPLE_STEPS, 1.0, self.settings.seed)
        piece = decode(tokens, self.data.grid, tempo=float(composer.config["tempo"]))
        return Sample(" ".join(map(event_name, tokens.tolist())), {"sample.mid": write_midi(piece)})

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """Nats of the first events of a validation piece."""
        tokens = self.validation[0].tokens[:_ANSWER_EVENTS]
        logits, _ = networks["main"](self.tensors(tokens[None, :-1], networks))
        return Answer({"events": tokens}, {"nats": note_nats(logits[0].float().cpu().numpy(), tokens[1:])})

    def describe(self) -> dict[str, Any]:
        """What was read, and how it is split."""
        counts = {}
        for name, pieces in (("train", self.train), ("validation", self.validation)):
            notes = sum(events.num_notes for events in pieces)
            counts[name] = f"{len(pieces)} pieces, {notes:,} notes"
        if self.data.parts["test"]:
            counts["test"] = f"{len(self.data.parts['test'])} pieces, not looked at"
        cut = sum(events.cut for events in [*self.train, *self.validation])
        if cut:
            counts["cut"] = f"{cut} lengths or silences longer than the longest event"
        return describe(self.data, counts, f"1/{self.data.grid} of a quarter note")


def collate(rows: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
    """Rows of events side by side: tokens [B, T + 1], and lengths [B] of what is predicted."""
    lengths = np.array([len(row) - 1 for row in rows])
    tokens = np.zeros((len(rows), int(lengths.max()) + 1), np.int64)
    for k, row in enumerate(rows):
        tokens[k, : len(row)] = row
    return {"tokens": tokens, "lengths": lengths}
