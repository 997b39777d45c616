"""What the network reads of a word: the word, its first and last one to three characters, its shape; each a token.

Token 0 of every table is "unseen". The shape tells capitals, digits and signs apart, and whether the word is unseen.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

UNSEEN = 0
NUM_SHAPES = 12


def pieces(word: str) -> tuple[str, ...]:
    """The word and its affixes, lower case.

    >>> pieces("Flight")
    ('flight', 'f', 'fl', 'fli', 't', 'ht', 'ght')
    """
    low = word.lower()
    return (low, low[:1], low[:2], low[:3], low[-1:], low[-2:], low[-3:])


def shape_of(word: str) -> int:
    """0 letters, 1 a capital first, 2 all capitals, 3 digits, 4 digits among others, 5 signs.

    >>> [shape_of(word) for word in ("to", "Rome", "USA", "12", "7pm", "?")]
    [0, 1, 2, 3, 4, 5]
    """
    if word.isdigit():
        return 3
    if any(character.isdigit() for character in word):
        return 4
    if not any(character.isalpha() for character in word):
        return 5
    if len(word) > 1 and word.isupper():
        return 2
    return int(word[:1].isupper())


@dataclass(frozen=True)
class Vocabulary:
    """Tables of the words and affixes seen in training; `counts` says how often each word stands there, in lower case."""

    tables: tuple[dict[str, int], ...]
    counts: Mapping[str, int] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, sentences: Iterable[Sequence[str]], min_count: int = 1) -> Vocabulary:
        """The words, and the affixes, that stand `min_count` times in the training sentences."""
        counts = Counter(word.lower() for words in sentences for word in words)
        totals: list[Counter[str]] = [Counter() for _ in pieces("")]
        for word, count in counts.items():
            for total, piece in zip(totals, pieces(word)):
                total[piece] += count
        known = ([piece for piece, count in total.items() if count >= min_count] for total in totals)
        tables = tuple({piece: index for index, piece in enumerate(names, 1)} for names in known)
        return cls(tables, counts)

    def hiding(self, word: str, amount: float) -> float:
        """a / (a + n): the share of the readings of a training word, seen n times, that take it as unseen."""
        return amount / (amount + self.counts[word.lower()]) if amount else 0.0

    @classmethod
    def parse(cls, content: bytes) -> Vocabulary:
        """From the bytes of :meth:`to_bytes`."""
        names = json.loads(content)
        return cls(tuple({piece: index for index, piece in enumerate(table, 1)} for table in names))

    def to_bytes(self) -> bytes:
        """The names of every table in their order, as JSON."""
        return json.dumps([list(table) for table in self.tables], ensure_ascii=False).encode()

    @property
    def sizes(self) -> list[int]:
        """The number of tokens of each table and of the shapes."""
        return [*(len(table) + 1 for table in self.tables), NUM_SHAPES]

    def encode(
        self,
        words: Sequence[str],
        hidden: Sequence[bool] | None = None,
        rng: np.random.Generator | None = None,
    ) -> NDArray[np.int64]:
        """The tokens [T, 8] of T words; `hidden` words [T] are taken as unseen, with `rng` half of their affixes too.

        >>> Vocabulary.of([["to", "Rome"]]).encode(["Rome", "Oslo"])[:, 0].tolist()
        [2, 0]
        """
        rows = np.zeros((len(words), len(self.sizes)), np.int64)
        for index, word in enumerate(words):
            names = pieces(word)
            rows[index, :-1] = [table.get(piece, UNSEEN) for table, piece in zip(self.tables, names)]
            if hidden is not None and hidden[index]:
                rows[index, 0] = UNSEEN
                if rng is not None:
                    rows[index, 1:-1] *= rng.random(len(names) - 1) < 0.5
            unseen = rows[index, 0] == UNSEEN
            rows[index, -1] = shape_of(word) + (NUM_SHAPES // 2 if unseen else 0)
        return rows


def pad(sentences: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sentences [T_b, ...] as one array [B, T, ...] with zeros at the end, and their lengths [B]."""
    lengths = np.array([len(sentence) for sentence in sentences], np.int64)
    batch = np.zeros((len(sentences), int(lengths.max(initial=0)), *sentences[0].shape[1:]), np.int64)
    for row, sentence in zip(batch, sentences):
        row[: len(sentence)] = sentence
    return batch, lengths
