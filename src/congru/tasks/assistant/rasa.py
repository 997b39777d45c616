"""Rasa's training data: YAML (versions 2 and 3), the sentences of test conversations, and the older markdown.

    - intent: search                           ## intent:search
      examples: |                              - food in the [north](area)
        - food in the [north](area)            - [chines](cuisine:chinese) food
        - [chines]{"entity": "cuisine"} food

An entity mark is `[words](slot)`, `[words](slot:value)` or `[words]{"entity": slot, ...}`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from congru.data.plain_yaml import parse_yaml
from congru.errors import DataError
from congru.tasks.assistant.examples import Corpus, Example, Span, make_example
from congru.tasks.assistant.rasa_stories import describe

_MARK = re.compile(r"\[(?P<words>[^\[\]]+)\](?:\((?P<slot>[^():]+)(?::[^()]*)?\)|(?P<json>\{[^{}]*\}))")
_HEAD = re.compile(r"##\s*(?P<kind>\w+)\s*:\s*(?P<name>.+)")


def read_marked(line: str, intent: str | None, where: str) -> Example:
    """The example of a sentence with entity marks; raises :class:`DataError` for a mark without a slot or no words.

    >>> read_marked("food in the [north](area)", "search", "x line 1").tags
    ('O', 'O', 'O', 'B-area')
    """
    text, spans, last = "", [], 0
    for match in _MARK.finditer(line):
        slot = match["slot"] or _slot_of(match["json"], where)
        text += line[last : match.start()]
        spans.append(Span(len(text), len(text) + len(match["words"]), slot.strip()))
        text += match["words"]
        last = match.end()
    text += line[last:]
    example = make_example(text, spans, intent)
    if not example.words:
        raise DataError(f"{where} has no words, expected a sentence: write one or delete the line")
    return example


def _slot_of(content: str, where: str) -> str:
    try:
        return str(json.loads(content)["entity"])
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f'{where}: the mark {content} names no slot, expected {{"entity": "slot"}}: correct it'
        ) from None


def read_yaml(content: str, path: str) -> Corpus:
    """The intents of a YAML file; synonyms and regular expressions are counted, not used for training.

    Raises :class:`DataError` for a file that is not YAML or has no examples.
    """
    try:
        document = parse_yaml(content)
    except ValueError as error:
        raise DataError(f"{path} is not YAML ({error}), expected Rasa's nlu.yml: correct the line") from None
    blocks = document.get("nlu") if isinstance(document, dict) else None
    if not isinstance(blocks, list):
        conversations = _conversations(document, path) if isinstance(document, dict) else []
        if conversations:
            return Corpus(conversations)
        holds = describe(document) if isinstance(document, dict) else ""
        raise DataError(
            f"{path} {f'holds {holds}, no sentences' if holds else 'has no list of sentences under nlu'},"
            " expected Rasa's training sentences: pass nlu.yml"
        )
    examples: list[Example] = []
    counts = {"synonym": 0, "regex": 0}
    num_bare = 0
    for number, block in enumerate(blocks, 1):
        where = f"{path} nlu block {number}"
        if not isinstance(block, dict):
            raise DataError(f"{where} is {block!r}, expected intent and examples: correct it")
        for kind in counts:
            counts[kind] += kind in block
        if "intent" not in block:
            continue
        lines = block.get("examples")
        if isinstance(lines, list):
            lines = "\n".join(str(line["text"] if isinstance(line, dict) else line) for line in lines)
        if not isinstance(lines, str):
            raise DataError(f"{where} has no examples, expected 'examples: |' and sentences: add some")
        for line in lines.splitlines():
            bare = line.strip()
            if not bare:
                continue
            dashed = bare.startswith("- ")
            num_bare += not dashed
            examples.append(
                read_marked(bare[2:].strip() if dashed else bare, str(block["intent"]).strip(), where)
            )
    if not examples:
        raise DataError(f"{path} has no examples, expected some under an intent: add sentences")
    warnings = [f"{path}: {num_bare} examples have no leading dash, read all the same"] if num_bare else []
    return Corpus(examples, warnings=warnings, num_synonyms=counts["synonym"], num_regexes=counts["regex"])


def _conversations(document: dict[str, Any], path: str) -> list[Example]:
    """The sentences of test conversations: the steps of stories that hold `user` and `intent`."""
    stories = document.get("stories")
    steps = [
        step
        for story in (stories if isinstance(stories, list) else [])
        if isinstance(story, dict)
        for step in (story.get("steps") or [])
        if isinstance(step, dict) and "user" in step and "intent" in step
    ]
    return [
        read_marked(" ".join(str(step["user"]).split()), str(step["intent"]).strip(), f"{path} user {number}")
        for number, step in enumerate(steps, 1)
    ]


def read_markdown(content: str, path: str) -> Corpus:
    """The intents of the older markdown; list marks are -, * and +. Raises :class:`DataError` for other lines."""
    examples: list[Example] = []
    counts = {"synonym": 0, "regex": 0}
    kind = name = ""
    for number, line in enumerate(content.split("\n"), 1):
        bare = line.strip()
        head = _HEAD.fullmatch(bare)
        if head:
            kind, name = head["kind"], head["name"].strip()
            if kind in counts:
                counts[kind] += 1
        elif bare and not bare.startswith("<!--"):
            if bare[:2] not in ("- ", "* ", "+ ") or not kind:
                raise DataError(
                    f"{path} line {number}: {bare!r} is no list item under a head, expected '- sentence': correct it"
                )
            if kind == "intent":
                examples.append(read_marked(bare[2:].strip(), name, f"{path} line {number}"))
    if not examples:
        raise DataError(f"{path} has no examples, expected '## intent:name' and '- sentence': add sentences")
    return Corpus(examples, num_synonyms=counts["synonym"], num_regexes=counts["regex"])
