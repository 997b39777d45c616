"""Transcripts as the characters a network writes: case, punctuation, and which characters there are.

Letters, digits, accents of any script, the apostrophe and the hyphen stay; sentence punctuation is dropped and counted; any
other character is a fault of its row.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from congru.errors import DataError

BLANK, SPACE = "<blank>", " "
_PUNCTUATION = set('.,;:!?"()[]…“”„«»')
_KEPT = set("'-’")


def normal(text: str, case: str) -> str:
    """A transcript without punctuation, blanks in a row or other case.

    >>> normal(" Hello,  world. ", "lower")
    'hello world'
    """
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    text = "".join(SPACE if char in _PUNCTUATION else char for char in text)
    text = text.upper() if case == "upper" else text.lower() if case == "lower" else text
    return " ".join(text.split())


def has_punctuation(text: str) -> bool:
    """Whether something of it is dropped."""
    return any(char in _PUNCTUATION for char in text)


def strange(text: str, alphabet: str | None = None) -> str:
    """The characters of a normal text that are no letter, digit, accent, apostrophe or hyphen; or not in `alphabet`.

    >>> strange("42% of naïve"), strange("AB", "A")
    ('%', 'B')
    """

    def known(char: str) -> bool:
        if char == SPACE:
            return True
        if alphabet is not None:
            return char in alphabet
        return char.isalnum() or char in _KEPT or unicodedata.category(char).startswith("M")

    return "".join(dict.fromkeys(char for char in text if not known(char)))


def choose_case(texts: Iterable[str]) -> str:
    """keep where all letters are of one case or have none, else lower."""
    joined = "".join(texts)
    return "keep" if joined in (joined.upper(), joined.lower()) else "lower"


def alphabet_of(texts: Iterable[str], extra: str = "") -> list[str]:
    """The labels of the network's outputs: the blank, then every character in order."""
    return [BLANK, *sorted({SPACE, *extra, *"".join(texts)})]


class Alphabet:
    """Characters to tokens and back; token 0 is the blank.

    >>> alphabet = Alphabet([BLANK, " ", "A", "B"])
    >>> alphabet.encode("AB A"), alphabet.decode([2, 3, 1, 2])
    ([2, 3, 1, 2], 'AB A')
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self._numbers = {label: number for number, label in enumerate(labels)}
        self.space = self._numbers[SPACE]

    def __len__(self) -> int:
        return len(self.labels)

    def missing(self, text: str) -> str:
        """The characters of a text that it lacks."""
        return "".join(dict.fromkeys(char for char in text if char not in self._numbers))

    def encode(self, text: str) -> list[int]:
        """The tokens of a text.

        Raises:
            DataError: a character that training has not seen.
        """
        missing = self.missing(text)
        if missing:
            raise DataError(
                f"text {text[:40]!r} holds {missing!r}, expected only {''.join(self.labels[1:])!r}: correct it"
            )
        return [self._numbers[char] for char in text]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens."""
        return "".join(self.labels[token] for token in tokens)
