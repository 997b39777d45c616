"""What a user does with an assistant, without torch: talk to it, score it, look inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.errors import CongruError, DataError
from congru.runtime.model import Model
from congru.tasks.assistant.conversation import Conversation
from congru.tasks.assistant.data import NO_INTENT, read_part, unknown_labels
from congru.tasks.assistant.examples import Example, cut_words
from congru.tasks.assistant.scoring import Assistant, known_measures, load_assistant, measures

_HELP = "Write a sentence. /undo forgets the last, /save FILE and /load FILE keep and restore, /reset, /quit."
_BATCH = 256


def run(
    model: Path,
    /,
    text: str | None = None,
    *,
    json: Annotated[bool, Parameter(negative=())] = False,
    load: Path | None = None,
    save: Path | None = None,
) -> int:
    """Say what a sentence wants, or talk in the terminal and keep the state card over the turns.

    Parameters
    ----------
    model:
        A model folder.
    text:
        One sentence; without it sentences are read line by line.
    json:
        One JSON object a turn.
    load:
        Go on from a conversation that was saved.
    save:
        Save the conversation at the end.
    """
    conversation = Conversation(load_assistant(model))
    if load is not None:
        conversation.restore(load)
    if text is not None:
        print(_answer(conversation, text, json))
    else:
        _talk(conversation, json)
    if save is not None:
        conversation.save(save)
    return 0


def _answer(conversation: Conversation, text: str, as_json: bool) -> str:
    turn = conversation.say(text)
    return (
        json.dumps(conversation.as_json(turn), ensure_ascii=False) if as_json else conversation.as_text(turn)
    )


def _talk(conversation: Conversation, as_json: bool) -> None:
    """Lines until the end of input; what cannot be done costs one line."""
    if not as_json:
        print(_HELP)
    while True:
        try:
            line = input("" if as_json else "> ").strip()
        except EOFError:
            return
        if line == "/quit":
            return
        try:
            told = _command(conversation, line) if line.startswith("/") else ""
            told = told or _answer(conversation, line, as_json)
        except CongruError as error:
            told = json.dumps({"error": str(error)}) if as_json else str(error)
        print(told)


def _command(conversation: Conversation, line: str) -> str:
    """What a command did, empty where the line is none."""
    word, _, path = line.partition(" ")
    if word == "/undo":
        return "forgot the last turn" if conversation.undo() else "nothing to undo"
    if word == "/reset":
        conversation.cards = conversation.cards[:1]
        return "forgot everything"
    if word == "/save" and path:
        conversation.save(path)
        return f"saved to {path}"
    if word == "/load" and path:
        conversation.restore(path)
        return f"goes on after {conversation.card.turns} turns"
    return ""


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Literal["validation", "test", "all"] = "validation",
    json: Annotated[bool, Parameter(negative=())] = False,
    quiet: bool = False,
) -> dict[str, dict[str, float]]:
    """Score marked sentences: intent accuracy, slot F1 over spans, both right; and at the threshold.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A training file or a folder with parts.
    part:
        validation: the part that training kept aside; test: a folder's or file's own; all: the whole file.
    json:
        Print one JSON object.
    quiet:
        Print nothing.
    """
    assistant = load_assistant(model)
    examples = read_part(data, part, float(assistant.model.task_config["validation"])).examples
    if not examples:
        raise DataError(f"{data} has no examples in part {part}, expected some: pass --part all")
    rows = score(assistant, examples)
    if not quiet:
        print(_table(rows, len(examples), as_json=json))
        if not json:
            for line in unknown_labels(examples, assistant.intents, assistant.tags, part):
                print(line)
    return rows


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


def _table(rows: dict[str, dict[str, float]], count: int, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"sentences": count, **rows})
    lines = [f"{count} sentences"]
    for name, values in rows.items():
        told = "  ".join(f"{key} {100 * value:.2f} %" for key, value in values.items())
        lines.append(f"  {name:24}{told}")
    return "\n".join(lines)


def inspect_inputs(model: Model, source: str | None = None) -> tuple[NDArray[np.int64], list[str]]:
    """The tokens [1, T, 8] of a sentence and its words; without one, a sentence of known words.

    Raises:
        DataError: a sentence without words.
    """
    assistant = Assistant(model)
    known = list(assistant.vocabulary.tables[0])[:12]
    words = known if source is None else [word for word, _, _ in cut_words(source, assistant.cut_by_blanks)]
    if not words:
        raise DataError(f"source is {source!r}, expected a sentence: write some words")
    return assistant.vocabulary.encode(words)[None], words
