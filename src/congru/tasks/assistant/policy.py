"""A trained dialogue policy without torch: which reply it gives at a turn, and its metrics on dialogues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.runtime.answer import Arrays
from congru.runtime.model import Model
from congru.tasks.assistant.actions import Actions
from congru.tasks.assistant.dialogue_data import NextAction, masked_softmax
from congru.tasks.assistant.dialogues import Dialogue, parse_dialogues
from congru.tasks.assistant.knowledge import Knowledge
from congru.tasks.assistant.turns import Followed, Reader
from congru.tasks.loading import SHARE, fitting

DIALOGUE = "dialogue"
WORDS, KNOWLEDGE, EXAMPLE, ANSWERED = "words.txt", "knowledge.json", "example.txt", "dialogue"
_BATCH = 256


class Policy:
    """A loaded model with its actions, its words, its knowledge base and its threshold."""

    @fitting(templates=list, goes_on=list, looks_up=bool, next=list, threshold=SHARE, validation=SHARE)
    def __init__(self, model: Model) -> None:
        self.model = model
        config = model.task_config
        self.goes_on = frozenset(config["goes_on"])
        self.looks_up = bool(config["looks_up"])
        self.threshold = float(config["threshold"])
        self.counts = NextAction(config["next"])
        knowledge = Knowledge.parse(model.files[KNOWLEDGE])
        words = model.files[WORDS].decode().split("\n")[:-1]
        self.reader = Reader(words, Actions(config["templates"]), knowledge)

    def follow(self, dialogues: Sequence[Dialogue]) -> list[Followed]:
        """The dialogues with the replies that they hold."""
        return [self.reader.follow(dialogue) for dialogue in dialogues]

    def probabilities(self, followed: Sequence[Followed]) -> list[NDArray[np.float64]]:
        """p [T, A] of every dialogue."""
        result: list[NDArray[np.float64]] = []
        for begin in range(0, len(followed), _BATCH):
            chosen = followed[begin : begin + _BATCH]
            lengths = np.array([len(one.actions) for one in chosen], np.int64)
            x = np.zeros((len(chosen), int(lengths.max()), self.reader.size), np.float32)
            for row, one in zip(x, chosen):
                row[: len(one.x)] = one.x
            out: Any = self.model.run(x, lengths)[0]
            result += [masked_softmax(row[: len(one.x)], one.mask) for row, one in zip(out, chosen)]
        return result


def policy_reply(model: Model, inputs: Arrays) -> Arrays:
    """The whole answer: probabilities and actions of the stored dialogue, and the threshold."""
    policy = Policy(model)
    (followed,) = policy.follow(parse_dialogues(bytes(inputs[ANSWERED]).decode(), ANSWERED))
    (p,) = policy.probabilities([followed])
    return outputs_of(followed, p, policy.threshold)


def outputs_of(followed: Followed, p: NDArray[np.float64], threshold: float) -> dict[str, Any]:
    """The arrays that the stored answer holds: p [T, A], actions [T] and those of the dialogue [T], threshold [1]."""
    return {
        "probabilities": p.astype(np.float32),
        "actions": p.argmax(1).astype(np.int64) + 1,
        "followed": followed.actions + 1,
        "threshold": np.array([threshold], np.float32),
    }


def learn_doubt(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The confidence below which no reply is given: half of the lowest that a right validation reply has.

    >>> learn_doubt(np.array([0.9, 0.8, 0.5]), np.array([True, True, False]))
    0.4
    """
    return round(float(confidence[right].min()) / 2, 12) if right.any() else 0.0
