"""The trivial translators: word for word by a dictionary learned from the pairs, and the source as it is.

The dictionary is IBM model 1 (Brown et al. 1993): t(e | f) such that the pairs are most probable when every target word comes
from some source word or from none,

    t(e | f) <- sum over pairs of c(e, f) / sum over e' of c(e', f),    c(e, f) = t(e | f) / sum over f' of t(e | f')

by expectation maximisation from equal values. A word becomes its most probable translation, an unknown one itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from congru.errors import ModelFolderError

FILE = "dictionary.json"
_WORD = re.compile(r"\w+|[^\w\s]")
_ROUNDS = 5
_PAIRS = 50_000  # pairs that are counted
_LONGEST = 60  # words of a sentence that are counted


def fit_dictionary(source: Sequence[str], target: Sequence[str]) -> dict[str, str]:
    """Source word -> its most probable translation; no entry where none is the most probable.

    >>> fit_dictionary(["das haus", "das buch", "ein buch"], ["the house", "the book", "a book"])["buch"]
    'book'
    """
    table, others = _Numbers(), _Numbers()
    keys, sizes = [], []
    for one, other in list(zip(source, target))[:_PAIRS]:
        f = np.array([0, *table.all_of(_WORD.findall(one)[:_LONGEST])])  # 0: no word
        e = np.array(others.all_of(_WORD.findall(other)[:_LONGEST]), np.int64)
        keys.append((e[:, None] * 2**32 + f).ravel())
        sizes += [len(f)] * len(e)
    if not keys:
        return {}
    entries, index = np.unique(np.concatenate(keys), return_inverse=True)
    t = _expectation_maximisation(index, np.array(sizes), entries % 2**32)
    best: dict[int, tuple[float, int]] = {}
    for entry, probability in zip(entries.tolist(), t.tolist()):
        f_number, e_number = entry % 2**32, entry // 2**32
        if f_number and probability > best.get(f_number, (0.0, 0))[0]:
            best[f_number] = (probability, e_number)
    return {table.words[f - 1]: others.words[e - 1] for f, (_, e) in best.items()}


class _Numbers:
    """Numbers from 1 for words, in the order they come."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def all_of(self, words: Sequence[str]) -> list[int]:
        return [self.numbers.setdefault(word, len(self.numbers) + 1) for word in words]

    @property
    def words(self) -> list[str]:
        return list(self.numbers)


def _expectation_maximisation(
    index: NDArray[np.int64], sizes: NDArray[np.int64], f: NDArray[np.int64]
) -> NDArray[np.float64]:
    """t of every entry. `index` [N]: the entry of every meeting of words; a run of `sizes` of them shares a target word."""
    t = np.ones(len(f))
    begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for _ in range(_ROUNDS):
        met = t[index]
        share = met / np.repeat(np.add.reduceat(met, begins), sizes)
        counts = np.bincount(index, share, len(f))
        t = counts / np.bincount(f, counts)[f]
    return t


def word_for_word(dictionary: Mapping[str, str], text: str) -> str:
    """Every word by the dictionary, unknown ones as they are.

    >>> word_for_word({"das": "the", "haus": "house"}, "das neue haus")
    'the neue house'
    """
    return " ".join(dictionary.get(word, word) for word in _WORD.findall(text))


def to_bytes(dictionary: Mapping[str, str]) -> bytes:
    """The content of dictionary.json."""
    return json.dumps(dictionary, ensure_ascii=False, sort_keys=True).encode()


def parse(content: bytes) -> dict[str, str]:
    """The dictionary of dictionary.json.

    Raises:
        ModelFolderError: it is none.
    """
    try:
        return {str(word): str(other) for word, other in json.loads(content).items()}
    except (ValueError, AttributeError):
        raise ModelFolderError(
            f"{FILE} is no JSON object of words, expected one: copy the folder again"
        ) from None
