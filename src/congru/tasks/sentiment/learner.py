"""The training problem of a classifier: texts of like length side by side, cross-entropy, validation logits.

    loss = - sum over texts of w_label log softmax(out + s * score)[label]      w = 1, or N / (K n_label)

Where it streams, the mean over all steps of the same counts 0.3, the last step 0.7. The score of a training text comes from
counts that leave it out, and so do the ratios that its words have in the channel: the network learns what naive Bayes lacks, not
to trust it as on texts it has counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from congru.tasks.sentiment.attribution import attribute_text, colorless
from congru.tasks.sentiment.classifier import RULES_FILE, SCALE, Classifier, labels_file, rules_config
from congru.tasks.sentiment.data import SentimentData, class_counts, prepare
from congru.tasks.sentiment.features import Features, Read, make_features
from congru.tasks.sentiment.naive_bayes import FILE, folds_of, ratios_by_fold
from congru.tasks.sentiment.network import network_config
from congru.tasks.sentiment.settings import Settings
from congru.train.base import Probe, Sample, TaskLearner
from congru.train.networks import Networks

Batch = dict[str, Any]
Evaluated = tuple[NDArray[np.float32], NDArray[np.int64]]

_EARLY = 0.3  # what the steps before the last count where it streams
_NEIGHBOURS = 40  # batches whose texts are sorted by length together
_ANSWERS, _SAMPLES = 4, 3
_FIRST_VECTOR = 0.3  # deviation of a token's first vector


def make_learner(source: str, /, *, settings: Settings) -> SentimentLearner:
    """Read a table, or a folder of tables or of texts."""
    return SentimentLearner(make_features(prepare(str(source), settings), settings), settings)


class SentimentLearner(TaskLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is the number of a training text."""

    task = "sentiment"
    evaluation_batch = 256
    uses = "Telling which of the trained classes a text belongs to, and which words say so."
    limits = (
        "It knows the words of its training texts: new words, irony and other subjects than those are read worse."
        " Probabilities are calibrated on the validation part and hold for texts like those."
    )
    commands = ('congru run MODEL "a text"', "congru eval MODEL DATA", 'congru inspect MODEL "a text"')

    def __init__(self, features: Features, settings: Settings) -> None:
        super().__init__(settings)
        self.features, self.data = features, features.data
        self.metric: str = settings.metric
        self.minimize = settings.metric == "nats"
        self.baselines = {
            name: scores_of(scores, features.validation.labels)[settings.metric]
            for name, scores in features.baseline_scores(self.data.validation).items()
        }
        if settings.gives_channel:
            self.frozen = ("main.ratios.*",)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Whole batches; one where there are fewer texts."""
        return max(1, len(self.features.train) // self.settings.batch_size)

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One network from tokens to a number per class."""
        changed = self.settings.model_copy(update={"cell": cell, "hidden_size": hidden_size})
        return {"main": network_config(changed, self.features.steps.num_tokens, len(self.data.classes))}

    def weights(self, cell: str, hidden_size: int) -> dict[str, Tensor]:
        """The factor s of naive Bayes' score [1]."""
        return {SCALE: torch.full((1,), self.first_scale)} if self.settings.gives_bias else {}

    @cached_property
    def first_scale(self) -> float:
        """1 / temperature of the cross-fitted scores, at most 1: naive Bayes is surer than it should be."""
        temperature = fit_temperature(self._scores(self.features.train), self.features.train.labels)
        return min(1.0, 1.0 / temperature)

    def _scores(self, read: Read) -> NDArray[np.float32]:
        prior = self.features.naive_bayes.prior
        return np.asarray(prior + np.stack([one.sum(0) for one in read.evidence]), np.float32)

    def start(self, networks: Networks) -> None:
        """First vectors, the channel, a language model's weights; with naive Bayes the output starts at nothing."""
        main, features = networks["main"], self.features
        with torch.no_grad():
            table = main.get_parameter("embed.weight")
            table.mul_(_FIRST_VECTOR)
            for number, vector in features.vectors.items():
                table[number] = torch.from_numpy(vector)
            if self.settings.gives_channel:
                main.get_parameter("ratios.weight").copy_(torch.from_numpy(features.ratios))
            if self.settings.gives_bias:
                main.get_parameter("head.weight").mul_(0.1)
                main.get_parameter("head.bias").zero_()
            if features.start is not None:
                take_over(main, features.start.weights)

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """The texts in random order, then neighbours sorted by length and cut into batches in random order."""
        rng, size = self.generator(epoch), self.settings.batch_size
        order = rng.permutation(len(self.features.train))
        order = np.resize(order, max(size, len(order) // size * size))
        lengths = self.features.train.lengths()
        chunk = size * _NEIGHBOURS
        parts = [order[k : k + chunk] for k in range(0, len(order), chunk)]
        arranged = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
        return np.asarray(arranged.reshape(-1, size)[rng.permutation(len(arranged) // size)].ravel())

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """See `collate`; and the fold of each text [B], whose ratios leave it out."""
        return {**self.collate(self.features.train, rows), "folds": self.folds[rows]}

    @cached_property
    def folds(self) -> NDArray[np.int64]:
        """The fold of every training text [N]."""
        return folds_of(self.features.train.labels)

    @cached_property
    def channels(self) -> Tensor:
        """The channel [FOLDS, V, K] by the counts of the other folds."""
        train, (num_tokens, num_classes) = self.features.train, self.features.ratios.shape
        ids = [one.ids for one in train.encoded]
        return torch.from_numpy(ratios_by_fold(ids, train.labels, num_tokens, num_classes))

    @contextmanager
    def left_out(self, networks: Networks, folds: Tensor) -> Iterator[None]:
        """While it lasts, the channel gives each text [B] the ratios of the counts without its fold."""
        if not self.settings.gives_channel:
            yield
            return
        self.channels = channels = self.channels.to(folds.device)  # moved once

        def instead(module: torch.nn.Module, inputs: tuple[Any, ...], ratios: Tensor) -> Tensor:
            return channels[folds[:, None], inputs[-1]].to(ratios.dtype)

        hook = networks["main"].get_submodule("ratios").register_forward_hook(instead)
        try:
            yield
        finally:
            hook.remove()

    def collate(self, read: Read, rows: Sequence[int] | NDArray[np.int64]) -> Batch:
        """ids [B, T], lengths [B], labels [B], and score [B, K] of naive Bayes, by step [B, T, K] where it streams."""
        lengths = np.array([len(read.encoded[row]) for row in rows])
        steps, num_classes = int(lengths.max()), len(self.data.classes)
        ids = np.zeros((len(rows), steps), np.int64)
        score = np.zeros((len(rows), steps, num_classes), np.float32)
        for k, row in enumerate(rows):
            ids[k, : lengths[k]] = read.encoded[row].ids
            score[k, : lengths[k]] = read.evidence[row]
        score = score.cumsum(1) + self.features.naive_bayes.prior
        known = score if self.settings.streaming else score[:, -1]
        return {"ids": ids, "lengths": lengths, "labels": read.labels[np.asarray(rows)], "score": known}

    def outputs(self, networks: Networks, batch: Batch) -> Tensor:
        """Logits [B, K], by step [B, T, K] where it streams."""
        out, _ = networks["main"](batch["ids"], lengths=batch["lengths"])
        logits: Tensor = out.float()
        if self.settings.gives_bias:
            logits = logits + networks.get_parameter(SCALE) * batch["score"]
        return logits

    def loss(self, networks: Networks, batch: Batch, carry: Any) -> tuple[Tensor, Tensor, None]:
        """The summed cross-entropy, and the sum of the weights."""
        with self.left_out(networks, batch["folds"]):
            logits = self.outputs(networks, batch)
        labels, lengths = batch["labels"], batch["lengths"]
        weight = self.class_weight.to(logits.device)[labels]
        if not self.settings.streaming:
            nats = F.cross_entropy(logits, labels, reduction="none")
            return (nats * weight).sum(), weight.sum(), None
        expected = labels[:, None].expand(-1, logits.shape[1])
        nats = F.cross_entropy(logits.transpose(1, 2), expected, reduction="none")
        valid = torch.arange(nats.shape[1], device=nats.device) < lengths[:, None]
        every = (nats * valid).sum(1) / lengths
        last = nats.gather(1, lengths[:, None] - 1)[:, 0]
        return ((_EARLY * every + (1 - _EARLY) * last) * weight).sum(), weight.sum(), None

    @cached_property
    def class_weight(self) -> Tensor:
        """w [K]: N / (K n_c), or ones."""
        counts = np.bincount(self.data.train.labels, minlength=len(self.data.classes))
        if not self.settings.class_weights:
            return torch.ones(len(counts))
        return torch.tensor(counts.sum() / (len(counts) * np.maximum(counts, 1)), dtype=torch.float32)

    def validation_rows(self) -> NDArray[np.int64]:
        """The validation texts, short ones first."""
        return np.argsort(self.features.validation.lengths(), kind="stable")

    def evaluate(self, networks: Networks, rows: NDArray[np.int64]) -> Evaluated:
        """Logits and labels of some validation texts."""
        return self.logits(networks, self.features.validation, rows), self.features.validation.labels[rows]

    def logits(self, networks: Networks, read: Read, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits [N, K] of some texts."""
        batch = self.tensors(self.collate(read, rows), networks)
        out = self.outputs(networks, batch)
        if self.settings.streaming:
            out = out[torch.arange(len(out)), batch["lengths"] - 1]
        return np.asarray(out.cpu().numpy(), np.float32)

    def metrics(self, parts: Sequence[Evaluated]) -> dict[str, float]:
        """Accuracy, macro F1 and nats over all validation texts."""
        return scores_of(*_joined(parts))

    def probe(self) -> Probe:
        """The longest of the first validation texts, [1, T]."""
        texts = self.features.validation.encoded[:8]
        return Probe(torch.from_numpy(max(texts, key=len).ids[None]))

    def task_config(self, parts: Sequence[Evaluated]) -> dict[str, Any]:
        """How texts are cut and labels read, the temperature, and which rows were kept for validation."""
        return {
            **self.features.steps.config(),
            **rules_config(self.data.rules),
            "grams": self.features.naive_bayes.kind,
            "bias": self.settings.gives_bias,
            "pool": self.settings.pool,
            "temperature": fit_temperature(*_joined(parts)),
            "text_column": self.settings.text_column,
            "label_column": self.settings.label_column,
            "validation": self.settings.validation,
            "class_counts": np.bincount(self.data.train.labels, minlength=len(self.data.classes)).tolist(),
        }

    def files(self, parts: Sequence[Evaluated]) -> dict[str, bytes]:
        """Vocabulary, classes, counts; the confusion matrix of the validation part to read."""
        logits, labels = _joined(parts)
        matrix = confusion(logits.argmax(1), labels, len(self.data.classes))
        return {
            self.features.steps.file_name: self.features.steps.file,
            RULES_FILE: labels_file(self.data.rules),
            FILE: self.features.naive_bayes.to_bytes(),
            "confusion.txt": (confusion_table(matrix, self.data.classes) + "\n").encode(),
        }

    def classifier(self, networks: Networks, task_config: Mapping[str, Any]) -> Classifier:
        """What a user loads, from the weights as they are now."""
        main = networks["main"]
        declared = self.networks(self.settings.cell, self.settings.hidden_size)["main"]
        weights = {name: value.detach().cpu().numpy() for name, value in main.state_dict().items()}
        return Classifier(
            network=runtime.Network(declared, weights),
            steps=self.features.steps,
            naive_bayes=self.features.naive_bayes,
            scale=float(networks.get_parameter(SCALE)) if self.settings.gives_bias else 0.0,
            temperature=float(task_config["temperature"]),
            rules=self.data.rules,
            config=task_config,
        )

    def sample(self, networks: Networks) -> Sample:
        """The first validation texts with the shares of their words under them."""
        classifier = self.classifier(networks, {"temperature": 1.0, "pool": self.settings.pool})
        parts = []
        for row in range(min(_SAMPLES, len(self.data.validation))):
            label = self.data.classes[int(self.data.validation.labels[row])]
            explained = attribute_text(classifier, self.data.validation.texts[row])
            parts.append(f"label {label!r}; {colorless(explained)}")
        return Sample("\n\n".join(parts))

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """Probabilities of some validation texts, temperature and naive Bayes included."""
        read = self.features.validation
        rows = np.flatnonzero([len(one.text) > 1 for one in read.encoded])[:_ANSWERS]
        texts = [" ".join(self.data.validation.texts[row].split()) for row in rows]
        classifier = self.classifier(networks, task_config)
        probabilities = classifier.soften(self.logits(networks, read, rows))
        encoded = np.frombuffer("\n".join(texts).encode(), np.uint8)
        return Answer({"texts": encoded}, {"probabilities": probabilities})

    def describe(self) -> dict[str, Any]:
        """What was read, how it is split, and what is odd about it."""
        data, steps = self.data, self.features.steps
        summary: dict[str, Any] = {
            "source": data.source,
            "split": data.split,
            "train": f"{len(data.train)} texts: {class_counts(data.train, data.classes)}",
            "validation": f"{len(data.validation)} texts: {class_counts(data.validation, data.classes)}",
        }
        if data.test is not None:
            summary["test"] = f"{len(data.test)} texts, not looked at"
        summary["tokens"] = f"{steps.kind}, {steps.num_tokens:,} known"
        if self.settings.gives_bias:
            summary["naive Bayes"] = (
                f"{self.features.naive_bayes.kind} grams, score times {self.first_scale:.2f} at first"
            )
        return {**summary, **data.notes, **self.features.notes}


def take_over(main: torch.nn.Module, weights: Mapping[str, NDArray[Any]]) -> None:
    """Copy a language model's weights; the channel's columns of the first layer, which it lacks, start at nothing."""
    for name, value in weights.items():
        target = main.get_parameter(name)
        source = torch.from_numpy(np.array(value))
        if target.shape == source.shape:
            target.copy_(source)
        elif target.dim() == 2 and source.dim() == 2 and target.shape[0] == source.shape[0]:
            width = min(target.shape[1], source.shape[1])
            target.zero_()
            target[:, :width] = source[:, :width]


def _joined(parts: Sequence[Evaluated]) -> Evaluated:
    return np.concatenate([logits for logits, _ in parts]), np.concatenate([labels for _, labels in parts])


__all__ = ["SentimentData", "SentimentLearner", "make_learner"]
