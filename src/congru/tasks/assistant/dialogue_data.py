"""Dialogues for training and validation, followed turn by turn; what a person would try first; the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, ShapeError
from congru.tasks.assistant.dialogue_files import DialogueFiles, read_facts
from congru.tasks.assistant.dialogues import SILENCE, Dialogue
from congru.tasks.assistant.knowledge import Knowledge
from congru.tasks.assistant.settings import Settings
from congru.tasks.assistant.turns import Followed, Reader, learn_reader


@dataclass(frozen=True)
class DialogueData:
    """Dialogues of both parts as they are read and as the network learns them."""

    source: str
    train: list[Dialogue]
    validation: list[Dialogue]
    reader: Reader
    followed: list[Followed]
    validation_followed: list[Followed]
    knowledge_file: Path | None
    warnings: list[str]

    @property
    def looks_up(self) -> bool:
        """Whether facts are told in the training dialogues, so that a conversation looks up its own."""
        return any(turn.looked_up for dialogue in self.train for turn in dialogue.turns)

    @property
    def goes_on(self) -> list[int]:
        """The actions after which the person always kept silent: a conversation goes on by itself."""
        after: dict[int, Counter[bool]] = {}
        for dialogue, followed in zip(self.train, self.followed):
            for number, turn in zip(followed.actions[:-1], dialogue.turns[1:]):
                after.setdefault(int(number), Counter())[turn.sentence == SILENCE] += 1
        return sorted(number for number, counts in after.items() if not counts[False])


def prepare_dialogues(files: DialogueFiles, settings: Settings) -> DialogueData:
    """Read the parts and the knowledge base; without one the facts of the training dialogues are the knowledge.

    Raises :class:`DataError` for too few dialogues or replies, or a rank that is none.
    """
    train = files.read("train", settings.validation)
    if settings.dialogues is not None:
        if settings.dialogues > len(train):
            raise DataError(
                f"dialogues is {settings.dialogues}, expected at most the {len(train)} of {files.source}: lower it"
            )
        train = train[: settings.dialogues]
    validation = files.read("validation", settings.validation)
    if not train:
        raise DataError(f"{files.source} has one dialogue, expected two (one for validation): add dialogues")
    facts = [fact for dialogue in train for turn in dialogue.turns for fact in turn.facts]
    if files.knowledge is not None:
        facts = read_facts(files.knowledge)
    sentences = (turn.sentence for dialogue in train for turn in dialogue.turns)
    reader = learn_reader(train, Knowledge.of(facts, sentences, settings.rank))
    if len(reader.actions) < 2:
        raise DataError(f"{files.source} has one reply in all its dialogues, expected two: add another")
    followed = [reader.follow(dialogue) for dialogue in train]
    kept = [reader.follow(dialogue) for dialogue in validation]
    return DialogueData(
        source=files.source,
        train=train,
        validation=validation,
        reader=reader,
        followed=followed,
        validation_followed=kept,
        knowledge_file=files.knowledge,
        warnings=_warnings(kept, reader),
    )


def _warnings(followed: Sequence[Followed], reader: Reader) -> list[str]:
    actions = np.concatenate([one.actions for one in followed])
    strange = int((actions == len(reader.actions)).sum())
    if not strange:
        return []
    return [f"{strange} of {len(actions)} validation replies are none of training's; they count as mistakes"]


class NextAction:
    """How often an action [A] came after another [A + 1, the last row: at the beginning], each count plus a tenth.

    p(action | last action, mask), or alone p(action | mask): what a person would try first.
    """

    def __init__(self, counts: Sequence[Sequence[int]]) -> None:
        self.counts = np.asarray(counts, np.float64) + 0.1
        if self.counts.ndim != 2 or len(self.counts) != self.counts.shape[1] + 1:
            raise ShapeError(
                f"counts has shape {self.counts.shape}, expected [A + 1, A]: the last row is for the beginning"
            )

    @classmethod
    def count(cls, followed: Sequence[Followed], num_actions: int) -> list[list[int]]:
        """The counts of the training dialogues."""
        counts = np.zeros((num_actions + 1, num_actions), np.int64)
        for one in followed:
            for last, number in zip(_last_actions(one.actions, num_actions), one.actions):
                if number < num_actions:
                    counts[last, number] += 1
        result: list[list[int]] = counts.tolist()
        return result

    def probabilities(self, followed: Followed, alone: bool = False) -> NDArray[np.float64]:
        """p [T, A]."""
        counts = self.counts[_last_actions(followed.actions, self.counts.shape[1])]
        if alone:
            counts = np.broadcast_to(self.counts.sum(0), counts.shape)
        return masked_softmax(np.log(counts), followed.mask)


def _last_actions(actions: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    return np.concatenate([[first], actions[:-1]]).astype(np.int64)


def masked_softmax(logits: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """softmax over the actions that can be said, [..., A]; over all where none can.

    >>> masked_softmax(np.zeros((1, 3), np.float32), np.array([[True, False, True]])).tolist()
    [[0.5, 0.0, 0.5]]
    """
    open_ = np.where(mask.any(-1, keepdims=True), mask, True)
    scores = np.where(open_, logits.astype(np.float64), -np.inf)
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    result: NDArray[np.float64] = exponentials / exponentials.sum(-1, keepdims=True)
    return result


def judge(followed: Followed, probabilities: NDArray[np.float64], reader: Reader) -> NDArray[np.bool_]:
    """Whether the most probable action of every turn [T] gives the reply of the dialogue, word for word."""
    chosen = probabilities.argmax(1)
    return np.array(
        [
            bool(mask[number]) and reader.actions.say(int(number), values) == reply
            for number, mask, values, reply in zip(
                chosen, followed.mask, followed.placeholder_values, followed.replies
            )
        ],
        bool,
    )


def dialogue_measures(
    followed: Sequence[Followed], probabilities: Sequence[NDArray[np.float64]], reader: Reader
) -> dict[str, float]:
    """nats per reply (a reply that is no action counts as probability 1e-6), share of right replies, of whole dialogues."""
    nats, right, whole = [], [], []
    for one, p in zip(followed, probabilities):
        padded = np.concatenate([p, np.zeros((len(p), 1))], axis=1)
        nats.append(-np.log(np.maximum(padded[np.arange(len(p)), one.actions], 1e-6)))
        right.append(judge(one, p, reader))
        whole.append(bool(right[-1].all()))
    return {
        "nats": float(np.concatenate(nats).mean()),
        "response": float(np.concatenate(right).mean()),
        "dialogue": float(np.mean(whole)),
    }


def baseline_measures(
    table: NextAction, followed: Sequence[Followed], reader: Reader
) -> dict[str, dict[str, float]]:
    """The metrics of :class:`NextAction` on dialogues."""
    return {
        name: dialogue_measures(followed, [table.probabilities(one, alone) for one in followed], reader)
        for name, alone in (("most frequent after the last reply", False), ("most frequent", True))
    }
