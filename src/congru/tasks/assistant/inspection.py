"""How a sentence or a dialogue is shown in the report about the gates: its words or turns, the intent or the next reply."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from congru.gates.parts import has_parts, parts_of_steps
from congru.gates.predictions import MOST_CHOICES, percent
from congru.gates.reading import Choice, Prediction, Reading
from congru.gates.record import Record
from congru.runtime.model import Model
from congru.tasks.assistant.policy import Policy
from congru.tasks.assistant.scoring import Assistant
from congru.tasks.assistant.trained import is_dialogue
from congru.tasks.assistant.use import dialogue_of, inspect_inputs


def inspect_reading(model: Model, source: str | None = None) -> Reading:
    """The words of a sentence, or the turns of a dialogue; see `inspect_inputs` for `source` and what is raised."""
    if is_dialogue(model):
        return _dialogue(model, source)
    x, words = inspect_inputs(model, source)
    assistant = Assistant(model)

    def predict(record: Record) -> Sequence[Prediction]:
        p = assistant.decide([words]).probabilities[0]
        return [Prediction(len(words) - 1, _likeliest(p, assistant.intents))]

    return Reading(
        x,
        words,
        step="word",
        flow=True,
        gap=" ",
        outputs=[_tag_name(tag) for tag in assistant.tags],
        predicts="The intent",
        predict=predict,
    )


def _tag_name(tag: str) -> str:
    """What a tag says of its word.

    >>> _tag_name("O"), _tag_name("B-city"), _tag_name("I-from_city")
    ('no slot', 'city', 'from city, continued')
    """
    if tag == "O":
        return "no slot"
    begins, name = tag[0] == "B", tag[2:].replace("_", " ")
    return name if begins else f"{name}, continued"


def _dialogue(model: Model, source: str | None) -> Reading:
    policy, dialogue = Policy(model), dialogue_of(model, source)
    followed = policy.reader.follow(dialogue)
    names = [template.replace("\n", " ") for template in policy.reader.actions.templates]

    def predict(record: Record) -> Sequence[Prediction]:
        (p,) = policy.probabilities([followed])
        readout = record.readout
        known = parts_of_steps(record) if readout is not None and has_parts(record) else None
        predictions = []
        for at, row in enumerate(p):
            shares = None
            if known is not None and readout is not None:
                shares = next(known) @ readout.weight[int(row.argmax())].astype(np.float64)
            right = int(followed.actions[at])
            predictions.append(
                Prediction(at, _likeliest(row, names, shares), names[right] if right < len(names) else "")
            )
        return predictions

    return Reading(
        followed.x[None],
        [turn.sentence for turn in dialogue.turns],
        step="turn",
        outputs=names,
        predicts="The next reply",
        predict=predict,
    )


def _likeliest(
    p: NDArray[np.float64], names: Sequence[str], shares: NDArray[np.float64] | None = None
) -> tuple[Choice, ...]:
    """The likeliest names, the first with its shares."""
    order = np.argsort(-p, kind="stable")[:MOST_CHOICES]
    return tuple(
        Choice(names[k], percent(float(p[k])), float(p[k]), shares if rank == 0 else None)
        for rank, k in enumerate(order.tolist())
    )
