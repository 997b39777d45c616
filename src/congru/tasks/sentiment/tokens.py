"""From a text to steps: words with a vocabulary, byte pairs, or characters; and where in the text each step ends.

A text is first cleaned: HTML entities and tags, runs of blanks, capital letters (unless they are kept). A word is a run of
letters and digits with its inner apostrophes; a run of one sign ("!!!") is one step, and so is an emoji with its skin tone.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, ModelFolderError
from congru.runtime.tokenizer import Tokenizer, parse_tokenizer

WORDS_FILE, TOKENIZER_FILE = "words.json", "tokenizer.json"
UNKNOWN = 0  # the number of every word that is not known
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_WORD = re.compile(
    r"\w+(?:['’]\w+)*|['’]\w+|([^\w\s])[\ufe0f\u200d\U0001f3fb-\U0001f3ff]*(?:\1[\ufe0f\U0001f3fb-\U0001f3ff]*)*"
)


def clean(text: str, lowercase: bool = True) -> str:
    """The text without entities, tags and double blanks.

    >>> clean("It&#39;s  GREAT <br />&amp; more")
    "it's great & more"
    """
    text = " ".join(_TAG.sub(" ", html.unescape(text)).split())
    return text.lower() if lowercase else text


def split_words(text: str) -> list[tuple[str, int]]:
    """The words of a cleaned text and where each ends.

    >>> split_words("it's so good!!")
    [("it's", 4), ('so', 7), ('good', 12), ('!!', 14)]
    """
    return [(match[0], match.end()) for match in _WORD.finditer(text)]


@dataclass(frozen=True)
class Encoded:
    """T steps of a text: their numbers [T], where each ends in the cleaned text [T], and that text."""

    ids: NDArray[np.int64]
    ends: NDArray[np.int64]
    text: str

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def pieces(self) -> list[str]:
        """What each step covers, without outer blanks."""
        begins = [0, *self.ends[:-1].tolist()]
        return [self.text[begin:end].strip() for begin, end in zip(begins, self.ends.tolist())]


@dataclass(frozen=True)
class Steps:
    """How a model cuts texts; `file` is the vocabulary as it lies in the model folder."""

    kind: str
    file: bytes
    lowercase: bool = True
    max_tokens: int = 400

    @property
    def file_name(self) -> str:
        """The name of its file in a model folder."""
        return WORDS_FILE if self.kind == "word" else TOKENIZER_FILE

    @cached_property
    def words(self) -> dict[str, int]:
        """Word -> number; numbers from 1, 0 is every unknown word."""
        try:
            content = json.loads(self.file)
            return {str(word): number for number, word in enumerate(content["words"], 1)}
        except (ValueError, KeyError, TypeError):
            raise ModelFolderError(f"{WORDS_FILE} is no list of words: copy the folder again") from None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of byte pairs or characters."""
        return parse_tokenizer(self.file)

    @cached_property
    def _symbols(self) -> frozenset[str]:
        return frozenset(json.loads(self.file)["symbols"]) if self.kind == "char" else frozenset()

    @property
    def num_tokens(self) -> int:
        """How many numbers there are."""
        return len(self.words) + 1 if self.kind == "word" else self.tokenizer.num_tokens

    def encode(self, text: str, *, limit: int | None = None) -> Encoded:
        """The steps of a text, at most `max_tokens`; characters that a character model lacks are passed over.

        Raises:
            DataError: nothing is left to read.
        """
        cleaned = clean(text, self.lowercase)
        if self.kind == "char":
            cleaned = "".join(symbol for symbol in cleaned if symbol in self._symbols).strip()
        most = self.max_tokens if limit is None else limit
        if self.kind == "word":
            cut = split_words(cleaned)[:most]
            ids = [self.words.get(word, UNKNOWN) for word, _ in cut]
            ends = [end for _, end in cut]
        else:
            ids = self.tokenizer.encode(cleaned)[:most]
            stream = self.tokenizer.stream()
            ends = np.cumsum([len(stream.push(index)) for index in ids]).tolist()
        if not ids:
            raise DataError(f"text is {text[:40]!r}, expected at least one word: there is nothing to read")
        return Encoded(np.array(ids, np.int64), np.array(ends, np.int64), cleaned)

    def config(self) -> dict[str, Any]:
        """What a model folder says of it, beside the file."""
        return {"tokens": self.kind, "lowercase": self.lowercase, "max_tokens": self.max_tokens}


def words_file(words: Sequence[str]) -> bytes:
    """The vocabulary file of words in the order of their numbers, from 1."""
    return json.dumps({"words": list(words)}, ensure_ascii=False).encode()


def count_words(texts: Iterable[str], lowercase: bool) -> Counter[str]:
    """How often each word stands in the texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in split_words(clean(text, lowercase)))
    return counts


def choose_words(counts: Counter[str], min_count: int, most: int) -> list[str]:
    """The words that are known: frequent enough, the most frequent first.

    >>> choose_words(Counter("a b b c c c".split()), 2, 10)
    ['c', 'b']
    """
    known = sorted(
        (word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w)
    )
    return known[:most]
