"""Sentiment word by word, translation with its attention, an assistant with its state card: sentences in, plain values out."""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.errors import DataError
from congru.serve.library import Shelf
from congru.serve.subjects.subject import of_task
from congru.serve.subjects.translate import check_length, translator_of

MOST_CHARACTERS = 20_000
MOST_TURNS = 200


def classify(shelf: Shelf, text: str) -> dict[str, Any]:
    """The classes of a text with what every word gave, and the running probability where the model reads forward only."""
    from congru.tasks.sentiment.attribution import attribute_text
    from congru.tasks.sentiment.classifier import Classifier

    _check(text)
    classifier = shelf.made("sentiment", lambda model: Classifier.of(of_task(model, "sentiment")))
    explained = attribute_text(classifier, text, None)
    running = None
    if classifier.streams:
        running = [
            {"word": moment.piece, "p": np.round(moment.probabilities, 5).tolist()}
            for moment in classifier.stream(text)
        ]
    return {
        "classes": classifier.classes,
        "probabilities": explained.probabilities,
        "target": explained.target,
        "words": [
            {"word": word, "written": written, "counted": counted}
            for word, written, counted in zip(
                explained.pieces,
                np.nan_to_num(explained.written).tolist(),
                np.nan_to_num(explained.counted).tolist(),
            )
        ],
        "start": _number(explained.start),
        "constant": _number(explained.constant),
        "evidence": _number(explained.evidence),
        "residual": _number(explained.residual),
        "trust": _number(explained.trust),
        "running": running,
    }


def translate(shelf: Shelf, text: str, beam: int) -> dict[str, Any]:
    """The best translations, and where the words of the first looked."""
    from congru.tasks.translate.alignment import align

    _check(text)
    translator = translator_of(shelf)
    check_length(translator, text)
    best = translator.translate([text], beam_size=beam, num_best=min(beam, 3))[0]
    attention = None
    if translator.attends and best:
        alignment = align(translator, text, best[0])
        attention = {
            "source": alignment.source,
            "target": alignment.target,
            "weights": np.round(alignment.weights, 4).tolist(),
        }
    return {
        "translations": [{"text": one.text, "score": one.score, "ended": one.ended} for one in best],
        "attention": attention,
    }


def talk(shelf: Shelf, turns: list[str]) -> dict[str, Any]:
    """A conversation from its start: what each sentence was answered, with the state card after it."""
    from congru.tasks.assistant.conversation import Conversation
    from congru.tasks.assistant.policy import Policy
    from congru.tasks.assistant.scoring import Assistant
    from congru.tasks.assistant.talk import Talk
    from congru.tasks.assistant.trained import is_dialogue

    if len(turns) > MOST_TURNS:
        raise DataError(f"turns has {len(turns)}, expected at most {MOST_TURNS}: begin anew")
    made: Any = shelf.made(
        "assistant", lambda model: (Policy if is_dialogue(of_task(model, "assistant")) else Assistant)(model)
    )
    dialogue = isinstance(made, Policy)
    conversation: Any = Talk(made) if dialogue else Conversation(made)
    answers = []
    for turn in turns:
        _check(turn)
        answers.append(conversation.as_json(conversation.say(turn)))
    return {"kind": "dialogue" if dialogue else "sentences", "turns": answers}


def _check(text: str) -> None:
    if len(text) > MOST_CHARACTERS:
        raise DataError(f"text has {len(text)} characters, expected at most {MOST_CHARACTERS}: send less")
    if not text.strip():
        raise DataError("text is empty, expected at least one word: write some")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
