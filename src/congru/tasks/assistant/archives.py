"""Exports of other systems as archives: Dialogflow (sentences in pieces) and Amazon Lex (sentences with placeholders for values).

intents/NAME_usersays_en.json   [{"data": [{"text": "brew a "}, {"text": "dark roast", "alias": "roast"}]}]
NAME_Export.json                {"resource": {"intents": [{"sampleUtterances": ["brew a {roast} {coffeeDrink}"]}], ..}}
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from congru.errors import DataError
from congru.tasks.assistant.examples import Corpus, Example, Span, make_example, of_pieces

_USERSAYS = re.compile(r"(?:.*/)?(?P<intent>[^/]+)_usersays_[\w-]+\.json")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def read_archive(raw: bytes, path: str) -> Corpus:
    """The sentences of an export.

    Raises :class:`DataError` for a damaged archive, one of another system, or an export without sentences.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            files = {
                name: json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".json")
            }
            count = len(archive.namelist())
    except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError) as error:
        raise DataError(f"{path} is no whole archive of JSON files ({error}): export it again") from None
    sentences_by_intent = {
        match["intent"]: files[name] for name in files if (match := _USERSAYS.fullmatch(name))
    }
    lex = [content["resource"] for content in files.values() if _is_lex(content)]
    if not sentences_by_intent and not lex:
        raise DataError(
            f"{path} is an archive of {count} files, none of which holds sentences, expected an export of Dialogflow or Lex:"
            " export sentences as text and intent"
        )
    try:
        examples = (
            _dialogflow(sentences_by_intent)
            if sentences_by_intent
            else [example for bot in lex for example in _lex(bot)]
        )
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"{path} lacks {error} in a sentence, expected it in each: export it again") from None
    examples = [example for example in examples if example.words]
    if not examples:
        raise DataError(f"{path} has no sentences, expected some under an intent: add sentences")
    note = "its sentences hold placeholders; each is filled with the values of its list in turn"
    return Corpus(examples, warnings=[] if sentences_by_intent else [f"{path}: {note}"])


def _dialogflow(sentences_by_intent: Mapping[str, Any]) -> list[Example]:
    return [
        of_pieces(sentence["data"], "alias", intent)
        for intent, sentences in sentences_by_intent.items()
        for sentence in sentences
    ]


def _is_lex(content: Any) -> bool:
    resource = content.get("resource") if isinstance(content, dict) else None
    return isinstance(resource, dict) and isinstance(resource.get("intents"), list)


def _lex(bot: Mapping[str, Any]) -> list[Example]:
    """A sentence for each sample; its placeholders take the values of their slot types, the next one each time."""
    types = {entry["name"]: _values(entry) for entry in bot.get("slotTypes", [])}
    taken: dict[str, int] = {}
    examples = []
    for intent in bot["intents"]:
        slots = {slot["name"]: types.get(slot["slotType"], []) for slot in intent.get("slots", [])}
        for sample in intent.get("sampleUtterances", []):
            text, spans, last = "", [], 0
            for match in _PLACEHOLDER.finditer(sample):
                name, values = match[1], slots.get(match[1]) or [match[1]]
                value = values[taken.get(name, 0) % len(values)]
                taken[name] = taken.get(name, 0) + 1
                text += sample[last : match.start()]
                spans.append(Span(len(text), len(text) + len(value), name))
                text += value
                last = match.end()
            examples.append(make_example(text + sample[last:], spans, intent["name"]))
    return examples


def _values(entry: Mapping[str, Any]) -> Sequence[str]:
    """The values of a slot type and their other spellings, each once."""
    spellings: dict[str, None] = {}
    for value in entry.get("enumerationValues", []):
        spellings.update(dict.fromkeys([value["value"], *value.get("synonyms", [])]))
    return list(spellings)
