"""Several recognisers that hear the same recording: of the texts that any of them finds, the one that all find most probable.

    score(y) = 1/M sum over recognisers m of log p_m(y) + lm_weight log p_lm(y) + word_bonus words(y)

p_m(y) sums over all alignments. Networks of other seeds or kinds write a character at other steps, so that the mean of their
probabilities step by step says little; those of whole texts can be compared. The texts are the beams of all recognisers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.runtime.decoding.ctc import text_log_p
from congru.tasks.speech.align import align
from congru.tasks.speech.audio import Audio
from congru.tasks.speech.decoding import Decoding
from congru.tasks.speech.frames import Floats
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.words import Word, text_of, words_of

LogP = NDArray[np.float64]


@dataclass(frozen=True)
class Ensemble:
    """Recognisers of the same frames and characters; words have the times and confidences of the first.

    Raises:
        SettingsError: recognisers whose frames or characters differ.
    """

    recognizers: Sequence[Recognizer]

    def __post_init__(self) -> None:
        first = self.recognizers[0]
        for other in self.recognizers[1:]:
            for what, own, its in (
                ("characters", "".join(first.alphabet.labels[1:]), "".join(other.alphabet.labels[1:])),
                ("features", first.front_end.frames_in_words, other.front_end.frames_in_words),
            ):
                if own != its:
                    raise SettingsError(
                        f"with names a model of the {what} {its!r}, expected {own!r} as of the first:"
                        " train it on the same recordings"
                    )

    @classmethod
    def load(cls, paths: Sequence[str | os.PathLike[str]], weight_dtype: str = "float32") -> Ensemble:
        """Load model folders or run folders; the answer of each is replayed.

        Raises:
            ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
        """
        return cls([Recognizer.load(path, weight_dtype) for path in paths])

    def log_probabilities(self, frames: Floats) -> list[LogP]:
        """log p [T, V] of frames [n, F] by each; T differs where they stack other numbers of frames."""
        return [one.log_probabilities(one.steps(frames)) for one in self.recognizers]

    def words_of_log_p(self, log_p: Sequence[LogP], decoding: Decoding) -> list[Word]:
        """The words of what each said of one recording; of one recogniser alone as it decodes by itself.

        Raises:
            SettingsError: several recognisers and a decoding without a beam.
        """
        first = self.recognizers[0]
        if len(self.recognizers) == 1:
            return first.words_of_log_p(log_p[0], decoding)
        if not all(len(one) for one in log_p):
            return []
        if decoding.beam == 0:
            raise SettingsError(
                "beam is 0, expected at least 1 with several models: their texts are compared, not their best paths"
            )
        added: dict[tuple[int, ...], float] = {}  # by language model and bonus
        for own in log_p:
            for text in decoding.texts(first.alphabet, own):
                added[tuple(text.tokens)] = text.score - text.log_p
        if not added:
            return []
        texts = list(added)
        scores = np.mean([text_log_p(own, texts) for own in log_p], axis=0) + list(added.values())
        best = texts[int(scores.argmax())]
        return words_of(align(log_p[0], best), first.alphabet, first.front_end.step_seconds)

    def words_of_frames(self, frames: Floats, decoding: Decoding) -> list[Word]:
        """The words of frames [n, F]."""
        return self.words_of_log_p(self.log_probabilities(frames), decoding)

    def transcribe(self, audio: str | os.PathLike[str] | Audio, decoding: Decoding) -> list[Word]:
        """The words of an audio file, or of samples; none of silence.

        Raises:
            DataError: a file that cannot be read, or models of given features.
        """
        return self.words_of_frames(self.recognizers[0].frames(audio), decoding)

    def text(self, audio: str | os.PathLike[str] | Audio, decoding: Decoding) -> str:
        """The words of an audio file as text."""
        return text_of(self.transcribe(audio, decoding))
