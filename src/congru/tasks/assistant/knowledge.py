"""A knowledge base: subjects with properties and values; which values a sentence names, and what fits a request.

    resto_paris_cheap_1  R_cuisine  french

*Criteria* are the properties whose values people say; of those a dialogue keeps what was asked. The *rank* is a property
of numbers: what fits is offered from the highest down.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from congru.errors import DataError
from congru.tasks.assistant.dialogues import Fact
from congru.tasks.assistant.examples import cut_words

Facts = Mapping[str, Mapping[str, str]]


class Phrases:
    """Phrases with a name each, found in a sentence: the longest first, from the left; letters of any case."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}
        for phrase, name in names.items():
            for spelling in dict.fromkeys((phrase, phrase.replace("_", " "))):
                words = tuple(word.lower() for word, _, _ in cut_words(spelling))
                if words:
                    self._by_first.setdefault(words[0], []).append((words, name, phrase))
        for phrases in self._by_first.values():
            phrases.sort(key=lambda entry: -len(entry[0]))

    def find(self, text: str) -> list[tuple[int, int, str, str]]:
        """Begin, end, name and phrase of each, in order.

        >>> Phrases({"north_american": "food"}).find("some North American please")
        [(5, 19, 'food', 'north_american')]
        """
        words = cut_words(text)
        lowered = [word.lower() for word, _, _ in words]
        matches: list[tuple[int, int, str, str]] = []
        position = 0
        while position < len(words):
            length = 1
            for phrase, name, written in self._by_first.get(lowered[position], ()):
                if tuple(lowered[position : position + len(phrase)]) == phrase:
                    length = len(phrase)
                    matches.append((words[position][1], words[position + length - 1][2], name, written))
                    break
            position += length
        return matches


@dataclass(frozen=True)
class Knowledge:
    """Facts by subject, the criteria, and the rank (None: the order of the file)."""

    facts: Facts
    criteria: tuple[str, ...]
    rank: str | None

    @classmethod
    def of(cls, facts: Iterable[Fact], sentences: Iterable[str], rank: str | None) -> Knowledge:
        """From facts, and the sentences of the training dialogues.

        Raises :class:`DataError` where `rank` names no property of numbers.
        """
        subjects: dict[str, dict[str, str]] = {}
        values: dict[str, set[str]] = {}
        for subject, name, value in facts:
            subjects.setdefault(subject, {})[name] = value
            values.setdefault(name, set()).add(value)
        rank = _rank(values, rank)
        phrases = Phrases({v: n for n in reversed(values) for v in sorted(values[n]) if n != rank})
        mentioned = {name for sentence in sentences for _, _, name, _ in phrases.find(sentence)}
        return cls(subjects, tuple(name for name in values if name in mentioned), rank)

    @classmethod
    def parse(cls, content: bytes) -> Knowledge:
        """From the bytes of :meth:`to_bytes`."""
        document = json.loads(content)
        return cls(document["facts"], tuple(document["criteria"]), document["rank"])

    def to_bytes(self) -> bytes:
        """Facts, criteria and rank as JSON."""
        document = {"criteria": list(self.criteria), "rank": self.rank, "facts": self.facts}
        return json.dumps(document, ensure_ascii=False).encode()

    @cached_property
    def phrases(self) -> Phrases:
        """Every value of a criterion, by the name of the criterion; of two the first."""
        names: dict[str, str] = {}
        for name in self.criteria:
            for properties in self.facts.values():
                if name in properties:
                    names.setdefault(properties[name], name)
        return Phrases(names)

    def look_up(self, asked: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """The subjects that have every value asked for, with their facts."""
        return {
            subject: dict(properties)
            for subject, properties in self.facts.items()
            if all(properties.get(name) == value for name, value in asked.items())
        }

    def ordered(self, facts: Facts) -> tuple[str, ...]:
        """Subjects by rank, the highest first; those without a number last, in the order of the facts."""
        rank = self.rank
        if rank is None:
            return tuple(facts)
        return tuple(sorted(facts, key=lambda subject: -_number(facts[subject].get(rank, ""))))


def by_subject(facts: Sequence[Fact]) -> dict[str, dict[str, str]]:
    """Facts by subject and property."""
    subjects: dict[str, dict[str, str]] = {}
    for subject, name, value in facts:
        subjects.setdefault(subject, {})[name] = value
    return subjects


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("-inf")


def _rank(values: Mapping[str, set[str]], wanted: str | None) -> str | None:
    """The property of numbers: the one wanted, the only one, or the only one called a rating; None where unclear."""
    numeric = [name for name in values if all(_number(value) > float("-inf") for value in values[name])]
    if wanted is not None:
        if wanted not in numeric:
            raise DataError(
                f"rank is {wanted!r}, expected a property of numbers ({', '.join(numeric) or 'there is none'}):"
                " change --rank or leave it out"
            )
        return wanted
    rated = [name for name in numeric if "rating" in name.lower()]
    return next((candidates[0] for candidates in (numeric, rated) if len(candidates) == 1), None)
