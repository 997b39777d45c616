"""The beginning of one utterance and the end of another as one: orders that nobody said (`--splice`).

Half an hour of speech holds few sentences, and a network that reads far learns them by heart: it writes the words that it
expects, not those that it hears. Of an utterance a word is drawn, and another utterance with the same word,

    text     words before it in the first, then it and the words after it in the second
    frames   those before it begins in the first, then those from where it begins in the second

so that both sides of the seam lie before the same word. Where words begin a trained recogniser tells (`--aligner`): half-way
between the last character before and the first character of the word, by the best alignment of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.tasks.speech.align import align
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.utterances import Utterance

_OF_ONE_SPEAKER = 0.5  # share of splices whose parts have one voice, where a speaker said the word twice


@dataclass(frozen=True)
class Splice:
    """The frames of `first` before `end`, then those of `second` from `begin` on."""

    text: str
    first: int
    end: int
    second: int
    begin: int


class Splicer:
    """Draws splices of the training utterances; rows are their numbers."""

    def __init__(self, folder: Path, utterances: Sequence[Utterance], size: int) -> None:
        """Let the recogniser of a model folder align the utterances, whose frames have `size` numbers.

        Raises:
            ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
            SettingsError: a model of other frames.
        """
        recognizer = Recognizer.load(folder)
        if recognizer.front_end.size != size:
            raise SettingsError(
                f"aligner is '{folder}', which reads frames of {recognizer.front_end.size} numbers, expected {size} as here:"
                " train one with the same --features"
            )
        self._words = [one.text.split() for one in utterances]
        self._speakers = [one.speaker for one in utterances]
        self.begins = [beginnings(recognizer, one) for one in utterances]
        self._rows_with: dict[str, list[tuple[int, int]]] = {}
        for row, words in enumerate(self._words):
            for place in range(1, len(words)):
                self._rows_with.setdefault(words[place], []).append((row, place))

    def draw(self, row: int, rng: np.random.Generator) -> Splice | None:
        """A splice that begins as utterance `row` does; None where no other one has its word."""
        words = self._words[row]
        if len(words) < 2:
            return None
        cut = int(rng.integers(1, len(words)))
        others = [one for one in self._rows_with[words[cut]] if one[0] != row]
        own = [one for one in others if self._speakers[row] and self._speakers[one[0]] == self._speakers[row]]
        choice = own if own and rng.random() < _OF_ONE_SPEAKER else others
        if not choice:
            return None
        second, place = choice[int(rng.integers(len(choice)))]
        text = " ".join([*words[:cut], *self._words[second][place:]])
        return Splice(text, row, int(self.begins[row][cut]), second, int(self.begins[second][place]))


def beginnings(recognizer: Recognizer, utterance: Utterance) -> NDArray[np.int64]:
    """The frame at which every word of an utterance begins [W]; 0 for the first.

    Raises:
        DataError: a text of other characters, or too long for its audio.
    """
    alphabet, stack = recognizer.alphabet, recognizer.front_end.stack
    log_p = recognizer.log_probabilities(recognizer.steps(utterance.frames))
    said = align(log_p, alphabet.encode(utterance.text))
    between = [
        (before.end + after.start) * stack // 2
        for before, token, after in zip(said, said[1:], said[2:])
        if token.token == alphabet.space
    ]
    return np.array([0, *between])
