"""Translation of a sentence word by word as it comes: a word is written once it can hardly change, and never taken back.

After every source word the sentence so far is translated anew, with what is written already as a forced beginning. A next word is
written where all hypotheses that the beam returns begin with it and the best one of the word before did so too (agreement of the
beam, and of two readings: Liu et al. 2020, arXiv 2005.11185). The end of the sentence writes the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from congru.errors import SettingsError
from congru.tasks.translate.translator import ALPHA, Translator


class WordStream:
    """One sentence; `text` is what is written so far."""

    def __init__(self, translator: Translator, *, beam_size: int = 5, alpha: float = ALPHA) -> None:
        if beam_size < 2:
            raise SettingsError(
                f"beam is {beam_size}, expected at least 2 hypotheses to agree: pass --beam 5"
            )
        self._translator, self._beam, self._alpha = translator, beam_size, alpha
        self._words: list[str] = []
        self._tokens: list[int] = []
        self._before: list[int] = []

    @property
    def text(self) -> str:
        """The translation that is written."""
        return self._translator.target.decode(self._tokens)

    def push(self, word: str, last: bool = False) -> list[str]:
        """Read the next source word; returns the words that are written now. `last` ends the sentence."""
        self._words.append(word)
        translator = self._translator
        encoded = translator.encode([" ".join(self._words)])
        hypotheses = translator.search(
            encoded,
            beam_size=self._beam,
            num_best=self._beam,
            alpha=self._alpha,
            prefix=self._tokens,
        )[0]
        best = hypotheses[0].tokens
        if last:
            agreed = best
        else:
            agreed = common_prefix([best, self._before, *(one.tokens for one in hypotheses)])
            agreed = self._whole_words(agreed, best)
        self._before = best[len(agreed) :]
        written = self.text
        self._tokens += agreed
        return self.text[len(written) :].split()

    def _whole_words(self, tokens: Sequence[int], best: Sequence[int]) -> list[int]:
        """The tokens up to the last word that is complete: the next token, of the best hypothesis, begins a new one."""
        following = [*best, self._translator.target.boundary]
        count = len(tokens)
        while count and not self._translator.target.starts_word(following[count]):
            count -= 1
        return list(tokens[:count])


def common_prefix(rows: Sequence[Sequence[int]]) -> list[int]:
    """The longest beginning that all rows have.

    >>> common_prefix([[1, 2, 3], [1, 2], [1, 2, 4]])
    [1, 2]
    """
    length = 0
    while all(len(row) > length for row in rows) and len({row[length] for row in rows}) == 1:
        length += 1
    return list(rows[0][:length])
