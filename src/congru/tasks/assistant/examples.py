"""An example of an assistant: words, a BIO tag for each, an intent; and how sentences and marked spans become that.

Legend: T words, tags "O", "B-slot", "I-slot" (Ramshaw and Marcus 1995).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from congru.errors import DataError

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class Span:
    """Slot value at characters begin to end, end not included."""

    begin: int
    end: int
    slot: str


@dataclass(frozen=True)
class Example:
    """Words [T], tags [T], intent (None where the file has none) and the sentence as it was written."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    intent: str | None
    text: str


@dataclass(frozen=True)
class Corpus:
    """The examples of a file, whether its words were cut by the file itself, and warnings, one line each."""

    examples: list[Example]
    cut_by_blanks: bool = False
    warnings: list[str] = field(default_factory=list)
    num_synonyms: int = 0
    num_regexes: int = 0

    @property
    def intents(self) -> list[str]:
        """Names of the intents in alphabetical order."""
        return sorted({example.intent for example in self.examples if example.intent is not None})

    @property
    def num_slot_values(self) -> int:
        """Slot values marked in all examples."""
        return sum(len(spans_of(example.tags)) for example in self.examples)

    @property
    def num_duplicates(self) -> int:
        """Examples whose sentence stands before them already."""
        return len(self.examples) - len({example.text for example in self.examples})

    @property
    def conflicts(self) -> list[str]:
        """Sentences that stand under two intents or more."""
        intents: dict[str, set[str | None]] = {}
        for example in self.examples:
            intents.setdefault(example.text, set()).add(example.intent)
        return sorted(text for text, names in intents.items() if len(names) > 1)


def cut_words(text: str, by_blanks: bool = False) -> list[tuple[str, int, int]]:
    """The words of a sentence with where they begin and end.

    >>> [word for word, _, _ in cut_words("What's up, bot?")]
    ["What's", 'up', ',', 'bot', '?']
    """
    pattern = re.compile(r"\S+") if by_blanks else _WORD
    return [(match.group(), match.start(), match.end()) for match in pattern.finditer(text)]


def make_example(text: str, spans: Iterable[Span], intent: str | None) -> Example:
    """Words and tags of a sentence; a word that a span touches belongs to it.

    >>> make_example("to New York now", [Span(3, 11, "city")], "fly").tags
    ('O', 'B-city', 'I-city', 'O')
    """
    words = cut_words(text)
    tags = ["O"] * len(words)
    for span in spans:
        inside = [i for i, (_, begin, end) in enumerate(words) if begin < span.end and end > span.begin]
        for rank, index in enumerate(inside):
            tags[index] = ("I-" if rank else "B-") + span.slot
    return Example(tuple(word for word, _, _ in words), tuple(tags), intent, text)


def of_pieces(pieces: Iterable[Mapping[str, str]], slot: str, intent: str | None) -> Example:
    """A sentence that stands in pieces, each with its "text"; those of a slot name it under the key `slot`.

    >>> of_pieces([{"text": "to "}, {"text": "New York", "city": "goal"}], "city", "fly").tags
    ('O', 'B-goal', 'I-goal')
    """
    text, spans = "", []
    for piece in pieces:
        if slot in piece:
            spans.append(Span(len(text), len(text) + len(piece["text"]), piece[slot]))
        text += piece["text"]
    return make_example(text, spans, intent)


def spans_of(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The (slot, first word, word after the last) of a tag path, as seqeval reads BIO in its default mode.

    B- begins a span, and so does an I- after O or after another slot.

    >>> spans_of(["I-a", "I-a", "B-a", "O", "I-b"])
    [('a', 0, 2), ('a', 2, 3), ('b', 4, 5)]
    """
    spans: list[tuple[str, int, int]] = []
    slot, begin = "", 0
    for index, tag in enumerate([*tags, "O"]):
        kind, name = tag[:1], tag[2:]
        if slot and (kind != "I" or name != slot):
            spans.append((slot, begin, index))
            slot = ""
        if kind != "O" and not slot:
            slot, begin = name, index
    return spans


def span_f1(actual: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """F1 = 2 right / (gold + predicted) over the spans of all sentences, 0 where there is none (seqeval's micro average).

    >>> span_f1([["B-a", "I-a", "O"]], [["B-a", "O", "B-b"]])
    0.0
    """
    right = num_gold = num_predicted = 0
    for one, other in zip(actual, predicted):
        gold, own = set(spans_of(one)), set(spans_of(other))
        right, num_gold, num_predicted = (
            right + len(gold & own),
            num_gold + len(gold),
            num_predicted + len(own),
        )
    return 2 * right / (num_gold + num_predicted) if num_gold + num_predicted else 0.0


def check_tag(tag: str, where: str) -> str:
    """The tag, which must be "O", "B-..." or "I-..."; `where` names file and line in the message of the error."""
    if tag != "O" and not (tag[:2] in ("B-", "I-") and tag[2:]):
        raise DataError(f"{where}: tag is {tag!r}, expected O, B-slot or I-slot: correct the tag")
    return tag


def needed_slots(examples: Iterable[Example], share: float = 0.8) -> dict[str, list[str]]:
    """Intent -> the slots that at least this share of its examples hold: what the state card asks for."""
    totals: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {}
    for example in examples:
        if example.intent is not None:
            totals[example.intent] += 1
            slots = {slot for slot, _, _ in spans_of(example.tags)}
            counts.setdefault(example.intent, Counter()).update(slots)
    return {
        intent: sorted(slot for slot, n in counts[intent].items() if n >= share * totals[intent])
        for intent in sorted(totals)
    }
