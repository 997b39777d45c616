"""From a sentence to token numbers and back: byte pairs, or words between blanks with one number for unknown ones.

The number `boundary`, one above the vocabulary, begins a translation and ends every sentence.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from congru.data.byte_pairs import bpe_file
from congru.errors import DataError, ModelFolderError
from congru.runtime.tokenizer import Tokenizer, parse_tokenizer

UNKNOWN = 0  # the number of every word that is not known, with word tokens


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of one language; `file` is what lies in the model folder."""

    kind: str
    file: bytes
    lowercase: bool = False

    @cached_property
    def words(self) -> list[str]:
        """The words by number; number 0 stands for every other word."""
        try:
            return [str(word) for word in json.loads(self.file)["words"]]
        except (ValueError, KeyError, TypeError):
            raise ModelFolderError(
                "the vocabulary is no JSON list of words, expected one: copy the folder again"
            ) from None

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, 1)}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The byte pairs."""
        return parse_tokenizer(self.file)

    @property
    def boundary(self) -> int:
        """The token before the first and after the last of a sentence."""
        return len(self.words) + 1 if self.kind == "word" else self.tokenizer.num_tokens

    @property
    def num_tokens(self) -> int:
        """How many numbers there are, the boundary included."""
        return self.boundary + 1

    def clean(self, text: str) -> str:
        """The text with single blanks, in small letters where the model has no others."""
        text = " ".join(text.split())
        return text.lower() if self.lowercase else text

    def encode(self, text: str) -> list[int]:
        """The tokens of a sentence, without boundary.

        Raises:
            DataError: nothing is left to read.
        """
        cleaned = self.clean(text)
        if not cleaned:
            raise DataError(
                f"text is {text[:40]!r}, expected at least one word: there is nothing to translate"
            )
        if self.kind == "word":
            return [self._numbers.get(word, UNKNOWN) for word in cleaned.split(" ")]
        return self.tokenizer.encode(f" {cleaned}")

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What each token covers, blanks in front kept; of a character in several tokens the last has it."""
        if self.kind == "word":
            return [f" {self.words[index - 1]}" if index else " ⁇" for index in ids]
        stream = self.tokenizer.stream()
        return [stream.push(index) for index in ids]

    def decode(self, ids: Sequence[int], copies: Sequence[str | None] | None = None) -> str:
        """The sentence of tokens; `copies` holds a word for every unknown one."""
        if self.kind != "word":
            return " ".join(self.tokenizer.decode(ids).split())
        words = [self.words[index - 1] if index else "⁇" for index in ids]
        if copies is not None:
            words = [
                copy or word if index == UNKNOWN else word for index, word, copy in zip(ids, words, copies)
            ]
        return " ".join(words)

    def starts_word(self, index: int) -> bool:
        """Whether a token begins a new word, so that what stands before is complete."""
        return (
            self.kind == "word" or index == self.boundary or self.tokenizer.decode([index])[:1] in (" ", "")
        )


def make_vocabulary(
    texts: Sequence[str], kind: str, vocab_size: int, min_count: int, lowercase: bool
) -> Vocabulary:
    """The vocabulary of training sentences.

    >>> vocabulary = make_vocabulary(["a dog runs", "a cat runs"], "word", 300, 2, False)
    >>> vocabulary.words, vocabulary.encode("a dog runs"), vocabulary.decode([1, 0, 2], [None, "dog", None])
    (['a', 'runs'], [1, 0, 2], 'a dog runs')
    """
    cleaner = Vocabulary(kind, b"", lowercase)
    cleaned = [cleaner.clean(text) for text in texts]
    if kind == "bpe":
        return Vocabulary(
            kind, bpe_file("".join(f" {text}\n" for text in cleaned), vocab_size, fewer=True), lowercase
        )
    counts = Counter(word for text in cleaned for word in text.split(" "))
    known = sorted(
        (word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word)
    )
    return Vocabulary(kind, json.dumps({"words": known[:vocab_size]}, ensure_ascii=False).encode(), lowercase)
