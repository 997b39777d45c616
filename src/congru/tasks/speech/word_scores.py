"""A language model of words for a search over characters: a word is scored at its end, by its n-gram.

added at the end of a word = lm_weight * log p(word | words before) + word_bonus
added at the end of a text = the same for its last word, and lm_weight * log p(</s> | words before)
"""

from __future__ import annotations

from typing import NamedTuple

from congru.tasks.speech.arpa import END, NGrams
from congru.tasks.speech.texts import Alphabet


class _State(NamedTuple):
    """The last words, and the characters of the word that is being written."""

    history: tuple[str, ...]
    written: str


class WordScores:
    """What `congru.runtime.decoding.ctc` asks of a language model, with its end."""

    def __init__(
        self, alphabet: Alphabet, ngrams: NGrams | None, lm_weight: float, word_bonus: float
    ) -> None:
        self._labels, self._space = alphabet.labels, alphabet.space
        self._ngrams, self._weight, self._bonus = ngrams, lm_weight, word_bonus

    def start(self) -> _State:
        """Before the first word."""
        return _State(() if self._ngrams is None else self._ngrams.start(), "")

    def score(self, state: _State, token: int) -> tuple[float, _State]:
        """0 within a word, its score at the space after it."""
        if token != self._space:
            return 0.0, _State(state.history, state.written + self._labels[token])
        if not state.written:
            return 0.0, state
        return self._word(state)

    def end(self, state: _State) -> float:
        """The last word, and the end of the text."""
        added = 0.0
        if state.written:
            added, state = self._word(state)
        if self._ngrams is not None:
            added += self._weight * self._ngrams.score(state.history, END)[0]
        return added

    def _word(self, state: _State) -> tuple[float, _State]:
        if self._ngrams is None:
            return self._bonus, _State((), "")
        log_p, history = self._ngrams.score(state.history, state.written)
        return self._weight * log_p + self._bonus, _State(history, "")
