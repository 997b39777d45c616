"""A trained assistant without torch: it understands sentences, and its metrics on marked ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from congru.errors import DataError
from congru.runtime.answer import Arrays
from congru.runtime.model import Model
from congru.tasks.assistant.data import NO_INTENT
from congru.tasks.assistant.decision import Decision, Field, decide, mean_of_members
from congru.tasks.assistant.examples import Example, cut_words, span_f1, spans_of
from congru.tasks.assistant.features import Vocabulary, pad
from congru.tasks.assistant.formats import OUT_OF_SCOPE
from congru.tasks.loading import SHARE, fitting

VOCABULARY = "vocabulary.json"
_BATCH = 256


@dataclass(frozen=True)
class Understanding:
    """What a sentence means: the intent (None: "I don't know"), its probability, slot -> values as written."""

    text: str
    intent: str | None
    guess: str
    confidence: float
    slots: dict[str, list[str]]


class Assistant:
    """A loaded model with its vocabulary, its chain and its threshold."""

    @fitting(intents=list, tags=list, cut_by_blanks=bool, validation=SHARE)
    def __init__(self, model: Model) -> None:
        self.model = model
        config = model.task_config
        self.intents: list[str] = config["intents"]
        self.tags: list[str] = config["tags"]
        self.threshold = float(config.get("threshold", 0.0))
        self.needed: dict[str, list[str]] = dict(config.get("needed", {}))
        self.cut_by_blanks = bool(config["cut_by_blanks"])
        self.vocabulary = Vocabulary.parse(model.files[VOCABULARY])
        self.field = Field.of(model.task_weights, self.tags)

    def decide(self, sentences: Sequence[Sequence[str]]) -> Decision:
        """Decisions for sentences as words, each of one word at least."""
        batch, lengths = pad([self.vocabulary.encode(words) for words in sentences])
        outputs: Any = self.model.run(batch, lengths)[0]
        tags, logits = mean_of_members("tags", outputs), mean_of_members("intent", outputs)
        return decide(tags, logits, lengths, self.field, self.intents)

    def paths(self, decision: Decision, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of each sentence by name."""
        return [[self.tags[k] for k in path[: len(words)]] for path, words in zip(decision.paths, sentences)]

    def understand(self, text: str) -> Understanding:
        """The meaning of a sentence; raises :class:`DataError` for one without words."""
        words = cut_words(text, self.cut_by_blanks)
        if not words:
            raise DataError(f"text is {text!r}, expected a sentence of one word at least: write some")
        names = [[word for word, _, _ in words]]
        decision = self.decide(names)
        (path,) = self.paths(decision, names)
        slots: dict[str, list[str]] = {}
        for slot, begin, end in spans_of(path):
            slots.setdefault(slot, []).append(text[words[begin][1] : words[end - 1][2]])
        guess, confidence = self.intents[int(decision.intents[0])], float(decision.confidence[0])
        known = confidence >= self.threshold and guess != OUT_OF_SCOPE
        return Understanding(text, guess if known else None, guess, confidence, slots)


def reply(model: Model, inputs: Arrays) -> Arrays:
    """The whole answer: probabilities and tags of the stored sentence, and the threshold."""
    assistant = Assistant(model)
    words = bytes(inputs["words"]).decode().split("\n")
    decision = assistant.decide([words])
    return outputs_of(decision, assistant.threshold)


def outputs_of(decision: Decision, threshold: float) -> dict[str, Any]:
    """The arrays that the stored answer holds."""
    return {
        "probabilities": decision.probabilities[0].astype(np.float32),
        "path": decision.paths[0].astype(np.int64) + 1,
        "threshold": np.array([threshold], np.float32),
    }


def measures(
    examples: Sequence[Example], intents: Sequence[str | None], paths: Sequence[Sequence[str]]
) -> dict[str, float]:
    """intent (accuracy), slot_f1, exact (both right) over the sentences in scope; one intent a sentence, None unknown."""
    rows = [row for row, example in enumerate(examples) if example.intent != OUT_OF_SCOPE]
    gold = [examples[row] for row in rows]
    named = [row for row in rows if examples[row].intent is not None]
    right = {row: intents[row] == (examples[row].intent or NO_INTENT) for row in rows}
    exact = [right[row] and spans_of(paths[row]) == spans_of(examples[row].tags) for row in rows]
    result = {"exact": float(np.mean(exact)) if exact else 0.0}
    if named:
        result["intent"] = float(np.mean([right[row] for row in named]))
    if any(tag != "O" for example in gold for tag in example.tags):
        result["slot_f1"] = span_f1([example.tags for example in gold], [paths[row] for row in rows])
    return result


def known_measures(
    examples: Sequence[Example], guesses: Sequence[str], confidence: Any, threshold: float
) -> dict[str, float]:
    """At the threshold: in_scope accuracy ("I don't know" is wrong), out_of_scope recall, dont_know share of all."""
    known = [c >= threshold and guess != OUT_OF_SCOPE for c, guess in zip(confidence, guesses)]
    within = [
        ok and guess == (example.intent or NO_INTENT)
        for ok, guess, example in zip(known, guesses, examples)
        if example.intent != OUT_OF_SCOPE
    ]
    outside = [not ok for ok, example in zip(known, examples) if example.intent == OUT_OF_SCOPE]
    result = {"dont_know": float(1 - np.mean(known))}
    if within:
        result["in_scope"] = float(np.mean(within))
    if outside:
        result["out_of_scope"] = float(np.mean(outside))
    return result


def score(assistant: Assistant, examples: list[Example]) -> dict[str, dict[str, float]]:
    """Rows "model", "model at the threshold" and "most frequent" (the most frequent intent, no slot)."""
    guesses: list[str] = []
    confidence: list[float] = []
    paths: list[list[str]] = []
    for begin in range(0, len(examples), _BATCH):
        words = [example.words for example in examples[begin : begin + _BATCH]]
        decision = assistant.decide(words)
        guesses += [assistant.intents[index] for index in decision.intents]
        confidence += decision.confidence.tolist()
        paths += assistant.paths(decision, words)
    named = [example.intent or NO_INTENT for example in examples]
    common = max(sorted(set(named)), key=named.count)
    return {
        "model": measures(examples, guesses, paths),
        "model at the threshold": known_measures(examples, guesses, confidence, assistant.threshold),
        "most frequent": measures(
            examples, [common] * len(examples), [["O"] * len(e.words) for e in examples]
        ),
    }
