"""The training problem of a dialogue: the next action at every turn (Hybrid Code Network, Williams et al. 2017).

loss = mean over turns of -log softmax over the actions that can be said of (A h_t + a)[the right one]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from congru.errors import SettingsError
from congru.runtime.answer import Answer
from congru.tasks.assistant.dialogue_data import (
    DialogueData,
    NextAction,
    baseline_measures,
    dialogue_measures,
    judge,
    masked_softmax,
)
from congru.tasks.assistant.dialogues import as_text
from congru.tasks.assistant.network import policy_config
from congru.tasks.assistant.policy import (
    ANSWERED,
    DIALOGUE,
    EXAMPLE,
    KNOWLEDGE,
    WORDS,
    learn_doubt,
    outputs_of,
)
from congru.tasks.assistant.settings import TASK, Settings
from congru.train.base import Probe, Sample, TaskLearner
from congru.train.networks import Networks

_FEWEST_STEPS = 20  # of an epoch
_HIDDEN = 0.04  # share of the words of a sentence that are taken as unseen
_CLOSED = -1e4  # score of an action that cannot be said


class DialogueLearner(TaskLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is a dialogue and the seed of what is drawn for it."""

    task = TASK
    metric = "nats"
    uses = "Replying in dialogues of one kind, with what a knowledge base holds."
    limits = (
        "It says the replies of its training dialogues only, with values put in. Values are found by their spelling in the"
        " knowledge base. Which reply can be said, and what was asked for, is code; which one is said is learnt."
    )
    commands = ("congru run MODEL", "congru eval MODEL DATA --part test")

    def __init__(self, data: DialogueData, settings: Settings) -> None:
        super().__init__(settings)
        if settings.seeds > 1:
            raise SettingsError(
                f"seeds is {settings.seeds}, expected 1 for a file of dialogues: leave out --seeds"
            )
        self.data, self.reader = data, data.reader
        self.next = NextAction.count(data.followed, len(self.reader.actions))
        measures = baseline_measures(NextAction(self.next), data.validation_followed, self.reader)
        self.baselines = {name: values[self.metric] for name, values in measures.items()}

    @property
    def steps_per_epoch(self) -> int:
        """Every dialogue at least once an epoch; a few are read several times."""
        return max(_FEWEST_STEPS, -(-len(self.data.train) // self.settings.batch_size))

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One network over the turns of a dialogue."""
        return {
            "main": policy_config(
                self.settings, cell, hidden_size, self.reader.size, len(self.reader.actions)
            )
        }

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """Dialogues in random order, again and again until the batches are full, each with a seed [N, 2]."""
        rng, count = self.generator(epoch), self.steps_per_epoch * self.settings.batch_size
        rounds = [rng.permutation(len(self.data.train)) for _ in range(-(-count // len(self.data.train)))]
        order = np.concatenate(rounds)[:count]
        return np.stack([order, rng.integers(2**31, size=len(order))], axis=1)

    def batch(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Turns [B, T, F], lengths [B], mask [B, T, A], actions [B, T]; -1 past the end and for no known action."""
        chosen = [self.data.followed[index] for index, _ in rows]
        lengths = np.array([len(one.actions) for one in chosen], np.int64)
        shape, count = (len(rows), int(lengths.max())), len(self.reader.actions)
        x = np.zeros((*shape, self.reader.size), np.float32)
        mask, actions = np.ones((*shape, count), bool), np.full(shape, -1, np.int64)
        words = self.reader.num_words
        for k, (one, (_, seed)) in enumerate(zip(chosen, rows)):
            end = lengths[k]
            x[k, :end], mask[k, :end] = one.x, one.mask
            hidden = np.random.default_rng(seed).random((end, words)) < _HIDDEN
            x[k, :end, words - 1] = np.maximum(one.x[:, words - 1], (hidden & (one.x[:, :words] > 0)).any(1))
            x[k, :end, : words - 1] *= ~hidden[:, : words - 1]
            known = one.actions < count
            actions[k, :end] = np.where(known, one.actions, -1)
            mask[k, np.flatnonzero(known), one.actions[known]] = True
        return x, lengths, mask, actions

    def loss(self, networks: Networks, batch: Any, carry: Any) -> tuple[Tensor, Tensor, Any]:
        """Summed nats of the right actions, and their number."""
        x, lengths, mask, actions = batch
        out, _ = networks["main"](x, lengths=lengths)
        scores = out.float().masked_fill(~mask, _CLOSED)
        nats = F.cross_entropy(scores.transpose(1, 2), actions, ignore_index=-1, reduction="sum")
        return nats, (actions >= 0).sum(), None

    def validation_rows(self) -> range:
        """The validation dialogues."""
        return range(len(self.data.validation))

    def evaluate(self, networks: Networks, rows: range) -> list[NDArray[np.float64]]:
        """p [T, A] of every dialogue."""
        return self._probabilities(networks, rows)

    def metrics(self, parts: Sequence[Any]) -> dict[str, float]:
        """nats per reply, share of right replies and of dialogues with every reply right."""
        return dialogue_measures(self.data.validation_followed, _joined(parts), self.reader)

    def probe(self) -> Probe:
        """The first validation dialogue [1, T, F]."""
        return Probe(torch.from_numpy(self.data.validation_followed[0].x[None]))

    def sample(self, networks: Networks) -> Sample:
        """The first validation dialogue with the reply that would be given."""
        (p,), followed = self._probabilities(networks, [0]), self.data.validation_followed[0]
        lines = []
        for turn, number, mask, values in zip(
            self.data.validation[0].turns, p.argmax(1), followed.mask, followed.placeholder_values
        ):
            own = self.reader.actions.say(int(number), values) if mask[number] else "(nothing to say)"
            lines.append(
                f"{turn.sentence} -> {own}" + ("" if own == turn.reply else f"    (said: {turn.reply})")
            )
        return Sample("\n".join(lines))

    def task_config(self, parts: Sequence[Any]) -> dict[str, Any]:
        """The actions, what a conversation does by itself, the threshold learnt on validation."""
        data = self.data
        right = [judge(one, p, self.reader) for one, p in zip(data.validation_followed, _joined(parts))]
        confidence = np.concatenate([p.max(1) for p in _joined(parts)])
        return {
            "kind": DIALOGUE,
            "templates": self.reader.actions.templates,
            "goes_on": data.goes_on,
            "looks_up": data.looks_up,
            "next": self.next,
            "threshold": learn_doubt(confidence, np.concatenate(right)),
            "validation": self.settings.validation,
        }

    def files(self, parts: Sequence[Any]) -> dict[str, bytes]:
        """Words, knowledge base, an example."""
        return {
            WORDS: ("\n".join(self.reader.vocabulary) + "\n").encode(),
            KNOWLEDGE: self.reader.knowledge.to_bytes(),
            EXAMPLE: as_text(self.data.validation[0]).encode(),
        }

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """Probabilities and replies of the first validation dialogue, and the threshold."""
        (p,), followed = self._probabilities(networks, [0]), self.data.validation_followed[0]
        text = np.frombuffer(as_text(self.data.validation[0]).encode(), np.uint8).copy()
        return Answer({ANSWERED: text}, outputs_of(followed, p, task_config["threshold"]))

    def describe(self) -> dict[str, Any]:
        """Counts, knowledge and warnings."""
        data, knowledge = self.data, self.reader.knowledge
        return {
            "source": data.source,
            "split": "its own parts, or a share of the dialogues",
            "train": len(data.train),
            "validation": len(data.validation),
            "actions": len(self.reader.actions),
            "words": len(self.reader.vocabulary),
            "knowledge": f"{len(knowledge.facts):,} subjects of {data.knowledge_file or 'the dialogues'}",
            "criteria": ", ".join(knowledge.criteria) or "none",
            "rank": knowledge.rank or "none",
            **({"warnings": data.warnings} if data.warnings else {}),
        }

    def _probabilities(self, networks: Networks, rows: Sequence[int]) -> list[NDArray[np.float64]]:
        chosen = [self.data.validation_followed[row] for row in rows]
        lengths = np.array([len(one.actions) for one in chosen], np.int64)
        x = np.zeros((len(chosen), int(lengths.max()), self.reader.size), np.float32)
        for k, one in enumerate(chosen):
            x[k, : lengths[k]] = one.x
        out, _ = networks["main"](self.tensors(x, networks), lengths=self.tensors(lengths, networks))
        logits = out.detach().float().cpu().numpy()
        return [masked_softmax(row[: len(one.actions)], one.mask) for row, one in zip(logits, chosen)]


def _joined(parts: Sequence[Any]) -> list[NDArray[np.float64]]:
    return [p for part in parts for p in part]
