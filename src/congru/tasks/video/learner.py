"""The training problem of a classifier of clips: changed copies of like length side by side, cross-entropy, step logits.

    loss = - sum over clips of log softmax(out)[label]

Where it streams, the mean over all frames counts `early_weight` of that, the last frame the rest.
"""

from __future__ import annotations

import json
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
from congru.tasks.class_scores import confusion, confusion_table, fit_temperature, scores_of
from congru.tasks.joining import JoinedLearner
from congru.tasks.members import side_by_side
from congru.tasks.video import early
from congru.tasks.video.baselines import FILE, Neighbours
from congru.tasks.video.changes import Changes
from congru.tasks.video.classifier import LABELS_FILE, Classifier, together
from congru.tasks.video.clips import Clip
from congru.tasks.video.data import Clips, VideoData, class_counts, prepare
from congru.tasks.video.features import Features, Preparation, pad
from congru.tasks.video.frame_learner import FrameLearner
from congru.tasks.video.network import network_config
from congru.tasks.video.settings import Settings
from congru.tasks.video.start import take_over
from congru.train.base import Probe, Sample
from congru.train.networks import Networks

Batch = dict[str, Any]
Evaluated = tuple[list[NDArray[np.float32]], NDArray[np.int64]]

_FITTED = 400  # clips that mean and deviation come from, and at most 2000 that baselines compare with
_COMPARED = 2000
_NEIGHBOURS = 20  # batches whose clips are sorted by length together
_ANSWERS, _SAMPLES = 3, 4


def make_learner(source: str, /, *, settings: Settings) -> VideoLearner | FrameLearner:
    """Read a folder of clips by class, a table of clips, or a .npz of tracks; for frames also a folder of clips."""
    data = prepare(str(source), settings)
    return FrameLearner(data, settings) if settings.predict == "frames" else VideoLearner(data, settings)


class VideoLearner(JoinedLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is the number of a training clip and of a draw."""

    task = "video"
    evaluation_batch = 64
    uses = "Telling which of the trained classes a clip belongs to; with --streaming after every frame."
    limits = (
        "It knows scenes and movements like those of its training clips, at the same size and about the same speed."
        " Probabilities and the threshold of early decisions come from the validation clips and hold for clips like those."
    )
    commands = ("congru run MODEL CLIP", "congru eval MODEL DATA", "congru inspect MODEL CLIP")

    def __init__(self, data: VideoData, settings: Settings) -> None:
        super().__init__(settings)
        self.data = data
        self.metric: str = settings.metric
        self.minimize = settings.metric == "nats"
        fitted = [data.train.clip(row, row) for row in range(min(_FITTED, len(data.train)))]
        self.preparation = Preparation.fit(fitted, settings.differences)
        self.changes = Changes.of(settings, data.shape, self.preparation.deviation)
        compared = range(min(_COMPARED, len(data.train)))
        self.neighbours = Neighbours.fit(
            (data.train.clip(row, row) for row in compared),
            data.train.labels[: len(compared)],
            len(data.classes),
        )
        clips = (data.validation.clip(row) for row in range(len(data.validation)))
        self.baselines = {
            name: scores_of(scores, data.validation.labels)[settings.metric]
            for name, scores in self.neighbours.scores(clips).items()
        }

    @cached_property
    def steps_per_epoch(self) -> int:
        """Whole batches; one where there are fewer clips."""
        return max(1, len(self.data.train) // self.settings.batch_size)

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One network from frames to a number per class, or several alike whose logits are averaged."""
        changed = self.settings.model_copy(update={"cell": cell, "hidden_size": hidden_size})
        shape = self.preparation.shape(self.data.shape)
        declaration = network_config(changed, shape, len(self.data.classes))
        return side_by_side(declaration, changed.seeds)

    def start(self, networks: Networks) -> None:
        """With `start_from`, the weights of another classifier of clips."""
        if self.settings.start_from is not None:
            take_over(networks, self.settings.start_from, list(self.data.classes))

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """[N, 2]: the clips in random order, neighbours sorted by length and cut into batches in random order; a draw each."""
        rng, size = self.generator(epoch), self.settings.batch_size
        order = rng.permutation(len(self.data.train))
        order = np.resize(order, max(size, len(order) // size * size))
        lengths, chunk = self.data.train.lengths, size * _NEIGHBOURS
        parts = [order[k : k + chunk] for k in range(0, len(order), chunk)]
        arranged = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
        shuffled = arranged.reshape(-1, size)[rng.permutation(len(arranged) // size)].ravel()
        return np.stack([shuffled, rng.integers(0, 2**62, len(shuffled))], 1)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Changed clips, see `collate`."""
        clips = [self.changed(row, draw) for row, draw in rows.tolist()]
        return self.collate(clips, self.data.train.labels[rows[:, 0]])

    def changed(self, row: int, draw: int) -> Features:
        """The steps of a training clip after random changes, noise included."""
        rng = np.random.default_rng(draw)
        clip = self.changes(self.data.train.clip(row, draw), rng)[: self.settings.max_frames]
        x = self.preparation(clip)
        if self.settings.noise:
            x = x + np.float32(self.settings.noise) * rng.standard_normal(x.shape, np.float32)
        return x

    def collate(self, clips: Sequence[Features], labels: NDArray[np.int64]) -> Batch:
        """x [B, T, ...], lengths [B], labels [B]."""
        x, lengths = pad(clips)
        return {"x": x, "lengths": lengths, "labels": labels}

    def outputs(self, networks: Networks, batch: Batch) -> Tensor:
        """Logits [M, B, K] of every member, by step [M, B, T, K] where it streams."""
        outs = [network(batch["x"], lengths=batch["lengths"])[0] for network in networks.values()]
        return torch.stack(outs).float()

    def loss(self, networks: Networks, batch: Batch, carry: Any) -> tuple[Tensor, int, None]:
        """The summed cross-entropy of every member, each learns by itself, and the number of clips they read."""
        losses = [self.nats(logits, batch) for logits in self.outputs(networks, batch)]
        return torch.stack(losses).sum(), len(losses) * len(batch["labels"]), None

    def nats(self, logits: Tensor, batch: Batch) -> Tensor:
        """The summed cross-entropy of logits [B, K], or [B, T, K] by step."""
        labels, lengths = batch["labels"], batch["lengths"]
        if not self.settings.streaming:
            return F.cross_entropy(logits, labels, reduction="sum")
        expected = labels[:, None].expand(-1, logits.shape[1])
        nats = F.cross_entropy(logits.transpose(1, 2), expected, reduction="none")
        valid = torch.arange(nats.shape[1], device=nats.device) < lengths[:, None]
        every = (nats * valid).sum(1) / lengths
        last = nats.gather(1, lengths[:, None] - 1)[:, 0]
        share = self.settings.early_weight
        total: Tensor = (share * every + (1 - share) * last).sum()
        return total

    def validation_rows(self) -> NDArray[np.int64]:
        """The validation clips, short ones first."""
        return np.argsort(self.data.validation.lengths, kind="stable")

    def evaluate(self, networks: Networks, rows: NDArray[np.int64]) -> Evaluated:
        """Logits [T, K] of some validation clips after every frame ([1, K] where it does not stream), and their labels."""
        return self.step_logits(networks, self.data.validation, rows), self.data.validation.labels[rows]

    def step_logits(
        self, networks: Networks, clips: Clips, rows: NDArray[np.int64]
    ) -> list[NDArray[np.float32]]:
        """Logits [T, K] of some clips as they are."""
        batch = self.collate([self.preparation(clips.clip(row)) for row in rows.tolist()], clips.labels[rows])
        out = self.outputs(networks, self.tensors(batch, networks)).mean(0).cpu().numpy()
        if not self.settings.streaming:
            return list(out[:, None])
        return [own[:length] for own, length in zip(out, batch["lengths"].tolist())]

    def metrics(self, parts: Sequence[Evaluated]) -> dict[str, float]:
        """Accuracy, macro F1 and nats at the ends of all validation clips; where it streams, also after 60 % of the frames."""
        steps, labels = _of_all(parts)
        scores = scores_of(_ends(steps), labels)
        if self.settings.streaming:
            part_way = np.stack([own[max(1, round(0.6 * len(own))) - 1] for own in steps])
            scores["accuracy_at_60"] = scores_of(part_way, labels)["accuracy"]
        return scores

    def probe(self) -> Probe:
        """The first validation clip, [1, T, ...]."""
        return Probe(torch.from_numpy(self.preparation(self.data.validation.clip(0))[None]))

    def task_config(self, parts: Sequence[Evaluated]) -> dict[str, Any]:
        """How clips are read, temperature, the rule of early decisions, and which clips were kept for validation and test."""
        steps, labels = _of_all(parts)
        temperature = temperature_of(steps, labels)
        rule = early.Rule(threshold=1.0)
        if self.settings.streaming:
            softened = [_softmax(own / temperature) for own in steps]
            rule = early.fit_rule(softened, labels, self.settings.early_loss, self.settings.earliest)
        return {
            **self.preparation.config(),
            "shape": list(self.data.shape),
            "rate": self.settings.rate,
            "max_frames": self.settings.max_frames,
            "figure": self.settings.figure,
            "temperature": temperature,
            "threshold": rule.threshold,
            "first_decision": rule.first,
            "validation": self.settings.validation,
            "fold": self.settings.fold,
            "moving_digits": self.settings.moving_digits,
            "predict": "class",
            "leave_out": list(self.settings.leave_out),
        }

    def files(self, parts: Sequence[Evaluated]) -> dict[str, bytes]:
        """Classes, baselines; the confusion matrix of the validation clips to read."""
        steps, labels = _of_all(parts)
        matrix = confusion(_ends(steps).argmax(1), labels, len(self.data.classes))
        return {
            LABELS_FILE: json.dumps(self.data.classes, ensure_ascii=False).encode(),
            FILE: self.neighbours.to_bytes(),
            "confusion.txt": (confusion_table(matrix, self.data.classes) + "\n").encode(),
        }

    def classifier(self, networks: Networks, task_config: Mapping[str, Any]) -> Classifier:
        """What a user loads, from the weights as they are now."""
        declared, network = self.saved(networks)["main"]
        weights = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
        return Classifier.around(runtime.Network(declared, weights), self.data.classes, task_config)

    def sample(self, networks: Networks) -> Sample:
        """The first validation clips: label, answer, and where it streams when the answer settled."""
        rows = np.arange(min(_SAMPLES, len(self.data.validation)))
        lines = []
        for row, steps in zip(rows.tolist(), self.step_logits(networks, self.data.validation, rows)):
            label = self.data.classes[int(self.data.validation.labels[row])]
            answers = steps.argmax(1)
            line = f"label {label!r}, answer {self.data.classes[int(answers[-1])]!r}"
            if self.settings.streaming:
                changed = np.flatnonzero(answers != answers[-1])
                settled = int(changed[-1]) + 2 if len(changed) else 1
                line += f", settled at frame {settled} of {len(steps)}"
            lines.append(line)
        return Sample("\n".join(lines))

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """Probabilities of some validation clips after every frame, temperature included."""
        rows = np.arange(min(_ANSWERS, len(self.data.validation)))
        steps = self.step_logits(networks, self.data.validation, rows)
        probabilities = self.classifier(networks, task_config).soften(np.concatenate(steps))
        clips: list[Clip] = [self.data.validation.clip(row) for row in rows.tolist()]
        return Answer(together(clips), {"probabilities": probabilities})

    def describe(self) -> dict[str, Any]:
        """What was read, how it is split, and what is odd about it."""
        data = self.data
        summary: dict[str, Any] = {"source": data.source, "split": data.split}
        for name, clips in (("train", data.train), ("validation", data.validation)):
            frames = f"{int(clips.lengths.min())}-{int(clips.lengths.max())} frames"
            summary[name] = f"{len(clips)} clips of {frames}: {class_counts(clips.labels, data.classes)}"
        if data.test:
            summary["test"] = data.test
        shape = data.shape
        summary["frames"] = f"{shape[0]} numbers" if len(shape) == 1 else f"{shape[1]} x {shape[2]} pixels"
        return {**summary, **data.notes}


def temperature_of(steps: Sequence[NDArray[np.float32]], labels: NDArray[np.int64]) -> float:
    """The temperature that fits all answers of N clips, those on the way as well; at least 1.

    A few validation clips may all be answered rightly: then any temperature below 1 would fit, and promise too much.
    """
    repeated = np.repeat(labels, [len(own) for own in steps])
    return max(1.0, fit_temperature(np.concatenate(list(steps)), repeated))


def _of_all(parts: Sequence[Evaluated]) -> Evaluated:
    steps = [own for part, _ in parts for own in part]
    return steps, np.concatenate([labels for _, labels in parts])


def _ends(steps: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack([own[-1] for own in steps])


def _softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(-1, keepdims=True), dtype=np.float64)
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))
