"""From log-probabilities of characters to a text: the best path, or prefix beam search with words and a language model.

A search takes frames [n, V] in pieces; ``settled()`` are tokens that no later frame can change, up to the end of a word,
``finish()`` all tokens of the utterance. Both say when a token was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError
from congru.runtime.decoding.ctc import CTCGreedy, CTCHypothesis, CTCPrefixBeam, Lexicon, Token
from congru.tasks.speech.align import align
from congru.tasks.speech.arpa import NGrams
from congru.tasks.speech.texts import Alphabet
from congru.tasks.speech.word_scores import WordScores

Frames = NDArray[np.float64]

TOP_TOKENS = 10  # characters that a frame may add


class Search(Protocol):
    """Frames in, tokens out."""

    def feed(self, frames: Frames) -> None:
        """Go on with frames [n, V] of log-probabilities."""

    def settled(self) -> list[Token]:
        """The tokens that stay, up to the last space among them."""

    def finish(self) -> list[Token]:
        """All tokens, now that the utterance is over."""


@dataclass(frozen=True)
class Decoding:
    """How texts are found: with `beam` 0 the best path, else prefix beam search that keeps so many texts.

    words: the only words allowed, None for any; ngrams: a language model, whose log-probability counts `lm_weight` times;
    word_bonus: added for every word; one_word: the whole utterance is one of the words, or nothing.
    """

    beam: int = 0
    words: Sequence[str] | None = None
    ngrams: NGrams | None = None
    lm_weight: float = 0.5
    word_bonus: float = 0.0
    one_word: bool = False
    _lexicons: dict[tuple[str, ...], Lexicon] = field(default_factory=dict, repr=False, compare=False)

    def search(self, alphabet: Alphabet) -> Search:
        """A search for one utterance.

        Raises:
            SettingsError: words or a language model without a beam, or one word of no list.
        """
        if self.one_word and self.words is None:
            raise SettingsError("one_word is True without a word list, expected one: pass --words")
        if self.beam == 0:
            if self.words is not None or self.ngrams is not None:
                raise SettingsError(
                    "beam is 0, expected at least 1 with a word list or language model: pass --beam 16"
                )
            return GreedySearch(alphabet)
        return BeamSearch(self._prefix_beam(alphabet), alphabet)

    def texts(self, alphabet: Alphabet, frames: Frames) -> list[CTCHypothesis]:
        """The texts of whole words that the beam holds after all frames [T, V] of an utterance, best first."""
        return self._prefix_beam(alphabet).feed(frames).n_best(self.beam)

    def _prefix_beam(self, alphabet: Alphabet) -> CTCPrefixBeam:
        scores = None
        if self.ngrams is not None or self.word_bonus:
            scores = WordScores(alphabet, self.ngrams, self.lm_weight, self.word_bonus)
        return CTCPrefixBeam(
            beam_size=self.beam, top_tokens=TOP_TOKENS, lm=scores, lexicon=self._lexicon(alphabet)
        )

    def _lexicon(self, alphabet: Alphabet) -> Lexicon | None:
        if self.words is None:
            return None
        key = tuple(alphabet.labels)
        if key not in self._lexicons:
            spelled = [alphabet.encode(word) for word in self.words if not alphabet.missing(word)]
            if not spelled:
                raise DataError(
                    f"the word list has {len(self.words)} words, none in the characters of the model, expected some:"
                    " check its case"
                )
            self._lexicons[key] = Lexicon(spelled, None if self.one_word else alphabet.space)
        return self._lexicons[key]


class GreedySearch:
    """The most probable label of every frame, collapsed."""

    def __init__(self, alphabet: Alphabet) -> None:
        self._greedy, self._space = CTCGreedy(), alphabet.space

    def feed(self, frames: Frames) -> None:
        """Go on with frames [n, V]."""
        self._greedy.feed(frames)

    def settled(self) -> list[Token]:
        """Up to the last space."""
        return up_to_space(self._greedy.tokens, self._space)

    def finish(self) -> list[Token]:
        """All tokens."""
        return self._greedy.tokens


class BeamSearch:
    """Prefix beam search; times are those of the best alignment of its text."""

    def __init__(self, beam: CTCPrefixBeam, alphabet: Alphabet) -> None:
        self._beam, self._space = beam, alphabet.space
        self._frames: list[Frames] = []
        self._settled: list[Token] = []

    def feed(self, frames: Frames) -> None:
        """Go on with frames [n, V]."""
        if len(frames):
            self._beam.feed(frames)
            self._frames.append(frames)

    def settled(self) -> list[Token]:
        """The tokens that all texts of the beam begin with, up to the last space; they keep the times first given."""
        stable = self._beam.stable()
        count = max((k + 1 for k, token in enumerate(stable) if token == self._space), default=0)
        if count > len(self._settled):
            best = self._beam.n_best(1, final=False)[0].tokens
            self._settled += align(np.concatenate(self._frames), best)[len(self._settled) : count]
        return list(self._settled)

    def finish(self) -> list[Token]:
        """All tokens of the best text; nothing where no text of whole words is left."""
        best = self._beam.n_best(1)
        if not best or not self._frames:
            return list(self._settled)
        tokens = align(np.concatenate(self._frames), best[0].tokens)
        return self._settled + tokens[len(self._settled) :]


def up_to_space(tokens: Sequence[Token], space: int) -> list[Token]:
    """The tokens up to the last space."""
    count = max((k + 1 for k, token in enumerate(tokens) if token.token == space), default=0)
    return list(tokens[:count])
