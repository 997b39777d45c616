"""Words with their times and confidences, made of tokens with frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from congru.runtime.decoding.ctc import Token
from congru.tasks.speech.texts import Alphabet


@dataclass(frozen=True)
class Word:
    """A word, when it is said (seconds from the beginning), and the geometric mean of its characters' probabilities."""

    text: str
    start: float
    end: float
    confidence: float


def words_of(
    tokens: Sequence[Token], alphabet: Alphabet, step_seconds: float, first_step: int = 0
) -> list[Word]:
    """The words of tokens; a space ends one. Steps count from `first_step`.

    >>> alphabet = Alphabet(["<blank>", " ", "A"])
    >>> words_of([Token(2, 1, 2, 0.5), Token(1, 2, 3, 0.9), Token(2, 4, 6, 1.0)], alphabet, 0.03)[1]
    Word(text='A', start=0.12, end=0.18, confidence=1.0)
    """
    words: list[Word] = []
    run: list[Token] = []
    for token in [*tokens, Token(alphabet.space, 0, 0, 1.0)]:
        if token.token != alphabet.space:
            run.append(token)
            continue
        if run:
            start, end = ((at + first_step) * step_seconds for at in (run[0].start, run[-1].end))
            sure = float(np.exp(np.mean([np.log(max(one.confidence, 1e-12)) for one in run])))
            text = alphabet.decode(one.token for one in run)
            words.append(Word(text, round(start, 3), round(end, 3), round(sure, 4)))
        run = []
    return words


def text_of(words: Sequence[Word]) -> str:
    """The words with a space between."""
    return " ".join(word.text for word in words)
